/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_STORE_H
#define STORAGE_OBJECT_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "erasure/code.h"
#include "storage/drive/drive.h"
#include "storage/meta/index.h"
#include "storage/object/frame_zip.h"
#include "storage/object/reach.h"
#include "storage/pool.h"

/* What the operations on objects share: the index, the drives of this node, and for each loop its
 * pools, its reader of the index, and its links to other nodes. */
#define STORE_DRIVES_MAX 16
#define STORE_INLINE_LEN_MAX ROW_INLINE_LEN_MAX /* of a body that lives in the index */
#define STORE_MIRROR_LEN_MAX RING_MIRROR_LEN_MAX /* of a body stored as whole copies */

/* A drive of this node under the number that the index knows it by. */
struct store_drive {
	uint16_t number;
	struct drive *drive;
};

/* Nodes that were away when they were to free something. Zeroed: none. */
#define MISSED_MAX 64
struct missed {
	pthread_mutex_t lock;
	struct id nodes[MISSED_MAX];
	unsigned count;
};

#define STORE_RESTING_MAX 8 /* nodes that are about to be away on purpose */

struct store {
	struct index *index;
	struct store_drive drives[STORE_DRIVES_MAX];
	_Atomic unsigned drive_count; /* goes up while others read, when the entry is written */
	atomic_uint_least64_t census_index; /* other nodes could not tell this one what to free up
					     * to there; 0: never */
	atomic_uint_least64_t resting[STORE_RESTING_MAX]; /* reach_resting_mark() of nodes */
	struct missed missed; /* nodes that this one could not tell */
	uint32_t extent_len_max; /* of new extents; 0: EXTENT_LEN_MAX */
	struct clock *clock;
	struct random_source *random;
	struct trace *trace;
};

struct owed;

struct store_counters {
	uint64_t puts, gets, put_bytes, get_bytes;
	uint64_t zipped_bytes, zipped_stored_bytes; /* put into zipped bodies, and their frames */
	uint64_t sealed_bytes; /* put into sealed bodies */
	uint64_t degraded_reads; /* units that were decoded from others */
	uint64_t bad_blocks; /* reads that found a damaged block */
	uint64_t narrowed; /* extents written with a narrower code */
	uint64_t rescued; /* extents that were begun to be written anew as such */
};

/* One for each loop that serves clients. */
struct store_loop {
	struct store *store;
	struct loop *loop;
	struct index_reader *reader;
	struct peers *peers; /* NULL: this node is alone */
	struct owed *owed; /* frees that nobody waits for; NULL: everybody does */
	struct reach reach;
	struct pool put_pool; /* stripes of uploads */
	struct pool get_pool; /* units on their way to clients */
	struct pool
		decode_pool; /* units read to rebuild others; who holds some waits for disks only */
	/* Of bodies whose frames are made or read. Who holds some of the first may wait for the
	 * others, who holds some of the second for those above. */
	struct pool unpack_pool;
	struct pool pack_pool;
	struct frame_zip zip;
	unsigned open_puts;
	struct store_counters counters;
};

/* The drive with this number, or NULL when it is not here or is fenced. Any thread. */
static inline struct drive *store_drive(const struct store *store, uint16_t number)
{
	for (unsigned i = 0; i < store->drive_count; i++)
		if (store->drives[i].number == number && number != 0)
			return drive_state(store->drives[i].drive) == DRIVE_UP
				? store->drives[i].drive
				: NULL;
	return NULL;
}

#endif
