/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/lib/sim_priv.h"
#include "tests/lib/test.h"

enum { WORK_NS_MAX = 2 * 1000 * 1000 };

/* --- the seams of a node ------------------------------------------------------------------ */

static void post(struct loop *base, struct task *task)
{
	struct sim_loop *loop = sim_loop_of(base);
	task->next = NULL;
	*loop->tail = task;
	loop->tail = &task->next;
}

static uint64_t now_ms(struct loop *base)
{
	return sim_node_mono_ns(sim_loop_of(base)->node) / 1000000;
}

void sim_timer_remove(struct sim_loop *loop, struct timer *timer)
{
	*(timer->prev ? &timer->prev->next : &loop->earliest) = timer->next;
	*(timer->next ? &timer->next->prev : &loop->latest) = timer->prev;
	timer->next = timer->prev = NULL;
	timer->is_set = false;
}

static void set_timer(struct loop *base, struct timer *timer, uint64_t delay_ms)
{
	struct sim_loop *loop = sim_loop_of(base);
	assert(loop->node->sim->current == loop);
	if (timer->is_set)
		sim_timer_remove(loop, timer);
	timer->is_set = true;
	timer->due_ms = now_ms(base) + delay_ms;
	struct timer *before = loop->latest;
	while (before && before->due_ms > timer->due_ms)
		before = before->prev;
	timer->prev = before;
	timer->next = before ? before->next : loop->earliest;
	*(timer->prev ? &timer->prev->next : &loop->earliest) = timer;
	*(timer->next ? &timer->next->prev : &loop->latest) = timer;
}

static void cancel_timer(struct loop *base, struct timer *timer)
{
	if (timer->is_set)
		sim_timer_remove(sim_loop_of(base), timer);
}

static bool is_current(struct loop *base)
{
	struct sim_loop *loop = sim_loop_of(base);
	return loop->node->sim->current == loop;
}

static const struct loop_ops loop_ops = {
	.post = post,
	.timer_set = set_timer,
	.timer_cancel = cancel_timer,
	.now_ms = now_ms,
	.is_current = is_current,
};

static void work_done(struct task *task)
{
	struct work *work = CONTAINER_OF(task, struct work, task);
	work->done(work);
}

static void work_run(void *arg)
{
	struct work *work = arg;
	struct sim *sim = sim_loop_of(work->loop)->node->sim;
	sim_note(sim, "work", sim_loop_of(work->loop)->node->index, 0, 0);
	work->run(work);
	work->task = (struct task){.run = work_done};
	loop_post(work->loop, &work->task);
}

static void submit(struct worker *worker, struct work *work)
{
	struct sim_node *node = CONTAINER_OF(worker, struct sim_node, worker);
	sim_later(node->sim, node, sim_random_below(node->sim, WORK_NS_MAX), work_run, NULL, work);
}

static const struct worker_ops worker_ops = {.submit = submit};

static uint64_t mono_ns(struct clock *clock)
{
	return sim_node_mono_ns(CONTAINER_OF(clock, struct sim_node, clock));
}

static int64_t wall_ms(struct clock *clock)
{
	struct sim_node *node = CONTAINER_OF(clock, struct sim_node, clock);
	return (int64_t)(node->sim->now_ns / 1000000) + node->wall_offset_ms;
}

static const struct clock_ops clock_ops = {.mono_ns = mono_ns, .wall_ms = wall_ms};

static void fill(struct random_source *random, void *buf, size_t len)
{
	struct sim_node *node = CONTAINER_OF(random, struct sim_node, random);
	test_random_fill(&node->random_state, buf, len);
}

static const struct random_ops random_ops = {.fill = fill};

static void trace_line(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *text)
{
	struct sim_node *node = CONTAINER_OF(trace, struct sim_node, trace);
	sim_note(node->sim, text, node->index, level, request_id);
}

static const struct trace_ops trace_ops = {.event = trace_line};

/* --- nodes -------------------------------------------------------------------------------- */

struct sim_node *sim_node_new(struct sim *sim, const char *name)
{
	struct sim_node *node = sim_must(calloc(1, sizeof *node));
	node->sim = sim;
	node->name = name;
	node->index = sim->node_count++;
	node->random_state = sim_random(sim);
	node->mono_offset_ns = sim_random_below(sim, 1000000) * 1000000;
	node->wall_offset_ms = 1767225600000 + (int64_t)sim_random_below(sim, 100000);
	node->worker.ops = &worker_ops;
	node->clock.ops = &clock_ops;
	node->random.ops = &random_ops;
	node->trace = (struct trace){.ops = &trace_ops, .level = TRACE_DEBUG};
	*sim->nodes_tail = node;
	sim->nodes_tail = &node->next;
	return node;
}

struct loop *sim_node_loop(struct sim_node *node)
{
	struct sim_loop *loop = sim_must(calloc(1, sizeof *loop));
	loop->base = (struct loop){.ops = &loop_ops, .index = node->loop_count++};
	loop->node = node;
	loop->tail = &loop->first;
	*node->sim->loops_tail = loop;
	node->sim->loops_tail = &loop->next_of_all;
	return &loop->base;
}

struct worker *sim_node_worker(struct sim_node *node)
{
	return &node->worker;
}

struct clock *sim_node_clock(struct sim_node *node)
{
	return &node->clock;
}

struct random_source *sim_node_random(struct sim_node *node)
{
	return &node->random;
}

struct trace *sim_node_trace(struct sim_node *node)
{
	return &node->trace;
}

struct sim *sim_node_sim(struct sim_node *node)
{
	return node->sim;
}

const char *sim_node_name(struct sim_node *node)
{
	return node->name;
}

struct sim_node *sim_node_of(struct loop *loop)
{
	assert(loop->ops == &loop_ops);
	return sim_loop_of(loop)->node;
}

static void empty_loop(struct sim_loop *loop)
{
	loop->first = NULL;
	loop->tail = &loop->first;
	while (loop->earliest)
		sim_timer_remove(loop, loop->earliest);
}

void sim_node_kill(struct sim_node *node)
{
	struct sim *sim = node->sim;
	assert(!sim->current || sim->current->node != node);
	sim_note(sim, "kill", node->index, node->epoch, 0);
	node->epoch++;
	for (struct sim_loop *loop = sim->loops; loop; loop = loop->next_of_all)
		if (loop->node == node)
			empty_loop(loop);
	sim_drop_events(sim, node);
	for (struct sim_hook *hook = node->hooks; hook; hook = hook->next)
		hook->killed(hook);
}

void sim_node_pause(struct sim_node *node, bool is_paused)
{
	node->is_paused = is_paused;
}

void sim_node_jump_wall(struct sim_node *node, int64_t by_ms)
{
	node->wall_offset_ms += by_ms;
}

void sim_node_hook(struct sim_node *node, struct sim_hook *hook)
{
	hook->next = node->hooks;
	node->hooks = hook;
}

void sim_node_unhook(struct sim_node *node, struct sim_hook *hook)
{
	struct sim_hook **link = &node->hooks;
	while (*link != hook)
		link = &(*link)->next;
	*link = hook->next;
}
