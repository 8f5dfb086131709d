/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of stored bodies: where they lie, how they are zipped and sealed, and what is not one. */
#include <stdlib.h>
#include <string.h>

#include "storage/object/frame_seal.h"
#include "storage/object/frame_zip.h"
#include "tests/lib/test.h"

static const struct frame_key key = {{1, 2, 3}, {4, 5, 6}};
static struct frame_zip zip;

static void teardown(void)
{
	frame_zip_fini(&zip);
}

/* --- where they lie --------------------------------------------------------------------------- */

START_TEST(frames_of_a_sealed_body_lie_where_their_numbers_say)
{
	static const uint64_t lens[] = {
		1, FRAME_LEN - 1, FRAME_LEN, FRAME_LEN + 1, 10 * FRAME_LEN + 17, UINT64_C(5) << 30};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		struct frame_form form = {lens[i], frame_sealed_len(lens[i]), false, true};
		uint64_t count = frame_count(lens[i]);
		struct frame_walk walk;
		struct frame frame;
		ck_assert_ok(frame_walk_start(&walk, &form, (struct bytes){0}, count - 1));
		ck_assert_ok(frame_walk_next(&walk, &frame));
		ck_assert_uint_eq(frame.offset, (count - 1) * (FRAME_LEN + FRAME_TAG_LEN));
		ck_assert_uint_eq(frame.len, lens[i] - (count - 1) * FRAME_LEN);
		ck_assert_uint_eq(frame.payload_len, frame.len);
		ck_assert(frame.is_last && !frame.is_zipped);
		ck_assert_int_eq(frame_walk_next(&walk, &frame), ERR_END);
		ck_assert_int_eq(
			frame_walk_start(&walk, &form, (struct bytes){0}, count), ERR_CORRUPT);
	}
}
END_TEST

START_TEST(frames_of_a_zipped_body_lie_where_the_table_says)
{
	const uint64_t count = 3 * FRAME_WINDOW + 5;
	uint8_t *bytes = malloc(count * FRAME_TABLE_ENTRY_LEN);
	struct bytes table = {bytes, count * FRAME_TABLE_ENTRY_LEN};
	uint64_t sum = 0;
	for (uint64_t i = 0; i < count; i++) {
		frame_table_set(bytes, i, 1 + i % 1000);
		sum += 1 + i % 1000 + FRAME_TAG_LEN;
	}
	struct frame_form form = {count * FRAME_LEN, sum, true, true};
	for (uint64_t first = 0; first < count; first += 700) {
		struct frame_walk walk;
		struct frame frame;
		uint64_t offset = 0;
		for (uint64_t i = 0; i < first; i++)
			offset += 1 + i % 1000 + FRAME_TAG_LEN;
		ck_assert_ok(frame_walk_start(&walk, &form, table, first));
		for (uint64_t i = first; i < count; i++) {
			enum err err = frame_walk_next(&walk, &frame);
			if (err == ERR_BUSY) {
				ck_assert_ok(frame_walk_show(&walk, table));
				err = frame_walk_next(&walk, &frame);
			}
			ck_assert_ok(err);
			ck_assert_uint_eq(frame.number, i);
			ck_assert_uint_eq(frame.offset, offset);
			ck_assert_uint_eq(frame.payload_len, 1 + i % 1000);
			ck_assert(frame.is_zipped);
			offset += frame.payload_len + FRAME_TAG_LEN;
		}
		ck_assert_int_eq(frame_walk_next(&walk, &frame), ERR_END);
	}
	free(bytes);
}
END_TEST

START_TEST(a_table_that_makes_no_sense_is_damage)
{
	uint8_t bytes[2 * FRAME_TABLE_ENTRY_LEN];
	struct bytes table = {bytes, sizeof bytes};
	struct frame_form form = {FRAME_LEN + 100, 1100, true, false};
	struct frame_walk walk;
	struct frame frame;
	frame_table_set(bytes, 0, 1000);
	frame_table_set(bytes, 1, 100);
	ck_assert_ok(frame_walk_start(&walk, &form, table, 1));
	ck_assert_ok(frame_walk_next(&walk, &frame));
	ck_assert(!frame.is_zipped);
	frame_table_set(bytes, 1, 101); /* longer than the frame */
	ck_assert_ok(frame_walk_start(&walk, &form, table, 1));
	ck_assert_int_eq(frame_walk_next(&walk, &frame), ERR_CORRUPT);
	frame_table_set(bytes, 1, 100);
	form.stored_len = 1099; /* behind the end */
	ck_assert_ok(frame_walk_start(&walk, &form, table, 1));
	ck_assert_int_eq(frame_walk_next(&walk, &frame), ERR_CORRUPT);
	form.stored_len = 1100;
	table.len--;
	ck_assert_int_eq(frame_walk_start(&walk, &form, table, 0), ERR_CORRUPT);
	form.len = 0;
	ck_assert_int_eq(frame_walk_start(&walk, &form, (struct bytes){0}, 0), ERR_CORRUPT);
}
END_TEST

/* --- zipped ----------------------------------------------------------------------------------- */

START_TEST(what_is_zipped_comes_back_and_what_does_not_pay_is_left)
{
	uint8_t in[FRAME_LEN], out[FRAME_LEN], back[FRAME_LEN];
	static const size_t lens[] = {1, 100, 4096, FRAME_LEN};
	uint64_t state = 1;
	size_t len;
	memset(in, 'a', sizeof in);
	for (size_t i = 1; i < ARRAY_COUNT(lens); i++) {
		ck_assert_ok(frame_zip_deflate(&zip, in, lens[i], out, &len));
		ck_assert_uint_lt(len, lens[i]);
		ck_assert_ok(frame_zip_inflate(&zip, out, len, back, lens[i]));
		ck_assert(memcmp(in, back, lens[i]) == 0);
		ck_assert_int_eq(frame_zip_inflate(&zip, out, len, back, lens[i] - 1), ERR_CORRUPT);
		ck_assert_int_eq(frame_zip_inflate(&zip, out, len - 1, back, lens[i]), ERR_CORRUPT);
	}
	test_random_fill(&state, in, sizeof in);
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++)
		ck_assert_int_eq(frame_zip_deflate(&zip, in, lens[i], out, &len), ERR_LIMIT);
}
END_TEST

START_TEST(what_did_not_pay_for_long_is_tried_seldom)
{
	struct frame_zip_guess guess = {0};
	unsigned tries = 0;
	for (unsigned i = 0; i < 1000; i++)
		if (frame_zip_should_try(&guess)) {
			tries++;
			frame_zip_tell(&guess, false);
		}
	ck_assert_uint_ge(tries, 1000 / (FRAME_ZIP_SKIPS_MAX + 1));
	ck_assert_uint_le(tries, 30);
	while (!frame_zip_should_try(&guess))
		;
	frame_zip_tell(&guess, true);
	ck_assert(frame_zip_should_try(&guess));
}
END_TEST

/* --- sealed ----------------------------------------------------------------------------------- */

static void seal(
	const struct frame_key *by, const struct frame *frame, const uint8_t *in, uint8_t *out)
{
	struct frame_seal seal;
	ck_assert_ok(frame_seal_init(&seal, by, false));
	frame_seal_begin(&seal, frame);
	frame_seal_run(&seal, in, frame->payload_len, out);
	frame_seal_end(&seal, out + frame->payload_len);
	frame_seal_fini(&seal);
}

/* Opened in two pieces. */
static enum err open(
	const struct frame_key *by, const struct frame *frame, const uint8_t *in, uint8_t *out)
{
	struct frame_seal seal;
	size_t half = frame->payload_len / 2;
	ck_assert_ok(frame_seal_init(&seal, by, true));
	frame_seal_begin(&seal, frame);
	frame_seal_run(&seal, in, half, out);
	frame_seal_run(&seal, in + half, frame->payload_len - half, out + half);
	enum err err = frame_seal_check(&seal, in + frame->payload_len);
	frame_seal_fini(&seal);
	return err;
}

static const struct frame place = {.number = 7, .len = 1000, .payload_len = 1000};

START_TEST(a_frame_is_opened_by_its_key_in_its_place_alone)
{
	uint8_t in[1000], sealed[1000 + FRAME_TAG_LEN], back[1000];
	memset(in, 'x', sizeof in);
	seal(&key, &place, in, sealed);
	ck_assert(memcmp(in, sealed, 16) != 0);
	ck_assert_ok(open(&key, &place, sealed, back));
	ck_assert(memcmp(in, back, sizeof in) == 0);

	struct frame other = place;
	other.number = 8;
	ck_assert_int_eq(open(&key, &other, sealed, back), ERR_CHECKSUM);
	other = place;
	other.is_last = true;
	ck_assert_int_eq(open(&key, &other, sealed, back), ERR_CHECKSUM);
	other = place;
	other.is_zipped = true;
	ck_assert_int_eq(open(&key, &other, sealed, back), ERR_CHECKSUM);
	other = place;
	other.len++;
	ck_assert_int_eq(open(&key, &other, sealed, back), ERR_CHECKSUM);
	other = place;
	other.payload_len--;
	ck_assert_int_eq(open(&key, &other, sealed, back), ERR_CHECKSUM);

	struct frame_key stranger = key;
	stranger.key[31] ^= 1;
	ck_assert_int_eq(open(&stranger, &place, sealed, back), ERR_CHECKSUM);
	stranger = key;
	stranger.id[15] ^= 1;
	ck_assert_int_eq(open(&stranger, &place, sealed, back), ERR_CHECKSUM);
}
END_TEST

START_TEST(every_changed_bit_of_a_frame_is_seen)
{
	uint8_t in[100], sealed[100 + FRAME_TAG_LEN], back[100];
	struct frame frame = {.len = 100, .payload_len = 100, .is_last = true};
	memset(in, 'x', sizeof in);
	seal(&key, &frame, in, sealed);
	for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
		sealed[bit / 8] ^= 1 << bit % 8;
		ck_assert_int_eq(open(&key, &frame, sealed, back), ERR_CHECKSUM);
		sealed[bit / 8] ^= 1 << bit % 8;
	}
	ck_assert_ok(open(&key, &frame, sealed, back));
}
END_TEST

START_TEST(no_two_frames_are_sealed_alike)
{
	uint8_t in[64] = {0}, first[64 + FRAME_TAG_LEN], second[64 + FRAME_TAG_LEN];
	struct frame frame = {.len = 64, .payload_len = 64};
	seal(&key, &frame, in, first);
	frame.number = 1;
	seal(&key, &frame, in, second);
	ck_assert(memcmp(first, second, 64) != 0);
}
END_TEST

START_TEST(a_key_is_unwrapped_by_what_wrapped_it_alone)
{
	uint8_t by[FRAME_KEY_LEN] = {9}, wrapped[FRAME_WRAPPED_LEN];
	struct frame_key got;
	ck_assert_ok(frame_key_wrap(&key, by, wrapped));
	ck_assert_ok(frame_key_unwrap(wrapped, by, key.id, &got));
	ck_assert(memcmp(&got, &key, sizeof got) == 0);
	by[0] ^= 1;
	ck_assert_int_eq(frame_key_unwrap(wrapped, by, key.id, &got), ERR_CHECKSUM);
	by[0] ^= 1;
	uint8_t id[FRAME_ID_LEN] = {0};
	ck_assert_int_eq(frame_key_unwrap(wrapped, by, id, &got), ERR_CHECKSUM);
	wrapped[3] ^= 1;
	ck_assert_int_eq(frame_key_unwrap(wrapped, by, key.id, &got), ERR_CHECKSUM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame");
	TCase *tcase = tcase_create("frame");
	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, frames_of_a_sealed_body_lie_where_their_numbers_say);
	tcase_add_test(tcase, frames_of_a_zipped_body_lie_where_the_table_says);
	tcase_add_test(tcase, a_table_that_makes_no_sense_is_damage);
	tcase_add_test(tcase, what_is_zipped_comes_back_and_what_does_not_pay_is_left);
	tcase_add_test(tcase, what_did_not_pay_for_long_is_tried_seldom);
	tcase_add_test(tcase, a_frame_is_opened_by_its_key_in_its_place_alone);
	tcase_add_test(tcase, every_changed_bit_of_a_frame_is_seen);
	tcase_add_test(tcase, no_two_frames_are_sealed_alike);
	tcase_add_test(tcase, a_key_is_unwrapped_by_what_wrapped_it_alone);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
