/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_STORE_H
#define TESTS_LIB_SIM_STORE_H

#include "storage/meta/consensus_single.h"
#include "storage/meta/index_copy.h"
#include "storage/meta/index_snapshot.h"
#include "storage/repair/collect.h"
#include "storage/repair/mender.h"
#include "storage/shard/shard_service.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_kv.h"
#include "tests/lib/sim_net.h"
#include "tests/lib/sim_order.h"
#include "tests/lib/sim_watch.h"

/* A whole node without its faces, in a simulated world: a log, the index, drives, two client loops
 * with what the operations on objects share, and the collector; alone, or one among several. It is
 * put together as server/node.c does, and may be killed and started again on what its disks then
 * hold. */
#define SIM_STORE_LOOPS 2 /* that serve clients */
#define SIM_STORE_DRIVES_MAX 8
#define SIM_STORE_SLOTS 16
#define SIM_STORE_LOG_LEN (128u * 1024) /* that has to be free on the state disk */

struct sim_store_options {
	unsigned drive_count;
	uint64_t drive_capacity; /* bytes; 0: no limit */
	uint64_t segment_len; /* 0: 1 MiB */
	size_t put_pool_len, get_pool_len, decode_pool_len; /* 0: 2 MiB */
	uint32_t extent_len_max; /* 0: as long as they get */
	unsigned log_copies; /* on drives; 0: the log is on the state disk */
	unsigned late_copies; /* not 0: so many at first, and the last drive has none of them */
	bool accepts_older; /* copies of the log */
	unsigned ring_count; /* drives in the first ring; 0: all */
	bool has_mender;
	unsigned heal_count_max; /* of the mirror */
	uint64_t scrub_period_ms; /* 0: never */

	/* Of one node among several; sim NULL: a node alone in a world of its own. */
	struct sim *sim;
	struct sim_net *net;
	struct sim_order *order; /* instead of a log */
	struct sim_watch *watch; /* the log is a member's of a group, that it looks at */
	bool is_founder; /* of the group */
	uint64_t log_keep_len; /* for members that lag */
	const char *name;
	struct id node_id;
};

struct sim_store_drive {
	struct sim_disk *disk; /* what survives */
	struct sim_kv *locations;
	struct id id;
	uint8_t replaced; /* so often */
	uint16_t number; /* 0: not known yet */
	struct kv *kv; /* of this life */
	struct drive *drive; /* NULL: not open */
	enum err open_err;
	bool is_fenced, is_stopped;
};

/* One life of the process: what dies with it. */
struct sim_store_life {
	struct store store;
	struct store_loop loops[SIM_STORE_LOOPS];
	struct shard_service services[SIM_STORE_LOOPS]; /* of one among several */
	unsigned services_stopped;
	struct collector collector;
	struct index_copies copies;
	unsigned loop_count; /* whose readers are open */
	bool is_collecting, is_collector_stopped, is_consensus_stopping, is_consensus_stopped;
	struct mender mender;
	bool is_mender_stopped;
};

struct sim_store {
	struct sim_store_options options;
	struct sim *sim;
	struct sim_node *node;
	struct peers *peers[SIM_STORE_LOOPS]; /* NULL: it is alone */
	struct peers *log_peers; /* NULL: it is in no group */
	struct loop *loops[SIM_STORE_LOOPS], *log_loop, *apply_loop, *commit_loop;
	struct sim_disk *state;
	struct sim_kv *index_kv;
	struct sim_store_drive drives[SIM_STORE_DRIVES_MAX];

	struct sim_store_life *life; /* NULL: it is not running */
	struct log_home homes[LOG_HOMES_MAX];
	struct log_mirror *mirror; /* NULL: there is one log, or it did not open */
	struct log_mirror_found found;
	bool is_restored; /* the index was made anew */
	unsigned restored_home; /* of the copy that it was made of; UINT_MAX: of the log alone */
	struct index_state_hash replayed; /* what the log made of the index, before the start */
	struct consensus *consensus;
	struct consensus *raft; /* of a member; what is in front of it is consensus */
	struct index_snapshots *snapshots; /* of a member */
	struct snapshot_stage stage;
	struct sim_kv *staged, *replaced; /* an index that arrives; one that has no name any more */
	uint64_t installs; /* of snapshots, in all lives */
	struct index *index;
	struct index_reader *reader; /* of the test, outside the loops */
	struct kv *kv;
	bool is_opened;
	enum err opened_err;
	enum err failed; /* the index stopped with it */
	struct ring_profile profile; /* of the ring, after the first start */
};

/* Makes the world with empty, formatted disks; nothing runs yet. */
void sim_store_init(struct sim_store *rig, uint64_t seed, const struct sim_store_options *options);

/* Frees the world. The node was stopped or killed. */
void sim_store_fini(struct sim_store *rig);

/* Opens everything, bootstraps drives and ring, and begins to collect. Drives that do not open are
 * left out. After an error the node is dead: sim_store_kill() it. Errors: those of index and log
 * and of what had to be proposed; ERR_TIMEOUT, nothing came of it in a minute. */
MUST_USE enum err sim_store_start(struct sim_store *rig);

/* Of a member of a group: opens everything and takes part. It serves later: when has_begun says so,
 * and when sim_store_serve() was called. After an error sim_store_kill() it. Errors: of what is
 * opened. */
MUST_USE enum err sim_store_begin(struct sim_store *rig);

/* Has it opened its session, or failed with opened_err? */
bool sim_store_has_begun(const struct sim_store *rig);

/* Begins to serve and to collect: all drives that are open have their numbers. */
MUST_USE enum err sim_store_serve(struct sim_store *rig);

/* Looks in the index for the number of a drive, by its place in the rig. Errors: of the index. */
MUST_USE enum err sim_store_find_number(struct sim_store *rig, unsigned drive);

/* Stops in order, and closes. No operation is in flight. Everything that was lent has to be back.
 * Errors: ERR_TIMEOUT, something did not stop. */
MUST_USE enum err sim_store_stop(struct sim_store *rig);

/* Ends the process at once; is_power_cut: and the power of all its disks. Also after a start that
 * failed. */
void sim_store_kill(struct sim_store *rig, bool is_power_cut);

/* The state disk is another one, which is empty, but for the log of a member, which is a new one.
 * Between lives. */
void sim_store_lose_state(struct sim_store *rig);

/* Ends late_copies: the last drive is lent to the mirror, as one that was added. */
void sim_store_lend_late(struct sim_store *rig);

/* A drive, by its place in the rig, is another one: formatted, empty, with an id of its own and no
 * number. Between lives. */
void sim_store_replace_drive(struct sim_store *rig, unsigned drive);

/* Of sim_store.c, in sim_store_log.c: open the log, mirrored or not, or what is instead of it;
 * bring the index to where the log goes on. */
struct log_setup sim_store_log_setup(struct sim_store *rig);
MUST_USE enum err sim_store_open_consensus(struct sim_store *rig);
MUST_USE enum err sim_store_restore_index(struct sim_store *rig);

/* Of sim_store_drive.c: makes a drive, by its place in the rig, empty and formatted; opens all,
 * and leaves out those that do not open. */
void sim_store_make_drive(struct sim_store *rig, unsigned drive);
void sim_store_open_drives(struct sim_store *rig);

/* Of sim_store_raft.c: a member of a group. */
void sim_store_found(struct sim_store *rig);
MUST_USE enum err sim_store_open_raft(struct sim_store *rig);
void sim_store_attach_raft(struct sim_store *rig);
void sim_store_close_raft(struct sim_store *rig); /* before the kv */
void sim_store_bury_raft(struct sim_store *rig);

void sim_store_committed(void *arg, uint64_t log_index);

/* Plans a ring over the drives of several nodes, which have started, and proposes it at the first.
 * Errors: those of the proposal. */
MUST_USE enum err sim_store_propose_ring(struct sim_store *const *nodes, unsigned node_count);

/* Plans a ring of those drives of a node alone, by their places in the rig, from the one that it
 * has, and proposes it as the target. Errors: of the planner and the proposal. */
MUST_USE enum err sim_store_propose_target(struct sim_store *rig, const bool *is_in);

/* The same for another profile. */
MUST_USE enum err sim_store_propose_profile(
	struct sim_store *rig, const bool *is_in, struct ring_profile profile);

/* Proposes a command and runs the world until it is answered. The error, or that of the result's
 * code. Errors: ERR_TIMEOUT. */
MUST_USE enum err sim_store_propose(
	struct sim_store *rig, const struct command *command, struct command_result *ret_result);

/* Makes the bucket that clients use, unless it is there. Errors: those of the proposal. */
MUST_USE enum err sim_store_make_bucket(
	struct sim_store *rig, enum bucket_versioning versioning, uint64_t *ret_bucket);

/* Is the drive with that number in service? */
bool sim_store_has_drive(const struct sim_store *rig, uint16_t number);

/* Are all shards where they should be: no exceptions, no moves, no target, no drive of the ring
 * gone, nothing left of what moved away, and, if there is a mender, no extent of another code than
 * a put would choose? */
bool sim_store_is_whole(struct sim_store *rig);

/* Has the collector nothing left to do: the census is over and the garbage queue is empty? */
bool sim_store_is_collected(struct sim_store *rig);

#endif
