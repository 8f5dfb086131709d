/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_STORE_H
#define STORAGE_OBJECT_STORE_H

#include "erasure/code.h"
#include "storage/drive/drive.h"
#include "storage/meta/index.h"
#include "storage/pool.h"

/* What the operations on objects share: the index, the drives of this node, and for each loop its
 * pools and its reader of the index. */
#define STORE_DRIVES_MAX 16
#define STORE_INLINE_LEN_MAX 4096 /* of a body that lives in the index */
#define STORE_MIRROR_LEN_MAX (128u << 10) /* of a body stored as whole copies */
#define STORE_EXTENT_LEN_MAX (64u << 20)
#define STORE_UNIT_LEN (256u << 10)
#define STORE_UNIT_LEN_SHORT (64u << 10) /* when memory is short */

struct store {
	struct index *index;
	struct drive *drives[STORE_DRIVES_MAX]; /* NULL: known to the ring and not here */
	unsigned drive_count;
	struct clock *clock;
	struct random_source *random;
	struct trace *trace;
};

struct store_counters {
	uint64_t puts, gets, put_bytes, get_bytes;
	uint64_t degraded_reads; /* units that were decoded from others */
	uint64_t bad_blocks; /* reads that found a damaged block */
	uint64_t narrowed; /* extents written with a narrower code */
};

/* One for each loop that serves clients. */
struct store_loop {
	struct store *store;
	struct loop *loop;
	struct index_reader *reader;
	struct pool put_pool; /* stripes of uploads */
	struct pool get_pool; /* units on their way to clients */
	unsigned open_puts;
	struct store_counters counters;
};

/* The drive with this identity, or NULL when it is not here or is fenced. */
struct drive *store_drive(struct store *store, struct id drive);

#endif
