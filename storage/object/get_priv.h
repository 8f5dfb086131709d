/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_GET_PRIV_H
#define STORAGE_OBJECT_GET_PRIV_H

#include "storage/object/get.h"

/* What the files of get share: get.c plans the stripes, keeps the window and sends; get_read.c
 * reads and decodes one stripe. */

#define GET_MAGIC 0x67657421u

static inline unsigned get_unit_count(const struct get_stripe *stripe)
{
	return stripe->extent.geometry.k + stripe->extent.geometry.m;
}

static inline uint32_t get_region_len(const struct get_stripe *stripe)
{
	return stripe->region_end - stripe->region_start;
}

static inline enum pool_size get_region_size(const struct get_stripe *stripe)
{
	uint32_t len = get_region_len(stripe);
	return len <= 4096 ? POOL_4K : len <= 65536 ? POOL_64K : POOL_256K;
}

static inline bool get_unit_is_wanted(const struct get_unit *unit)
{
	return unit->end > unit->start;
}

/* Looks at the facts and goes as far as they allow. */
void get_advance(struct get *get);
void get_advance_soon(struct get *get);

/* The get ends when nothing is in flight any more; the first error is the one it ends with. */
void get_fail(struct get *get, enum err err);

/* Starts to read what is wanted of a stripe that has its buffers. */
void get_read_stripe(struct get_stripe *stripe);

/* Goes on when the reads of a stripe have ended: it is ready, or to be decoded. */
void get_read_advance(struct get_stripe *stripe);

/* Puts the read of a unit away, if it is set up. None is in flight. */
void get_read_forget(struct get_unit *unit);

/* Does not wait any longer for units of other nodes that are late, or for any of them. */
void get_read_hedge(struct get *get, bool is_all);

/* Of pool_wait: there is memory to decode with. */
void get_read_pool_ready(struct pool_wait *wait);

/* Gives back what a stripe took in order to be decoded. */
void get_give_extras(struct get_stripe *stripe);

#endif
