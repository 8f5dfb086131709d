/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_H
#define TESTS_LIB_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/clock.h"
#include "storage/loop.h"
#include "storage/random.h"
#include "storage/trace.h"
#include "storage/worker.h"

/* A world of nodes in one thread, with a virtual clock, in which every choice comes from one seed.
 *
 * (S1) The same seed and the same calls give the same sequence of events, and so the same
 *      sim_trace_hash(). Nothing in here depends on addresses or on the machine.
 * (S2) Virtual time moves only in sim_step(): a little with each task, and to the next event when
 *      nothing can run; and in sim_spend(), by which blocking calls take their time.
 * (S3) After sim_node_kill() nothing that the node posted, set, submitted or started before runs or
 *      ends. Its loops, worker, clock and disks are there for its next life.
 * (S4) The choices of the simulator and the random numbers of each node are separate streams, so
 *      code that draws one number more does not change the schedule of the others.
 *
 * What a killed node had allocated: its owner either frees it after the kill (timers are unset
 * then, tasks are in no queue, files may be closed but not used) or hands the pointer to the node's
 * structs to sim_bury(), which keeps them reachable, so that the leak checker stays quiet.
 */
struct sim;
struct sim_node;

/* Makes a world; memory that is not there ends the process. Gives it to the caller. */
struct sim *sim_new(uint64_t seed);

/* Takes the world with its nodes. Its disks, maps and networks are freed by their owners before. */
void sim_free(struct sim *sim);

/* --- running ------------------------------------------------------------------------------ */

/* Lets one thing happen. Returns false when nothing is left that could. */
bool sim_step(struct sim *sim);

/* Runs until the predicate holds; returns whether it does. Gives up after max_ms of virtual time,
 * or when nothing is left to happen. */
bool sim_run_until(struct sim *sim, bool (*predicate)(void *arg), void *arg, uint64_t max_ms);

/* Runs for a while. */
void sim_run_ms(struct sim *sim, uint64_t ms);

/* Calls the function as if it were a task of the loop. Not from a task. */
void sim_call(struct sim *sim, struct loop *loop, void (*function)(void *arg), void *arg);

/* --- nodes -------------------------------------------------------------------------------- */

/* Makes a node. name is borrowed for as long as the world. */
struct sim_node *sim_node_new(struct sim *sim, const char *name);

/* Makes a loop of the node; its index counts from 0. */
struct loop *sim_node_loop(struct sim_node *node);

struct worker *sim_node_worker(struct sim_node *node);
struct clock *sim_node_clock(struct sim_node *node);
struct random_source *sim_node_random(struct sim_node *node);

/* Events go into the trace hash, and with SIM_TRACE in the environment to stderr. */
struct trace *sim_node_trace(struct sim_node *node);

struct sim *sim_node_sim(struct sim_node *node);
const char *sim_node_name(struct sim_node *node);

/* Ends the node's process at once (S3). Not from one of its own tasks. */
void sim_node_kill(struct sim_node *node);

/* A paused node runs nothing; what arrives for it waits. */
void sim_node_pause(struct sim_node *node, bool is_paused);

/* Moves the node's wall clock. */
void sim_node_jump_wall(struct sim_node *node, int64_t by_ms);

/* Keeps a pointer to memory of a killed node reachable until the process ends. */
void sim_bury(void *memory);

/* --- for simulated seams ------------------------------------------------------------------ */

/* A number from the simulator's own stream; below n; true in per_mille of 1000 cases. */
uint64_t sim_random(struct sim *sim);
uint64_t sim_random_below(struct sim *sim, uint64_t n);
bool sim_chance(struct sim *sim, unsigned per_mille);

uint64_t sim_now_ns(const struct sim *sim);

/* Takes up the time of the caller, and so of the whole world, as a blocking call does. */
void sim_spend(struct sim *sim, uint64_t ns);

/* The memory, or the end of the process when there is none. */
void *sim_must(void *memory);

/* Calls run(arg) at a later time, outside every loop. If the node (NULL for none) is killed before,
 * drop(arg) is called instead, from sim_node_kill(); drop may be NULL. */
void sim_later(struct sim *sim, struct sim_node *node, uint64_t delay_ns, void (*run)(void *arg),
	void (*drop)(void *arg), void *arg);

/* Called with every kill of the node, after its queues are empty. */
struct sim_hook {
	void (*killed)(struct sim_hook *hook);
	struct sim_hook *next;
};
void sim_node_hook(struct sim_node *node, struct sim_hook *hook);
void sim_node_unhook(struct sim_node *node, struct sim_hook *hook);

/* The node that the loop belongs to. */
struct sim_node *sim_node_of(struct loop *loop);

/* Folds an event into the trace hash. No addresses. */
void sim_note(struct sim *sim, const char *what, uint64_t a, uint64_t b, uint64_t c);
uint64_t sim_trace_hash(const struct sim *sim);
uint64_t sim_hash_bytes(const void *data, size_t len);

/* The seed in "--seed=N" of a program's arguments, or the fallback. */
uint64_t sim_seed_of(int argc, char **argv, uint64_t fallback);

#endif
