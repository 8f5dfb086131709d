/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_DRIVE_H
#define TESTS_LIB_SIM_DRIVE_H

#include "storage/drive/drive.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_kv.h"

/* A node with one drive on a simulated disk and map, and jobs that use it. */
#define SIM_DRIVE_LOOPS 4 /* the first is the owner, the second commits */

struct sim_drive {
	struct sim *sim;
	struct sim_node *node;
	struct loop *loops[SIM_DRIVE_LOOPS];
	struct sim_disk *disk;
	struct sim_kv *kv;
	struct kv *open_kv;
	struct drive_settings settings;
	struct drive *drive; /* NULL: not open */
	unsigned fenced_count;
	enum err fenced_err;
	bool is_stopped;
};

extern const struct id sim_drive_cluster;

/* Makes the world and formats the disk. */
void sim_drive_init(struct sim_drive *rig, uint64_t seed, uint64_t capacity,
	const struct drive_settings *settings);
void sim_drive_fini(struct sim_drive *rig);

MUST_USE enum err sim_drive_open(struct sim_drive *rig);

/* Stops in order and closes. */
void sim_drive_close(struct sim_drive *rig);

/* Ends the process at once; power: and the power of the disk. */
void sim_drive_kill(struct sim_drive *rig, bool power);

/* Bytes that every shard of a test has, from its name. */
void sim_drive_fill(struct extent_id extent, uint8_t index, uint64_t offset, void *buf, size_t len);

enum job_kind {
	JOB_WRITE,
	JOB_READ,
	JOB_FREE,
};

/* One shard written, read or freed. Embedded or allocated by the test; the first part is its. */
struct drive_job {
	struct sim_drive *rig;
	struct loop *loop;
	enum job_kind kind;
	struct extent_id extent;
	uint8_t index;
	uint64_t len; /* write: of the shard; read: of the range */
	uint64_t start; /* read */
	size_t piece_len; /* write: of an append; a multiple of 16 KiB */
	unsigned depth; /* write: appends in flight, at most JOB_DEPTH_MAX */
	uint64_t abort_at; /* write: gives up when so much is written, if not 0 */
	uint64_t hold_at; /* write: waits for drive_job_go_on() when so much is written, if not 0 */
	bool is_cached; /* read */
	void (*done)(struct drive_job *job); /* may be NULL */
	void *arg;

	bool is_done, is_aborted;
	enum err err;
	bool is_wrong; /* read: OK, and other bytes than were written */

	/* Of the job. */
	struct task task;
	struct shard_write write;
	struct shard_append appends[4];
	bool is_busy[4];
	uint8_t *bufs[4];
	uint64_t written;
	unsigned in_flight;
	struct shard_read read;
	struct shard_free free;
};
#define JOB_DEPTH_MAX 4

void drive_job_start(struct drive_job *job);

/* Ends the hold of a write. */
void drive_job_go_on(struct drive_job *job);

/* Frees what the job holds; done, or its node was killed. */
void drive_job_fini(struct drive_job *job);

/* Runs one job to its end; its error. Errors that are not the job's: ERR_TIMEOUT. */
enum err sim_drive_write(
	struct sim_drive *rig, struct extent_id extent, uint8_t index, uint64_t len);
enum err sim_drive_read(struct sim_drive *rig, struct extent_id extent, uint8_t index,
	uint64_t start, uint64_t len, bool is_cached); /* ERR_COUNT: wrong bytes */
enum err sim_drive_free(struct sim_drive *rig, struct extent_id extent, uint8_t index);

#endif
