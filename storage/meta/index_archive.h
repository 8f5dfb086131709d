/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_ARCHIVE_H
#define STORAGE_META_INDEX_ARCHIVE_H

#include <pthread.h>
#include <stdatomic.h>

#include "storage/clock.h"
#include "storage/disk.h"
#include "storage/id.h"
#include "storage/kv.h"
#include "storage/loop.h"
#include "storage/trace.h"
#include "storage/worker.h"

/* The index archive: the rows of the index on the data drives, for when the state of every member
 * is lost.
 *
 * Each member has the whole index, and writes it to drives of its own: whole copies, on as many
 * drives as survive the loss that bodies survive. So an archive needs no ring, no quorum, no other
 * node and no row that names it, and one drive that has a copy is enough to find it and to read it.
 *
 *   archive/full-%016x   all rows, read while the index was in use
 *   archive/log-%016x    what commits changed since that full copy of that generation was begun
 *   archive/newest       which generation is complete, and on which drives; on all drives
 *
 * A file is frames, numbered from 0:
 *
 *   head     kind 1, version 1, 0 (2), rows 4, length of the rows 4, stored length 4, number 8,
 *            XXH3 of the payload, seeded with that of the 24 bytes before, seeded with generation 8
 *   FIRST    "rubusarc" 8, node 16, generation 8, base 8, wall time in ms 8
 *   ROWS     rows, zstd: length of the key 4, of the value 4 (UINT32_MAX: no such row any more),
 *            key, value
 *   COMMIT   ends the rows of one commit of the kv: sequence before 8, sequence 8, wall time 8,
 *            session of the node 8, counter of its next extent 8
 *   ABORT    voids the rows before it, up to the last COMMIT
 *   BREAK    nothing behind this goes on from here
 *   LAST     of a full copy: sequence 8, count of rows 8, their length 8
 *
 * All integers are little-endian. Sequences are those of the kv's commits, places in the log of the
 * index; a state has that of its newest commit.
 *
 * (A1) Rows in COMMITs are what they are after the commit, never a difference. So a commit may be
 *      played twice, and one that is behind the state is passed over.
 * (A2) A COMMIT goes on from a state that is not older than its "sequence before" and older than
 *      its sequence; else something between is missing, and the chain ends there. What a crash, a
 *      full queue or a drive that failed took away is found by this alone.
 * (A3) A full copy is no state: its rows were read one part after the other, from base on up to the
 *      sequence in LAST. With all commits behind base up to LAST's, at least, it is one: a complete
 *      archive.
 * (A4) A full copy has its name only when the log has what (A3) asks, and both are flushed. The one
 *      before and its log stay, unless the drive has less free than ARCHIVE_ROOM_FACTOR copies;
 *      what is older goes after that. So there is always a complete one.
 * (A5) The commits since are written at once, and flushed interval_ms after the first of them. When
 *      nothing changes nothing is written, read or flushed.
 * (A6) A full copy is made when there is none, when the commits since are longer than a quarter of
 *      it (and ARCHIVE_LOG_LEN_MIN), when it is half as long again as what the index has become,
 *      after a gap (A2), and when fewer drives have one than should.
 *      So a changed byte costs at most five on each of these drives, before zstd.
 * (A7) Nobody waits for the archive: what a drive does not take in time is a gap. Memory is bounded
 *      by ARCHIVE_QUEUE_LEN_MAX and a few frames.
 * (A8) Rows that are brought back are held against the state hash that is among them.
 */
#define ARCHIVE_DIR "archive"
#define ARCHIVE_HOMES_MAX 16
#define ARCHIVE_ROWS_LEN_MAX (256u << 10) /* of a frame, before zstd */
#define ARCHIVE_QUEUE_LEN_MAX (12u << 20)
#define ARCHIVE_LOG_LEN_MIN (4u << 20)
#define ARCHIVE_COPIES_MAX 8
#define ARCHIVE_ROOM_FACTOR 8
#define ARCHIVE_INTERVAL_MS_DEFAULT (5 * 60 * 1000)
#define ARCHIVE_RATE_DEFAULT (32u << 20)

struct archive_home {
	struct disk *disk; /* borrowed */
	struct id drive;
};

struct index_archive_setup {
	struct kv *kv; /* borrowed: the index's; opened */
	struct archive_home homes[ARCHIVE_HOMES_MAX]; /* the data drives that are there */
	unsigned home_count;
	unsigned copies; /* that are wanted; at most ARCHIVE_COPIES_MAX */
	struct loop *loop;
	struct worker *worker; /* of its own, one thread */
	struct clock *clock;
	struct trace *trace;
	struct id node;
	/* The last entry of the log when it was opened: an archive that is ahead of it is of a
	 * history that was given up. */
	uint64_t log_last;
	uint64_t interval_ms; /* 0: the default */
	uint64_t rate; /* bytes of rows a second, for full copies; 0: the default */
	uint64_t log_len_min; /* 0: ARCHIVE_LOG_LEN_MIN */
};

struct index_archive;

/* Begins nothing yet. Blocks. Errors: ERR_NO_MEMORY; of the kv. */
MUST_USE enum err index_archive_new(
	const struct index_archive_setup *setup, struct index_archive **ret_archive);

/* The kv to open the index with: what is committed to it is archived. Borrowed. */
struct kv *index_archive_kv(struct index_archive *archive);

/* The index is open; borrowed until it is closed. Before the loops run. */
struct index;
void index_archive_attach(struct index_archive *archive, const struct index *index);

/* Any thread, once, when the loops run. */
void index_archive_start(struct index_archive *archive);

/* Lends one more drive, that was added, and says how many are to have the archive now. Any thread,
 * one at a time, after the start. Errors: ERR_LIMIT, there are ARCHIVE_HOMES_MAX. */
MUST_USE enum err index_archive_add(
	struct index_archive *archive, const struct archive_home *home, unsigned copies);

/* Ends soon what takes long; what is committed later waits for index_archive_free(). Any thread,
 * while the loops run. */
void index_archive_cancel(struct index_archive *archive);

/* Writes what is left of the commits and frees. Blocks; after the loops have stopped and the index
 * was closed; before the kv is. NULL is fine. */
void index_archive_free(struct index_archive *archive);

struct index_archive_status {
	enum err err; /* of the last full copy, or of the commits since */
	unsigned copies, wanted; /* drives that have all of the newest archive */
	bool is_complete; /* there is one */
	bool is_copying;
	bool is_behind; /* there is a gap: the newest archive ends before what was committed last */
	uint64_t generation;
	uint64_t log_index; /* up to which it is flushed */
	int64_t flushed_ms; /* wall clock, when that was; 0: not in this life */
	int64_t waiting_ms; /* since when something is not flushed; 0: nothing is */
	uint64_t full_len, log_len; /* rows of the full copy; commits since, before zstd */
	uint64_t changed_len; /* of commits since the start */
	uint64_t written_len; /* to all drives since the start */
};
void index_archive_status(struct index_archive *archive, struct index_archive_status *ret_status);

/* --- without an index ------------------------------------------------------------------------- */

struct archive_found {
	struct id node;
	uint64_t generation;
	uint64_t sequence; /* of the state it brings back */
	int64_t full_ms; /* wall clock, when its full copy was begun */
	int64_t end_ms; /* and of its last commit; full_ms if there is none behind it */
	uint64_t full_len; /* of the file */
	uint64_t commits; /* behind the full copy */
	/* Extents of that session with that counter or a higher one were named after the end; 0:
	 * not known. */
	uint64_t session, counter;
	uint64_t newest; /* generation that "newest" on this drive names; 0: it has no such file */
	unsigned newest_count; /* drives that have that one */
	struct id newest_drives[ARCHIVE_COPIES_MAX];
};

/* Looks for the newest complete archive of a drive; older than: a generation below that only, 0 for
 * any. Reads the log, and of full copies the ends. Blocks. Errors: ERR_NOT_FOUND, ret_found has
 * what newest says; of the disk; ERR_NO_MEMORY. */
MUST_USE enum err archive_find(
	struct disk *disk, uint64_t older_than, struct archive_found *ret_found);

/* The log index up to which a state with that sequence is complete. */
uint64_t archive_log_index(uint64_t sequence);

/* Sessions with this id or a greater one were opened behind the log index of that sequence. */
uint64_t archive_late_session(uint64_t sequence);

struct archive_restored {
	uint64_t rows, bytes; /* of the full copy, so far */
	uint64_t sequence;
};

/* Makes the kv what the archive says, in place of all it has; but the row that says what is applied
 * is not written. progress() may be NULL. Blocks. Errors: ERR_CORRUPT, also when the state hash
 * does not fit (A8); of the kv; of the disk. */
MUST_USE enum err archive_restore(struct disk *disk, const struct archive_found *found,
	struct kv *kv, void (*progress)(void *arg, const struct archive_restored *so_far),
	void *arg);

/* What a rebuilt index begins with: its log goes on ARCHIVE_JUMP entries behind the end of the
 * archive, so that no version, session and extent gets an id which one that was lost had. */
#define ARCHIVE_JUMP (UINT64_C(1) << 32)

struct archive_end {
	uint64_t log_index; /* the first entry of the log is the one behind it */
	uint64_t epoch;
};

/* Ends the rebuilding of a kv, in one commit: raises the epoch, holds collection up, with the text
 * as reason, and says what is applied. Blocks. Errors: ERR_CORRUPT; of the kv. */
MUST_USE enum err archive_seal(struct kv *kv, const struct archive_found *found, const char *why,
	struct archive_end *ret_end);

/* Ends the rebuilding of a kv whose log is there and goes on from the archive: says what is
 * applied, and nothing else. Blocks. Errors: those of the kv. */
MUST_USE enum err archive_resume(struct kv *kv, const struct archive_found *found);

#endif
