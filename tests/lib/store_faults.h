/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_FAULTS_H
#define TESTS_LIB_STORE_FAULTS_H

#include "tests/lib/sim_store.h"

/* What befalls a simulated store, by chance, within what it has to survive.
 *
 * A *narrow* run: faults befall those drives only that are excused, at most m of them. A *wide*
 * run: at most one drive is excused and may lose what it said it has; all may refuse, vanish and
 * return. In both the state disk and the index's map may fail, which ends the life of the node. */
struct store_faults {
	struct sim_store *rig;
	uint64_t random;
	bool is_wide;
	bool is_excused[SIM_STORE_DRIVES_MAX]; /* may lose what it acknowledged */
	bool may_reads_fail; /* more is broken than the code makes good */
};

/* Chooses which drives are excused. */
void store_faults_init(struct store_faults *faults, struct sim_store *rig, uint64_t seed);

/* Lets something befall the store now or soon. */
void store_faults_inject(struct store_faults *faults);

/* Ends all faults; what vanished is back. Fenced drives stay so until the next start. */
void store_faults_heal(struct store_faults *faults);

#endif
