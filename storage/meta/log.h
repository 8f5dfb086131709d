/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_LOG_H
#define STORAGE_META_LOG_H

#include "storage/disk.h"
#include "storage/id.h"
#include "storage/loop.h"
#include "storage/meta/log_format.h"
#include "storage/random.h"
#include "storage/trace.h"
#include "storage/worker.h"

/* The log of one member: entries, term and vote, made durable in one order. The bytes are told in
 * log_format.h.
 *
 * (L1) done() of an operation without an error means that it and all before it are durable, and
 *      will be found by every later log_open(), or that one says ERR_CORRUPT.
 * (L2) Operations take effect in the order they were given. What waits while a write is in flight
 *      goes into the next one together.
 * (L3) What was given and not done may or may not be found after a crash: a beginning of it, in
 *      order, each operation whole.
 * (L4) After a failed write the log is dead: every operation ends with that error. What was in
 *      flight is as after a crash.
 * (L5) The state file beside it names the log, the node that it belongs to, and a frame that the
 *      log has at least. A log that does not fit its state file does not open.
 */
#define LOG_SEGMENT_LEN_DEFAULT (64u << 20)
#define LOG_SEGMENT_LEN_MIN (16u * 1024)
#define LOG_SEGMENTS_MAX 1024

struct log;

struct log_setup {
	struct disk *disk; /* borrowed; has "log/" */
	struct disk *state_disk; /* borrowed; has "log-state"; may be the same */
	struct id node;
	struct loop *loop; /* where everything but the blocking calls happens */
	struct worker *worker; /* makes segments */
	struct random_source *random; /* for log_create() */
	struct trace *trace;
	uint64_t segment_len; /* of new segments; a multiple of 4096 */
	void (*failed)(void *arg, enum err err); /* once, on the loop (L4); may be NULL */
	void *arg;
};

/* Makes an empty log with an id of its own, and its state file last. Blocks. Errors: ERR_EXISTS,
 * there is a log, or a state file; those of the disks. */
MUST_USE enum err log_create(const struct log_setup *setup);

/* Opens the log. found(), which may be NULL, is called with each entry, truncation and snapshot
 * that is in it, in order; the record is borrowed. Blocks; before the loops run. Errors:
 * ERR_NOT_FOUND, there is no state file; ERR_FOREIGN, log or state file are another node's;
 * ERR_CORRUPT, damage, or less than the state file knows of; ERR_VERSION; ERR_IO, ERR_NO_SPACE,
 * ERR_NO_MEMORY; what found() returned. */
MUST_USE enum err log_open(const struct log_setup *setup,
	enum err (*found)(void *arg, const struct log_record *record), void *arg,
	struct log **ret_log);

/* Writes the state file and frees. Blocks; after the loops have stopped, or when no operation is in
 * flight and log_is_idle(). */
void log_close(struct log *log);

/* Is nothing in flight, on the loop or on the worker? */
bool log_is_idle(const struct log *log);

/* --- on the loop ------------------------------------------------------------------------------ */

/* One operation; embedded, zeroed before its first use, and as it was until done(). */
struct log_op {
	void (*done)(struct log_op *op, enum err err); /* never inside the call that started it */

	/* Of the log. */
	struct log_record record;
	const struct bytes *parts;
	size_t part_count;
	struct log_op *next;
};

/* Appends an entry whose bytes are the parts one after another; at most log_entry_len_max(). index
 * is log_next_index(). The parts are borrowed until done(). */
void log_append(struct log *log, struct log_op *op, uint64_t index, uint64_t term,
	const struct bytes *parts, size_t part_count);

/* Voids the entries from index on; term_before is the term of the entry before, 0 for none. */
void log_truncate(struct log *log, struct log_op *op, uint64_t index, uint64_t term_before);

/* Sets the current term, which never falls, and who was voted for in it, 0 for nobody. */
void log_set_vote(struct log *log, struct log_op *op, uint64_t term, uint64_t vote);

/* Voids all entries: a snapshot holds everything up to index. The log goes on at index + 1. */
void log_mark_snapshot(struct log *log, struct log_op *op, uint64_t index, uint64_t term);

/* Makes no segments any more, and posts the task when nothing is in flight (log_is_idle()). Once;
 * nothing is given to the log after it but log_release(). */
void log_stop(struct log *log, struct loop *loop, struct task *stopped);

/* Allows entries up to the index to go. */
void log_release(struct log *log, uint64_t index);

/* --- on the loop, or before it runs ----------------------------------------------------------- */

/* Reads the durable entries from first up to but without end, in order. Blocks. Errors:
 * ERR_NOT_FOUND, not all of them are there; ERR_CORRUPT, ERR_IO; what found() returned. */
MUST_USE enum err log_read(struct log *log, uint64_t first, uint64_t end,
	enum err (*found)(void *arg, const struct log_record *record), void *arg);

uint64_t log_id(const struct log *log);
size_t log_entry_len_max(const struct log *log);

/* The index that the next entry gets, with all operations given so far. */
uint64_t log_next_index(const struct log *log);

/* The durable entries: the first one still there (or the next index), the one after the last, and
 * the term of the last. */
uint64_t log_first_index(const struct log *log);
uint64_t log_end_index(const struct log *log);
uint64_t log_last_term(const struct log *log);

/* The durable term and vote. */
uint64_t log_term(const struct log *log);
uint64_t log_vote(const struct log *log);

struct log_stats {
	uint64_t writes; /* since the start */
	uint64_t ops;
	uint64_t written_len;
	uint64_t segments, free_segments;
	uint64_t len; /* bytes of all segments */
};
void log_stats(const struct log *log, struct log_stats *ret_stats);

#endif
