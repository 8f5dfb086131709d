/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_SNAPSHOT_H
#define STORAGE_META_INDEX_SNAPSHOT_H

#include "storage/kv.h"
#include "storage/meta/index.h"
#include "storage/meta/snapshot.h"
#include "storage/worker.h"

/* Snapshots of the index, for members of its group that need what the log has no more.
 *
 * An export is the rows of one commit in key order, without those of LOCAL; an import puts them
 * into a kv of its own beside the index, the stage. What is sent is a row of frames, of at most
 * SNAPSHOT_CHUNK_LEN bytes; one read, one write is one frame:
 *
 *   head     version 1, kind 1, 0 (2), count of rows 4, number 8, XXH3 of what follows, seeded with
 *            that of the 16 bytes before 8
 *   FIRST    sequence 8, cluster time 8
 *   ROWS     for each row: length of the key 4, of the value 4, key, value
 *   LAST     count of all rows 8, state hash as in a row
 *                                                            all little-endian, nothing between
 *
 * (Z1) Frames are taken in order, keys ascend, none is of LOCAL: what is staged is a function of
 *      the bytes, and any other byte is refused.
 * (Z2) The stage becomes complete in the last commit only, when its rows, read again, have the
 *      count and the state hash that were sent: that commit writes LOCAL.
 * (Z3) install() puts the stage in the place of the index with one rename. The index that runs is
 *      not told: its kv goes on without a name, and the member fails with ERR_CANCELED. Whoever
 *      owns it closes everything and opens it again, which finds the new index; consensus then ends
 *      what it began (V4). So at any moment a start finds the old or the new index, whole.
 * (Z4) An export holds one view of the kv, which then grows with each commit. It ends with ERR_BUSY
 *      when the kv has grown by a tenth and SNAPSHOT_GROWTH_LEN; consensus tries again.
 */
#define SNAPSHOT_GROWTH_LEN (64u << 20)

struct index_snapshots;

/* The place of the stage. All block; one at a time, on a worker or before and after the loops. */
struct snapshot_stage {
	/* An empty kv, in place of what is staged. Gives it. */
	enum err (*open)(struct snapshot_stage *stage, struct kv **ret_kv);
	/* The stage, which is closed, takes the place of the index: all or nothing, durably. */
	enum err (*install)(struct snapshot_stage *stage);
	/* Removes what is staged, and is closed. */
	void (*drop)(struct snapshot_stage *stage);
};

struct index_snapshots_setup { /* borrowed until index_snapshots_free() */
	struct snapshot_stage *stage;
	struct worker *worker;
	struct trace *trace;
};

/* For consensus, which is opened before the index. Errors: ERR_NO_MEMORY. */
MUST_USE enum err index_snapshots_new(
	const struct index_snapshots_setup *setup, struct index_snapshots **ret_snapshots);

/* The index is open, and the kv is its; both are borrowed until the last operation. Before
 * consensus_start(). */
void index_snapshots_attach(struct index_snapshots *snapshots, struct kv *kv, struct index *index);

struct snapshot_store *index_snapshots_store(struct index_snapshots *snapshots);

/* Was the index replaced, so that all must be opened anew (Z3)? Any thread. */
bool index_snapshots_have_installed(const struct index_snapshots *snapshots);

/* When no operation is on. NULL is fine. Blocks. */
void index_snapshots_free(struct index_snapshots *snapshots);

#endif
