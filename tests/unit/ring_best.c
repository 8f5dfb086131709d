/* SPDX-License-Identifier: Apache-2.0 */
/* How good plans are, and how fast: held against what flows over a stored graph say. */
#include <stdio.h>
#include <time.h>

#include "storage/drive/drive.h"
#include "tests/lib/cluster.h"
#include "tests/lib/ring_oracle.h"
#include "tests/lib/test.h"

#define SLOTS CLUSTER_SLOTS
#define GB CLUSTER_GB

static struct cluster cluster;
static unsigned random_count = 200;
static uint32_t random_slots = 32;

/* --- against the oracle ----------------------------------------------------------------------- */

struct figures {
	unsigned plans, with_floors;
	uint64_t moved, least, least_without_floors;
	double worst; /* part of the best capacity */
};

/* A profile that the domains allow, or none. */
static bool choose_profile(struct cluster *c, uint64_t *seed)
{
	size_t domains = ring_domain_count(c->drives, c->drive_count, c->request.domain);
	if (domains == 0)
		return false;
	size_t width = 1 + test_random(seed) % (domains < 8 ? domains : 8);
	uint8_t m = width > 1 ? 1 + test_random(seed) % (width / 2) : 0;
	c->request.profile = (struct ring_profile){width - m, m};
	return true;
}

static void change(struct cluster *c, uint64_t *seed)
{
	struct ring_drive_info *drive = &c->drives[test_random(seed) % c->drive_count];
	switch (test_random(seed) % 6) {
	case 0:
	case 1:
		cluster_add_random(c, seed);
		break;
	case 2: /* removed, or drained */
		drive->weight = 0;
		break;
	case 3: /* replaced by one of another size */
		*cluster_add(c, 0, drive->weight * 2) = (struct ring_drive_info){
			.number = c->drive_count,
			.node = drive->node,
			.zone = drive->zone,
			.weight = drive->weight * 2,
			.class = drive->class,
		};
		drive->weight = 0;
		break;
	case 4:
		drive->weight = drive->weight / 2 + test_random(seed) % (drive->weight + GB);
		break;
	default:
		choose_profile(c, seed);
		break;
	}
}

/* Holds one plan against what flows say. */
static bool compare(struct cluster *c, struct figures *figures)
{
	static struct ring_oracle oracle;
	static uint8_t old_slots[sizeof c->slots[0]];
	struct ring old = c->ring;
	const struct ring *has_old = c->request.old ? &old : NULL;
	if (!ring_oracle_init(&oracle, &c->request)) {
		struct ring ring;
		ck_assert_err(ring_plan(&c->request, c->slots[c->turn], &ring), ERR_QUORUM);
		return false;
	}
	if (has_old) {
		memcpy(old_slots, old.slots, old.slots_len);
		old.slots = old_slots;
	}
	uint32_t moved = cluster_plan(c);
	double len = ring_oracle_len(&oracle, &c->ring);
	double best = ring_oracle_best(&oracle);
	double part = len / best;
	uint64_t best_len;
	ck_assert_double_ge(part, 0.99);
	ck_assert_ok(ring_plan_best(&c->request, &best_len));
	best *= (double)c->request.profile.k * c->request.slot_count;
	ck_assert_double_ge(best_len, best * 0.9999);
	ck_assert_double_le(best_len, best * 1.0002);
	if (part < figures->worst)
		figures->worst = part;
	uint32_t least = ring_oracle_least(&oracle, has_old, len, true);
	ck_assert_uint_le(moved, least);
	uint32_t without = ring_oracle_least(&oracle, has_old, len, false);
	figures->plans++;
	figures->with_floors += without < least;
	if (has_old) {
		figures->moved += moved;
		figures->least += least;
		figures->least_without_floors += without;
	}
	return true;
}

START_TEST(random_clusters_are_as_good_as_can_be)
{
	struct figures figures = {.worst = 2};
	for (unsigned i = 0; i < random_count; i++) {
		uint64_t seed = i;
		cluster_begin(&cluster, 1, 0, test_random(&seed) % 3);
		cluster.request.slot_count = random_slots >> test_random(&seed) % 3;
		unsigned count = 1 + test_random(&seed) % 30;
		for (unsigned j = 0; j < count; j++)
			cluster_add_random(&cluster, &seed);
		cluster.request.drive_class = test_random(&seed) % 3;
		choose_profile(&cluster, &seed);
		unsigned changes = 4;
		while (compare(&cluster, &figures) && changes-- > 0)
			change(&cluster, &seed);
	}
	printf("plans %u count\ncapacity_worst %.4f of_best\nmoved %llu positions\n"
	       "least %llu positions\nleast_without_floors %llu positions\n",
		figures.plans, figures.worst, (unsigned long long)figures.moved,
		(unsigned long long)figures.least,
		(unsigned long long)figures.least_without_floors);
	ck_assert_uint_gt(figures.plans, 3 * random_count);
	ck_assert_uint_gt(figures.with_floors, 0);
}
END_TEST

/* --- time ------------------------------------------------------------------------------------- */

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void print_time(const char *name, double *worst)
{
	double start = now();
	uint32_t moved = cluster_plan(&cluster);
	double time = now() - start;
	printf("plan_%s %.0f ms\nmoved_%s %u positions\n", name, time * 1e3, name, moved);
	if (time > *worst)
		*worst = time;
}

START_TEST(a_hundred_drives_are_planned_in_a_second)
{
	double worst = 0;
	cluster_begin(&cluster, 5, 3, RING_DOMAIN_DRIVE);
	for (unsigned i = 0; i < 100; i++)
		cluster_add(&cluster, i, (100 + i * i % 37 * 50) * GB);
	print_time("first", &worst);
	cluster_add(&cluster, 100, 1000 * GB);
	print_time("add", &worst);
	cluster.drives[5].weight = cluster.drives[50].weight = 0;
	print_time("remove_two", &worst);
	for (unsigned i = 0; i < 100; i++)
		cluster.drives[i].weight = (100 + i * i % 31 * 60) * GB;
	print_time("reweight_all", &worst);
	cluster.request.profile = (struct ring_profile){4, 2};
	print_time("narrow", &worst);
	ck_assert_double_lt(worst, 1);
	for (unsigned i = 0; i < 101; i++)
		cluster.drives[i].node.bytes[0] = i / 8;
	cluster.request.domain = RING_DOMAIN_NODE;
	print_time("to_nodes", &worst);
	ck_assert_double_lt(worst, 1);
}
END_TEST

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--long") == 0) {
		random_count = 60;
		random_slots = SLOTS;
	}
	Suite *suite = suite_create("ring_best");
	TCase *tc = tcase_create("ring_best");
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, random_clusters_are_as_good_as_can_be);
	tcase_add_test(tc, a_hundred_drives_are_planned_in_a_second);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
