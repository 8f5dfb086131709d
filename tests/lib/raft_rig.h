/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_RAFT_RIG_H
#define TESTS_LIB_RAFT_RIG_H

#include "storage/meta/consensus_raft.h"
#include "tests/lib/sim.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_net.h"

/* A group of members in one world, each with a disk, a proposer's loop and an apply side that keeps
 * what it is given, and judges that look at every step:
 *
 * - what one member applies at an index, every member applies there, in every life (the ledger);
 * - a proposal has one end; with a result it is in the ledger once, refused it never is;
 * - a read's index is not below anything that was answered before it began;
 * - a term has one leader.
 */
enum {
	RIG_MEMBERS_MAX = 5,
	RIG_COMMANDS_MAX = 4000,
	RIG_INDEX_MAX = 8000,
	RIG_READS_MAX = 1000,
	RIG_TERMS_MAX = 1000,
};

struct raft_rig;

struct rig_command {
	struct proposal proposal;
	struct raft_rig *rig;
	uint32_t number, member;
	uint8_t *bytes;
	size_t len;
	uint64_t index; /* in the ledger; 0: not */
	bool is_ended, is_lost; /* lost: with its process */
};

struct rig_read {
	struct read_index read;
	struct raft_rig *rig;
	uint32_t member;
	uint64_t floor; /* what was answered before */
	bool is_ended, is_lost;
};

struct rig_member {
	struct raft_rig *rig;
	unsigned number;
	struct id id;
	struct sim_node *node;
	struct loop *loop, *apply_loop, *client_loop;
	struct sim_disk *disk;
	struct peers *peers;
	struct consensus_raft_setup setup;
	struct consensus *consensus; /* NULL: dead */
	uint64_t log_id;
	/* The apply side. */
	uint64_t applied, durable, time_ms;
	struct group *held;
	bool is_holding, has_failed, has_stopped, is_paused;
	uint64_t lives;
	/* Snapshots: the hashes of the ledger. */
	struct snapshot_store store;
	bool is_exporting, is_importing;
	uint64_t export_index, export_at, import_index, import_at;
};

struct rig_entry {
	uint64_t term, time_ms, hash;
};

struct raft_rig {
	uint64_t seed, random;
	struct sim *sim;
	struct sim_net *net;
	struct rig_member members[RIG_MEMBERS_MAX];
	unsigned member_count;
	struct rig_command *commands;
	uint32_t given, ended;
	struct rig_read *reads;
	uint32_t reads_given, reads_ended;
	struct rig_entry *ledger;
	uint64_t ledger_end; /* the highest index that was applied anywhere */
	uint64_t acked; /* the highest index that was answered */
	uint64_t *leader_of_term;
	uint64_t errs[ERR_COUNT], read_errs[ERR_COUNT];
	struct consensus_change change;
	bool is_changing, releases;
	bool is_forged; /* members are lied to: nothing is judged */
	uint64_t changes, leads, installs;
};

/* Fails the test and names the seed. */
#define RIG_ASSERT(rig, condition) \
	ck_assert_msg(condition, "seed %lu: %s", (unsigned long)(rig)->seed, #condition)

extern const struct snapshot_store_ops raft_rig_store_ops;

/* Makes the world with so many nodes; the first founded founders are members after a while. */
void raft_rig_open(struct raft_rig *rig, uint64_t seed, unsigned nodes);
void raft_rig_close(struct raft_rig *rig);

/* Starts a node's member, that is dead. Returns false if its log does not open, with its error. */
bool raft_rig_start(struct raft_rig *rig, unsigned i, enum err *ret_err);
void raft_rig_kill(struct raft_rig *rig, unsigned i, bool is_crash);
void raft_rig_pause(struct raft_rig *rig, unsigned i, bool is_paused);

void raft_rig_propose(struct raft_rig *rig, unsigned i, size_t len);
void raft_rig_read(struct raft_rig *rig, unsigned i);

/* Begins a change at a member; one at a time. */
bool raft_rig_change(
	struct raft_rig *rig, unsigned at, enum consensus_change_kind kind, unsigned of);

/* Adds and promotes all nodes, the first of which founded the group. */
void raft_rig_form(struct raft_rig *rig, unsigned voters);

/* The member that leads as far as it knows, with the highest term; -1: none. */
int raft_rig_leader(struct raft_rig *rig);

/* Steps, and looks at everything that can be looked at. */
void raft_rig_run_ms(struct raft_rig *rig, uint64_t ms);
bool raft_rig_run_until(
	struct raft_rig *rig, bool (*predicate)(struct raft_rig *rig), uint64_t max_ms);
bool raft_rig_all_ended(struct raft_rig *rig);
bool raft_rig_all_even(struct raft_rig *rig); /* and alive members have applied all */
bool raft_rig_has_leader(struct raft_rig *rig);

void raft_rig_hold(struct raft_rig *rig, unsigned i, bool is_holding);

uint64_t raft_rig_below(struct raft_rig *rig, uint64_t n);

/* Tells what each member thinks, and who still waits. */
void raft_rig_print(struct raft_rig *rig);

/* At the end: every command is where its end says. */
void raft_rig_check_ends(struct raft_rig *rig);

#endif
