/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_ID_H
#define STORAGE_ID_H

#include <stdint.h>

#include "storage/bytes.h"

/* Identities of clusters, nodes and drives: 16 random bytes. */
#define ID_LEN 16

struct id {
	uint8_t bytes[ID_LEN];
};

static inline bool id_is_equal(struct id a, struct id b)
{
	return memcmp(a.bytes, b.bytes, ID_LEN) == 0;
}

/* An extent: the session of the node that wrote it, and that session's counter. Never reused. */
#define EXTENT_ID_LEN 16

struct extent_id {
	uint64_t session;
	uint64_t counter;
};

/* As keys have it: big-endian, so that the extents of a session are in the order of its counter. */
static inline void extent_id_encode(struct extent_id id, uint8_t out[EXTENT_ID_LEN])
{
	put_be64(out, id.session);
	put_be64(out + 8, id.counter);
}

static inline struct extent_id extent_id_decode(const uint8_t in[EXTENT_ID_LEN])
{
	return (struct extent_id){get_be64(in), get_be64(in + 8)};
}

static inline bool extent_id_is_equal(struct extent_id a, struct extent_id b)
{
	return a.session == b.session && a.counter == b.counter;
}

#endif
