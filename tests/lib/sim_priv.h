/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_PRIV_H
#define TESTS_LIB_SIM_PRIV_H

#include "storage/bytes.h"
#include "tests/lib/sim.h"

/* What sim.c (the world: chance, time, which thing is next) and sim_node.c (the seams that a node
 * is given) share. */

struct sim_loop {
	struct loop base;
	struct sim_node *node;
	struct task *first;
	struct task **tail;
	struct timer *earliest; /* sorted by due time, then by when they were set */
	struct timer *latest;
	struct sim_loop *next_of_all;
};

struct sim_node {
	struct sim *sim;
	const char *name;
	unsigned index, loop_count;
	bool is_paused;
	uint64_t epoch; /* of its life; counts kills */
	uint64_t random_state;
	uint64_t mono_offset_ns;
	int64_t wall_offset_ms;
	struct worker worker;
	struct clock clock;
	struct random_source random;
	struct trace trace;
	struct sim_hook *hooks;
	struct sim_node *next;
};

/* Something at a later time. */
struct sim_event {
	uint64_t due_ns, number;
	struct sim_node *node;
	void (*run)(void *arg);
	void (*drop)(void *arg);
	void *arg;
};

struct sim {
	uint64_t random_state;
	uint64_t now_ns;
	uint64_t hash;
	uint64_t event_number;
	struct sim_event *events; /* a heap, earliest first */
	size_t event_count, event_cap;
	struct sim_loop *loops; /* in the order they were made */
	struct sim_loop **loops_tail;
	struct sim_node *nodes;
	struct sim_node **nodes_tail;
	struct sim_loop *current;
	unsigned node_count;
	bool is_verbose;
};

static inline struct sim_loop *sim_loop_of(struct loop *base)
{
	return CONTAINER_OF(base, struct sim_loop, base);
}

static inline uint64_t sim_node_mono_ns(const struct sim_node *node)
{
	return node->sim->now_ns + node->mono_offset_ns;
}

/* Unsets a timer that is set. */
void sim_timer_remove(struct sim_loop *loop, struct timer *timer);

/* Takes the events of the node (of all, if NULL) out of the heap and drops them. */
void sim_drop_events(struct sim *sim, const struct sim_node *node);

#endif
