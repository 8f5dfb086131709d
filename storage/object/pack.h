/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_PACK_H
#define STORAGE_OBJECT_PACK_H

#include "storage/object/frame_seal.h"
#include "storage/object/put.h"

/* PUT with frames: a put (put.h) whose bytes are zipped and sealed on their way, or neither; then
 * it is the put and nothing else. It is used as a put is: room() and frame() are about the client's
 * bytes, and put_frame_done() is pack_frame_done().
 *
 *	client → chunk (shown to the owner) → frames → stage → put
 *
 * (K1) Bytes go to a chunk of 256 KiB at most; a full one is shown to the owner and, at the same
 *      time, made into frames, which stand in the stage until the put has memory for them. There
 *      is a second chunk while the pool has it to spare.
 * (K2) A pack that has memory of the put pool has its chunk and its stage, and keeps them until the
 *      last byte is with the put. So nobody waits in a circle.
 * (K3) Nobody knows how long a zipped body becomes. What fits into the stage is written when it is
 *      known; else as much is announced to the put as is there, and of what is expected to follow
 *      three quarters, but never more than was written so far, nor than makes one extent. If less
 *      comes, the rest is padding (F4). Each announcement may be an extent of its own, and the
 *      list of them is bounded: after 32 the next are at least of 1 MiB, 2 MiB and so on, as far
 *      as so much can follow at all. So there are 72 at most.
 * (K4) Not more than PACK_ZIPS_MAX frames are zipped before others have their turn on the loop.
 * (K5) A body of whose first full stage no frame was worth zipping is not zipped at all: its length
 *      is known then, and it is as few extents as if nobody had tried.
 */
#define PACK_CHUNKS_MAX 2
#define PACK_ZIPS_MAX 2

struct pack;

struct pack_setup {
	/* Its len is that of the client's bytes, at least, if it is_open; callbacks are not set. */
	struct put_setup put;
	bool is_zipped; /* as far as it pays; not a body above FRAME_ZIPPED_LEN_MAX */
	const struct frame_key *key; /* borrowed for the call; NULL: it is not sealed */
	void (*room)(struct pack *pack);
	void (*frame)(struct pack *pack, struct put_frame *frame);
	void (*durable)(struct pack *pack, enum err err);
	void (*discarded)(struct pack *pack);
};

struct pack_chunk {
	uint8_t *buf; /* NULL: not taken */
	uint32_t filled_len, packed_len;
	bool is_full, is_with_owner;
	struct put_frame frame;
};

struct pack {
	uint32_t magic;
	struct pack_setup setup;
	bool has_frames; /* false: all is the put's */
	bool is_zipped, is_sealed;
	bool is_put_active; /* begun, and not over */
	bool is_durable, is_discarded, is_put_discarded;
	bool is_closed; /* the put knows how long it is */
	bool wants_room;
	bool has_paid; /* some frame is zipped */
	bool has_table_inside; /* the body is in the index itself */
	enum err err;
	uint64_t len; /* the client's */
	bool is_open; /* there may be more */
	bool is_len_known; /* of what is stored, from the start on */
	uint64_t taken_len, packed_len; /* of them: received, made into frames */
	uint64_t frames_len; /* what these came to */
	uint64_t given_len; /* of the put: bytes that it has */
	unsigned guesses; /* how often it was told of more than there was */
	uint64_t next_frame;
	struct frame_seal seal;
	struct frame_zip_guess guess;
	uint8_t *table; /* owned; NULL: not zipped */
	uint32_t chunk_cap, stage_cap;
	struct pack_chunk chunks[PACK_CHUNKS_MAX];
	unsigned filling, packing; /* chunks */
	uint8_t *stage; /* NULL: not taken */
	uint32_t stage_from, stage_len;
	struct pool_wait wait;
	struct task task;
	bool is_posted;
	uint8_t hint[DRIVE_HINT_LEN_MAX]; /* the put may begin late */

	struct put put;
};

/* As put_start(). Errors besides: ERR_NO_MEMORY. */
MUST_USE enum err pack_start(struct pack *pack, const struct pack_setup *setup);

/* As put_buffer(), put_filled() and put_frame_done(). */
MUST_USE enum err pack_buffer(struct pack *pack, uint8_t **ret_buf, size_t *ret_cap);
void pack_filled(struct pack *pack, size_t len);
void pack_frame_done(struct pack *pack, struct put_frame *frame);

/* The rest of a body that is_open, once all that was announced was taken: len bytes, perhaps none.
 */
void pack_extend(struct pack *pack, uint64_t len);

static inline bool pack_is_open(const struct pack *pack)
{
	return pack->is_open;
}

/* As put_discard(). */
void pack_discard(struct pack *pack);

/* As put_body(), with what is to be known of the frames, but for `encryption`. */
void pack_body(const struct pack *pack, struct command_body *body);

/* As put_fini(). */
void pack_fini(struct pack *pack);

static inline uint64_t pack_session(const struct pack *pack)
{
	return put_session(&pack->put);
}

/* Is it the client's turn to be waited for, and does it hold memory that others want meanwhile? */
bool pack_waits_for_room(const struct pack *pack);
bool pack_keeps_others_waiting(const struct pack *pack);

#endif
