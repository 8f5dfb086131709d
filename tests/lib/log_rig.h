/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_LOG_RIG_H
#define TESTS_LIB_LOG_RIG_H

#include "storage/meta/log.h"
#include "tests/lib/sim.h"
#include "tests/lib/sim_disk.h"

/* A log on a simulated disk. The model is the list of all operations ever given: what a log_open()
 * finds must be the effect of a beginning of it that has at least all that was done. */
enum {
	LOG_RIG_OPS_MAX = 600,
	LOG_RIG_SEGMENT_LEN = 64 * 1024,
};

struct log_rig_op {
	struct log_op op; /* first, so that it is found */
	struct log_rig *rig;
	uint32_t type;
	uint64_t index, term;
	size_t len;
	uint8_t *body;
	struct bytes parts[2];
	bool is_ended, is_done;
};

struct log_rig {
	struct sim *sim;
	struct sim_node *node;
	struct loop *loop;
	struct sim_disk *sim_disk;
	struct log_setup setup;
	struct log *log;
	uint64_t seed, random;
	struct log_rig_op *ops[LOG_RIG_OPS_MAX];
	size_t op_count;
	uint64_t released, term;
	uint64_t low; /* nothing below is truncated */
	int failed_count;
	bool is_plain; /* entries only */
	bool is_big; /* each entry fills a segment, and is released at once */
};

/* What a beginning of the operations comes to. */
struct log_rig_state {
	const struct log_rig_op *entries[LOG_RIG_OPS_MAX + 1]; /* by index - base */
	uint64_t base; /* index of entries[0] */
	uint64_t next_index, last_term, term, vote;
};

struct log_rig_reading {
	const struct log_rig_state *state;
	uint64_t index;
};

void log_rig_make_state(const struct log_rig *rig, size_t count, struct log_rig_state *state);

/* For log_read(): the entry is the state's; arg is a log_rig_reading. ERR_CONFLICT: it is not. */
enum err log_rig_compare(void *arg, const struct log_record *record);

/* Finds the beginning that the log holds, and forgets the operations behind it. */
void log_rig_ck_prefix(struct log_rig *rig);

void log_rig_open(struct log_rig *rig, uint64_t seed);
void log_rig_close(struct log_rig *rig);

/* Waits for what is going on and closes the log. */
void log_rig_close_log(struct log_rig *rig);

/* The process ends, and with it the power if is_crash. */
void log_rig_stop(struct log_rig *rig, bool is_crash);

/* Gives the log an operation, for sim_call(); gives it some, with pauses and releases. */
void log_rig_give(void *arg);
void log_rig_give_some(struct log_rig *rig, int count, bool releases);

/* For sim_run_until(). */
bool log_rig_all_ended(void *arg);
bool log_rig_is_idle(void *arg);
bool log_rig_has_waiting(const struct log_rig *rig);

#endif
