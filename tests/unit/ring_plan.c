/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring_plan.h"

#include "storage/drive/drive.h"
#include "tests/lib/cluster.h"
#include "tests/lib/test.h"

#define SLOTS CLUSTER_SLOTS
#define GB CLUSTER_GB

static struct cluster cluster, other;

static uint32_t has(const struct cluster *c, size_t drive)
{
	return ring_count_drive(&c->ring, c->drives[drive].number);
}

/* --- single changes --------------------------------------------------------------------------- */

START_TEST(nothing_moves_when_nothing_changed)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 7; i++)
		cluster_add(&cluster, i, (1 + i % 3) * 500 * GB);
	ck_assert_uint_eq(cluster_plan(&cluster), 3 * SLOTS);
	ck_assert_uint_eq(cluster_plan(&cluster), 0);
}
END_TEST

START_TEST(a_small_change_of_weight_moves_nothing)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 7; i++)
		cluster_add(&cluster, i, 500 * GB);
	cluster_plan(&cluster);
	cluster.drives[3].weight += GB;
	ck_assert_uint_eq(cluster_plan(&cluster), 0);
}
END_TEST

START_TEST(a_seventh_drive_takes_a_seventh)
{
	cluster_begin(&cluster, 3, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 6; i++)
		cluster_add(&cluster, i, 1000 * GB);
	cluster_plan(&cluster);
	cluster_add(&cluster, 6, 1000 * GB);
	uint32_t moved = cluster_plan(&cluster);
	ck_assert_uint_eq(moved, has(&cluster, 6)); /* nothing moves between the others */
	ck_assert_uint_ge(moved, 5 * SLOTS / 7 * 97 / 100);
	ck_assert_uint_le(moved, 5 * SLOTS / 7 + 1);
}
END_TEST

START_TEST(a_drive_that_adds_no_capacity_is_not_left_empty)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 3; i++)
		cluster_add(&cluster, i, 1000 * GB);
	cluster_plan(&cluster);
	cluster_add(&cluster, 0, 1000 * GB); /* node 0 is in every slot already */
	uint32_t moved = cluster_plan(&cluster);
	ck_assert_uint_eq(moved, has(&cluster, 3));
	ck_assert_uint_eq(moved, SLOTS / 2 * 7 / 8);
}
END_TEST

START_TEST(a_removed_drive_moves_its_shards_alone)
{
	cluster_begin(&cluster, 3, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 8; i++)
		cluster_add(&cluster, i, 1000 * GB);
	cluster_plan(&cluster);
	uint32_t held = has(&cluster, 2);
	cluster.drives[2] = cluster.drives[--cluster.drive_count];
	cluster.request.drive_count = cluster.drive_count;
	ck_assert_uint_eq(cluster_plan(&cluster), held);
	ck_assert_uint_eq(ring_count_drive(&cluster.ring, 3), 0);
}
END_TEST

START_TEST(a_draining_drive_gives_all_away)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 5; i++)
		cluster_add(&cluster, i, 1000 * GB);
	cluster_plan(&cluster);
	uint32_t held = has(&cluster, 4);
	cluster.drives[4].weight = 0;
	ck_assert_uint_eq(cluster_plan(&cluster), held);
	ck_assert_uint_eq(has(&cluster, 4), 0);
}
END_TEST

START_TEST(a_replaced_drive_gives_its_place_to_the_new_one)
{
	cluster_begin(&cluster, 2, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 6; i++)
		cluster_add(&cluster, i, 1000 * GB);
	cluster_plan(&cluster);
	uint32_t held = has(&cluster, 1);
	cluster.drives[1].weight = 0;
	cluster_add(&cluster, 1, 1000 * GB);
	ck_assert_uint_eq(cluster_plan(&cluster), held);
	ck_assert_uint_ge(has(&cluster, 6), held - 1);
}
END_TEST

START_TEST(a_weight_that_doubles_doubles_the_share)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 9; i++)
		cluster_add(&cluster, i, 500 * GB);
	cluster_plan(&cluster);
	cluster.drives[0].weight *= 2;
	uint32_t before = has(&cluster, 0);
	uint32_t moved = cluster_plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 0) - before, moved);
	ck_assert_uint_ge(has(&cluster, 0), 3 * SLOTS / 5 * 97 / 100);
}
END_TEST

START_TEST(a_wider_profile_keeps_what_is_there)
{
	static const struct ring_profile profiles[] = {
		{1, 0}, {1, 1}, {2, 1}, {2, 2}, {3, 2}, {4, 2}};
	cluster_begin(&cluster, 1, 0, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < ARRAY_COUNT(profiles); i++) {
		cluster_add(&cluster, i, 1000 * GB);
		cluster.request.profile = profiles[i];
		uint8_t old_width = cluster.ring.width;
		uint32_t moved = cluster_plan(&cluster);
		uint32_t width = profiles[i].k + profiles[i].m;
		/* Each node is in each slot: what was in it stays where it was. */
		ck_assert_uint_eq(moved, (width - old_width) * SLOTS);
	}
}
END_TEST

START_TEST(a_narrower_profile_keeps_the_first_positions)
{
	cluster_begin(&cluster, 4, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 6; i++)
		cluster_add(&cluster, i, 1000 * GB);
	cluster_plan(&cluster);
	cluster.request.profile = (struct ring_profile){2, 1};
	ck_assert_uint_le(cluster_plan(&cluster), 3 * SLOTS / 100);
}
END_TEST

START_TEST(slots_with_two_drives_of_a_node_are_mended)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_DRIVE);
	for (unsigned i = 0; i < 9; i++)
		cluster_add(&cluster, i / 3, 1000 * GB);
	cluster_plan(&cluster);
	cluster.request.domain = RING_DOMAIN_NODE;
	uint32_t moved = cluster_plan(&cluster); /* checks that no node is twice in a slot */
	ck_assert_uint_gt(moved, 0);
	ck_assert_uint_lt(moved, 3 * SLOTS / 2);
}
END_TEST

START_TEST(a_ring_that_grew_is_as_even_as_one_made_at_once)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 12; i++) {
		cluster_add(&cluster, i, 1000 * GB);
		if (i >= 2)
			cluster_plan(&cluster);
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
		cluster_begin(&cluster, cases[i].k, cases[i].m, RING_DOMAIN_NODE);
		for (unsigned j = 0; cases[i].sizes[j] > 0; j++)
			cluster_add(&cluster, j, cases[i].sizes[j] * GB);
		cluster_plan(&cluster);
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
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 4; i++) {
		cluster_add(&cluster, i, 250 * GB)->class = i % 2 ? DRIVE_SSD : DRIVE_NVME;
		cluster_add(&cluster, i, 8000 * GB)->class = DRIVE_HDD;
	}
	for (uint8_t class = DRIVE_NVME; class <= DRIVE_SSD; class ++) {
		cluster.request.drive_class = class;
		cluster_plan(&cluster);
		for (size_t i = 0; i < cluster.drive_count; i++)
			ck_assert(
				(has(&cluster, i) == 0) == (cluster.drives[i].class == DRIVE_HDD));
	}
}
END_TEST

START_TEST(an_hdd_ring_has_no_flash)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 4; i++) {
		cluster_add(&cluster, i, 250 * GB);
		cluster_add(&cluster, i, 8000 * GB)->class = DRIVE_HDD;
	}
	cluster.request.drive_class = DRIVE_HDD;
	cluster_plan(&cluster);
	for (size_t i = 0; i < cluster.drive_count; i++)
		ck_assert((has(&cluster, i) > 0) == (cluster.drives[i].class == DRIVE_HDD));
}
END_TEST

START_TEST(classes_are_mixed_where_one_alone_is_in_too_few_domains)
{
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	cluster_add(&cluster, 0, 1000 * GB);
	cluster_add(&cluster, 1, 1000 * GB);
	cluster_add(&cluster, 2, 1000 * GB)->class = DRIVE_HDD;
	cluster_plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 2), SLOTS);
	cluster_add(&cluster, 3, 1000 * GB); /* now flash is enough */
	cluster_plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 2), 0);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

START_TEST(impossible_requests_are_refused)
{
	struct ring ring;
	uint8_t *slots = cluster.slots[1];
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_NODE);
	ck_assert_err(ring_plan(&cluster.request, slots, &ring), ERR_QUORUM);
	for (unsigned i = 0; i < 4; i++)
		cluster_add(&cluster, i / 2, 1000 * GB);
	ck_assert_err(ring_plan(&cluster.request, slots, &ring), ERR_QUORUM);
	cluster.request.domain = RING_DOMAIN_DRIVE;
	cluster_plan(&cluster);
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
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_DRIVE);
	for (unsigned i = 0; i < 40; i++)
		cluster_add(&cluster, i, i % 2 ? UINT64_MAX : 1 + i / 30);
	cluster_plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 0), 0); /* a byte among exabytes is no position */
	cluster_begin(&cluster, 2, 1, RING_DOMAIN_DRIVE);
	for (unsigned i = 0; i < 4; i++)
		cluster_add(&cluster, i, 1);
	cluster_plan(&cluster);
	ck_assert_uint_eq(has(&cluster, 0), 3 * SLOTS / 4);
}
END_TEST

START_TEST(any_ring_that_can_be_read_can_be_planned_from)
{
	static uint8_t bytes[2 * 64 * RING_WIDTH_MAX + 64];
	unsigned read = 0;
	cluster_begin(&cluster, 3, 2, RING_DOMAIN_NODE);
	cluster.request.slot_count = 64;
	for (unsigned i = 0; i < 8; i++)
		cluster_add(&cluster, i, 1000 * GB);
	cluster_plan(&cluster);
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
		ck_assert_uint_le(cluster_count_moved(&damaged, &next), next.slots_len / 2);
	}
	ck_assert_uint_gt(read, 500);
}
END_TEST

START_TEST(the_same_request_gives_the_same_ring)
{
	uint64_t seed = 5;
	cluster_begin(&cluster, 4, 2, RING_DOMAIN_NODE);
	for (unsigned i = 0; i < 30; i++)
		cluster_add_random(&cluster, &seed);
	cluster_plan(&cluster);
	other = cluster;
	other.request.drives = other.drives;
	other.ring.slots = other.slots[0];
	other.request.old = &other.ring;
	cluster_add(&cluster, 40, 700 * GB);
	for (size_t i = 0; i < other.drive_count; i++) /* the same drives from the end */
		other.drives[other.drive_count - i] = cluster.drives[i];
	other.drives[0] = cluster.drives[cluster.drive_count - 1];
	other.request.drive_count = ++other.drive_count;
	ck_assert_uint_eq(cluster_plan(&cluster), cluster_plan(&other));
	ck_assert_mem_eq(cluster.ring.slots, other.ring.slots, cluster.ring.slots_len);
}
END_TEST

int main(void)
{
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
	tcase_add_test(tc, the_same_request_gives_the_same_ring);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
