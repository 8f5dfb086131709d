/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_STEWARD_PLAN_H
#define STORAGE_META_STEWARD_PLAN_H

#include "storage/meta/consensus_raft.h"

/* Which member to add, promote, demote or remove next: a decision without side effects, made anew
 * by the leader again and again until nothing is left to do.
 *
 * (W1) Every admitted node becomes a member; what is no member's node, or a log that its node no
 *      longer has, is removed.
 * (W2) Voters: two of two members; else the largest odd number of at most STEWARD_VOTERS_MAX.
 * (W3) A learner is promoted before the voter that it stands in for is demoted.
 * (W4) A voter that is silent for STEWARD_SILENT_MS is stood in for, if a learner can.
 * (W5) Nobody is promoted who lags, or is not linked.
 */
#define STEWARD_VOTERS_MAX 5
#define STEWARD_SILENT_MS 60000
#define STEWARD_LAG_MAX 200 /* entries */

/* A node, as the leader knows it. */
struct steward_node {
	struct id id;
	bool is_linked; /* the leader's own node is */
	uint64_t silent_ms;
	uint64_t log_id; /* of the log that it has now; 0: it has not said so yet */
	bool is_draining; /* by its row; steward_plan() does not see one that has no drive left */
};

/* How many of that many members have a vote (W2). */
unsigned steward_voter_count(size_t member_count);

/* Chooses the next change: kind, id and node. nodes are those admitted; self is the leader's log.
 * Errors: ERR_END, all is as it should be. */
MUST_USE enum err steward_plan(const struct consensus_members *members,
	const struct steward_node *nodes, size_t node_count, uint64_t self,
	struct consensus_change *ret_change);

#endif
