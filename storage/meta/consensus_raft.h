/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_CONSENSUS_RAFT_H
#define STORAGE_META_CONSENSUS_RAFT_H

#include "storage/clock.h"
#include "storage/meta/consensus.h"
#include "storage/meta/log.h"
#include "storage/meta/snapshot.h"
#include "storage/peer.h"

/* Consensus of several members: what is durable in the logs of a majority is committed. A member
 * is a log, named by its id; a node that lost its log comes back as another member. */
#define CONSENSUS_MEMBERS_MAX 16
#define CONSENSUS_ELECTION_MS 1000 /* each time one to two of them, by chance */
#define CONSENSUS_HEARTBEAT_MS 250
#define CONSENSUS_PENDING_MS_MAX 10000 /* what cannot be sent ends as not done */
#define CONSENSUS_FLIGHT_MS_MAX 30000 /* what was sent ends as unknown */

struct consensus_raft_setup {
	struct log_setup log; /* failed and arg are ours; the state disk has "log-members" */
	struct clock *clock;
	struct peers *peers; /* of the log's loop, which serve the kinds of consensus for us */
	struct snapshot_store *snapshots; /* borrowed; NULL: none are sent or taken */
	uint64_t keep_len; /* the log may be so long for members that lag, in bytes */
	bool takes_over; /* forced recovery: all that this log has counts, and no other member does
			  */
};

/* Makes the member whose log log_create() made, or the only one of consensus_single, the first of a
 * group. Blocks; once, before consensus_raft_open(). A member that joins a group does without: it
 * waits until the group adds it. Errors: ERR_EXISTS; those of log_open() and of the state disk. */
MUST_USE enum err consensus_raft_found(const struct consensus_raft_setup *setup);

/* How many members the group of a log has, as its last change says, committed or not; 0: it is no
 * member's. Blocks; before anything else opens the log. Errors: of the disk; ERR_CORRUPT;
 * ERR_VERSION; those of log_open(). */
MUST_USE enum err consensus_raft_count(const struct log_setup *setup, size_t *ret_count);

/* Opens the member. Blocks; before the loops run. Gives the consensus to the caller, who calls
 * consensus_replay(), consensus_start(), consensus_stop(), consensus_close(). Replay tells nothing:
 * what is committed after the index asked for comes when the group has said so. Errors: those of
 * log_open(); ERR_CORRUPT, also when "log-members" does not fit the log. */
MUST_USE enum err consensus_raft_open(
	const struct consensus_raft_setup *setup, struct consensus **ret_consensus);

enum consensus_duty { /* of a member */
	CONSENSUS_LEARNER, /* has the log, has no vote */
	CONSENSUS_VOTER,
};

struct consensus_member {
	uint64_t id; /* of its log */
	struct id node;
	enum consensus_duty duty;
	uint64_t match_index; /* what the leader knows it to have; 0 at others */
};

struct consensus_members {
	uint64_t index; /* log index of this list; 0: none is known yet */
	bool is_committed;
	size_t count;
	struct consensus_member members[CONSENSUS_MEMBERS_MAX];
};

/* What a log says without its group: where it ends, and who the members are. Before
 * consensus_start(). */
struct consensus_end {
	uint64_t index, term;
	struct consensus_members members;
};
MUST_USE enum err consensus_raft_end(struct consensus *consensus, struct consensus_end *ret_end);

/* The latest list that the log has. Any thread. */
void consensus_raft_members(struct consensus *consensus, struct consensus_members *ret_members);

/* A change of the list of members, one member at a time: adds it (as a learner), makes it a voter
 * or a learner, removes it. Embedded; zeroed before its first use. */
enum consensus_change_kind {
	CONSENSUS_ADD,
	CONSENSUS_PROMOTE,
	CONSENSUS_DEMOTE,
	CONSENSUS_REMOVE,
	CONSENSUS_HAND_OVER, /* the leader gives the lead to the member; 0: to any voter */
};

struct consensus_change {
	struct loop *loop;
	enum consensus_change_kind kind;
	uint64_t id;
	struct id node; /* for CONSENSUS_ADD */
	void (*done)(struct consensus_change *change);

	/* Valid in done(). ERR_OK: committed, or there before; a lead that was handed over.
	 * ERR_UNAVAILABLE: this member does not lead; nothing was done. ERR_BUSY: another change is
	 * on its way. ERR_NOT_FOUND: no such member. ERR_CONFLICT: the node has another member.
	 * ERR_REFUSED: a member that lags is not promoted; the leader does not demote or remove
	 * itself, it gives the lead away first. ERR_LIMIT.
	 * ERR_UNKNOWN: the lead was lost; look at the list later. */
	enum err err;

	/* Of consensus. */
	struct consensus *consensus;
	struct task task;
	uint64_t index, term, due_ms;
};

/* Any thread; done() is never called inside. */
void consensus_raft_change(struct consensus *consensus, struct consensus_change *change);

#endif
