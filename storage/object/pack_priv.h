/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_PACK_PRIV_H
#define STORAGE_OBJECT_PACK_PRIV_H

#include "storage/object/pack.h"

/* What the files of pack share: pack.c decides and speaks to the put, pack_fill.c lends memory to
 * the owner, pack_frame.c makes frames. Those two record facts. */
#define PACK_MAGIC 0x7061636bu
#define CHUNK_LEN_MAX (256u << 10)
#define STAGE_LEN_MAX (256u << 10)

static_assert(CHUNK_LEN_MAX % FRAME_LEN == 0, "frames begin where chunks do");

static inline struct store_loop *pack_store(const struct pack *pack)
{
	return pack->setup.put.store;
}

static inline uint64_t pack_at_most(uint64_t len, uint64_t max)
{
	return len < max ? len : max;
}

/* Are all of the client's bytes frames? */
static inline bool pack_is_packed(const struct pack *pack)
{
	return pack->packed_len == pack->len && !pack->is_open;
}

void pack_advance_soon(struct pack *pack);

/* It cannot be done; the first reason counts. */
void pack_fail(struct pack *pack, enum err err);

/* How much memory it needs, and that it needs none any more. */
void pack_plan_memory(struct pack *pack);
void pack_give_memory(struct pack *pack);

/* The next chunk with bytes that are no frames yet, or NULL. */
struct pack_chunk *pack_next_chunk(struct pack *pack);

/* Makes what is there into frames, as long as the stage has room and it is our turn (K4). */
void pack_make_frames(struct pack *pack);

#endif
