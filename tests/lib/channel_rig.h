/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CHANNEL_RIG_H
#define TESTS_LIB_CHANNEL_RIG_H

#include <pthread.h>
#include <semaphore.h>

#include "server/channel.h"
#include "server/loop.h"

/* A few nodes in one process, each with its loops and its channel, on 127.0.0.1. */
#define RIG_LOOP_COUNT_MAX 4
#define RIG_LOG_LEN 16384

struct rig_node {
	struct channel_self self;
	struct channel *channel;
	struct server_loop *loops[RIG_LOOP_COUNT_MAX];
	struct peers *peers[RIG_LOOP_COUNT_MAX];
	unsigned loop_count;
	struct trace trace;
	pthread_mutex_t lock;
	char log[RIG_LOG_LEN]; /* under the lock */
	size_t log_len;
};

/* Short timeouts: what takes seconds there takes tenths here. */
struct channel_settings rig_settings(void);

/* The cluster and its secret are the same for all nodes of one number. */
void rig_make_self(struct channel_self *ret_self, unsigned cluster, unsigned node);

/* Makes a node; self may be changed before rig_start(). */
void rig_init(struct rig_node *node, unsigned cluster, unsigned number);

/* Starts loop_count loops for clients; if has_consensus the last is for consensus. serve() is
 * called for each peers before its loop runs; may be NULL. */
void rig_start(struct rig_node *node, const struct channel_settings *settings, unsigned loop_count,
	bool has_consensus, void (*serve)(struct peers *peers));
void rig_start_joined(struct rig_node *node, const struct channel_settings *settings,
	unsigned loop_count, struct channel_join *join);
void rig_stop(struct rig_node *node);

/* Tells each node of all. */
void rig_admit(struct rig_node **nodes, unsigned count, uint64_t epoch);
void rig_describe(const struct rig_node *node, struct channel_node *ret_node);

/* Waits until the node has so many links that it dialed. */
void rig_await_links(struct rig_node *node, unsigned dialed);

/* Has the node logged this? Waits for it, up to a few seconds. */
bool rig_has_logged(struct rig_node *node, const char *text);
struct channel_counts rig_counts(struct rig_node *node);

/* Waits until the predicate holds, or fails the test. */
void rig_await(bool (*holds)(void *arg), void *arg);

/* --- calls from the test's thread --------------------------------------------------------------
 */
struct rig_call {
	struct peer_call call;
	struct task task, cancel_task;
	struct peers *peers;
	unsigned end_count;
	bool cancels_at_once;
	bool is_starting; /* done() inside the start is a mistake */
	sem_t ended;
	uint8_t head[512]; /* of the answer */
	size_t head_len;
};

void rig_call_init(struct rig_call *call, struct peers *peers, const struct rig_node *to,
	uint16_t kind, struct bytes head, struct bytes payload);
void rig_call_start(struct rig_call *call);
void rig_call_cancel(struct rig_call *call);
/* Waits for the end and gives it. */
enum err rig_call_wait(struct rig_call *call);

#endif
