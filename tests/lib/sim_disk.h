/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_DISK_H
#define TESTS_LIB_SIM_DISK_H

#include "storage/disk.h"
#include "tests/lib/sim.h"

/* A simulated disk: keeps what storage/disk.h promises, (D1) to (D4), and nothing beyond, and fails
 * in the ways that it is told to. */
struct sim_disk;

enum sim_call {
	SIM_OPEN,
	SIM_SIZE,
	SIM_ALLOCATE,
	SIM_TRUNCATE,
	SIM_READ,
	SIM_WRITE,
	SIM_SYNC,
	SIM_PUNCH,
	SIM_SYNC_DIR,
	SIM_RENAME,
	SIM_REMOVE,
	SIM_LIST,
	SIM_MAKE_DIR,
	SIM_SPACE,
	SIM_CALLS,
	SIM_ANY_CALL = SIM_CALLS, /* for sim_disk_fail_nth() */
};

enum sim_fault {
	SIM_EIO, /* any call; a write may have happened in part, a sync forgets by chance what it
		    had to do */
	SIM_FULL, /* open, allocate, write, make_dir: ERR_NO_SPACE though there is some */
	SIM_LIES, /* sync, sync_dir, a write with DSYNC: says OK and makes nothing durable */
	SIM_LOST, /* write: says OK and does nothing */
	SIM_MISDIRECTED, /* write: says OK and writes to another place or file */
	SIM_TORN, /* write: says OK and writes some of the sectors */
	SIM_ROT, /* read: a bit of the range has turned over on the platter */
	SIM_SHORT, /* list: says OK and leaves names out */
	SIM_SLOW, /* any call: takes 500 times as long, or what sim_disk_set_slow_times() says */
	SIM_GONE, /* any call: ERR_IO from now on until sim_disk_return() */
	SIM_FAULTS,
};

struct sim_disk_stats {
	uint64_t calls[SIM_CALLS];
	uint64_t faults[SIM_FAULTS]; /* that were injected */
	uint64_t read_len, written_len;
	uint64_t dsync_writes;
	uint64_t crashes;
};

/* Makes an empty disk of the node; a capacity of 0 is no limit. path is borrowed for as long as the
 * disk. Gives it to the caller. */
struct sim_disk *sim_disk_new(struct sim_node *node, const char *path, uint64_t capacity);

/* Takes the disk, with files that a killed node had open; no operation is in flight (kill the node
 * first, or wait). Before sim_free(). */
void sim_disk_free(struct sim_disk *disk);

/* The seam. */
struct disk *sim_disk_base(struct sim_disk *disk);

/* Plugs the disk into another node, whose life it shares from now on. No operation in flight. */
void sim_disk_move(struct sim_disk *disk, struct sim_node *node);

/* The power fails. The disk's node was killed before. */
void sim_disk_crash(struct sim_disk *disk);

/* How many of a thousand calls of a kind meet a fault; zero to begin with. To be written by tests.
 */
unsigned (*sim_disk_per_mille(struct sim_disk *disk))[SIM_FAULTS];

/* Sets all odds that mean something to per_mille, except those of GONE. */
void sim_disk_all_odds(struct sim_disk *disk, unsigned per_mille);

/* The n-th call of the kind from now, counted from 1, meets the fault. Up to 16 may wait. */
void sim_disk_fail_nth(struct sim_disk *disk, enum sim_call call, uint64_t n, enum sim_fault fault);

/* How many times as long a slow call takes, until sim_disk_heal(): a write of 100000 times takes 2
 * to 8 s. */
void sim_disk_set_slow_times(struct sim_disk *disk, unsigned times);

/* Forgets all odds and what sim_disk_fail_nth() and sim_disk_set_slow_times() set up. */
void sim_disk_heal(struct sim_disk *disk);

/* A drive vanishes, and is back. */
void sim_disk_vanish(struct sim_disk *disk);
void sim_disk_return(struct sim_disk *disk);

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t capacity);

/* Turns over count bits in written pages of the file. Returns false if there is no such file. */
bool sim_disk_rot(struct sim_disk *disk, const char *name, unsigned count);

/* Counts since the disk was made. Borrowed. */
const struct sim_disk_stats *sim_disk_stats(const struct sim_disk *disk);

/* Flushes of the drive: syncs and writes with DSYNC. */
uint64_t sim_disk_flushes(const struct sim_disk *disk);

const char *sim_call_name(enum sim_call call);
const char *sim_fault_name(enum sim_fault fault);

#endif
