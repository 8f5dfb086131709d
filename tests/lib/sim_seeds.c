/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/lib/sim.h"
#include "tests/lib/test.h"

enum { BATCHES_MAX = 100000 };

struct shared {
	uint64_t done;
	clock_t spent; /* of the processors, by the batches that are over */
	uint64_t running[BATCHES_MAX]; /* the seed that each batch is at; 0: it is over */
};

static const struct sim_seeds *setup;
static struct shared *shared;
static uint64_t first = 1, count, minutes;

void *sim_seeds_share(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return sim_must(memory == MAP_FAILED ? NULL : memory);
}

/* Of the processors, since on a busy machine the clock on the wall is over before much is done. */
static bool is_time_over(clock_t begin)
{
	clock_t spent = shared->spent + (clock() - begin);
	return minutes > 0 && spent / CLOCKS_PER_SEC >= (clock_t)(60 * minutes);
}

START_TEST(every_seed_keeps_the_promises)
{
	clock_t begin = clock();
	for (uint64_t i = 0; i < setup->batch && !is_time_over(begin); i++) {
		uint64_t seed = first + (uint64_t)_i * setup->batch + i;
		if (seed >= first + count)
			break;
		shared->running[_i] = seed;
		uint64_t hash = setup->run(seed);
		if (setup->twice_every > 0 && seed % setup->twice_every == 0)
			ck_assert_uint_eq(setup->run(seed), hash);
		shared->done++;
	}
	shared->running[_i] = 0;
	shared->spent += clock() - begin;
}
END_TEST

START_TEST(everything_that_may_befall_did)
{
	if (shared->done >= setup->enough)
		setup->check();
}
END_TEST

static void parse(int argc, char **argv)
{
	count = 0;
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--seeds=", 8) == 0)
			count = strtoull(argv[i] + 8, NULL, 10);
		if (strncmp(argv[i], "--from=", 7) == 0)
			first = strtoull(argv[i] + 7, NULL, 10);
		if (strncmp(argv[i], "--minutes=", 10) == 0)
			minutes = strtoull(argv[i] + 10, NULL, 10);
	}
	if (count == 0)
		count = minutes > 0 ? (uint64_t)BATCHES_MAX * setup->batch : setup->count;
	uint64_t seed = sim_seed_of(argc, argv, 0);
	if (seed > 0) {
		first = seed;
		count = 1;
	}
}

int sim_seeds_main(const struct sim_seeds *seeds, int argc, char **argv)
{
	setup = seeds;
	shared = sim_seeds_share(sizeof *shared);
	parse(argc, argv);
	uint64_t batches = (count + setup->batch - 1) / setup->batch;
	if (batches > BATCHES_MAX)
		return EXIT_FAILURE;
	Suite *suite = suite_create(setup->name);
	TCase *tcase = tcase_create("seeds");
	tcase_set_timeout(tcase, setup->timeout_s);
	tcase_add_loop_test(tcase, every_seed_keeps_the_promises, 0, batches);
	tcase_add_test(tcase, everything_that_may_befall_did);
	suite_add_tcase(suite, tcase);
	int status = test_run(suite);
	printf("passed %lu seeds\n", (unsigned long)shared->done);
	setup->print();
	for (unsigned i = 0; i < batches; i++)
		if (shared->running[i] != 0)
			printf("seed %lu did not pass: --seed=%lu\n",
				(unsigned long)shared->running[i],
				(unsigned long)shared->running[i]);
	return status;
}
