/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_FACTS_H
#define SERVER_FACTS_H

#include "server/cluster.h"
#include "server/node.h"
#include "storage/meta/index_ledger.h"
#include "storage/ring/ring_summary.h"

/* What this node knows of the cluster at a moment: what the status, the tree, the health and the
 * what-ifs of the control socket are made of.
 *
 * Nothing here waits for another node, a proposal or a read barrier, so that it is there at once
 * also without a quorum: rows are those that are applied here, and how other nodes are is what they
 * said last. A node that is alone is a cluster of one. */
struct fact_node {
	uint16_t number;
	struct id id;
	char name[ROW_NODE_NAME_LEN_MAX + 1];
	char zone[ROW_ZONE_LEN_MAX + 1];
	char addresses[ROW_ADDRESSES_LEN_MAX + 1];
	uint8_t role, state;
	uint64_t joined_ms, maintenance_until_ms, away_ms;
	bool is_own, is_up;
	bool is_member, is_voter, is_leader;
	int64_t since_ms; /* of is_up; 0: unknown */
	struct cluster_view view; /* of another node */
};

struct fact_drive {
	uint16_t number;
	char zone[ROW_ZONE_LEN_MAX + 1];
	const struct fact_node *node; /* NULL: there is no such node */
	struct id node_id;
	uint8_t class, state;
	uint64_t weight;
	bool is_up; /* its node is up and says so */
	bool has_space;
	struct cluster_drive space; /* as its node said last */
	struct scrub_record scrub; /* its pass, or the last one */
};

struct facts {
	struct node *node;
	struct consensus_info info;
	struct index_status index;
	unsigned voters, voters_there, voters_needed;
	bool has_quorum;
	bool is_held; /* nothing is collected, until rubus cluster confirm */
	size_t node_count;
	struct fact_node *nodes;
	size_t drive_count; /* in service or draining */
	struct fact_drive *drives;
	struct ring_drive_info *infos; /* of the drives, with their weights */
	struct ring_drive_space *spaces; /* NULL: not known of all */

	struct ring_snapshot *snapshot;
	const struct ring *ring; /* NULL: there is none */
	uint64_t *slot_lens;
	uint64_t stored_len, extents, exceptions;
	uint64_t missing; /* shards that are nowhere: by exceptions, and on drives that are gone */
	uint64_t missing_exceptions;
	bool is_moving; /* the ring has a target, or moves that are pending */
	bool has_gone; /* it names a drive that was given up */
	uint64_t under_profile; /* extents with fewer parity units than the ring says */
	struct steering steering; /* of work in the background; settings alone */
	struct index_profile_sums off; /* coded otherwise than a put would now */
	uint64_t gone_after_ms; /* 0: never */
	bool knows_mender; /* it is this node's that codes them anew: */
	uint64_t recode_rate, recode_eta_ms; /* bytes per second; UINT64_MAX: not known yet */
	struct ring_outlook outlook; /* with the drives that are not up now */
	struct ring_summary summary; /* how things are */
	struct ring_drive_summary *drive_summaries;
};

/* Collects. In the control thread. Errors: ERR_NO_MEMORY; those of lookups in the index. */
MUST_USE enum err facts_new(struct node *node, struct facts **ret_facts);
void facts_free(struct facts *facts); /* NULL is fine */

/* A node by its name or number; NULL: there is none, or several have the name. */
const struct fact_node *facts_find_node(const struct facts *facts, const char *name);

const struct fact_node *facts_leader(const struct facts *facts); /* NULL: unknown */

/* Numbers of the drives that are not up or were given up, and of those of `more` nodes, which go
 * too. failed has RING_DRIVES_MAX entries. */
size_t facts_list_failed(const struct facts *facts, const struct fact_node *const *more,
	size_t more_count, uint16_t *failed);

/* How the data would be without these nodes; nothing moved yet. There must be a ring. */
MUST_USE enum err facts_simulate(const struct facts *facts, const struct fact_node *const *more,
	size_t more_count, struct ring_outlook *ret_outlook);

/* How many voters would be there without these nodes. */
unsigned facts_voters_without(
	const struct facts *facts, const struct fact_node *const *more, size_t more_count);

/* "up", "suspect", "away", "maintenance": not up on purpose; "gone": its drives were given up. */
const char *facts_state_text(const struct facts *facts, const struct fact_node *node);

/* Is it to be away, or to be left alone, on purpose? */
bool facts_is_in_maintenance(const struct facts *facts, const struct fact_node *node);

/* What is still done with the worst one of the nodes away, if all is as it should be otherwise;
 * empty: there is one node, or no ring. */
const char *facts_one_away_text(const struct facts *facts);

/* Was it away for longer than it takes to be given up, and was not? Then somebody has to decide. */
bool facts_is_overdue(const struct facts *facts, const struct fact_node *node);

/* Names of the nodes that are not up, with commas; empty: all are. */
void facts_format_away(const struct facts *facts, char *text, size_t cap);

#endif
