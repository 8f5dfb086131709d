/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SHARD_SHARD_SERVICE_H
#define STORAGE_SHARD_SHARD_SERVICE_H

#include "storage/object/store.h"
#include "storage/shard/owed.h"
#include "storage/shard/shard_wire.h"

/* What a loop does for other nodes: their shards are written to, read from and freed on the drives
 * of this node. The other end is storage/shard/remote.h.
 *
 *	OPEN → open → APPEND … → SEAL → sealed
 *	         ↓
 *	     aborted: by ABORT or FREE, by the end of the link, or after SHARD_SERVICE_LEASE_MS
 *	     without a unit, if its extent is settled or nothing at all came from the node (a slow
 *	     client may be silent for longer). Frees on the drive wait for it.
 *
 * A short shard comes by one call, WHOLE, which goes through the same states by itself and is
 * answered at its end. It may come twice, when an answer was lost: the second takes the place of
 * the first.
 *
 * (V1) Every field of a head is checked before it is used; a unit is checked against its checksums
 *      before it is written, and one that is read leaves with those of its record.
 * (V2) A write of an extent that is settled, so that the collector may take it for garbage, is
 *      refused: when it is opened and once more before it is sealed; one that comes by one call,
 *      before it is sealed. A shard of an extent that the
 *      index refers to may be written at any time, to where ring, move or row have it: that is how
 *      it is rebuilt and moved.
 * (V3) A write has one end, and its room comes back, whatever becomes of who opened it.
 * (V4) A free of a shard that is being written ends the write; one that is being sealed is freed
 *      when it is sealed. A seal whose asker is gone is freed too.
 * (V5) Memory: the tables and the pool, both made at the start. Who finds them full waits in line;
 *      their requests keep the room that their sender was given (E4 of storage/peer.h).
 * (V6) Where a body that may be read has a place for the shard it is not freed: who wants that asks
 *      late, and it was brought back, or will be. That there is no such extent counts only once
 *      this node knows all that was decided before it was asked.
 */
#define SHARD_SERVICE_WRITES 256 /* open at once */
#define SHARD_SERVICE_READS 64
#define SHARD_SERVICE_FREES 512
#define SHARD_SERVICE_APPENDS 4 /* of one write in flight */
#define SHARD_SERVICE_LEASE_MS 60000

struct served_write;
struct served_read;
struct served_free;

/* Requests that wait, in order; linked by their handler_data. */
struct served_line {
	struct peer_request *first, *last;
};

struct shard_service_counters {
	uint64_t opened, sealed, aborted, refused, reads, freed;
	uint64_t bad_units; /* that did not match their checksums when they came */
};

struct shard_service {
	struct store_loop *store;
	struct pool pool; /* of what is read for others */
	struct peer_watch watch;
	struct timer lease;
	struct served_write *writes; /* SHARD_SERVICE_WRITES of them, in use or not */
	struct served_write *unused_writes, *buckets[256];
	struct served_read *reads;
	struct served_free *frees;
	struct served_line opens, read_line, free_line;
	struct served_line doubts, asked; /* frees of extents that are not known, and those that the
					   * barrier is for */
	struct index_barrier barrier;
	bool is_asking;
	struct owed owed; /* of the other direction: what this loop has to free elsewhere */
	unsigned writes_used, reads_used, frees_used;
	bool is_stopping;
	void (*stopped)(struct shard_service *service);
	struct task stop_task;
	bool is_stop_posted;
	struct shard_service_counters counters;
};

/* Registers with the peers of the store's loop; before the loops run. pool_len: of what is read for
 * others at once, at least 256 KiB. Errors: ERR_NO_MEMORY. */
MUST_USE enum err shard_service_open(
	struct shard_service *service, struct store_loop *store, size_t pool_len);

/* On the loop: answers nothing any more, and ends what is open; stopped() follows, never inside. */
void shard_service_stop(
	struct shard_service *service, void (*stopped)(struct shard_service *service));

/* After the stop; the loop stands. */
void shard_service_close(struct shard_service *service);

#endif
