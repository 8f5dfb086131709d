/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_LOG_PRIV_H
#define STORAGE_META_LOG_PRIV_H

#include "storage/meta/log.h"

/* Shared by log.c (writing), log_replay.c (opening and reading), log_files.c (segments and the
 * state file). */
#define LOG_DIR "log"
#define LOG_STATE_NAME "log-state"
#define LOG_MEMBERS_NAME "log-members" /* of consensus_raft, beside the state file */
#define LOG_MEMBERS_LEN_MAX 65536
#define LOG_NAME_LEN 32
#define LOG_MAGIC 0x6c6f675fu

struct log_segment {
	struct disk_file *file;
	uint64_t number; /* its name */
	uint64_t len;
	uint64_t generation; /* of its last use, 0: never used */
	struct log_segment *next;
};

/* Segments in order. */
struct log_segments {
	struct log_segment *first, *last;
	size_t count;
};

/* Entries with indices first up to but without end, one after another in one segment; the first is
 * the record with that number in the frame at offset. */
struct log_run {
	uint64_t first, end;
	struct log_segment *segment;
	uint64_t offset;
	uint32_t record;
};

/* What the state file says. */
struct log_state {
	struct id node;
	uint64_t log_id;
	uint64_t sequence; /* of a frame that is there, 0: none */
};

/* Where the log ends, as its records tell; what is durable. */
struct log_place {
	uint64_t sequence; /* of the last frame */
	uint64_t sum; /* of the last frame */
	uint64_t low_generation; /* as the last frame says */
	uint64_t next_index;
	uint64_t last_term;
	uint64_t term, vote;
};

/* Segments are made, and the state is written, by one call on the worker at a time. */
struct log_house {
	struct work work;
	bool is_running;
	bool wants_state; /* since the last segment began */
	/* For the worker, and from it. */
	bool makes_segment, writes_state;
	uint64_t number;
	struct log_state state;
	struct log_segments removed;
	struct log_segment *segment;
	enum err segment_err, state_err;
};

struct log {
	uint32_t magic;
	struct log_setup setup;
	uint64_t id;
	enum err err; /* what it died of */
	bool was_told;

	struct log_segments live; /* in the order of generations; the last one may be written */
	struct log_segments dropped; /* freed, but no durable frame says so yet (F4) */
	struct log_segments free;
	struct log_segments odd; /* of no use; removed when the log is first written to */
	bool is_active; /* the last live segment is of this life */
	uint64_t offset; /* in it, where the next frame goes */
	uint64_t generation; /* the highest */
	uint64_t next_number;
	struct log_run *runs; /* in the order of indices */
	size_t run_count, run_cap;
	bool is_run_closed; /* the next entry begins a new one */

	struct log_place durable;
	uint64_t next_index; /* with what is waiting */
	uint64_t released;

	struct log_op *first_op, **last_op; /* waiting */
	struct log_op *written; /* in flight */
	uint8_t *buf; /* LOG_FRAME_LEN_MAX */
	struct log_frame frame; /* in flight */
	struct disk_op disk_op;
	bool in_flight, waits_for_segment, is_bury_posted;
	struct task bury_task;
	struct log_house house;
	bool is_stopping; /* no house is kept any more */
	struct task *stopped; /* NULL: nobody waits, or it is posted */
	struct loop *stopped_loop;
	struct log_stats stats;
};

/* --- log_files.c ------------------------------------------------------------------------------ */

void log_segments_push(struct log_segments *segments, struct log_segment *segment);
struct log_segment *log_segments_pop(struct log_segments *segments); /* NULL: none */

/* Opens segment file, which is there, or makes one full of zeros. Block. */
MUST_USE enum err log_segment_open(
	struct disk *disk, uint64_t number, struct log_segment **ret_segment);
MUST_USE enum err log_segment_make(
	struct disk *disk, uint64_t number, uint64_t len, struct log_segment **ret_segment);
/* Makes one whose bytes are all written next. Blocks. */
MUST_USE enum err log_segment_create(
	struct disk *disk, uint64_t number, uint64_t len, struct log_segment **ret_segment);
void log_segment_close(struct log_segment *segment);

/* Closes the segment and removes its file; what cannot be removed is tried again by the next start.
 * Takes the segment. Blocks. */
void log_segment_remove(struct disk *disk, struct log_segment *segment);

/* Errors of reading: ERR_NOT_FOUND, ERR_CORRUPT, ERR_VERSION, ERR_IO. Block. */
MUST_USE enum err log_state_read(struct disk *disk, struct log_state *ret_state);
MUST_USE enum err log_state_write(struct disk *disk, const struct log_state *state);

/* --- log_replay.c ----------------------------------------------------------------------------- */

/* Finds all segment files and reads all of the log. */
MUST_USE enum err log_replay(
	struct log *log, enum err (*found)(void *arg, const struct log_record *record), void *arg);

/* Takes what a record of a durable frame says into the log: runs, indices, term. The frame is that
 * at offset of the segment, the record the one with this number in it. Room for a run is there.
 * Errors: ERR_CORRUPT, it contradicts what was before. */
MUST_USE enum err log_take_record(struct log *log, const struct log_record *record,
	struct log_segment *segment, uint64_t offset, uint32_t number);

/* Makes sure that so many runs more have room. */
MUST_USE enum err log_reserve_runs(struct log *log, size_t count);

#endif
