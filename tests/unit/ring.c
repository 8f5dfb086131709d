/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring.h"

#include <stdlib.h>

#include "tests/lib/test.h"

#define SLOTS RING_SLOTS_DEFAULT

static uint8_t slots[SLOTS * 2 * RING_WIDTH_MAX];
static uint8_t other_slots[SLOTS * 2 * RING_WIDTH_MAX];
static struct ring_drive_info drives[64];

/* Drives on nodes, so many on each, all of one weight. */
static size_t make_drives(unsigned nodes, unsigned per_node, uint64_t weight)
{
	size_t count = 0;
	memset(drives, 0, sizeof drives);
	for (unsigned node = 0; node < nodes; node++) {
		for (unsigned i = 0; i < per_node; i++) {
			drives[count].number = count + 1;
			drives[count].node.bytes[0] = node + 1;
			drives[count].weight = weight;
			count++;
		}
	}
	return count;
}

START_TEST(profiles_grow_with_the_domains)
{
	static const uint8_t wanted[][2] = {
		{1, 0}, {1, 0}, {1, 1}, {2, 1}, {2, 2}, {3, 2}, {4, 2}, {4, 2}};
	for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
		struct ring_profile profile = ring_profile_default(i);
		ck_assert_uint_eq(profile.k, wanted[i][0]);
		ck_assert_uint_eq(profile.m, wanted[i][1]);
	}
	ck_assert_uint_eq(ring_profile_default(1000).k, 4);
	ck_assert_uint_eq(ring_profile_mirror((struct ring_profile){4, 2}).k, 1);
	ck_assert_uint_eq(ring_profile_mirror((struct ring_profile){4, 2}).m, 2);
}
END_TEST

START_TEST(equal_drives_get_equal_shares)
{
	for (unsigned nodes = 1; nodes <= 9; nodes++) {
		size_t count = make_drives(nodes, 1, 1000);
		struct ring_profile profile = ring_profile_default(nodes);
		struct ring ring;
		ck_assert_ok(ring_plan_initial(
			drives, count, profile, RING_DOMAIN_NODE, SLOTS, slots, &ring));
		ck_assert_ok(ring_check(&ring, drives, count));
		uint32_t positions = SLOTS * (profile.k + profile.m);
		for (size_t i = 0; i < count; i++) {
			uint32_t got = ring_count_drive(&ring, drives[i].number);
			ck_assert_uint_ge(got, positions / count);
			ck_assert_uint_le(got, positions / count + 1);
		}
	}
}
END_TEST

START_TEST(shares_follow_the_weights)
{
	size_t count = make_drives(8, 1, 0);
	uint64_t total = 0;
	for (size_t i = 0; i < count; i++)
		total += drives[i].weight = 1000 + 300 * i;
	struct ring ring;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){2, 1}, RING_DOMAIN_NODE, SLOTS, slots, &ring));
	ck_assert_ok(ring_check(&ring, drives, count));
	for (size_t i = 0; i < count; i++) {
		double exact = (double)drives[i].weight * SLOTS * 3 / total;
		ck_assert_double_le(ring_count_drive(&ring, drives[i].number), exact + 1);
		ck_assert_double_ge(ring_count_drive(&ring, drives[i].number), exact - 1);
	}
}
END_TEST

START_TEST(a_huge_drive_is_in_every_slot_and_no_more)
{
	size_t count = make_drives(4, 1, 1000);
	drives[2].weight = UINT64_C(1) << 60;
	struct ring ring;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){2, 1}, RING_DOMAIN_NODE, SLOTS, slots, &ring));
	ck_assert_ok(ring_check(&ring, drives, count));
	ck_assert_uint_eq(ring_count_drive(&ring, drives[2].number), SLOTS);
}
END_TEST

START_TEST(drives_of_one_node_share_its_part)
{
	size_t count = make_drives(3, 3, 1000);
	drives[0].weight = 4000;
	struct ring ring;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){2, 1}, RING_DOMAIN_NODE, SLOTS, slots, &ring));
	ck_assert_ok(ring_check(&ring, drives, count));
	ck_assert_uint_ge(ring_count_drive(&ring, 1), SLOTS * 4 / 6 - 1);
	ck_assert_uint_le(ring_count_drive(&ring, 1), SLOTS * 4 / 6 + 1);
}
END_TEST

START_TEST(zones_are_kept_apart)
{
	size_t count = make_drives(6, 1, 1000);
	for (size_t i = 0; i < count; i++)
		drives[i].zone = bytes_of(i % 2 ? "attic" : "cellar");
	struct ring ring;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){1, 1}, RING_DOMAIN_ZONE, SLOTS, slots, &ring));
	ck_assert_ok(ring_check(&ring, drives, count));
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		ck_assert_uint_ne(ring_drive(&ring, slot, 0) % 2, ring_drive(&ring, slot, 1) % 2);
	ck_assert_err(ring_plan_initial(drives, count, (struct ring_profile){2, 1},
			      RING_DOMAIN_ZONE, SLOTS, slots, &ring),
		ERR_QUORUM);
}
END_TEST

START_TEST(a_drive_is_at_each_position_about_as_often)
{
	size_t count = make_drives(6, 1, 1000);
	struct ring ring;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){4, 2}, RING_DOMAIN_NODE, SLOTS, slots, &ring));
	for (uint8_t position = 0; position < 6; position++) {
		unsigned at[7] = {0};
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			at[ring_drive(&ring, slot, position)]++;
		for (int drive = 1; drive <= 6; drive++) {
			ck_assert_uint_ge(at[drive], SLOTS / 6 * 9 / 10);
			ck_assert_uint_le(at[drive], SLOTS / 6 * 11 / 10);
		}
	}
}
END_TEST

START_TEST(many_drives_help_to_rebuild_one)
{
	size_t count = make_drives(12, 1, 1000);
	struct ring ring;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){2, 1}, RING_DOMAIN_NODE, SLOTS, slots, &ring));
	unsigned shared[13] = {0};
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		bool has_first = false;
		for (uint8_t i = 0; i < 3; i++)
			has_first |= ring_drive(&ring, slot, i) == 1;
		for (uint8_t i = 0; has_first && i < 3; i++)
			shared[ring_drive(&ring, slot, i)]++;
	}
	for (size_t i = 2; i <= 12; i++)
		ck_assert_uint_gt(shared[i], 20); /* of 256 * 2 / 11 = 46 */
}
END_TEST

START_TEST(the_order_of_the_drives_does_not_matter)
{
	size_t count = make_drives(7, 1, 1000);
	struct ring ring, other;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){3, 2}, RING_DOMAIN_NODE, SLOTS, slots, &ring));
	for (size_t i = 0; i < count / 2; i++) {
		struct ring_drive_info swap = drives[i];
		drives[i] = drives[count - 1 - i];
		drives[count - 1 - i] = swap;
	}
	ck_assert_ok(ring_plan_initial(drives, count, (struct ring_profile){3, 2}, RING_DOMAIN_NODE,
		SLOTS, other_slots, &other));
	ck_assert_mem_eq(ring.slots, other.slots, ring.slots_len);
}
END_TEST

START_TEST(the_checker_sees_what_is_wrong)
{
	size_t count = make_drives(4, 1, 1000);
	struct ring ring;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){2, 1}, RING_DOMAIN_NODE, SLOTS, slots, &ring));
	uint16_t right = ring_drive(&ring, 500, 1);
	put_le16(slots + 2 * (500 * 3 + 1), ring_drive(&ring, 500, 0));
	ck_assert_err(ring_check(&ring, drives, count), ERR_INVALID); /* twice in a slot */
	put_le16(slots + 2 * (500 * 3 + 1), 99);
	ck_assert_err(ring_check(&ring, drives, count), ERR_INVALID); /* unknown */
	put_le16(slots + 2 * (500 * 3 + 1), 0);
	ck_assert_err(ring_check(&ring, drives, count), ERR_INVALID); /* a hole */
	put_le16(slots + 2 * (500 * 3 + 1), right);
	ck_assert_ok(ring_check(&ring, drives, count));
	drives[right - 1].weight = 0;
	ck_assert_err(ring_check(&ring, drives, count), ERR_INVALID); /* takes nothing */
	drives[right - 1].weight = 1;
	drives[1].node = drives[0].node;
	ck_assert_err(ring_check(&ring, drives, count), ERR_INVALID); /* one node twice */
}
END_TEST

START_TEST(a_ring_reads_as_it_was_written)
{
	size_t count = make_drives(5, 1, 1000);
	struct ring ring, got;
	size_t len;
	ck_assert_ok(ring_plan_initial(
		drives, count, (struct ring_profile){3, 2}, RING_DOMAIN_ZONE, SLOTS, slots, &ring));
	ring.version = 77;
	ring.drive_class = 2;
	size_t cap = ring_encoded_len(&ring);
	uint8_t *bytes = malloc(cap);
	ck_assert_ok(ring_encode(&ring, bytes, cap, &len));
	ck_assert_ok(ring_decode(bytes_make(bytes, len), &got));
	ck_assert_uint_eq(got.version, 77);
	ck_assert_uint_eq(got.width, 5);
	ck_assert_uint_eq(got.profile.k, 3);
	ck_assert_uint_eq(got.domain, RING_DOMAIN_ZONE);
	ck_assert_uint_eq(got.drive_class, 2);
	ck_assert_uint_eq(got.slots_len, ring.slots_len);
	ck_assert_mem_eq(got.slots, ring.slots, ring.slots_len);
	for (size_t cut = 0; cut < len; cut += 7)
		ck_assert_err(ring_decode(bytes_make(bytes, cut), &got), ERR_INVALID);
	bytes[0] = 200;
	ck_assert_err(ring_decode(bytes_make(bytes, len), &got), ERR_VERSION);
	free(bytes);
}
END_TEST

START_TEST(slots_of_extents_are_spread)
{
	struct ring ring = {.slot_count = SLOTS};
	static unsigned hits[SLOTS];
	memset(hits, 0, sizeof hits);
	for (uint64_t counter = 0; counter < SLOTS * 64; counter++)
		hits[ring_slot(&ring, (struct extent_id){1 << 20, counter})]++;
	for (size_t i = 0; i < SLOTS; i++) {
		ck_assert_uint_gt(hits[i], 20);
		ck_assert_uint_lt(hits[i], 120);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring");
	TCase *tc = tcase_create("ring");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, profiles_grow_with_the_domains);
	tcase_add_test(tc, equal_drives_get_equal_shares);
	tcase_add_test(tc, shares_follow_the_weights);
	tcase_add_test(tc, a_huge_drive_is_in_every_slot_and_no_more);
	tcase_add_test(tc, drives_of_one_node_share_its_part);
	tcase_add_test(tc, zones_are_kept_apart);
	tcase_add_test(tc, a_drive_is_at_each_position_about_as_often);
	tcase_add_test(tc, many_drives_help_to_rebuild_one);
	tcase_add_test(tc, the_order_of_the_drives_does_not_matter);
	tcase_add_test(tc, the_checker_sees_what_is_wrong);
	tcase_add_test(tc, a_ring_reads_as_it_was_written);
	tcase_add_test(tc, slots_of_extents_are_spread);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
