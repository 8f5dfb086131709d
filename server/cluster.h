/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CLUSTER_H
#define SERVER_CLUSTER_H

#include "server/channel.h"
#include "server/join.h"
#include "storage/meta/consensus_raft.h"
#include "storage/meta/index.h"
#include "storage/meta/steward.h"
#include "storage/object/store.h"
#include "storage/repair/fare.h"

/* What makes a node one of several.
 *
 *	book		who is admitted: the rows of the index, and until it has any, the file
 *			"nodes" that the join left; goes to the channel whenever it changes
 *	door		lets nodes in that have a token
 *	steward		asks nodes how they are, and where this one leads acts on it
 *			(storage/meta/steward.h)
 *
 * Everything but what says otherwise happens on the first loop for clients. */
#define CLUSTER_TICK_MS 500
#define CLUSTER_SUSPECT_MS 5000 /* not linked for so long: away */
#define CLUSTER_AWAY_COMMIT_MS 600000 /* of time away; see server/cluster_away.c */

/* The setting that says after how many ms away a node is given up; text; "0": never. */
#define CLUSTER_GONE_AFTER "node.gone-after"
#define CLUSTER_GONE_AFTER_MS UINT64_C(86400000)

/* What a node says of itself when it is asked (PEER_STATUS): the id of its log, the log index
 * that is applied, its wall clock in ms, a log index and the digest of its state hash there,
 * with how many members it agrees (storage/meta/state_compare.h), 8 bytes each; then for each of
 * its drives the number (2), is it up (1), bytes of its file system, bytes used, bytes that
 * shards may still take (8 each). A longer answer is fine: what is behind is of a newer version. */
#define CLUSTER_STATUS_LEN_MIN 16
#define CLUSTER_STATUS_LEN 48
#define CLUSTER_STATUS_DRIVE_LEN 35

struct node;

struct cluster_drive {
	uint16_t number;
	bool is_up;
	uint64_t total, used, free; /* bytes */
	uint64_t flush_ns; /* that a flush takes; 0: none yet */
};

/* A node of the book, with what it said of itself when it was asked last. */
struct cluster;
struct cluster_node {
	struct cluster *cluster;
	struct channel_node channel;
	bool is_draining; /* by its row */
	struct peer_call call; /* PEER_STATUS */
	bool is_asked;
	uint16_t number; /* what its row says: */
	uint64_t away_ms, maintenance_until_ms;
	uint64_t seen_away_ms; /* by this node, which leads; not in its row yet */
	uint64_t gone_due_ms; /* when it may be tried to give it up */
	uint64_t log_id, applied;
	struct state_peer state; /* its rows, of ours */
	uint64_t silent_ms;
	bool is_linked;
	uint64_t changed_ms; /* of the loop: when is_linked became what it is */
	uint64_t asked_ns; /* of the monotonic clock */
	uint32_t rtt_us;
	bool has_time;
	int64_t ahead_ms; /* its wall clock, of ours */
	uint32_t ahead_within_ms; /* ahead_ms is right to so much */
	unsigned drive_count;
	struct cluster_drive drives[STORE_DRIVES_MAX];
	struct peer_call fare_call; /* PEER_FARE: server/fares.h */
	bool is_fare_asked;
	uint8_t fare_asks, fare_says;
	uint64_t fare_ms; /* of the loop: when it said so; 0: never */
};

/* What a loop knows of the clients of this node, for those who ask there. */
struct fares_service {
	struct cluster *cluster;
	struct fare fare;
};

struct cluster_admission;

struct cluster {
	struct node *node;
	struct channel_self self;
	struct channel *channel;
	struct peers *consensus_peers; /* of the log's loop */
	struct peers *loop_peers[64]; /* of each loop for clients */
	struct fares_service fares[64]; /* likewise */
	struct channel_join join;
	struct cluster_admission *admissions; /* on their way */
	struct sounding_door *sounding_door;
	struct net_errand *net_errand;

	unsigned stop_ticks; /* for so many it was clear that this node's rows are wrong */
	_Atomic unsigned agrees_with; /* members that have this one's rows, itself among them */
	struct loop *loop;
	struct timer tick;
	bool is_ticking;
	uint64_t generation; /* of the rows that the book has */
	_Atomic uint64_t epoch; /* of the cluster, as this node knows it */
	bool is_recovery; /* this life began as a forced recovery; server/recover.h */
	size_t node_count;
	struct cluster_node *nodes[ROW_NODES_MAX];

	struct steward steward;
	struct index_proposal away_proposal;
	uint8_t away_bytes[160];
	bool is_away_proposed;
	uint64_t away_tick_ms; /* of the last tick as leader; 0: there was none */
	_Atomic uint16_t gone_wanted; /* number of a node that the control thread is to give up */
	struct consensus_change rest_change;
	bool is_resting;
	uint64_t rest_due_ms;
	_Atomic unsigned linked_count; /* other nodes, as of the last tick */
	_Atomic bool has_majority; /* as of the last tick: so many voters are linked */
};

/* Makes the channel and the peers of all loops. Before the loops run. NULL in ret_cluster: this
 * node is to be alone. */
MUST_USE enum err cluster_open(struct node *node, struct cluster **ret_cluster, char *message);

/* Tells the channel who is admitted, and listens. Blocks; when the loops run and before the index
 * starts. */
MUST_USE enum err cluster_listen(struct cluster *cluster, char *message);

/* Begins to look after nodes; when the node serves. Blocks. */
void cluster_start(struct cluster *cluster);

/* Ends looking after nodes, so that the control socket, which it may wake, can be closed. Blocks;
 * while the loops run. */
void cluster_end_watch(struct cluster *cluster);

/* Gives the lead to another node, if this one has it and another can take it. Blocks, for a short
 * time; while the loops run. */
void cluster_hand_over(struct cluster *cluster);

/* Ends all links. Blocks; while the loops run, when nothing calls other nodes any more. NULL is
 * fine. */
void cluster_stop(struct cluster *cluster);

/* After the loops have stopped. NULL is fine. */
void cluster_free(struct cluster *cluster);

/* Says of this node what the configuration says: admits the first node, changes the row of any
 * other. Blocks; not on a loop. */
MUST_USE enum err cluster_introduce(struct cluster *cluster, char *message);

/* After a forced recovery, once this node leads: raises the epoch in the index and holds collection
 * up; done once. Blocks; not on a loop. */
MUST_USE enum err cluster_seal_recovery(struct cluster *cluster, char *message);

/* Was this node left behind by a forced recovery? Then it ends: what it accepted would be lost. Any
 * thread. */
bool cluster_is_left_behind(const struct cluster *cluster);

/* Nodes as the rows of the index have them; room for ROW_NODES_MAX. */
MUST_USE enum err cluster_read_nodes(
	struct index_reader *reader, struct channel_node *nodes, size_t *ret_count);

/* Writes the file "nodes" of a node that joins. */
MUST_USE enum err cluster_keep_nodes(
	const char *state_dir, const struct channel_node *nodes, size_t count);

/* Tells a node that it is none of the cluster any more; it ends. Blocks; not on a loop. Errors:
 * those of calls; ERR_UNAVAILABLE, it is not linked. */
MUST_USE enum err cluster_tell_removed(struct cluster *cluster, struct id node);

/* Is it a member of the group, with or without a vote? */
bool cluster_is_member(struct cluster *cluster, struct id node);

/* Addresses of a node as its row has them. Errors: ERR_INVALID; ERR_LIMIT. */
MUST_USE enum err cluster_parse_addresses(struct bytes text, struct channel_node *node);

void cluster_format_addresses(
	const struct channel_address *addresses, unsigned count, char *text, size_t cap);

/* Where others find this node, by its configuration. Errors: ERR_INVALID. */
struct config;
MUST_USE enum err cluster_own_addresses(
	const struct config *config, struct channel_address *addresses, unsigned *ret_count);

/* How another node is, as of the last tick. Blocks; not on a loop. */
struct cluster_view {
	bool is_known, is_linked;
	uint64_t silent_ms, applied;
	bool differs; /* its rows, from ours at the same log index */
	uint64_t differs_at;
	uint64_t changed_ms; /* for so long it is linked, or is not */
	uint32_t rtt_us; /* 0: unknown */
	bool has_time;
	int64_t ahead_ms; /* its wall clock, of ours */
	uint32_t ahead_within_ms;
	unsigned drive_count; /* as it said last */
	struct cluster_drive drives[STORE_DRIVES_MAX];
};
void cluster_view(struct cluster *cluster, struct id node, struct cluster_view *ret_view);

/* --- its parts -------------------------------------------------------------------------------- */

/* The door: server/cluster_door.c. */
void cluster_door_init(struct cluster *cluster);

/* Makes a token for so long. Blocks; not on a loop. text has JOIN_TOKEN_TEXT_MAX bytes. */
MUST_USE enum err cluster_make_token(
	struct cluster *cluster, uint64_t life_ms, char *text, uint64_t *ret_end_ms, char *message);

/* Rest: server/cluster_rest.c. Has a node, this or another, refuse writes for some minutes (or take
 * them again), or end as by SIGTERM. Blocks; not on a loop. Errors: those of calls. */
void cluster_rest_init(struct cluster *cluster);
MUST_USE enum err cluster_close_writes(struct cluster *cluster, struct id node, bool are_closed);
MUST_USE enum err cluster_end_node(struct cluster *cluster, struct id node);

/* Nodes that are away: server/cluster_away.c. On the loop, each tick, after the steward's. */
void cluster_away_tick(struct cluster *cluster);

/* CLUSTER_GONE_AFTER, in ms; 0: never. Under a view. */
uint64_t cluster_read_gone_after(struct index_reader *reader);

/* The steward: server/cluster_steward.c. On the loop, each tick. */
void cluster_steward_init(struct cluster *cluster);
void cluster_steward_tick(struct cluster *cluster);

/* Is a majority of the voters linked now? Blocks; not on a loop, while the loops run. */
bool cluster_look_for_majority(struct cluster *cluster);

#endif
