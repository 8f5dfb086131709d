/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel_seal.h"

#include "tests/lib/test.h"

/* One direction of a link, and that a nonce is used once (K6). */

static const uint8_t key[CHANNEL_KEY_LEN] = {1, 2, 3};
static struct channel_seal out, in;
static uint8_t plain[1000], wire[1000], read_back[1000], tag[CHANNEL_TAG_LEN];

static void set_up(enum channel_cipher cipher)
{
	uint64_t seed = 5;
	test_random_fill(&seed, plain, sizeof plain);
	ck_assert_ok(channel_seal_init(&out, cipher, true, key));
	ck_assert_ok(channel_seal_init(&in, cipher, false, key));
}

static void tear_down(void)
{
	channel_seal_fini(&out);
	channel_seal_fini(&in);
}

static enum err carry(size_t len, struct bytes clear)
{
	ck_assert_ok(channel_seal_put(&out, clear, plain, len, wire, tag));
	return channel_seal_get(&in, clear, wire, len, read_back, tag);
}

START_TEST(a_record_opens_as_it_was_and_only_in_its_place)
{
	set_up(_i);
	for (size_t len = 0; len < sizeof plain; len += 111) {
		ck_assert_ok(carry(len, bytes_of("clear")));
		ck_assert_mem_eq(read_back, plain, len);
	}
	bool is_clear = _i == CHANNEL_AES_128_GMAC || _i == CHANNEL_POLY1305;
	ck_assert_ok(carry(500, bytes_of("")));
	ck_assert_int_eq(memcmp(wire, plain, 500) == 0, is_clear);
	/* Again. */
	ck_assert_err(channel_seal_get(&in, bytes_of(""), wire, 500, read_back, tag), ERR_CHECKSUM);
	tear_down();
}
END_TEST

START_TEST(every_changed_bit_is_noticed)
{
	for (size_t i = 0; i < 40 + CHANNEL_TAG_LEN + 1; i++) {
		set_up(_i);
		uint8_t clear = 0;
		ck_assert_ok(channel_seal_put(&out, bytes_make(&clear, 1), plain, 40, wire, tag));
		if (i < 40)
			wire[i] ^= 1 << i % 8;
		else if (i < 40 + CHANNEL_TAG_LEN)
			tag[i - 40] ^= 1 << i % 8;
		else
			clear = 1;
		ck_assert_err(
			channel_seal_get(&in, bytes_make(&clear, 1), wire, 40, read_back, tag),
			ERR_CHECKSUM);
		tear_down();
	}
}
END_TEST

START_TEST(both_ends_change_keys_at_the_same_record)
{
	uint8_t before[CHANNEL_KEY_LEN];
	set_up(_i);
	memcpy(before, out.chain, sizeof before);
	out.counter = in.counter = CHANNEL_REKEY_RECORDS - 2;
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_ok(carry(100, bytes_of("x")));
		bool is_new = memcmp(out.chain, before, sizeof before) != 0;
		ck_assert_int_eq(is_new, i >= 2);
		ck_assert_mem_eq(out.chain, in.chain, sizeof before);
	}
	/* A record that is skipped counts as well. */
	out.counter = in.counter = 2 * CHANNEL_REKEY_RECORDS;
	ck_assert_ok(channel_seal_put(&out, bytes_of(""), plain, 10, wire, tag));
	ck_assert_ok(channel_seal_skip(&in));
	ck_assert_ok(carry(100, bytes_of("x")));
	tear_down();
}
END_TEST

START_TEST(a_direction_ends_before_its_counter_wraps)
{
	set_up(_i);
	out.counter = in.counter = CHANNEL_RECORDS_MAX - 1;
	ck_assert_ok(carry(10, bytes_of("")));
	ck_assert_err(channel_seal_put(&out, bytes_of(""), plain, 10, wire, tag), ERR_LIMIT);
	ck_assert_err(channel_seal_skip(&in), ERR_LIMIT);
	tear_down();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("channel_seal");
	TCase *tcase = tcase_create("channel_seal");
	int from = CHANNEL_AES_128_GCM, to = CHANNEL_CIPHER_END;
	tcase_add_loop_test(tcase, a_record_opens_as_it_was_and_only_in_its_place, from, to);
	tcase_add_loop_test(tcase, every_changed_bit_is_noticed, from, to);
	tcase_add_loop_test(tcase, both_ends_change_keys_at_the_same_record, from, to);
	tcase_add_loop_test(tcase, a_direction_ends_before_its_counter_wraps, from, to);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
