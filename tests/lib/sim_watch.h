/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_WATCH_H
#define TESTS_LIB_SIM_WATCH_H

#include "storage/meta/index.h"

/* Stands between each member of a group and its index, and looks at what passes: whatever their
 * lives and snapshots,
 *
 * (W1) what one member applies at a log index, term, cluster time and bytes, every member applies
 *      there;
 * (W2) and has the same state after it, by the hash of every table;
 * (W3) a term has one leader.
 *
 * What does not hold ends the test with the seed. */
struct sim_watch;

struct sim_watch *sim_watch_new(uint64_t seed);

/* Takes it; no member is open. */
void sim_watch_free(struct sim_watch *watch);

/* A consensus in front of a member's, for one life, given to the caller. Closing it closes the
 * member's. Who kills the member's node buries both. */
struct consensus *sim_watch_open(struct sim_watch *watch, struct consensus *inner);

/* The index that is driven by what sim_watch_open() gave. */
void sim_watch_attach(struct consensus *consensus, struct index *index);

/* Looks at a member (W3). */
void sim_watch_look(struct sim_watch *watch, struct consensus *inner);

/* How much was compared. */
struct sim_watch_counts {
	uint64_t groups, states; /* that a second member, or a second life, had too */
	uint64_t last; /* the highest log index that was applied anywhere */
	uint64_t leads; /* terms that had a leader */
};
void sim_watch_counts(const struct sim_watch *watch, struct sim_watch_counts *ret_counts);

#endif
