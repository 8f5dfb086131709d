/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_NODES_H
#define TESTS_LIB_SIM_NODES_H

#include "storage/shard/shard_wire.h"
#include "tests/lib/store_client.h"

/* Up to three whole nodes with a drive each, in one world, whose ring is over all of them (three:
 * 2+1), with a bucket and clients; and what tests of the calls between nodes ask. What does not
 * succeed fails the test. */
#define SIM_NODES_MAX 3
#define SIM_NODES_WAIT_MS 100000 /* in which everything ends */

struct sim_nodes {
	struct sim *sim;
	struct sim_net *net;
	unsigned count;
	struct sim_store stores[SIM_NODES_MAX];
	struct client_world worlds[SIM_NODES_MAX]; /* of the clients of each */
	bool may_reads_fail;

	/* Of the nodes. */
	struct sim_order *order;
	struct store_model model;
	struct client_stats stats;
};

/* A call that was made, and its answer. */
struct sim_question {
	struct peer_call call;
	uint8_t head[SHARD_WHOLE_HEAD_LEN + 2 * DRIVE_HINT_LEN_MAX]; /* more than any needs */
	uint8_t answer[SHARD_TRANSFER_LEN_MAX];
	bool is_done;
};

/* Starts that many nodes and waits until they are at rest. */
void sim_nodes_start(struct sim_nodes *nodes, unsigned count);

/* Stops them, with their drives back, and frees the world. */
void sim_nodes_stop(struct sim_nodes *nodes);

/* Runs the world until a client is done; what became of it. */
enum err sim_nodes_await(struct sim_nodes *nodes, struct client *client);

/* Calls node 1 from node 0, with that much of the question's head; borrows the payload. What the
 * call failed with, or what was answered. */
enum err sim_nodes_ask(struct sim_nodes *nodes, struct sim_question *question, uint16_t kind,
	size_t head_len, const void *payload, size_t payload_len);

/* The same for a call whose head is a shard's key. */
enum err sim_nodes_ask_key(struct sim_nodes *nodes, struct sim_question *question, uint16_t kind,
	const struct shard_key *key);

/* A shard of an extent that node 0 could be writing, on the drive of node 1. */
struct shard_key sim_nodes_make_key(struct sim_nodes *nodes);

/* Is that shard on the drive of node 1? */
bool sim_nodes_has_shard(struct sim_nodes *nodes, const struct shard_key *key);

#endif
