/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_RING_ROWS_H
#define STORAGE_META_RING_ROWS_H

#include "storage/buffer.h"
#include "storage/meta/rows.h"
#include "storage/ring/ring.h"

/* The ring in the index: the row of version 0 is the head and says which version is current and how
 * long it is; the bytes of ring_encode() follow in parts under that version.
 *
 * Head: version (8 bytes, little-endian), length (4 bytes). */
#define RING_HEAD_LEN 12

struct ring_head {
	uint64_t version;
	uint32_t len;
};

void ring_head_encode(const struct ring_head *head, uint8_t *buf);
MUST_USE enum err ring_head_decode(struct bytes value, struct ring_head *ret_head);

/* Reads the current ring of a class. Errors: ERR_NOT_FOUND, none was set; ERR_CORRUPT and what
 * reading says; ERR_NO_MEMORY. */
MUST_USE enum err ring_rows_load(
	struct buffer_view *view, uint8_t class, struct ring_snapshot **ret_snapshot);

#endif
