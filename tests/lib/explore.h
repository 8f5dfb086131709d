/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_EXPLORE_H
#define TESTS_LIB_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>

/* Explores a small model of a protocol from seeds: as it is meant to be, when no seed may break it,
 * and with each of a few mistakes planted, when some seed has to. */
struct explore {
	uint64_t random;
	unsigned mistake; /* 0: none; else the place in the list of mistakes, counted from 1 */
	const char *broken; /* the first rule that did not hold; NULL: none */
};

/* A number below n; true in percent of 100 cases. */
uint64_t explore_below(struct explore *explore, uint64_t n);
bool explore_chance(struct explore *explore, unsigned percent);

/* Notes that a rule does not hold. Returns condition. */
bool explore_expect(struct explore *explore, bool condition, const char *rule);

struct explore_model {
	const char *name;
	/* Makes a model and takes random steps until it is done or explore->broken is set. */
	void (*run)(struct explore *explore);
	const char *const *mistakes; /* ends with NULL */
	uint64_t seeds; /* for the model as it is meant; a mistake gets as many */
};

/* The program: --seed=N runs one seed of the model as it is meant. */
int explore_main(int argc, char **argv, const struct explore_model *model);

#endif
