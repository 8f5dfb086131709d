/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_COPY_H
#define STORAGE_META_INDEX_COPY_H

#include <stdatomic.h>

#include "storage/kv.h"
#include "storage/meta/consensus.h"
#include "storage/meta/log_mirror.h"
#include "storage/trace.h"

/* Copies of the index beside the copies of the log, so that either drive alone brings all of the
 * index back when the state directory is lost, damaged, or an old one.
 *
 * A copy is one file, "index-copy", of all rows in key order, as they were in one commit; it is
 * made beside the one before, flushed, and renamed over it.
 *
 *   header   "rubusidx" 8, version 4, 0 (4), node 16, sequence of the commit 8, XXH3 of these 8
 *   chunk    length of its rows 4, their count 4, XXH3 of the rows seeded with the chunk's number
 * 8; rows: key length 4, value length 4, key, value end      0 (4), 0 (4), count of all rows 8
 *
 * (C1) The log keeps everything behind the oldest of the copies that are beside its members: so the
 *      copy and the log of each are enough. A member without a copy needs all of the log, or gets
 *      one.
 * (C2) A copy is made when the log has grown to log_len_max and an eighth of the index: what is
 *      written for copies stays in proportion to what is written anyway, and nothing is written for
 *      them while nothing changes.
 * (C3) If no copy can be made for long, the log is let go of all the same: an index that serves is
 *      worth more than a copy. The status says so.
 */
#define INDEX_COPY_NAME "index-copy"

/* Writes the rows of one commit to each of the disks. errs says what became of each; ERR_CANCELED:
 * *is_canceled was set. *ret_log_index is the log index that the copies are complete up to. Blocks.
 * Errors: of the kv; ERR_NO_MEMORY. */
MUST_USE enum err index_copy_write(struct kv *kv, struct id node, struct disk *const *disks,
	size_t count, const _Atomic bool *is_canceled, enum err *errs, uint64_t *ret_log_index);

/* Reads what a copy is complete up to. Errors: ERR_NOT_FOUND; ERR_CORRUPT; ERR_FOREIGN, another
 * node's; ERR_VERSION; those of the disk. */
MUST_USE enum err index_copy_peek(struct disk *disk, struct id node, uint64_t *ret_log_index);

/* Makes the kv what the copy is, in place of all it has. A kv in which this did not come to its end
 * says that nothing is applied. Blocks. Errors: as index_copy_peek(); of the kv. */
MUST_USE enum err index_copy_restore(struct disk *disk, struct id node, struct kv *kv);

/* Removes all rows, the one that says what is applied first. */
MUST_USE enum err index_copy_clear(struct kv *kv);

/* The log index that the kv is complete up to; 0: it is empty. Errors: of the kv. */
MUST_USE enum err index_copy_applied(struct kv *kv, uint64_t *ret_log_index);

/* --- while the node runs ---------------------------------------------------------------------- */

struct index_copies_setup {
	struct kv *kv;
	struct log_mirror *mirror;
	struct log_home homes[LOG_HOMES_MAX]; /* as the mirror's */
	struct consensus *consensus;
	struct loop *loop; /* where the index applies */
	struct worker *worker; /* of its own: a copy takes long */
	struct trace *trace;
	struct id node;
	uint64_t log_len_max;
	bool accepts_older; /* (S3): an index that is ahead of the log is made anew, too */
};

struct index_copies {
	struct index_copies_setup setup;
	struct work work;
	bool is_running;
	_Atomic bool is_canceled;
	uint64_t complete; /* in the kv */
	uint64_t floor; /* length of the log after the last try; UINT64_MAX: not known yet */
	_Atomic uint64_t copied[LOG_HOMES_MAX]; /* log index that the home's copy has, 0: none */
	_Atomic int err; /* enum err: of the last try */
	/* Of the work. */
	struct disk *disks[LOG_COPIES_MAX];
	unsigned homes[LOG_COPIES_MAX];
	unsigned count;
	enum err errs[LOG_COPIES_MAX], work_err;
	uint64_t made; /* log index */
};

/* Looks what copies are there. Blocks. */
void index_copies_init(struct index_copies *copies, const struct index_copies_setup *setup);

/* The kv is complete up to the log index: lets go of log that nobody needs, and makes copies when
 * it is time. On the loop. */
void index_copies_committed(struct index_copies *copies, uint64_t log_index);

/* Ends a copy that is being made, soon. Any thread. */
void index_copies_cancel(struct index_copies *copies);

/* Is there a log that begins at 1, or a copy that fits it? setup->kv is not looked at. Blocks. */
bool index_copies_can_restore(const struct index_copies_setup *setup);

/* Brings the kv to a state from which the log goes on, if it is not in one: from the log alone when
 * that begins at 1, else from the newest copy that fits it. *ret_home is whose copy it was, or
 * UINT_MAX. Blocks; before the index is opened. Errors: ERR_CORRUPT, nothing fits, or the index is
 * ahead of the log; of the kv. */
MUST_USE enum err index_copies_restore(
	const struct index_copies_setup *setup, bool *ret_is_restored, unsigned *ret_home);

#endif
