/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/sim_priv.h"
#include "tests/lib/test.h"

enum { TASK_NS_MAX = 20 * 1000 };

/* --- chance and trace --------------------------------------------------------------------- */

void *sim_must(void *memory)
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

/* --- events ------------------------------------------------------------------------------- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void sift_down(struct sim *sim, size_t i)
{
	struct sim_event *heap = sim->events;
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= sim->event_count)
			return;
		if (child + 1 < sim->event_count && is_before(&heap[child + 1], &heap[child]))
			child++;
		if (!is_before(&heap[child], &heap[i]))
			return;
		struct sim_event moved = heap[i];
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
		sim->events = sim_must(
			reallocarray(sim->events, sim->event_cap, sizeof *sim->events));
	}
	struct sim_event event = {
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

static struct sim_event take_event(struct sim *sim)
{
	struct sim_event event = sim->events[0];
	sim->events[0] = sim->events[--sim->event_count];
	sift_down(sim, 0);
	return event;
}

void sim_drop_events(struct sim *sim, const struct sim_node *node)
{
	struct sim_event *all = sim->events;
	size_t count = sim->event_count;
	struct sim_event *dropped = sim_must(calloc(count + 1, sizeof *dropped));
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

/* --- running ------------------------------------------------------------------------------ */

static bool has_due_timer(const struct sim_loop *loop)
{
	return loop->earliest && loop->earliest->due_ms <= sim_node_mono_ns(loop->node) / 1000000;
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
		sim_timer_remove(loop, timer);
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
		struct sim_event event = take_event(sim);
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
	sim->current = sim_loop_of(loop);
	function(arg);
	sim->current = NULL;
}

/* --- the world ---------------------------------------------------------------------------- */

struct grave {
	void *memory;
	struct grave *next;
};

static struct grave *graves;

void sim_bury(void *memory)
{
	struct grave *grave = sim_must(malloc(sizeof *grave));
	*grave = (struct grave){memory, graves};
	graves = grave;
}

struct sim *sim_new(uint64_t seed)
{
	struct sim *sim = sim_must(calloc(1, sizeof *sim));
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
	sim_drop_events(sim, NULL);
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
