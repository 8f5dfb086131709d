/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/bytes.h"
#include "tests/lib/test.h"

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
struct event {
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
	struct event *events; /* a heap, earliest first */
	size_t event_count, event_cap;
	struct sim_loop *loops; /* in the order they were made */
	struct sim_loop **loops_tail;
	struct sim_node *nodes;
	struct sim_node **nodes_tail;
	struct sim_loop *current;
	unsigned node_count;
	bool is_verbose;
};

enum { TASK_NS_MAX = 20 * 1000, WORK_NS_MAX = 2 * 1000 * 1000 };

/* --- chance and trace ---------------------------------------------------------------------------- */

static void *must(void *memory)
{
	if (!memory) {
		fputs("sim: no memory\n", stderr);
		abort();
	}
	return memory;
}

uint64_t sim_random(struct sim *sim)
{
	return test_random(&sim->random_state);
}

uint64_t sim_random_below(struct sim *sim, uint64_t n)
{
	assert(n > 0);
	return sim_random(sim) % n;
}

bool sim_chance(struct sim *sim, unsigned per_mille)
{
	/* Draws nothing for what never happens, so that a fault that is off changes nothing. */
	return per_mille > 0 && sim_random_below(sim, 1000) < per_mille;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 29;
}

uint64_t sim_hash_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t hash = len;
	for (; len >= 8; p += 8, len -= 8)
		hash = mix(hash, get_le64(p));
	for (; len > 0; p++, len--)
		hash = mix(hash, *p);
	return hash;
}

void sim_note(struct sim *sim, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
	sim->hash = mix(sim->hash, sim_hash_bytes(what, strlen(what)));
	sim->hash = mix(mix(mix(mix(sim->hash, sim->now_ns), a), b), c);
	if (sim->is_verbose)
		fprintf(stderr, "%12.6f %-12s %llu %llu %llu\n", sim->now_ns / 1e9, what,
			(unsigned long long)a, (unsigned long long)b, (unsigned long long)c);
}

uint64_t sim_trace_hash(const struct sim *sim)
{
	return sim->hash;
}

uint64_t sim_now_ns(const struct sim *sim)
{
	return sim->now_ns;
}

void sim_spend(struct sim *sim, uint64_t ns)
{
	sim->now_ns += ns;
}

/* --- events ------------------------------------------------------------------------------------- */

static bool is_before(const struct event *a, const struct event *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void sift_down(struct sim *sim, size_t i)
{
	struct event *heap = sim->events;
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= sim->event_count)
			return;
		if (child + 1 < sim->event_count && is_before(&heap[child + 1], &heap[child]))
			child++;
		if (!is_before(&heap[child], &heap[i]))
			return;
		struct event moved = heap[i];
		heap[i] = heap[child];
		heap[child] = moved;
		i = child;
	}
}

void sim_later(struct sim *sim, struct sim_node *node, uint64_t delay_ns, void (*run)(void *arg),
	void (*drop)(void *arg), void *arg)
{
	if (sim->event_count == sim->event_cap) {
		sim->event_cap = sim->event_cap ? 2 * sim->event_cap : 64;
		sim->events = must(reallocarray(sim->events, sim->event_cap, sizeof *sim->events));
	}
	struct event event = {
		.due_ns = sim->now_ns + delay_ns,
		.number = sim->event_number++,
		.node = node,
		.run = run,
		.drop = drop,
		.arg = arg,
	};
	size_t i = sim->event_count++;
	for (; i > 0 && is_before(&event, &sim->events[(i - 1) / 2]); i = (i - 1) / 2)
		sim->events[i] = sim->events[(i - 1) / 2];
	sim->events[i] = event;
}

static struct event take_event(struct sim *sim)
{
	struct event event = sim->events[0];
	sim->events[0] = sim->events[--sim->event_count];
	sift_down(sim, 0);
	return event;
}

/* --- the seams of a node -------------------------------------------------------------------------- */

static struct sim_loop *loop_of(struct loop *base)
{
	return CONTAINER_OF(base, struct sim_loop, base);
}

static uint64_t node_mono_ns(const struct sim_node *node)
{
	return node->sim->now_ns + node->mono_offset_ns;
}

static void post(struct loop *base, struct task *task)
{
	struct sim_loop *loop = loop_of(base);
	task->next = NULL;
	*loop->tail = task;
	loop->tail = &task->next;
}

static void timer_remove(struct sim_loop *loop, struct timer *timer)
{
	*(timer->prev ? &timer->prev->next : &loop->earliest) = timer->next;
	*(timer->next ? &timer->next->prev : &loop->latest) = timer->prev;
	timer->next = timer->prev = NULL;
	timer->is_set = false;
}

static uint64_t now_ms(struct loop *base)
{
	return node_mono_ns(loop_of(base)->node) / 1000000;
}

static void set_timer(struct loop *base, struct timer *timer, uint64_t delay_ms)
{
	struct sim_loop *loop = loop_of(base);
	assert(loop->node->sim->current == loop);
	if (timer->is_set)
		timer_remove(loop, timer);
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
		timer_remove(loop_of(base), timer);
}

static bool is_current(struct loop *base)
{
	struct sim_loop *loop = loop_of(base);
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
	struct sim *sim = loop_of(work->loop)->node->sim;
	sim_note(sim, "work", loop_of(work->loop)->node->index, 0, 0);
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
	return node_mono_ns(CONTAINER_OF(clock, struct sim_node, clock));
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
	sim_note(node->sim, "trace", node->index, level, request_id);
	node->sim->hash = mix(node->sim->hash, sim_hash_bytes(text, strlen(text)));
	if (node->sim->is_verbose)
		fprintf(stderr, "%12.6f %s: %s\n", node->sim->now_ns / 1e9, node->name, text);
}

static const struct trace_ops trace_ops = {.event = trace_line};

/* --- running ------------------------------------------------------------------------------------ */

static bool has_due_timer(const struct sim_loop *loop)
{
	return loop->earliest && loop->earliest->due_ms <= node_mono_ns(loop->node) / 1000000;
}

static bool is_runnable(const struct sim_loop *loop)
{
	return !loop->node->is_paused && (loop->first || has_due_timer(loop));
}

/* A runnable loop that chance takes, or NULL. */
static struct sim_loop *choose_loop(struct sim *sim)
{
	struct sim_loop *chosen = NULL;
	uint64_t count = 0;
	for (struct sim_loop *loop = sim->loops; loop; loop = loop->next_of_all)
		if (is_runnable(loop) && sim_random_below(sim, ++count) == 0)
			chosen = loop;
	return chosen;
}

static void run_loop(struct sim *sim, struct sim_loop *loop)
{
	sim->now_ns += sim_random_below(sim, TASK_NS_MAX);
	sim->current = loop;
	bool takes_timer = has_due_timer(loop) && (!loop->first || sim_random(sim) % 2);
	sim_note(sim, takes_timer ? "timer" : "task", loop->node->index, loop->base.index, 0);
	if (takes_timer) {
		struct timer *timer = loop->earliest;
		timer_remove(loop, timer);
		timer->fire(timer);
	} else {
		struct task *task = loop->first;
		loop->first = task->next;
		if (!loop->first)
			loop->tail = &loop->first;
		task->next = NULL;
		task->run(task);
	}
	sim->current = NULL;
}

/* When the next event or timer is due, if there is one. */
static uint64_t next_due_ns(const struct sim *sim)
{
	uint64_t due_ns = sim->event_count > 0 ? sim->events[0].due_ns : UINT64_MAX;
	for (struct sim_loop *loop = sim->loops; loop; loop = loop->next_of_all) {
		if (loop->node->is_paused || !loop->earliest)
			continue;
		uint64_t timer_ns = loop->earliest->due_ms * 1000000 - loop->node->mono_offset_ns;
		if (timer_ns < due_ns)
			due_ns = timer_ns;
	}
	return due_ns;
}

/* Never moves time beyond until_ns. Returns false when nothing happens before that. */
static bool step_until(struct sim *sim, uint64_t until_ns)
{
	assert(!sim->current);
	struct sim_loop *loop = choose_loop(sim);
	if (!loop) {
		uint64_t due_ns = next_due_ns(sim);
		if (due_ns > until_ns || due_ns == UINT64_MAX)
			return false;
		if (due_ns > sim->now_ns)
			sim->now_ns = due_ns;
		loop = choose_loop(sim);
	}
	bool is_event_due = sim->event_count > 0 && sim->events[0].due_ns <= sim->now_ns;
	if (is_event_due && (!loop || sim_random(sim) % 2)) {
		struct event event = take_event(sim);
		event.run(event.arg);
	} else {
		run_loop(sim, loop);
	}
	return true;
}

bool sim_step(struct sim *sim)
{
	return step_until(sim, UINT64_MAX);
}

bool sim_run_until(struct sim *sim, bool (*predicate)(void *arg), void *arg, uint64_t max_ms)
{
	uint64_t until_ns = sim->now_ns + max_ms * 1000000;
	while (!predicate(arg))
		if (sim->now_ns > until_ns || !step_until(sim, until_ns))
			return predicate(arg);
	return true;
}

void sim_run_ms(struct sim *sim, uint64_t ms)
{
	uint64_t until_ns = sim->now_ns + ms * 1000000;
	while (sim->now_ns <= until_ns && step_until(sim, until_ns))
		;
	if (sim->now_ns < until_ns)
		sim->now_ns = until_ns;
}

void sim_call(struct sim *sim, struct loop *loop, void (*function)(void *arg), void *arg)
{
	assert(!sim->current);
	sim->current = loop_of(loop);
	function(arg);
	sim->current = NULL;
}

/* --- nodes -------------------------------------------------------------------------------------- */

struct sim_node *sim_node_new(struct sim *sim, const char *name)
{
	struct sim_node *node = must(calloc(1, sizeof *node));
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
	struct sim_loop *loop = must(calloc(1, sizeof *loop));
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
	return loop_of(loop)->node;
}

static void empty_loop(struct sim_loop *loop)
{
	loop->first = NULL;
	loop->tail = &loop->first;
	while (loop->earliest)
		timer_remove(loop, loop->earliest);
}

/* Takes the events of the node (of all, if NULL) out of the heap and drops
 * them. */
static void drop_events(struct sim *sim, const struct sim_node *node)
{
	struct event *all = sim->events;
	size_t count = sim->event_count;
	struct event *dropped = must(calloc(count + 1, sizeof *dropped));
	size_t dropped_count = 0;
	sim->event_count = 0;
	for (size_t i = 0; i < count; i++) {
		if (!node || all[i].node == node)
			dropped[dropped_count++] = all[i];
		else
			all[sim->event_count++] = all[i];
	}
	for (size_t i = sim->event_count; i-- > 0;)
		sift_down(sim, i);
	for (size_t i = 0; i < dropped_count; i++)
		if (dropped[i].drop)
			dropped[i].drop(dropped[i].arg);
	free(dropped);
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
	drop_events(sim, node);
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

struct grave {
	void *memory;
	struct grave *next;
};

static struct grave *graves;

void sim_bury(void *memory)
{
	struct grave *grave = must(malloc(sizeof *grave));
	*grave = (struct grave){memory, graves};
	graves = grave;
}

/* --- the world ---------------------------------------------------------------------------------- */

struct sim *sim_new(uint64_t seed)
{
	struct sim *sim = must(calloc(1, sizeof *sim));
	sim->random_state = seed;
	sim->hash = seed;
	sim->loops_tail = &sim->loops;
	sim->nodes_tail = &sim->nodes;
	sim->is_verbose = getenv("SIM_TRACE");
	return sim;
}

void sim_free(struct sim *sim)
{
	if (!sim)
		return;
	drop_events(sim, NULL);
	free(sim->events);
	while (sim->loops) {
		struct sim_loop *loop = sim->loops;
		sim->loops = loop->next_of_all;
		free(loop);
	}
	while (sim->nodes) {
		struct sim_node *node = sim->nodes;
		assert(!node->hooks);
		sim->nodes = node->next;
		free(node);
	}
	free(sim);
}

uint64_t sim_seed_of(int argc, char **argv, uint64_t fallback)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--seed=", 7) == 0)
			return strtoull(argv[i] + 7, NULL, 0);
	return fallback;
}
