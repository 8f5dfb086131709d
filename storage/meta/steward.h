/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_STEWARD_H
#define STORAGE_META_STEWARD_H

#include "storage/meta/index.h"
#include "storage/meta/steward_plan.h"
#include "storage/trace.h"

/* What the member that leads does for its group, one change at a time: makes members of nodes,
 * gives votes (storage/meta/steward_plan.h decides), and closes the sessions of nodes that are
 * gone. What was not carried out, because the lead was lost or nobody answered, is decided anew.
 *
 * A node that is draining and has no drive left, all being removed or given up, is taken out of the
 * group: only then may its row go, since the others refuse it from there on.
 *
 * Embedded in what owns it, which says how nodes are; belongs to one loop. */
#define STEWARD_SESSION_SILENT_MS 30000 /* then the session of a node is closed for it */
#define STEWARD_SETTLE_MS 2000 /* a new leader first learns who is linked */

struct steward_setup { /* all borrowed until the last change and proposal have ended */
	struct loop *loop;
	struct consensus *consensus; /* of consensus_raft_open() */
	struct index *index;
	struct index_reader *reader; /* of the loop */
	struct trace *trace;
	struct id node; /* this one */
};

struct steward {
	struct steward_setup setup;
	struct consensus_change change;
	bool is_changing;
	struct index_proposal close; /* of a session */
	uint8_t close_bytes[128];
	bool is_closing;
	uint64_t led_since_ms; /* 0: this node does not lead */
};

void steward_init(struct steward *steward, const struct steward_setup *setup);

/* Does what is to be done now; again and again, about twice a second. nodes are those admitted, as
 * this node knows them. On the loop. */
void steward_tick(struct steward *steward, const struct steward_node *nodes, size_t count);

#endif
