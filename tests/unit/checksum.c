/* SPDX-License-Identifier: Apache-2.0 */
#include "erasure/checksum.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "erasure/checksum_priv.h"
#include "tests/lib/code_oracle.h"
#include "tests/lib/test.h"

enum { LEN_MAX = 4 * BLOCK_LEN + 1000 };

static const uint64_t seed = 0x5eed0f70e5ba4dull;

/* Random bytes that end at the end of a page. */
static uint8_t *make_bytes(size_t len)
{
	uint64_t state = 1;
	uint8_t *bytes = oracle_map(len);
	test_random_fill(&state, bytes, len);
	return bytes;
}

START_TEST(a_checksum_is_that_of_the_library)
{
	uint8_t *bytes = make_bytes(LEN_MAX);
	for (size_t len = 0; len <= 2100; len++) {
		const uint8_t *at = bytes + LEN_MAX - len;
		ck_assert_uint_eq(checksum(at, len, seed), XXH3_64bits_withSeed(at, len, seed));
	}
	for (size_t len = 2101; len <= LEN_MAX; len += 997) {
		const uint8_t *at = bytes + LEN_MAX - len;
		ck_assert_uint_eq(checksum(at, len, seed), XXH3_64bits_withSeed(at, len, seed));
	}
	oracle_unmap(bytes, LEN_MAX);
}
END_TEST

/* These are on disks: a change of any breaks what is stored. */
START_TEST(a_checksum_never_changes)
{
	uint8_t bytes[BLOCK_LEN];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = i * 31 + (i >> 8);
	ck_assert_uint_eq(checksum(bytes, 0, 0), 0x2d06800538d394c2ull);
	ck_assert_uint_eq(checksum(bytes, 100, 7), 0x9bb062d2b50c09aaull);
	ck_assert_uint_eq(checksum(bytes, 4096, 7), 0xa813a4bccd4cfc82ull);
	ck_assert_uint_eq(checksum(bytes, BLOCK_LEN, 7), 0xafa924076f28e33cull);
}
END_TEST

#if defined(__x86_64__)
START_TEST(all_instruction_sets_give_the_same_checksum)
{
	uint8_t *bytes = make_bytes(LEN_MAX);
	for (size_t len = 0; len <= LEN_MAX; len += len < 2100 ? 1 : 997) {
		const uint8_t *at = bytes + LEN_MAX - len;
		uint64_t expected = checksum_baseline(at, len, seed);
		if (__builtin_cpu_supports("avx2"))
			ck_assert_uint_eq(checksum_avx2(at, len, seed), expected);
		if (__builtin_cpu_supports("avx512f"))
			ck_assert_uint_eq(checksum_avx512(at, len, seed), expected);
	}
	oracle_unmap(bytes, LEN_MAX);
}
END_TEST
#endif

START_TEST(blocks_are_seeded_with_their_number)
{
	uint8_t *bytes = make_bytes(LEN_MAX);
	for (size_t len = 1; len <= LEN_MAX; len += 1237) {
		uint64_t sums[8];
		size_t count = checksum_block_count(len);
		ck_assert_uint_eq(count, (len + BLOCK_LEN - 1) / BLOCK_LEN);
		checksum_blocks(bytes, len, seed, 100, sums);
		for (size_t i = 0; i < count; i++) {
			size_t offset = i * BLOCK_LEN;
			size_t block_len = i + 1 < count ? BLOCK_LEN : len - offset;
			uint64_t expected = XXH3_64bits_withSeed(
				bytes + offset, block_len, seed + 100 + i);
			ck_assert_uint_eq(sums[i], expected);
		}
	}
	oracle_unmap(bytes, LEN_MAX);
}
END_TEST

START_TEST(only_the_needed_sums_are_written)
{
	uint8_t *bytes = make_bytes(LEN_MAX);
	uint64_t sums[3] = {1, 1, 1};
	checksum_blocks(bytes, BLOCK_LEN + 1, seed, 0, sums);
	ck_assert_uint_eq(sums[2], 1);
	checksum_blocks(bytes, 0, seed, 0, NULL);
	ck_assert_uint_eq(checksum_block_count(0), 0);
	ck_assert_uint_eq(checksum_blocks_verify(bytes, 0, seed, 0, NULL), 0);
	oracle_unmap(bytes, LEN_MAX);
}
END_TEST

START_TEST(good_blocks_verify)
{
	uint8_t *bytes = make_bytes(LEN_MAX);
	uint64_t sums[5];
	checksum_blocks(bytes, LEN_MAX, seed, 3, sums);
	ck_assert_uint_eq(checksum_blocks_verify(bytes, LEN_MAX, seed, 3, sums), 5);
	ck_assert_uint_eq(
		checksum_blocks_verify(bytes + BLOCK_LEN, BLOCK_LEN, seed, 4, sums + 1), 1);
	oracle_unmap(bytes, LEN_MAX);
}
END_TEST

START_TEST(one_bit_is_found_in_its_block)
{
	uint8_t *bytes = make_bytes(LEN_MAX);
	uint64_t sums[5];
	checksum_blocks(bytes, LEN_MAX, seed, 0, sums);
	uint64_t state = 2;
	for (int i = 0; i < 200; i++) {
		size_t at = test_random(&state) % LEN_MAX;
		bytes[at] ^= 1 << i % 8;
		size_t bad = checksum_blocks_verify(bytes, LEN_MAX, seed, 0, sums);
		ck_assert_uint_eq(bad, at / BLOCK_LEN);
		bytes[at] ^= 1 << i % 8;
	}
	oracle_unmap(bytes, LEN_MAX);
}
END_TEST

START_TEST(a_good_block_at_another_place_does_not_verify)
{
	uint8_t *bytes = make_bytes(LEN_MAX);
	memcpy(bytes + BLOCK_LEN, bytes, BLOCK_LEN);
	uint64_t sums[2];
	checksum_blocks(bytes, 2 * BLOCK_LEN, seed, 0, sums);
	ck_assert_uint_ne(sums[0], sums[1]);
	ck_assert_uint_eq(checksum_blocks_verify(bytes, BLOCK_LEN, seed, 1, sums), 0);
	ck_assert_uint_eq(checksum_blocks_verify(bytes, BLOCK_LEN, seed ^ 1, 0, sums), 0);
	oracle_unmap(bytes, LEN_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checksum");
	TCase *tc = tcase_create("checksum");
	tcase_add_test(tc, a_checksum_is_that_of_the_library);
	tcase_add_test(tc, a_checksum_never_changes);
#if defined(__x86_64__)
	tcase_add_test(tc, all_instruction_sets_give_the_same_checksum);
#endif
	tcase_add_test(tc, blocks_are_seeded_with_their_number);
	tcase_add_test(tc, only_the_needed_sums_are_written);
	tcase_add_test(tc, good_blocks_verify);
	tcase_add_test(tc, one_bit_is_found_in_its_block);
	tcase_add_test(tc, a_good_block_at_another_place_does_not_verify);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
