/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SHARD_OWED_H
#define STORAGE_SHARD_OWED_H

#include "storage/shard/site.h"

/* Frees of shards that nobody waits for: what a put gave up and is or may be durable.
 *
 * (W1) One on another node is asked for until it is answered, or until its link ended: then that
 *      node is asked to look for it (reach_missed()). A deadline alone says nothing.
 * (W2) They go the way that the writes went, and so arrive behind them (E2 of storage/peer.h).
 * (W3) One on this node is done when all writes that were open on its drive have ended, those of
 *      slow clients too (T2 of storage/drive/table.c): no client is to wait for that.
 */
#define OWED_MAX 256
#define OWED_AGAIN_MS 5000

struct store_loop;

struct owed_entry {
	struct owed *owed;
	struct site_free op;
	struct extent_id extent;
	uint16_t drive;
	uint8_t index;
	struct owed_entry *next; /* of those not in use, or to be asked for again */
};

struct owed {
	struct store_loop *store;
	struct owed_entry *entries; /* OWED_MAX of them */
	struct owed_entry *unused, *again;
	unsigned count; /* in use */
	struct timer timer;
	bool is_stopping;
	void (*ended)(struct owed *owed); /* while it stops, each time that one ended */
};

/* Errors: ERR_NO_MEMORY. */
MUST_USE enum err owed_open(struct owed *owed, struct store_loop *store);

/* Takes the free over. False: there are OWED_MAX, or it stops; the caller has to do it himself. */
bool owed_take(struct owed *owed, const struct site *site, struct extent_id extent, uint8_t index);

/* Gives up those of other nodes that are not answered, and awaits those of this one; when count is
 * 0 it may be closed. */
void owed_stop(struct owed *owed, void (*ended)(struct owed *owed));
void owed_close(struct owed *owed);

#endif
