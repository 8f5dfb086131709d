/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_LIVES_H
#define TESTS_LIB_STORE_LIVES_H

#include "tests/lib/store_clients.h"

/* A few lives of a node with a mender, from one seed. In each of them clients put, get, delete,
 * copy and upload, while drives vanish, to be back in the next life, or are given up for good. At
 * most one is lost at a time: the next one when all is whole again, since that is what P1 promises.
 * A life ends in order, by a kill, or by a power cut. What else befalls the node, and what is held
 * against it in the end, is the simulation's own. What does not hold fails the test and names the
 * seed. */
enum store_lives_end { LIFE_STOP, LIFE_KILL, LIFE_POWER_CUT, LIFE_ENDS };

#define STORE_LIVES_ENDS_MS 600000 /* by when everything has to be over */

/* What all seeds did together; in memory that the tests' processes share. */
struct store_lives_totals {
	uint64_t seeds, lives, ends[LIFE_ENDS];
	uint64_t vanished, given_up, targets, retargets, paused;
	uint64_t moves, repaired, degraded_reads, narrowed;
	struct client_stats clients;
};

struct store_lives {
	uint64_t seed, random;
	struct sim_store rig;
	struct store_model model;
	struct store_lives_totals *totals;
	bool is_gone[SIM_STORE_DRIVES_MAX]; /* given up */
	bool is_away[SIM_STORE_DRIVES_MAX]; /* until the next life */
	unsigned drives_min; /* fewer are never left */
	void (*befall)(struct store_lives *lives); /* something does */
	void (*count)(const struct store_lives *lives); /* what a life did, besides totals */
	void (*judge)(const struct store_lives *lives); /* each life but the last; NULL: nothing */

	/* Of the lives. */
	struct client_world world;
	struct store_clients clients;
	bool may_reads_fail; /* never */
};

/* A number below n, and an event of so many percent, from the seed. */
uint64_t store_lives_below(struct store_lives *lives, uint64_t n);
bool store_lives_chance(struct store_lives *lives, unsigned percent);

/* Makes the node, which does not run yet. The seed, random, totals and functions are set. */
void store_lives_init(struct store_lives *lives, const struct sim_store_options *options);

/* Frees it; gives the hash of its trace. It was stopped. */
uint64_t store_lives_fini(struct store_lives *lives);

/* One whole life. */
void store_lives_live(struct store_lives *lives);

/* What may befall: a drive vanishes, or is lost for good, if one more may be; the mender is paused
 * or not, and fast or not. */
void store_lives_vanish(struct store_lives *lives);
void store_lives_lose(struct store_lives *lives);
void store_lives_pause(struct store_lives *lives);

/* The profile of the ring. */
struct ring_profile store_lives_profile(const struct store_lives *lives);

/* A target was proposed: ERR_OK, or ERR_CONFLICT, which may be. */
void store_lives_check_target(const struct store_lives *lives, enum err err);

/* The last life begins. */
void store_lives_start(struct store_lives *lives);

/* Reads all keys. */
void store_lives_read_all(struct store_lives *lives);

/* Runs the mender until its work is over, and compares the ledger with the drives. */
void store_lives_become_whole(struct store_lives *lives);
void store_lives_check_ledger(struct store_lives *lives, bool has_records);

/* Each key has an order in which all that was done with it fits. */
void store_lives_check_order(struct store_lives *lives);

/* Nothing is read, written or proposed for a while. */
void store_lives_be_quiet(struct store_lives *lives);

/* Loses some m drives of those that are left, reads everything, and stops. */
void store_lives_end(struct store_lives *lives);

/* Every end of a life was met, and every loss. */
void store_lives_check_totals(const struct store_lives_totals *totals);
void store_lives_print_totals(const struct store_lives_totals *totals);

#endif
