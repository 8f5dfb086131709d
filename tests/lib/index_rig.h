/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_INDEX_RIG_H
#define TESTS_LIB_INDEX_RIG_H

#include <limits.h>

#include "storage/meta/consensus.h"
#include "storage/meta/index.h"

/* An index on one thread, for unit tests: a loop that runs when it is told to, a log in memory, and
 * rows in LMDB in a temporary directory. */

struct rig_loop {
	struct loop loop;
	struct task *first, **last;
	struct timer *timers;
	uint64_t now_ms; /* stands, but in rig_pass() */
};

/* A log in memory: what is proposed becomes a group in the next turn of the loop. */
struct rig_log {
	struct consensus consensus;
	struct consensus_apply apply;
	struct rig_loop *loop;
	struct rig_entry *entries;
	size_t count, cap;
	struct proposal *first, **last;
	struct task task;
	bool is_posted, is_applying;
	uint64_t time_ms; /* of the next group */
	uint64_t ahead; /* entries that a leader has and that did not come here */
	struct group group;
	struct group_command commands[GROUP_COMMANDS_MAX];
};

struct rig {
	char dir[PATH_MAX];
	struct rig_loop loop;
	struct rig_log log;
	struct clock clock;
	struct random_source random;
	struct trace trace;
	uint64_t seed;
	struct kv *kv;
	struct index *index;
	struct index_reader *reader;
	enum err failed;
	struct index_settings settings;
	uint8_t *bytes; /* of a proposal */
};

/* Opens an index with a session; what does not work ends the test. */
void rig_open(struct rig *rig);
void rig_open_with(struct rig *rig, const struct index_settings *settings);
void rig_close(struct rig *rig);

/* Closes and opens it again, with a new session, replaying from the given share of the log: all of
 * it if the rows are thrown away. */
void rig_reopen(struct rig *rig, bool forgets_rows);

/* Runs the loop until nothing is left. */
void rig_run(struct rig *rig);

/* Lets so much time pass. */
void rig_pass(struct rig *rig, uint64_t ms);

/* Proposes and waits for the end. */
MUST_USE enum err rig_try(
	struct rig *rig, const struct command *command, struct command_result *ret_result);

/* The same, when it must have a result. */
struct command_result rig_propose(struct rig *rig, const struct command *command);

/* The same, and the code only. */
enum command_code rig_code(struct rig *rig, const struct command *command);

/* Adds drives, each on a node of its own, and sets a ring with the profile. */
void rig_add_drives(struct rig *rig, unsigned count, struct ring_profile profile);

/* Reports, and dismantles all garbage; tombstones too. Returns the number of steps. */
size_t rig_collect(struct rig *rig);

#endif
