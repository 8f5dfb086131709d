/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_KV_H
#define TESTS_LIB_SIM_KV_H

#include "storage/kv.h"
#include "tests/lib/sim.h"

/* A simulated ordered map: keeps (K1) to (K3) and fails in the ways that it is told to. What it
 * lends is memory of its own, freed when the seam says that it is no longer borrowed, so that the
 * address sanitizer sees who uses it longer. */
struct sim_kv;

enum sim_kv_fault {
	SIM_KV_BEGIN_IO, /* reader_begin, write_begin: ERR_IO */
	SIM_KV_READ_IO, /* get, seek, next: ERR_IO */
	SIM_KV_CORRUPT, /* get, seek, next: ERR_CORRUPT */
	SIM_KV_WRITE_IO, /* put, remove: ERR_IO */
	SIM_KV_FULL, /* put, commit: ERR_NO_SPACE */
	SIM_KV_COMMIT_IO, /* commit: ERR_IO; after a restart it is there, or not, by chance */
	SIM_KV_FAULTS,
};

struct sim_kv_stats {
	uint64_t commits, puts, removes, gets, seeks, nexts;
	uint64_t faults[SIM_KV_FAULTS]; /* that were injected */
};

/* Makes an empty map of the node; a capacity of 0 is no limit. Gives it to the caller. */
struct sim_kv *sim_kv_new(struct sim_node *node, uint64_t capacity);

/* Takes the map. No reader is open; those of a killed node do not count. Before sim_free(). */
void sim_kv_free(struct sim_kv *sim_kv);

/* Opens the map, anew after each kill of the node or kv_close(). A kill leaves the last commit. */
struct kv *sim_kv_open(struct sim_kv *sim_kv);

/* How many of a thousand calls meet the fault, and the n-th call (from 1) that can. */
void sim_kv_set_odds(struct sim_kv *sim_kv, enum sim_kv_fault fault, unsigned per_mille);
void sim_kv_fail_nth(struct sim_kv *sim_kv, enum sim_kv_fault fault, uint64_t n);

/* Forgets all odds and what sim_kv_fail_nth() set up. */
void sim_kv_heal(struct sim_kv *sim_kv);

void sim_kv_set_capacity(struct sim_kv *sim_kv, uint64_t capacity);

/* Counts since the map was made. Borrowed. */
const struct sim_kv_stats *sim_kv_stats(const struct sim_kv *sim_kv);

/* Rows of the last commit, and a hash over all of them, for comparisons. */
uint64_t sim_kv_count(const struct sim_kv *sim_kv);
uint64_t sim_kv_hash(const struct sim_kv *sim_kv);

#endif
