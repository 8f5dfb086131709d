/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_SEEDS_H
#define TESTS_LIB_SIM_SEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The program around a simulation: runs seeds, some of them twice, in processes of a few each, so
 * that one that fails does not hide the others, and names those that did not pass.
 *
 *   --seed=N       that one
 *   --seeds=N      so many, from 1 on
 *   --from=N       from N on
 *   --minutes=N    as many as are begun in so much processor time; with --seeds no more than those
 */
struct sim_seeds {
	const char *name;
	uint64_t (*run)(uint64_t seed); /* gives the hash of its trace */
	unsigned count; /* if nobody says how many */
	unsigned batch; /* seeds in one process */
	unsigned twice_every; /* 0: never */
	unsigned timeout_s; /* of a batch */
	unsigned enough; /* so many seeds have to meet all that may befall */
	void (*check)(void); /* that they did */
	void (*print)(void); /* what they met */
};

/* Memory that all processes of the program share, zeroed. Before sim_seeds_main(). */
void *sim_seeds_share(size_t len);

/* Runs the program; gives its exit status. */
int sim_seeds_main(const struct sim_seeds *seeds, int argc, char **argv);

#endif
