/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_RING_ROWS_H
#define STORAGE_META_RING_ROWS_H

#include "storage/buffer.h"
#include "storage/meta/rows.h"
#include "storage/ring/ring.h"

/* The ring in the index: the row of version 0 is the head and says which version is current and how
 * long it is; the bytes of ring_encode() follow in parts under that version.
 *
 * Head: version (8 bytes, little-endian), length (4 bytes), length of a part (4 bytes; where it is
 * not written, RING_PART_LEN_OLD).
 *
 * The target, to which the shards of the ring are moving, is a ring beside it, with
 * RING_ROWS_TARGET in the byte of its class. */
#define RING_HEAD_LEN 16
#define RING_HEAD_LEN_OLD 12
#define RING_PART_LEN_OLD (32 * 1024)
#define RING_ROWS_TARGET 0x80

struct ring_head {
	uint64_t version;
	uint32_t len;
	uint32_t part_len;
};

void ring_head_encode(const struct ring_head *head, uint8_t *buf);
MUST_USE enum err ring_head_decode(struct bytes value, struct ring_head *ret_head);

/* Reads the current ring of a class, with all moves and gone drives; or a target, which has none.
 * Errors: ERR_NOT_FOUND, none was set; ERR_CORRUPT and what reading says; ERR_NO_MEMORY. */
MUST_USE enum err ring_rows_load(
	struct buffer_view *view, uint8_t class, struct ring_snapshot **ret_snapshot);

#endif
