/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_FRAME_H
#define STORAGE_OBJECT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/bytes.h"
#include "storage/err.h"

/* Frames: how a body is stored that is compressed, sealed (encrypted), or both.
 *
 *	body    = frame 0 | frame 1 | … | padding
 *	frame   = payload | tag (16, if the body is sealed)
 *	payload = FRAME_LEN bytes of the client, fewer in the last frame; as they are, or as one
 *	          zstd frame, which is shorter; then enciphered by AES-256-GCM if the body is sealed
 *	table   = for each frame of a zipped body the length of its payload, less 1 (2 bytes,
 *	          little-endian)
 *
 * Each frame is made, and read, by itself, so that a range costs the frames that it touches. Where
 * a frame lies follows from its number, or from the table: a row of the index (TABLE_FRAMES), and
 * for a body that is in the index itself the bytes before frame 0. A body is as long to clients as
 * it was sent, whatever is stored; digests, checksums and ETags are of what was sent.
 *
 * (F1) The key of a sealed body was made for it alone. So the number of the frame is the nonce, and
 *      none is used twice.
 * (F2) What is authenticated beside the payload: the id of the body, the number and the length of
 *      the frame, whether it is the last, whether it is zipped. So a frame that is changed, moved,
 *      exchanged, cut off or taken from another body is not one; neither is a table that lies.
 * (F3) A payload that is as long as the frame is not zipped, and a zipped one is shorter by a
 *      sixteenth at least.
 * (F4) Padding is zeros that nothing refers to: a zipped body does not know how long it becomes
 *      when its extents begin (pack.h).
 * (F5) No byte of a frame is handed out before its tag was checked.
 */
#define FRAME_LEN 65536u
#define FRAME_TAG_LEN 16u
#define FRAME_KEY_LEN 32u
#define FRAME_ID_LEN 16u
#define FRAME_TABLE_ENTRY_LEN 2u
#define FRAME_ZIPPED_LEN_MAX (UINT64_C(1) << 30) /* of a body: its table is at most 32 KiB */
#define FRAME_WINDOW 512 /* entries of a table that a walk has with it */

enum frame_compression { /* row_body.compression; kept on disk */
	FRAME_NOT_ZIPPED = 0,
	FRAME_ZSTD = 1,
};

/* The key of one sealed body, and what it is called there (F2). */
struct frame_key {
	uint8_t key[FRAME_KEY_LEN];
	uint8_t id[FRAME_ID_LEN];
};

/* How a body is stored. */
struct frame_form {
	uint64_t len; /* as clients see it */
	uint64_t stored_len; /* of its frames and padding, without a table before them */
	bool is_zipped, is_sealed;
};

/* One frame, and where it is. */
struct frame {
	uint64_t number;
	uint64_t offset; /* of the payload in what is stored */
	uint32_t len; /* of the client's bytes */
	uint32_t payload_len;
	bool is_last, is_zipped;
};

static inline uint64_t frame_count(uint64_t len)
{
	return len / FRAME_LEN + (len % FRAME_LEN > 0);
}

/* The client's bytes in a frame of a body of so many. */
static inline uint32_t frame_len_at(uint64_t len, uint64_t number)
{
	uint64_t start = number * FRAME_LEN;
	return len - start < FRAME_LEN ? len - start : FRAME_LEN;
}

/* What a body comes to that is sealed and not zipped. */
static inline uint64_t frame_sealed_len(uint64_t len)
{
	return len + frame_count(len) * FRAME_TAG_LEN;
}

static inline size_t frame_table_len(uint64_t len)
{
	return frame_count(len) * FRAME_TABLE_ENTRY_LEN;
}

static inline void frame_table_set(uint8_t *table, uint64_t number, uint32_t payload_len)
{
	put_le16(table + number * FRAME_TABLE_ENTRY_LEN, payload_len - 1);
}

/* Goes from frame to frame of a stored body. */
struct frame_walk {
	struct frame_form form;
	uint64_t number; /* of the next one */
	uint64_t offset;
	uint64_t window_start; /* entries of the table that are here */
	uint32_t window_count;
	uint8_t window[FRAME_WINDOW * FRAME_TABLE_ENTRY_LEN];
};

/* Begins at a frame of the body. table is all of it, and empty for a body that is not zipped; it is
 * borrowed for the call. Errors: ERR_CORRUPT, the form or the table makes no sense. */
MUST_USE enum err frame_walk_start(struct frame_walk *walk, const struct frame_form *form,
	struct bytes table, uint64_t number);

/* The next frame. Errors: ERR_END; ERR_BUSY, the walk has to see the table again; ERR_CORRUPT. */
MUST_USE enum err frame_walk_next(struct frame_walk *walk, struct frame *ret_frame);

/* After ERR_BUSY: shows it the table. Errors: ERR_CORRUPT. */
MUST_USE enum err frame_walk_show(struct frame_walk *walk, struct bytes table);

#endif
