/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "storage/object/put_priv.h"
#include "storage/shard/owed.h"

/* A free on a drive of this node may wait for every write that is open there (W3 of
 * storage/shard/owed.h), and those for memory: none is awaited by a put that has either. */

static void free_done(struct site_free *site_free, enum err err)
{
	struct put *put = site_free->owner;
	/* One on this node is found by the next census: nothing refers to it. */
	if (err && site_free->is_remote)
		reach_missed(put->setup.store, put->frees_drive[site_free - put->frees]);
	put->frees_in_flight--;
	put_advance(put);
}

void put_free_shard(struct put *put, unsigned slot, uint16_t drive_number, struct extent_id extent,
	uint8_t index)
{
	struct site site;
	reach_find(put->setup.store, drive_number, &site);
	if (!site_is_there(&site)) {
		reach_missed(put->setup.store, drive_number);
		return;
	}
	struct owed *owed = put->setup.store->owed;
	if (owed && owed_take(owed, &site, extent, index))
		return;
	struct site_free *op = &put->frees[slot];
	op->loop = put->setup.store->loop;
	op->done = free_done;
	op->owner = put;
	put->frees_drive[slot] = drive_number;
	put->frees_in_flight++;
	site_free_start(op, &site, extent, index);
}

void put_free_written(struct put *put, bool is_over)
{
	for (unsigned i = 0; i < put_shard_count(put); i++) {
		struct put_shard *shard = &put->shards[i];
		if (shard->was_sealing && is_over)
			put_free_shard(put, i, shard->drive, put->extent, i);
		else if (shard->was_sealing)
			put_extent_free_late(put, i);
		else
			put_extent_abort_shard(shard);
		memset(shard, 0, sizeof *shard);
	}
}
