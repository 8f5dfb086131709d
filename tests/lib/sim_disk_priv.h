/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_DISK_PRIV_H
#define TESTS_LIB_SIM_DISK_PRIV_H

#include "storage/bytes.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_file.h"
#include "tests/lib/sim_names.h"

enum { SIM_TRIGGERS_MAX = 16 };

struct sim_trigger {
	enum sim_call call;
	uint64_t left; /* calls until it fires; 0 is unused */
	enum sim_fault fault;
};

struct sim_disk {
	struct disk base;
	struct sim *sim;
	struct sim_node *node;
	struct sim_hook hook;
	struct sim_names *names;
	struct sim_handle *handles;
	uint64_t capacity, file_number;
	unsigned flight_count;
	bool is_gone;
	unsigned slow_times;
	unsigned per_mille[SIM_CALLS][SIM_FAULTS];
	struct sim_trigger triggers[SIM_TRIGGERS_MAX];
	struct sim_disk_stats stats;
};

/* An open file. A dead one was open when its node was killed: it may be closed, and that is all. */
struct sim_handle {
	struct disk_file base;
	struct sim_file *file;
	unsigned flags;
	bool is_dead;
	struct sim_handle *next;
};

/* sim_disk_calls.c */
extern const struct disk_ops sim_disk_ops;
void sim_disk_close_handle(struct disk_file *file);

/* sim_disk.c: what befalls a call, or SIM_FAULTS; it is counted. */
enum sim_fault sim_disk_meet(struct sim_disk *disk, enum sim_call call);

/* How long a call takes. */
uint64_t sim_disk_latency_ns(struct sim_disk *disk, enum sim_call call, size_t len, bool is_slow);

/* The bytes that all files take up. */
uint64_t sim_disk_used(const struct sim_disk *disk);

/* Turns over a bit of the range. */
void sim_disk_rot_range(struct sim_disk *disk, struct sim_file *file, uint64_t offset, size_t len);

#endif
