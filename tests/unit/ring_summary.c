/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring_summary.h"

#include <stdlib.h>

#include "storage/ring/ring_moves.h"
#include "storage/ring/ring_plan.h"
#include "tests/lib/test.h"

#define SLOTS RING_SLOTS_DEFAULT
#define DRIVES 40
#define GB UINT64_C(1000000000)

static struct ring_drive_info drives[DRIVES];
static struct ring_drive_space spaces[DRIVES];
static struct ring_drive_summary sums[DRIVES];
static uint64_t slot_lens[SLOTS];
static uint8_t slots[2][SLOTS * 2 * RING_WIDTH_MAX];
static struct ring rings[2];
static struct ring_summary summary;
static struct ring_summary_request request;
static size_t drive_count;

static void add_drive(unsigned node, uint64_t weight)
{
	drives[drive_count] = (struct ring_drive_info){.number = drive_count + 1, .weight = weight};
	drives[drive_count].node.bytes[0] = node + 1;
	spaces[drive_count] = (struct ring_drive_space){weight, weight};
	request.drive_count = ++drive_count;
}

static void begin(unsigned nodes, unsigned per_node)
{
	drive_count = 0;
	request = (struct ring_summary_request){
		.drives = drives, .spaces = spaces, .slot_lens = slot_lens};
	for (unsigned i = 0; i < nodes * per_node; i++)
		add_drive(i / per_node, 1000 * GB);
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		slot_lens[slot] = GB / 4 + slot;
}

static void plan(unsigned which, uint8_t k, uint8_t m, enum ring_domain domain)
{
	struct ring_plan_request plan_request = {
		.old = which == 1 ? &rings[0] : NULL,
		.drives = drives,
		.drive_count = drive_count,
		.profile = {k, m},
		.domain = domain,
		.slot_count = SLOTS,
	};
	ck_assert_ok(ring_plan(&plan_request, slots[which], &rings[which]));
	request.old = which == 1 ? &rings[0] : NULL;
	request.new = &rings[which];
}

static void summarize(void)
{
	ck_assert_ok(ring_summarize(&request, sums, &summary));
	ck_assert_ok(ring_check_summary(&request, sums, &summary));
}

/* --- bytes ------------------------------------------------------------------------------------ */

START_TEST(usable_bytes_are_those_until_the_first_drive_is_full)
{
	begin(3, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(summary.usable_after, 2000 * GB);
	ck_assert_uint_eq(summary.usable_before, 0);
	drives[1].weight = 400 * GB;
	summarize();
	ck_assert_uint_eq(summary.usable_after, 800 * GB);
}
END_TEST

START_TEST(a_new_drive_is_shown_with_what_moves_to_it)
{
	begin(4, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	add_drive(4, 1000 * GB);
	plan(1, 2, 1, RING_DOMAIN_NODE);
	request.rate = 100 * GB / 1000;
	summarize();
	ck_assert_uint_eq(sums[4].positions_before, 0);
	ck_assert_uint_eq(sums[4].positions_after, summary.move_count);
	ck_assert_uint_eq(sums[4].in_len, summary.move_len);
	ck_assert_uint_ge(summary.move_len, SLOTS * 3 / 5 * 97 / 100 * (GB / 8));
	ck_assert_uint_eq(summary.rebuild_len, 0);
	ck_assert_uint_eq(summary.recode_len, 0);
	ck_assert_uint_eq(summary.move_ms, (summary.move_len + GB / 10000 - 1) / (GB / 10000));
	ck_assert_uint_gt(summary.usable_after, summary.usable_before * 123 / 100);
	for (size_t i = 0; i < drive_count; i++)
		ck_assert_uint_eq(
			sums[i].len_after, sums[i].len_before + sums[i].in_len - sums[i].out_len);
}
END_TEST

START_TEST(a_gone_drive_is_made_anew)
{
	begin(5, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	uint64_t held = ring_count_drive(&rings[0], 5);
	request.drive_count = --drive_count;
	plan(1, 2, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(summary.move_count, held);
	ck_assert_uint_eq(summary.rebuild_len, summary.move_len);
}
END_TEST

START_TEST(a_draining_drive_counts_with_its_length_before)
{
	begin(4, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	summarize();
	uint64_t usable = summary.usable_after;
	drives[3].weight = 0;
	ck_assert_ok(ring_summarize(&request, sums, &summary)); /* how things are, until it left */
	ck_assert_uint_eq(summary.usable_after, usable);
	ck_assert_uint_eq(summary.survives_nodes, 1);
	plan(1, 2, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(summary.usable_before, usable);
	ck_assert_uint_eq(summary.usable_after, 2000 * GB);
	ck_assert_uint_eq(sums[3].positions_after, 0);
	ck_assert_uint_eq(sums[3].out_len, summary.move_len);
}
END_TEST

START_TEST(a_drive_that_is_too_full_has_no_room)
{
	begin(3, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	add_drive(3, 1000 * GB);
	plan(1, 2, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert(summary.has_room);
	spaces[3].free_len = sums[3].in_len;
	summarize();
	ck_assert(summary.has_room);
	ck_assert_uint_eq(summary.left_len, 0);
	spaces[3].free_len--;
	summarize();
	ck_assert(!summary.has_room);
}
END_TEST

START_TEST(a_drive_that_others_filled_holds_less)
{
	begin(4, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	summarize();
	uint64_t safe = summary.safe_len;
	spaces[1] = (struct ring_drive_space){.len = 300 * GB, .free_len = 100 * GB};
	summarize();
	ck_assert_uint_lt(summary.safe_len, safe);
	ck_assert_uint_eq(summary.usable_after,
		300 * GB * SLOTS * 2 / ring_count_drive(&rings[0], drives[1].number));
	spaces[1] = (struct ring_drive_space){.len = 0, .free_len = 0};
	summarize();
	ck_assert_uint_eq(summary.usable_after, 0);
	ck_assert_uint_eq(summary.left_len, 0);
}
END_TEST

START_TEST(another_profile_codes_everything_anew)
{
	begin(4, 1);
	plan(0, 1, 1, RING_DOMAIN_NODE);
	plan(1, 2, 2, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(summary.recode_len, summary.stored_len);
	ck_assert_uint_eq(summary.move_len, 0); /* both positions stay; the new ones hold nothing */
	plan(1, 1, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(summary.recode_len, 0);
}
END_TEST

START_TEST(what_is_safe_fits_without_any_one_node)
{
	begin(4, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert(summary.can_heal);
	ck_assert_uint_eq(summary.safe_len, 2000 * GB);
	ck_assert_uint_ge(summary.usable_after, 2660 * GB);
	drives[0].weight = 4000 * GB; /* the others are as safe without it */
	plan(0, 2, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(summary.safe_len, 2000 * GB);
	begin(4, 1);
	drives[0].weight = 1; /* too small to be in the ring; the node's other drive is in it */
	add_drive(0, 4000 * GB);
	plan(0, 1, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(sums[0].positions_after, 0);
	ck_assert_uint_le(summary.safe_len, 1500 * GB); /* 2000 without any other node */
	ck_assert_uint_ge(summary.safe_len, 1490 * GB);
	begin(3, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert(!summary.can_heal);
	ck_assert_uint_eq(summary.safe_len, summary.usable_after);
}
END_TEST

START_TEST(what_survives_depends_on_where_drives_are)
{
	begin(1, 4);
	plan(0, 2, 2, RING_DOMAIN_DRIVE);
	summarize();
	ck_assert_uint_eq(summary.survives, 2);
	ck_assert_uint_eq(summary.survives_drives, 2);
	ck_assert_uint_eq(summary.survives_nodes, 0);
	begin(2, 2); /* two of each slot on each node */
	plan(0, 2, 2, RING_DOMAIN_DRIVE);
	summarize();
	ck_assert_uint_eq(summary.survives_drives, 2);
	ck_assert_uint_eq(summary.survives_nodes, 1);
	begin(4, 1);
	for (unsigned i = 0; i < 4; i++)
		drives[i].zone = bytes_of(i < 2 ? "attic" : "cellar");
	plan(0, 2, 2, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(summary.survives_nodes, 2);
	ck_assert_uint_eq(summary.survives_zones, 1);
	plan(0, 3, 1, RING_DOMAIN_NODE);
	summarize();
	ck_assert_uint_eq(summary.survives_nodes, 1);
	ck_assert_uint_eq(summary.survives_zones, 0);
}
END_TEST

/* --- the checker ------------------------------------------------------------------------------ */

START_TEST(figures_that_are_wrong_are_refused)
{
	begin(5, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	add_drive(5, 700 * GB);
	plan(1, 2, 1, RING_DOMAIN_NODE);
	summarize();
	uint64_t *const lens[] = {
		&summary.usable_after, &summary.move_len, &sums[2].out_len, &sums[5].in_len};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		for (int by = -1; by <= 1; by += 2) {
			*lens[i] += by;
			ck_assert_err(ring_check_summary(&request, sums, &summary), ERR_INVALID);
			*lens[i] -= by;
		}
	}
	summary.move_count++;
	ck_assert_err(ring_check_summary(&request, sums, &summary), ERR_INVALID);
	summary.move_count--;
	ck_assert_ok(ring_check_summary(&request, sums, &summary));
}
END_TEST

START_TEST(a_broken_table_is_refused)
{
	begin(6, 2);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	summarize();
	uint64_t seed = 3;
	for (int i = 0; i < 200; i++) {
		uint32_t slot = test_random(&seed) % SLOTS;
		uint8_t a = test_random(&seed) % 3;
		uint8_t b = (a + 1 + test_random(&seed) % 2) % 3;
		uint16_t number = ring_drive(&rings[0], slot, b);
		uint16_t bad = i % 2 ? (number - 1) % 2 ? number - 1 : number + 1 : 0;
		uint16_t right = ring_drive(&rings[0], slot, a);
		put_le16(slots[0] + 2 * (slot * 3 + a), bad); /* its neighbour's node, or none */
		ck_assert_err(ring_check_summary(&request, sums, &summary), ERR_INVALID);
		put_le16(slots[0] + 2 * (slot * 3 + a), right);
	}
	/* A table that is fine as such, but is not the one that was summed up. */
	uint16_t moved = ring_drive(&rings[0], 0, 0);
	uint16_t other = (moved - 1) % 2 ? moved - 1 : moved + 1;
	put_le16(slots[0], other);
	ck_assert_ok(ring_check(&rings[0], drives, drive_count));
	drives[other - 1].weight /= 2;
	ck_assert_err(ring_check_summary(&request, sums, &summary), ERR_INVALID);
}
END_TEST

START_TEST(random_changes_add_up)
{
	uint64_t seed = 11;
	for (int round = 0; round < 40; round++) {
		begin(0, 0);
		unsigned count = 4 + test_random(&seed) % 12;
		for (unsigned i = 0; i < count; i++)
			add_drive(i, (1 + test_random(&seed) % 40) * 100 * GB);
		plan(0, 2, 1, RING_DOMAIN_NODE);
		for (int i = 0; i < 3; i++)
			drives[test_random(&seed) % (count - 3)].weight = 0;
		add_drive(count, 500 * GB);
		add_drive(count + 1, 500 * GB);
		add_drive(count + 2, 500 * GB);
		plan(1, 2 + round % 2, 1, RING_DOMAIN_NODE);
		summarize();
		uint64_t in = 0, out = 0;
		for (size_t i = 0; i < drive_count; i++) {
			in += sums[i].in_len;
			out += sums[i].out_len;
		}
		ck_assert_uint_eq(in, summary.move_len);
		ck_assert_uint_eq(out + summary.rebuild_len, summary.move_len);
	}
}
END_TEST

/* --- what if ---------------------------------------------------------------------------------- */

static struct ring_outlook simulate(size_t failed_count)
{
	static const uint16_t failed[] = {1, 2, 3, 4};
	struct ring_outlook outlook;
	ring_simulate(&rings[0], failed, failed_count, slot_lens, &outlook);
	ck_assert_uint_eq(outlook.readable + outlook.unreadable, SLOTS);
	ck_assert_uint_eq(outlook.writable + outlook.narrowed + outlook.stopped, SLOTS);
	return outlook;
}

START_TEST(three_nodes_narrow_without_one_and_stop_without_two)
{
	begin(3, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	summarize();
	struct ring_outlook outlook = simulate(0);
	ck_assert_uint_eq(outlook.writable, SLOTS);
	ck_assert_uint_eq(outlook.safe, SLOTS);
	ck_assert_uint_eq(outlook.unsafe_len, 0);
	outlook = simulate(1);
	ck_assert_uint_eq(outlook.readable, SLOTS);
	ck_assert_uint_eq(outlook.narrowed, SLOTS);
	ck_assert_uint_eq(outlook.safe, 0);
	ck_assert_uint_eq(outlook.unsafe_len, summary.stored_len);
	outlook = simulate(2);
	ck_assert_uint_eq(outlook.unreadable, SLOTS);
	ck_assert_uint_eq(outlook.stopped, SLOTS);
	ck_assert_uint_eq(outlook.unsafe_len, 0);
	ck_assert_uint_eq(outlook.unreadable_len, summary.stored_len);
}
END_TEST

START_TEST(four_nodes_write_on_without_one)
{
	begin(4, 1);
	plan(0, 2, 2, RING_DOMAIN_NODE);
	struct ring_outlook outlook = simulate(1);
	ck_assert_uint_eq(outlook.writable, SLOTS);
	ck_assert_uint_eq(outlook.safe, SLOTS);
	outlook = simulate(2);
	ck_assert_uint_eq(outlook.narrowed, SLOTS);
	ck_assert_uint_eq(outlook.safe, 0);
}
END_TEST

START_TEST(a_profile_without_parity_loses_what_the_drive_had)
{
	begin(4, 1);
	plan(0, 1, 0, RING_DOMAIN_NODE);
	struct ring_outlook outlook = simulate(0);
	ck_assert_uint_eq(outlook.writable, SLOTS);
	ck_assert_uint_eq(outlook.safe, 0);
	outlook = simulate(1);
	ck_assert_uint_eq(outlook.unreadable, ring_count_drive(&rings[0], 1));
	ck_assert_uint_eq(outlook.stopped, outlook.unreadable);
	ck_assert_uint_eq(outlook.writable, SLOTS - outlook.stopped);
}
END_TEST

/* --- durability ------------------------------------------------------------------------------- */

static struct ring_durability durability(double afr, double repair_hours)
{
	struct ring_durability_assumptions assumptions = {.afr = afr, .wait_hours = repair_hours};
	struct ring_durability got;
	ck_assert_ok(ring_durability(&rings[0], false, &assumptions, &got));
	return got;
}

START_TEST(durability_is_what_was_worked_out_by_hand)
{
	static const struct {
		uint8_t k, m;
		double hours, loss;
		uint8_t nines;
	} cases[] = {
		{2, 1, 6, 1.7e-6, 5},
		{2, 1, 168, 4.7e-5, 4},
		{2, 2, 24, 1.5e-9, 8},
		{3, 2, 168, 1.8e-7, 6},
		{4, 2, 24, 7.4e-9, 8},
		{3, 3, 6, 1.9e-14, 13},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		begin(cases[i].k + cases[i].m, 1);
		plan(0, cases[i].k, cases[i].m, RING_DOMAIN_NODE);
		struct ring_durability got = durability(0.02, cases[i].hours);
		ck_assert_double_ge(got.slot_loss, cases[i].loss * 0.96);
		ck_assert_double_le(got.slot_loss, cases[i].loss * 1.04);
		ck_assert_uint_eq(got.group_count, 1);
		ck_assert_double_eq(got.any_loss, got.slot_loss);
		ck_assert_uint_eq(got.nines, cases[i].nines);
	}
}
END_TEST

/* Chance in (0, 1]. */
static double chance(uint64_t *seed)
{
	return ((test_random(seed) >> 11) + 1) / 9007199254740992.0;
}

/* Years in steps of an hour, with units that fail and one at a time repaired by chance. */
START_TEST(durability_is_what_dice_say)
{
	begin(4, 1);
	plan(0, 2, 2, RING_DOMAIN_NODE);
	double want = durability(0.9, 300).slot_loss;
	double rate = 2.302585 / 8766; /* -ln(1 - 0.9) a year */
	uint64_t seed = 9;
	unsigned lost = 0, years = 4000;
	for (unsigned year = 0; year < years; year++) {
		unsigned down = 0;
		for (unsigned hour = 0; hour < 8766 && down < 3; hour++) {
			double dice = chance(&seed);
			if (dice < (4 - down) * rate)
				down++;
			else if (down > 0 && dice > 1 - 1.0 / 300)
				down--;
		}
		lost += down == 3;
	}
	/* Losses by dice begin a little later than at a steady rate: all is whole at first. */
	ck_assert_double_ge((double)lost / years, want * 0.85);
	ck_assert_double_le((double)lost / years, want * 1.05);
}
END_TEST

START_TEST(more_sets_of_drives_are_more_ways_to_lose)
{
	begin(12, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	struct ring_durability got = durability(0.02, 24);
	ck_assert_uint_gt(got.group_count, 180); /* of 220, 1024 times drawn */
	ck_assert_uint_le(got.group_count, 220);
	ck_assert_double_ge(got.any_loss, got.slot_loss * got.group_count * 0.99);
	ck_assert_double_le(got.any_loss, got.slot_loss * got.group_count);
	struct ring_durability_assumptions assumptions = RING_DURABILITY_DEFAULT;
	struct ring_durability waits, heals;
	ck_assert_ok(ring_durability(&rings[0], false, &assumptions, &waits));
	ck_assert_ok(ring_durability(&rings[0], true, &assumptions, &heals));
	ck_assert_double_eq(waits.repair_hours, 7 * 24 + 12);
	ck_assert_double_eq(heals.repair_hours, 24 + 12);
	ck_assert_double_lt(heals.any_loss, waits.any_loss / 4);
	assumptions.afr = 1;
	ck_assert_err(ring_durability(&rings[0], true, &assumptions, &heals), ERR_INVALID);
	assumptions.afr = 0;
	ck_assert_err(ring_durability(&rings[0], true, &assumptions, &heals), ERR_INVALID);
}
END_TEST

/* --- moves ------------------------------------------------------------------------------------ */

static struct ring_move moves[SLOTS * RING_WIDTH_MAX];

START_TEST(moves_turn_one_ring_into_the_other)
{
	begin(7, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	add_drive(7, 2000 * GB);
	drives[2].weight = 0;
	plan(1, 2, 2, RING_DOMAIN_NODE);
	summarize();
	size_t count;
	ck_assert_ok(ring_moves(&rings[0], &rings[1], moves, &count));
	ck_assert_uint_eq(count, summary.move_count);
	for (size_t i = 0; i < count; i++) {
		uint8_t *place = slots[0] + 2 * (moves[i].slot * 3 + moves[i].shard);
		ck_assert_uint_ne(moves[i].from, moves[i].to);
		ck_assert_uint_eq(get_le16(place), moves[i].from);
		put_le16(place, moves[i].to);
	}
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		for (uint8_t i = 0; i < 3; i++)
			ck_assert_uint_eq(
				ring_drive(&rings[0], slot, i), ring_drive(&rings[1], slot, i));
	}
	ck_assert_ok(ring_moves(&rings[1], &rings[1], moves, &count));
	ck_assert_uint_eq(count, 0);
	rings[0].slot_count /= 2;
	ck_assert_err(ring_moves(&rings[0], &rings[1], moves, &count), ERR_INVALID);
}
END_TEST

START_TEST(any_part_of_the_moves_uses_the_drives_as_the_whole_does)
{
	begin(10, 1);
	plan(0, 2, 1, RING_DOMAIN_NODE);
	drives[0].weight = 0;
	for (unsigned i = 10; i < 14; i++)
		add_drive(i, 1000 * GB);
	plan(1, 2, 1, RING_DOMAIN_NODE);
	summarize();
	size_t count;
	ck_assert_ok(ring_moves(&rings[0], &rings[1], moves, &count));
	unsigned out[15] = {0}, in[15] = {0};
	for (size_t i = 0; i < count; i++) {
		out[moves[i].from]++;
		in[moves[i].to]++;
	}
	for (size_t part = 0; part < 8; part++) {
		unsigned part_out[15] = {0}, part_in[15] = {0};
		for (size_t i = part * count / 8; i < (part + 1) * count / 8; i++) {
			part_out[moves[i].from]++;
			part_in[moves[i].to]++;
		}
		for (size_t drive = 1; drive < 15; drive++) {
			ck_assert_double_le(part_out[drive], out[drive] / 8.0 * 1.3 + 3);
			ck_assert_double_ge(part_out[drive], out[drive] / 8.0 * 0.7 - 3);
			ck_assert_double_le(part_in[drive], in[drive] / 8.0 * 1.3 + 3);
			ck_assert_double_ge(part_in[drive], in[drive] / 8.0 * 0.7 - 3);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_summary");
	TCase *tc = tcase_create("ring_summary");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, usable_bytes_are_those_until_the_first_drive_is_full);
	tcase_add_test(tc, a_new_drive_is_shown_with_what_moves_to_it);
	tcase_add_test(tc, a_gone_drive_is_made_anew);
	tcase_add_test(tc, a_draining_drive_counts_with_its_length_before);
	tcase_add_test(tc, a_drive_that_is_too_full_has_no_room);
	tcase_add_test(tc, a_drive_that_others_filled_holds_less);
	tcase_add_test(tc, another_profile_codes_everything_anew);
	tcase_add_test(tc, what_is_safe_fits_without_any_one_node);
	tcase_add_test(tc, what_survives_depends_on_where_drives_are);
	tcase_add_test(tc, figures_that_are_wrong_are_refused);
	tcase_add_test(tc, a_broken_table_is_refused);
	tcase_add_test(tc, random_changes_add_up);
	tcase_add_test(tc, three_nodes_narrow_without_one_and_stop_without_two);
	tcase_add_test(tc, four_nodes_write_on_without_one);
	tcase_add_test(tc, a_profile_without_parity_loses_what_the_drive_had);
	tcase_add_test(tc, durability_is_what_was_worked_out_by_hand);
	tcase_add_test(tc, durability_is_what_dice_say);
	tcase_add_test(tc, more_sets_of_drives_are_more_ways_to_lose);
	tcase_add_test(tc, moves_turn_one_ring_into_the_other);
	tcase_add_test(tc, any_part_of_the_moves_uses_the_drives_as_the_whole_does);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
