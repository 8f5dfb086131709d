/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "storage/drive/drive.h"
#include "tests/lib/ring_oracle.h"
#include "tests/lib/test.h"

#define SLOTS RING_SLOTS_DEFAULT
#define GB UINT64_C(1000000000)

/* Some drives and a ring on them; each plan follows the one before. */
struct cluster {
	struct ring_drive_info drives[RING_ORACLE_DRIVES_MAX];
	size_t drive_count;
	struct ring_plan_request request;
	struct ring ring;
	uint8_t slots[2][2 * SLOTS * RING_WIDTH_MAX];
	unsigned turn;
};

static struct cluster cluster, other;
static unsigned random_count = 200;
static uint32_t random_slots = 32;

static void begin(struct cluster *c, uint8_t k, uint8_t m, enum ring_domain domain)
{
	memset(c, 0, sizeof *c);
	c->request = (struct ring_plan_request){
		.drives = c->drives,
		.profile = {k, m},
		.domain = domain,
		.slot_count = SLOTS,
	};
}

static struct ring_drive_info *add(struct cluster *c, unsigned node, uint64_t weight)
{
	struct ring_drive_info *drive = &c->drives[c->drive_count++];
	ck_assert_uint_le(c->drive_count, RING_ORACLE_DRIVES_MAX);
	*drive = (struct ring_drive_info){.number = c->drive_count, .weight = weight};
	drive->node.bytes[0] = node + 1;
	c->request.drive_count = c->drive_count;
	return drive;
}

/* Positions that have another drive than before. */
static uint32_t count_moved(const struct ring *old, const struct ring *new)
{
	uint32_t count = 0;
	for (uint32_t slot = 0; slot < new->slot_count; slot++) {
		for (uint8_t i = 0; i < new->width; i++)
			count += !old || i >= old->width ||
				ring_drive(old, slot, i) != ring_drive(new, slot, i);
	}
	return count;
}

/* Plans the next ring; returns how many shards of each slot moved, all together. */
static uint32_t plan(struct cluster *c)
{
	struct ring next;
	ck_assert_ok(ring_plan(&c->request, c->slots[c->turn], &next));
	ck_assert_ok(ring_check(&next, c->drives, c->drive_count));
	ck_assert_uint_eq(next.version, c->request.old ? c->ring.version + 1 : 1);
	uint32_t moved = count_moved(c->request.old, &next);
	c->turn = !c->turn;
	c->ring = next;
	c->request.old = &c->ring;
	return moved;
}

static uint32_t has(const struct cluster *c, size_t drive)
{
	return ring_count_drive(&c->ring, c->drives[drive].number);
}

/* --- single changes --------------------------------------------------------------------------- */

START_TEST(nothing_moves_when_nothing_changed)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 7; i++)
		add(&cluster, i, (1 + i % 3) * 500 * GB);
	ck_assert_uint_eq(plan(&cluster), 3 * SLOTS);
	ck_assert_uint_eq(plan(&cluster), 0);
}
END_TEST

START_TEST(a_small_change_of_weight_moves_nothing)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 7; i++)
		add(&cluster, i, 500 * GB);
	plan(&cluster);
	cluster.drives[3].weight += GB;
	ck_assert_uint_eq(plan(&cluster), 0);
}
END_TEST

START_TEST(a_seventh_drive_takes_a_seventh)
{
	begin(&cluster, 3, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 6; i++)
		add(&cluster, i, 1000 * GB);
	plan(&cluster);
	add(&cluster, 6, 1000 * GB);
	uint32_t moved = plan(&cluster);
	ck_assert_uint_eq(moved, has(&cluster, 6)); /* nothing moves between the others */
	ck_assert_uint_ge(moved, 5 * SLOTS / 7 * 97 / 100);
	ck_assert_uint_le(moved, 5 * SLOTS / 7 + 1);
}
END_TEST

START_TEST(a_drive_that_adds_no_capacity_is_not_left_empty)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 3; i++)
		add(&cluster, i, 1000 * GB);
	plan(&cluster);
	add(&cluster, 0, 1000 * GB); /* node 0 is in every slot already */
	uint32_t moved = plan(&cluster);
	ck_assert_uint_eq(moved, has(&cluster, 3));
	ck_assert_uint_eq(moved, SLOTS / 2 * 7 / 8);
}
END_TEST

START_TEST(a_removed_drive_moves_its_shards_alone)
{
	begin(&cluster, 3, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 8; i++)
		add(&cluster, i, 1000 * GB);
	plan(&cluster);
	uint32_t held = has(&cluster, 2);
	cluster.drives[2] = cluster.drives[--cluster.drive_count];
	cluster.request.drive_count = cluster.drive_count;
	ck_assert_uint_eq(plan(&cluster), held);
	ck_assert_uint_eq(ring_count_drive(&cluster.ring, 3), 0);
}
END_TEST

START_TEST(a_draining_drive_gives_all_away)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 5; i++)
		add(&cluster, i, 1000 * GB);
	plan(&cluster);
	uint32_t held = has(&cluster, 4);
	cluster.drives[4].weight = 0;
	ck_assert_uint_eq(plan(&cluster), held);
	ck_assert_uint_eq(has(&cluster, 4), 0);
}
END_TEST

START_TEST(a_replaced_drive_gives_its_place_to_the_new_one)
{
	begin(&cluster, 2, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 6; i++)
		add(&cluster, i, 1000 * GB);
	plan(&cluster);
	uint32_t held = has(&cluster, 1);
	cluster.drives[1].weight = 0;
	add(&cluster, 1, 1000 * GB);
	ck_assert_uint_eq(plan(&cluster), held);
	ck_assert_uint_ge(has(&cluster, 6), held - 1);
}
END_TEST

START_TEST(a_weight_that_doubles_doubles_the_share)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 9; i++)
		add(&cluster, i, 500 * GB);
	plan(&cluster);
	cluster.drives[0].weight *= 2;
	uint32_t before = has(&cluster, 0);
	uint32_t moved = plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 0) - before, moved);
	ck_assert_uint_ge(has(&cluster, 0), 3 * SLOTS / 5 * 97 / 100);
}
END_TEST

START_TEST(a_wider_profile_keeps_what_is_there)
{
	static const struct ring_profile profiles[] = {
		{1, 0}, {1, 1}, {2, 1}, {2, 2}, {3, 2}, {4, 2}};
	begin(&cluster, 1, 0, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < ARRAY_COUNT(profiles); i++) {
		add(&cluster, i, 1000 * GB);
		cluster.request.profile = profiles[i];
		uint8_t old_width = cluster.ring.width;
		uint32_t moved = plan(&cluster);
		uint32_t width = profiles[i].k + profiles[i].m;
		/* Each node is in each slot: what was in it stays where it was. */
		ck_assert_uint_eq(moved, (width - old_width) * SLOTS);
	}
}
END_TEST

START_TEST(a_narrower_profile_keeps_the_first_positions)
{
	begin(&cluster, 4, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 6; i++)
		add(&cluster, i, 1000 * GB);
	plan(&cluster);
	cluster.request.profile = (struct ring_profile){2, 1};
	ck_assert_uint_le(plan(&cluster), 3 * SLOTS / 100);
}
END_TEST

START_TEST(slots_with_two_drives_of_a_node_are_mended)
{
	begin(&cluster, 2, 1, RING_DOMAIN_DRIVE);
	for (unsigned i = 0; i < 9; i++)
		add(&cluster, i / 3, 1000 * GB);
	plan(&cluster);
	cluster.request.domain = RING_DOMAIN_NODE;
	uint32_t moved = plan(&cluster); /* checks that no node is twice in a slot */
	ck_assert_uint_gt(moved, 0);
	ck_assert_uint_lt(moved, 3 * SLOTS / 2);
}
END_TEST

START_TEST(a_ring_that_grew_is_as_even_as_one_made_at_once)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 12; i++) {
		add(&cluster, i, 1000 * GB);
		if (i >= 2)
			plan(&cluster);
	}
	unsigned shared[12][12] = {0}, at[12][3] = {0};
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		for (uint8_t i = 0; i < 3; i++) {
			uint16_t a = ring_drive(&cluster.ring, slot, i) - 1;
			uint16_t b = ring_drive(&cluster.ring, slot, (i + 1) % 3) - 1;
			shared[a][b]++;
			shared[b][a]++;
			at[a][i]++;
		}
	}
	for (unsigned i = 0; i < 12; i++) {
		for (unsigned j = 0; j < i; j++)
			ck_assert_uint_gt(shared[i][j], 20); /* of 3 * 1024 / 66 = 46 */
		for (uint8_t j = 0; j < 3; j++)
			ck_assert_uint_gt(at[i][j], 60); /* of 256 / 3 = 85 */
	}
}
END_TEST

/* Clusters whose best was worked out by hand: what is usable when the largest can be no more than
 * once in a slot. */
START_TEST(mixed_drives_hold_what_was_worked_out_by_hand)
{
	static const struct {
		uint8_t k, m;
		unsigned sizes[8]; /* GB */
		unsigned best;
	} cases[] = {
		{2, 1, {1000, 1000, 1000, 2000, 2000}, 4666},
		{2, 1, {500, 1000, 1000, 1000, 2000, 2000}, 5000},
		{4, 2, {500, 500, 1000, 1000, 1000, 2000, 4000}, 4000},
		{3, 2, {1000, 1000, 1000, 1000, 1000, 1000}, 3600},
		{1, 1, {1000, 1000, 8000}, 2000},
		{2, 1, {1000, 1000, 8000}, 2000},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		begin(&cluster, cases[i].k, cases[i].m, RING_DOMAIN_NODE);
		for (unsigned j = 0; cases[i].sizes[j] > 0; j++)
			add(&cluster, j, cases[i].sizes[j] * GB);
		plan(&cluster);
		uint64_t best;
		ck_assert_ok(ring_plan_best(&cluster.request, &best));
		ck_assert_uint_le(best, (cases[i].best + 1) * GB);
		ck_assert_uint_ge(best, cases[i].best * GB / 100 * 99);
		for (size_t j = 0; j < cluster.drive_count; j++) {
			uint64_t held = best / 1000 * 990 / (cases[i].k * SLOTS) * has(&cluster, j);
			ck_assert_uint_le(held, cluster.drives[j].weight);
		}
	}
}
END_TEST

/* --- classes ---------------------------------------------------------------------------------- */

START_TEST(a_flash_ring_has_no_hdd)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 4; i++) {
		add(&cluster, i, 250 * GB)->class = i % 2 ? DRIVE_SSD : DRIVE_NVME;
		add(&cluster, i, 8000 * GB)->class = DRIVE_HDD;
	}
	for (uint8_t class = DRIVE_NVME; class <= DRIVE_SSD; class ++) {
		cluster.request.drive_class = class;
		plan(&cluster);
		for (size_t i = 0; i < cluster.drive_count; i++)
			ck_assert(
				(has(&cluster, i) == 0) == (cluster.drives[i].class == DRIVE_HDD));
	}
}
END_TEST

START_TEST(an_hdd_ring_has_no_flash)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 4; i++) {
		add(&cluster, i, 250 * GB);
		add(&cluster, i, 8000 * GB)->class = DRIVE_HDD;
	}
	cluster.request.drive_class = DRIVE_HDD;
	plan(&cluster);
	for (size_t i = 0; i < cluster.drive_count; i++)
		ck_assert((has(&cluster, i) > 0) == (cluster.drives[i].class == DRIVE_HDD));
}
END_TEST

START_TEST(classes_are_mixed_where_one_alone_is_in_too_few_domains)
{
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	add(&cluster, 0, 1000 * GB);
	add(&cluster, 1, 1000 * GB);
	add(&cluster, 2, 1000 * GB)->class = DRIVE_HDD;
	plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 2), SLOTS);
	add(&cluster, 3, 1000 * GB); /* now flash is enough */
	plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 2), 0);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

START_TEST(impossible_requests_are_refused)
{
	struct ring ring;
	uint8_t *slots = cluster.slots[1];
	begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	ck_assert_err(ring_plan(&cluster.request, slots, &ring), ERR_QUORUM);
	for (unsigned i = 0; i < 4; i++)
		add(&cluster, i / 2, 1000 * GB);
	ck_assert_err(ring_plan(&cluster.request, slots, &ring), ERR_QUORUM);
	cluster.request.domain = RING_DOMAIN_DRIVE;
	plan(&cluster);
	cluster.request.slot_count = SLOTS / 2;
	ck_assert_err(ring_plan(&cluster.request, slots, &ring), ERR_INVALID);
	cluster.request.slot_count = SLOTS;
	cluster.drives[3].number = 1;
	ck_assert_err(ring_plan(&cluster.request, slots, &ring), ERR_INVALID);
	cluster.drives[3].number = 0;
	ck_assert_err(ring_plan(&cluster.request, slots, &ring), ERR_INVALID);
	cluster.drives[3].number = 4;
	cluster.request.profile.k = 0;
	ck_assert_err(ring_plan(&cluster.request, slots, &ring), ERR_INVALID);
}
END_TEST

START_TEST(the_greatest_and_the_smallest_weights_are_planned)
{
	begin(&cluster, 2, 1, RING_DOMAIN_DRIVE);
	for (unsigned i = 0; i < 40; i++)
		add(&cluster, i, i % 2 ? UINT64_MAX : 1 + i / 30);
	plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 0), 0); /* a byte among exabytes is no position */
	begin(&cluster, 2, 1, RING_DOMAIN_DRIVE);
	for (unsigned i = 0; i < 4; i++)
		add(&cluster, i, 1);
	plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 0), 3 * SLOTS / 4);
}
END_TEST

START_TEST(any_ring_that_can_be_read_can_be_planned_from)
{
	static uint8_t bytes[2 * 64 * RING_WIDTH_MAX + 64];
	unsigned read = 0;
	begin(&cluster, 3, 2, RING_DOMAIN_NODE);
	cluster.request.slot_count = 64;
	for (unsigned i = 0; i < 8; i++)
		add(&cluster, i, 1000 * GB);
	plan(&cluster);
	struct ring right = cluster.ring, damaged, next;
	for (uint64_t seed = 0; seed < 2000; seed++) {
		uint64_t dice = seed;
		size_t len;
		ck_assert_ok(ring_encode(&right, bytes, sizeof bytes, &len));
		for (unsigned i = 0; i < 1 + seed % 8; i++)
			bytes[test_random(&dice) % len] = test_random(&dice);
		for (unsigned i = 0; i < seed % 3; i++) /* the head too */
			bytes[test_random(&dice) % 24] = test_random(&dice);
		if (ring_decode(bytes_make(bytes, len), &damaged) != ERR_OK)
			continue;
		read++;
		cluster.request.old = &damaged;
		cluster.request.slot_count = damaged.slot_count;
		ck_assert_ok(ring_plan(&cluster.request, cluster.slots[1], &next));
		ck_assert_ok(ring_check(&next, cluster.drives, cluster.drive_count));
		ck_assert_uint_le(count_moved(&damaged, &next), next.slots_len / 2);
	}
	ck_assert_uint_gt(read, 500);
}
END_TEST

/* --- against the oracle ----------------------------------------------------------------------- */

struct figures {
	unsigned plans, with_floors;
	uint64_t moved, least, least_without_floors;
	double worst; /* part of the best capacity */
};

static const char *const zones[] = {"", "attic", "cellar", "garage"};

static void add_random(struct cluster *c, uint64_t *seed)
{
	static const unsigned sizes[] = {64, 120, 250, 256, 480, 500, 1000, 1024, 2000, 4000};
	unsigned node = test_random(seed) % 12;
	uint64_t weight = sizes[test_random(seed) % ARRAY_COUNT(sizes)] * GB;
	struct ring_drive_info *drive = add(c, node, weight - test_random(seed) % GB);
	drive->zone = bytes_of(zones[node % 4]);
	drive->class = test_random(seed) % 8 ? DRIVE_NVME : DRIVE_HDD;
}

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
		add_random(c, seed);
		break;
	case 2: /* removed, or drained */
		drive->weight = 0;
		break;
	case 3: /* replaced by one of another size */
		*add(c, 0, drive->weight * 2) = (struct ring_drive_info){
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
	uint32_t moved = plan(c);
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
		begin(&cluster, 1, 0, test_random(&seed) % 3);
		cluster.request.slot_count = random_slots >> test_random(&seed) % 3;
		unsigned count = 1 + test_random(&seed) % 30;
		for (unsigned j = 0; j < count; j++)
			add_random(&cluster, &seed);
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

START_TEST(the_same_request_gives_the_same_ring)
{
	uint64_t seed = 5;
	begin(&cluster, 4, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 30; i++)
		add_random(&cluster, &seed);
	plan(&cluster);
	other = cluster;
	other.request.drives = other.drives;
	other.ring.slots = other.slots[0];
	other.request.old = &other.ring;
	add(&cluster, 40, 700 * GB);
	for (size_t i = 0; i < other.drive_count; i++) /* the same drives from the end */
		other.drives[other.drive_count - i] = cluster.drives[i];
	other.drives[0] = cluster.drives[cluster.drive_count - 1];
	other.request.drive_count = ++other.drive_count;
	ck_assert_uint_eq(plan(&cluster), plan(&other));
	ck_assert_mem_eq(cluster.ring.slots, other.ring.slots, cluster.ring.slots_len);
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
	uint32_t moved = plan(&cluster);
	double time = now() - start;
	printf("plan_%s %.0f ms\nmoved_%s %u positions\n", name, time * 1e3, name, moved);
	if (time > *worst)
		*worst = time;
}

START_TEST(a_hundred_drives_are_planned_in_a_second)
{
	double worst = 0;
	begin(&cluster, 5, 3, RING_DOMAIN_DRIVE);
	for (unsigned i = 0; i < 100; i++)
		add(&cluster, i, (100 + i * i % 37 * 50) * GB);
	print_time("first", &worst);
	add(&cluster, 100, 1000 * GB);
	print_time("add", &worst);
	cluster.drives[5].weight = cluster.drives[50].weight = 0;
	print_time("remove_two", &worst);
	for (unsigned i = 0; i < 100; i++)
		cluster.drives[i].weight = (100 + i * i % 31 * 60) * GB;
	print_time("reweight_all", &worst);
	cluster.request.profile = (struct ring_profile){4, 2};
	print_time("narrow", &worst);
	ck_assert_double_lt(worst, 10); /* the sanitizers' second is longer */
	for (unsigned i = 0; i < 101; i++)
		cluster.drives[i].node.bytes[0] = i / 8;
	cluster.request.domain = RING_DOMAIN_NODE;
	print_time("to_nodes", &worst);
	ck_assert_double_lt(worst, 10);
}
END_TEST

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--long") == 0) {
		random_count = 60;
		random_slots = SLOTS;
	}
	Suite *suite = suite_create("ring_plan");
	TCase *tc = tcase_create("ring_plan");
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, nothing_moves_when_nothing_changed);
	tcase_add_test(tc, a_small_change_of_weight_moves_nothing);
	tcase_add_test(tc, a_seventh_drive_takes_a_seventh);
	tcase_add_test(tc, a_drive_that_adds_no_capacity_is_not_left_empty);
	tcase_add_test(tc, a_removed_drive_moves_its_shards_alone);
	tcase_add_test(tc, a_draining_drive_gives_all_away);
	tcase_add_test(tc, a_replaced_drive_gives_its_place_to_the_new_one);
	tcase_add_test(tc, a_weight_that_doubles_doubles_the_share);
	tcase_add_test(tc, a_wider_profile_keeps_what_is_there);
	tcase_add_test(tc, a_narrower_profile_keeps_the_first_positions);
	tcase_add_test(tc, slots_with_two_drives_of_a_node_are_mended);
	tcase_add_test(tc, a_ring_that_grew_is_as_even_as_one_made_at_once);
	tcase_add_test(tc, mixed_drives_hold_what_was_worked_out_by_hand);
	tcase_add_test(tc, a_flash_ring_has_no_hdd);
	tcase_add_test(tc, an_hdd_ring_has_no_flash);
	tcase_add_test(tc, classes_are_mixed_where_one_alone_is_in_too_few_domains);
	tcase_add_test(tc, impossible_requests_are_refused);
	tcase_add_test(tc, the_greatest_and_the_smallest_weights_are_planned);
	tcase_add_test(tc, any_ring_that_can_be_read_can_be_planned_from);
	tcase_add_test(tc, random_clusters_are_as_good_as_can_be);
	tcase_add_test(tc, the_same_request_gives_the_same_ring);
	tcase_add_test(tc, a_hundred_drives_are_planned_in_a_second);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
