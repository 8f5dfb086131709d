/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_DRIVE_H
#define STORAGE_DRIVE_DRIVE_H

#include "storage/clock.h"
#include "storage/disk.h"
#include "storage/id.h"
#include "storage/kv.h"
#include "storage/loop.h"
#include "storage/random.h"
#include "storage/trace.h"
#include "storage/worker.h"

/* One drive: shards of extents in segments of one directory.
 *
 * A drive has one owner loop, which opens segments, flushes, frees and compacts. Any loop may write
 * and read shards: their I/O is started on the calling loop, and each shard costs one message to
 * the owner, at its seal.
 *
 * (D1) A shard is there if and only if a record with a valid header is there; the header is written
 *      last and flushed before sealed() is called.
 * (D2) No byte leaves shard_read() that was not checked against its block's checksum, which is
 *      seeded with the extent, the shard and the block's number.
 * (D3) Any failed write or flush fences the drive: nothing more is acknowledged or read, and it
 *      stays so until the node starts again.
 * (D4) The location table is complete up to the place that its last commit names, its *mark*; a
 *      start reads the segments after that place, and no more. A record that is reserved and not
 *      yet sealed holds the mark back.
 * (D5) Space for the records of deletes and for commits of the location table is set aside.
 * (D6) A shard whose free is done does not come back. One that was freed shortly before a crash
 *      may: whoever keeps the index finds it with drive_list().
 * (D7) Nothing runs when nothing is to be done.
 */
#define DRIVE_SEGMENT_LEN_DEFAULT (256u << 20)
#define DRIVE_HINT_LEN_MAX 1400
#define DRIVE_ARENA_LEN (512u << 10) /* of each generation of the location table's read buffer */

enum drive_class {
	DRIVE_NVME,
	DRIVE_SSD,
	DRIVE_HDD,
};

enum drive_state {
	DRIVE_UP,
	DRIVE_FENCED,
};

struct drive_identity {
	struct id cluster;
	struct id drive;
	struct id node;
	uint64_t mount; /* number of the newest mounting that is known to have been claimed */
	uint64_t claim; /* of one that may have been since; 0: none */
	enum drive_class class;
};

struct drive_settings {
	uint64_t segment_len; /* a multiple of 4096, 64 KiB to 1 GiB; of drive_format() only */
	uint64_t commit_ms; /* the location table is committed this long after its first change */
	unsigned max_uncommitted; /* or when so many rows have changed */
	uint8_t compact_percent; /* a sealed segment with less live than this is compacted */
	uint64_t reserve_len; /* set aside for (D5); 0: 1 % of the file system, at most 1 GiB */
	uint64_t kept_len; /* left free beside it, for others on the same file system */
};

static inline struct drive_settings drive_settings_default(void)
{
	return (struct drive_settings){.segment_len = DRIVE_SEGMENT_LEN_DEFAULT,
		.commit_ms = 1000,
		.max_uncommitted = 10000,
		.compact_percent = 25};
}

/* What the record of a shard says. */
struct shard_info {
	struct extent_id extent;
	uint8_t index; /* 0..k-1 data, k..k+m-1 parity */
	uint8_t k, m;
	uint32_t unit_len;
	uint64_t extent_len; /* bytes of the body in the extent, at most 64 MiB */
	uint64_t shard_len; /* bytes of all units of this shard, a multiple of 4096 */
	struct bytes hint; /* bucket, key, upload: whom it was written for; for rescue only */
};

/* What a drive has done since it was opened. */
struct drive_counters {
	uint64_t flushes; /* of segment files, on the path of seals */
	uint64_t flush_ns; /* that one of them takes, smoothed; 0: none yet */
	uint64_t sealed; /* shards */
	uint64_t commits; /* of the location table */
	uint64_t segments_made;
	uint64_t segments_recycled;
	uint64_t segments_compacted;
	uint64_t moved; /* records that compaction copied */
	uint64_t punched_len;
	uint64_t reread; /* reads that looked the record up a second time */
	uint64_t bad_blocks; /* damaged blocks that readers met */
	uint64_t scanned; /* records found after the mark by the start */
	uint64_t unreadable_len; /* what the start could not read */
};

struct drive_space {
	uint64_t total; /* of the file system */
	uint64_t used; /* by live records */
	uint64_t garbage; /* freed and not yet given back */
	uint64_t free; /* what new shards may still take */
};

struct drive;
struct segment;
struct location;

struct drive_setup {
	struct disk *disk;
	struct kv *locations; /* borrowed; only this drive uses it */
	struct loop *owner;
	struct loop *committer; /* blocks while the location table is committed */
	struct worker *worker; /* makes and opens segments */
	struct clock *clock;
	struct random_source *random;
	struct trace *trace;
	struct drive_settings settings;
	void (*fenced)(struct drive *drive, enum err err, void *arg); /* once, on the owner loop */
	void *fenced_arg;
};

/* Makes a drive of an empty directory: superblock, "segments/", reserve. Blocks. Errors:
 * ERR_EXISTS, the directory holds a drive already; ERR_NOT_EMPTY, it holds something else; those of
 * the disk. */
MUST_USE enum err drive_format(struct disk *disk, const struct drive_identity *identity,
	const struct drive_settings *settings);

/* Reads who a directory is, without touching it. Blocks. Errors: ERR_NOT_FOUND, there is no drive;
 * ERR_CORRUPT; ERR_VERSION, a newer format. */
MUST_USE enum err drive_identify(struct disk *disk, struct drive_identity *ret_identity);

/* Opens a drive: takes its lock, checks who it is, scans what was written after the last commit of
 * the location table. Blocks; before the loops run.
 * Errors: ERR_FOREIGN, another cluster; ERR_VERSION; ERR_BUSY, mounted by another process;
 * ERR_CORRUPT; ERR_NOT_FOUND; those of the disk. */
MUST_USE enum err drive_open(
	const struct drive_setup *setup, struct id cluster, struct drive **ret_drive);

/* Writes into the superblock which mounting this is, and which one is about to be claimed. Blocks;
 * by one thread at a time. Errors: those of the disk; the drive is not to be used then. */
MUST_USE enum err drive_set_mount(
	struct drive *drive, struct id node, uint64_t mount, uint64_t claim);

/* Commits what is uncommitted and closes. Blocks; after the loops have stopped. */
void drive_close(struct drive *drive);

const struct drive_identity *drive_identity(const struct drive *drive);
enum drive_state drive_state(const struct drive *drive); /* any thread */
void drive_space(struct drive *drive, struct drive_space *ret_space); /* any thread */
const char *drive_path(const struct drive *drive);

/* Stops compaction, commits the location table and calls stopped() on the owner loop when nothing
 * of the drive's own is in flight any more; before the loops stop. Called on the owner loop, once,
 * when no shard is being written, read or freed. */
void drive_stop(struct drive *drive, void (*stopped)(void *arg), void *arg);

void drive_counters(
	const struct drive *drive, struct drive_counters *ret_counters); /* any thread */

/* Fences the drive from outside, for example when the index says that its claim was superseded. Any
 * thread. */
void drive_fence(struct drive *drive, enum err err);

/* --- writing one shard -------------------------------------------------------------------------
 * Embedded in the operation that writes; belongs to one loop: open, then appends in order, several
 * in flight, then seal or abort. Callbacks come on that loop, never inside the call that began it.
 */
struct shard_write {
	struct loop *loop;
	/* After an open that said ERR_BUSY. OK: the room is there now, as if open had said so. */
	void (*ready)(struct shard_write *write, enum err err);
	void (*sealed)(struct shard_write *write, enum err err); /* durable, or never to be */

	/* Of the drive. */
	struct drive *drive;
	struct shard_info info; /* without the hint */
	struct segment *segment;
	uint64_t generation, offset, record_len, written_len;
	uint64_t block_count; /* appended; each has its checksum noted */
	size_t in_flight, in_flight_len;
	enum err err;
	bool is_sealing;
	uint8_t *heads[3]; /* block 0, and two that further checksum blocks use in turn */
	struct disk_op head_op;
	struct disk_op more_ops[2];
	struct shard_append *more_appends[2]; /* whose checksums filled the block */
	const struct location *moved_from; /* of compaction: where the record was */
	struct task task;
	struct shard_write *next; /* in a queue of the owner */
	struct shard_write *next_open, *prev_open; /* in the order of reservation */
};

/* One append in flight. */
struct shard_append {
	void (*done)(struct shard_append *append, enum err err); /* the buffer may be reused */

	/* Of the drive. */
	struct shard_write *write;
	struct disk_op op;
	struct task task;
	size_t len;
	unsigned pending; /* writes that it waits for */
	enum err err;
};
#define SHARD_APPEND_IN_FLIGHT_MAX (4u << 20) /* bytes of one shard */

/* Reserves the room of the whole record. Errors: ERR_BUSY, a segment is being made, ready()
 * follows; ERR_NO_SPACE; ERR_FENCED; ERR_NO_MEMORY; ERR_INVALID, no record has such a shape or it
 * is longer than a segment. info->hint is borrowed until the call returns. */
MUST_USE enum err shard_write_open(
	struct shard_write *write, struct drive *drive, const struct shard_info *info);

/* Appends one unit, with the checksums of its blocks (one each 16 KiB, the last may be short). buf
 * is 4 KiB-aligned, len a multiple of 4096; only the last unit's last block may be short of 16 KiB.
 * At most SHARD_APPEND_IN_FLIGHT_MAX bytes are in flight. buf is borrowed until done(), checksums
 * until the call returns. */
void shard_write_append(struct shard_write *write, struct shard_append *append, const uint8_t *buf,
	size_t len, const uint64_t *checksums, size_t checksum_count);

/* Writes the header and flushes, together with what others seal meanwhile; then sealed(). All
 * appends are done and cover shard_len. */
void shard_write_seal(struct shard_write *write);

/* Gives the room back. No append is in flight, and seal was not called. */
void shard_write_abort(struct shard_write *write);

/* The seed of a shard's block checksums, for code_encode_with_checksums(). */
uint64_t shard_checksum_seed(struct extent_id extent, uint8_t index);

/* --- reading one shard -------------------------------------------------------------------------
 * Embedded in the operation that reads; one read at a time. The first read looks the record up and
 * reads its header too.
 */
struct shard_read {
	struct loop *loop;
	void (*done)(struct shard_read *read, enum err err);

	/* Of the drive. */
	struct drive *drive;
	struct extent_id extent;
	uint8_t index;
	uint64_t *sums; /* the checksums of the blocks read go here too; NULL: nowhere */
	bool is_cached;
	bool has_retried;
	bool has_head; /* heads[0] is block 0, checked */
	struct shard_info info; /* of the record, after the first read; no hint */
	struct segment *segment;
	struct disk_file *file;
	uint64_t generation, offset, record_len;
	uint64_t seed, token; /* of the life of the segment that the record is in */
	uint8_t *buf;
	uint64_t start;
	size_t len;
	uint64_t checked_len; /* of buf */
	unsigned in_flight;
	enum err err;
	uint32_t more_number; /* which further checksum block heads[1] is; 0: none */
	uint8_t *heads[2];
	struct disk_op head_op, data_op;
	struct work work;
	struct task task;
};

/* Names the shard to be read; does not do anything yet. */
void shard_read_init(struct shard_read *read, struct loop *loop, struct drive *drive,
	struct extent_id extent, uint8_t index);

/* Reads [start, start + len) of the shard into buf and checks it, then calls done(). start is a
 * multiple of 16 KiB; len is too, or reaches the end of the shard. buf is 4 KiB-aligned and
 * borrowed until done(). cached: through the page cache if it is short or was read before, for
 * what is likely to be read again.
 * done() errors: ERR_NOT_FOUND, no such shard here; ERR_CHECKSUM, a block is damaged; ERR_FENCED;
 * ERR_IO; ERR_CORRUPT, the record says another shape than expected by the caller's range. */
void shard_read_start(
	struct shard_read *read, uint64_t start, size_t len, uint8_t *buf, bool cached);

/* Returns what the reader holds. No read is in flight. */
void shard_read_fini(struct shard_read *read);

/* --- freeing and looking -------------------------------------------------------------------- */

/* Frees one shard; done when the location table without it is committed, so that it does not come
 * back. A shard that is not there is fine. Embedded; belongs to the loop of the caller. */
struct shard_free {
	struct loop *loop;
	void (*done)(struct shard_free *free, enum err err);
	void *owner; /* of the caller */
	struct drive *drive;
	struct extent_id extent;
	uint8_t index;

	/* Of the drive. */
	struct task task;
	struct shard_free *next;
	enum err err;
	uint64_t sequence; /* the commit that it waits for, */
	uint64_t mark_generation, mark_offset; /* and the mark (D6) */
};

void shard_free_start(struct shard_free *free);

/* The shards that the drive holds, in order of extent and index, from a place on: fills up to cap
 * entries. For censuses and for finding what a crash left behind. Any thread, may block shortly.
 * Errors: ERR_FENCED; those of the location table. */
struct shard_entry {
	struct extent_id extent;
	uint8_t index;
	uint64_t segment, offset, record_len;
};

MUST_USE enum err drive_list(struct drive *drive, struct extent_id from, uint8_t from_index,
	struct shard_entry *entries, size_t cap, size_t *ret_count);

/* Asks for a commit of the location table now; done through the owner loop. For tests and stops. */
void drive_commit(struct drive *drive);

#endif
