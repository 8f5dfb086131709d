/* SPDX-License-Identifier: Apache-2.0 */
#include "erasure/code.h"

#include <stdlib.h>
#include <string.h>

#include "erasure/checksum.h"
#include "tests/lib/code_oracle.h"
#include "tests/lib/test.h"

/* Units whose last byte is the last one of a page. Before the first byte is a canary. */
enum { CANARY_LEN = 64, CANARY = 0xc5 };

struct units {
	unsigned count;
	size_t len;
	uint8_t *at[CODE_UNITS_MAX];
};

/* k units of random bytes, and m of them full of junk. */
static void units_make(struct units *units, unsigned k, unsigned m, size_t len)
{
	uint64_t state = k * 1000003 + m * 1009 + len;
	units->count = k + m;
	units->len = len;
	for (unsigned i = 0; i < units->count; i++) {
		uint8_t *start = oracle_map(CANARY_LEN + len);
		memset(start, CANARY, CANARY_LEN);
		units->at[i] = start + CANARY_LEN;
		test_random_fill(&state, units->at[i], len);
	}
}

static void units_end(struct units *units)
{
	for (unsigned i = 0; i < units->count; i++) {
		uint8_t *start = units->at[i] - CANARY_LEN;
		for (unsigned j = 0; j < CANARY_LEN; j++) {
			if (start[j] != CANARY)
				ck_abort_msg("byte %u before unit %u was written", j, i);
		}
		oracle_unmap(start, CANARY_LEN + units->len);
	}
}

static void check_parity(const struct units *units, unsigned k)
{
	for (unsigned i = k; i < units->count; i++) {
		for (size_t at = 0; at < units->len; at++) {
			uint8_t expected = oracle_parity(units->at, k, i - k, at);
			if (units->at[i][at] != expected)
				ck_abort_msg("%u+%u: unit %u differs at %zu of %zu", k,
					units->count - k, i, at, units->len);
		}
	}
}

static void check_encode(unsigned k, unsigned m, size_t len)
{
	struct code code;
	struct units units;
	code_init(&code, k, m);
	units_make(&units, k, m, len);
	code_encode(&code, units.at, len);
	check_parity(&units, k);
	units_end(&units);
}

START_TEST(each_square_part_of_the_matrix_has_an_inverse)
{
	struct code code;
	code_init(&code, CODE_DATA_MAX, CODE_PARITY_MAX);
	for (uint32_t rows = 1; rows < 1 << CODE_PARITY_MAX; rows++) {
		unsigned size = __builtin_popcount(rows);
		for (uint32_t columns = 1; columns < 1 << CODE_DATA_MAX; columns++) {
			if (__builtin_popcount(columns) != size)
				continue;
			uint8_t part[CODE_PARITY_MAX * CODE_PARITY_MAX];
			unsigned count = 0;
			for (unsigned r = 0; r < CODE_PARITY_MAX; r++) {
				for (unsigned c = 0; c < CODE_DATA_MAX; c++) {
					if (rows >> r & 1 && columns >> c & 1)
						part[count++] = code.matrix[r * CODE_DATA_MAX + c];
				}
			}
			ck_assert_uint_eq(oracle_rank(part, size, size), size);
		}
	}
}
END_TEST

START_TEST(the_oracle_sees_a_matrix_without_inverse)
{
	uint8_t twice[4] = {3, 7, oracle_multiply(3, 5), oracle_multiply(7, 5)};
	ck_assert_uint_eq(oracle_rank(twice, 2, 2), 1);
	ck_assert_uint_eq(oracle_multiply(0x80, 2), 0x1d);
}
END_TEST

START_TEST(the_matrix_is_powers_of_two_for_every_code)
{
	for (unsigned k = 1; k <= CODE_DATA_MAX; k++) {
		for (unsigned m = 0; m <= CODE_PARITY_MAX; m++) {
			struct code code;
			code_init(&code, k, m);
			for (unsigned i = 0; i < k * m; i++)
				ck_assert_uint_eq(code.matrix[i], oracle_coefficient(i / k, i % k));
		}
	}
}
END_TEST

START_TEST(parity_is_that_of_the_oracle)
{
	static const size_t lens[] = {1, 31, 32, 33, 64, 100, 255, 512, 4096};
	for (unsigned k = 1; k <= CODE_DATA_MAX; k++) {
		for (unsigned m = 0; m <= CODE_PARITY_MAX; m++) {
			for (unsigned i = 0; i < sizeof lens / sizeof lens[0] - (k % 4 != 0); i++)
				check_encode(k, m, lens[i]);
		}
	}
}
END_TEST

START_TEST(parity_is_right_at_every_length)
{
	for (size_t len = 0; len <= 300; len++) {
		check_encode(4, 1, len);
		check_encode(4, 2, len);
		check_encode(3, 3, len);
	}
}
END_TEST

START_TEST(the_general_kind_gives_the_same_bytes)
{
	for (unsigned k = 1; k <= CODE_DATA_MAX; k++) {
		for (unsigned m = 1; m <= 2; m++) {
			struct code code;
			struct units units;
			code_init(&code, k, m);
			ck_assert_int_ne(code.kind, CODE_GENERAL);
			code.kind = CODE_GENERAL;
			units_make(&units, k, m, 1056);
			code_encode(&code, units.at, units.len);
			check_parity(&units, k);
			units_end(&units);
		}
	}
}
END_TEST

START_TEST(buffers_may_begin_anywhere)
{
	struct code code;
	struct units units;
	for (unsigned m = 1; m <= CODE_PARITY_MAX; m++) {
		code_init(&code, 5, m);
		units_make(&units, 5, m, 640);
		for (size_t shift = 0; shift < 70; shift++) {
			struct units part = {.count = 5 + m, .len = 320};
			for (unsigned i = 0; i < part.count; i++)
				part.at[i] = units.at[i] + (shift * (i + 1)) % 300;
			code_encode(&code, part.at, part.len);
			check_parity(&part, 5);
		}
		units_end(&units);
	}
}
END_TEST

/* Decodes one pattern into fresh junk; the others must stay what they are. */
static void check_decode(const struct code *code, struct code_decoder *decoder,
	const struct units *units, uint32_t present, uint32_t wanted)
{
	uint8_t room[CODE_UNITS_MAX][320];
	uint8_t *at[CODE_UNITS_MAX];
	ck_assert_uint_le(units->len, sizeof room[0]);
	for (unsigned i = 0; i < units->count; i++) {
		memset(room[i], 0xee, units->len);
		if (present >> i & 1)
			memcpy(room[i], units->at[i], units->len);
		at[i] = (present | wanted) >> i & 1 ? room[i] : NULL;
	}
	ck_assert(code_decode(code, decoder, at, present, wanted, units->len));
	for (unsigned i = 0; i < units->count; i++) {
		if (at[i] && memcmp(at[i], units->at[i], units->len) != 0)
			ck_abort_msg("%u+%u: unit %u is wrong, present %x, wanted %x", code->k,
				code->m, i, present, wanted);
	}
}

/* All patterns of loss, and for each all choices of what is wanted back. */
static void check_all_losses(unsigned k, unsigned m, size_t len)
{
	struct code code;
	struct code_decoder decoder = {0};
	struct units units;
	code_init(&code, k, m);
	units_make(&units, k, m, len);
	code_encode(&code, units.at, len);
	uint32_t all = (1u << (k + m)) - 1;
	for (uint32_t present = 0; present <= all; present++) {
		if (__builtin_popcount(present) < k)
			continue;
		uint32_t missing = all & ~present;
		for (uint32_t wanted = missing; wanted != 0; wanted = (wanted - 1) & missing)
			check_decode(&code, &decoder, &units, present, wanted);
	}
	units_end(&units);
}

START_TEST(any_k_units_give_back_all_others)
{
	for (unsigned m = 0; m <= CODE_PARITY_MAX; m++) {
		for (unsigned k = 1; k + m <= 10; k++)
			check_all_losses(k, m, 96 + k);
	}
}
END_TEST

START_TEST(any_k_units_of_a_wide_code_give_back_all_others)
{
	uint64_t state = 4;
	for (int round = 0; round < 300; round++) {
		unsigned k = 7 + test_random(&state) % 10;
		unsigned m = 1 + test_random(&state) % CODE_PARITY_MAX;
		struct code code;
		struct code_decoder decoder = {0};
		struct units units;
		code_init(&code, k, m);
		units_make(&units, k, m, 1 + test_random(&state) % 320);
		code_encode(&code, units.at, units.len);
		uint32_t all = (1u << (k + m)) - 1;
		for (int i = 0; i < 20; i++) {
			uint32_t present = all;
			while (__builtin_popcount(present) > k)
				present &= ~(1u << test_random(&state) % (k + m));
			check_decode(&code, &decoder, &units, present, all & ~present);
		}
		units_end(&units);
	}
}
END_TEST

START_TEST(decoding_stays_inside_the_units)
{
	for (size_t len = 1; len <= 200; len++) {
		struct code code;
		struct code_decoder decoder = {0};
		struct units units;
		code_init(&code, 4, 2);
		units_make(&units, 4, 2, len);
		code_encode(&code, units.at, len);
		memset(units.at[0], 0, len);
		memset(units.at[5], 0, len);
		ck_assert(code_decode(&code, &decoder, units.at, 0x1e, 0x21, len));
		check_parity(&units, 4);
		memset(units.at[1], 0, len);
		ck_assert(code_decode(&code, &decoder, units.at, 0x1d, 0x02, len));
		check_parity(&units, 4);
		units_end(&units);
	}
}
END_TEST

START_TEST(fewer_than_k_units_are_refused)
{
	struct code code;
	struct code_decoder decoder = {0};
	struct units units;
	code_init(&code, 4, 2);
	units_make(&units, 4, 2, 64);
	uint8_t kept[64];
	memcpy(kept, units.at[0], 64);
	ck_assert(!code_decode(&code, &decoder, units.at, 0x0e, 0x01, 64));
	ck_assert(!code_decode(&code, &decoder, units.at, 0, 0x01, 64));
	ck_assert_mem_eq(units.at[0], kept, 64);
	units_end(&units);
}
END_TEST

START_TEST(a_present_unit_is_never_written)
{
	struct code code;
	struct code_decoder decoder = {0};
	struct units units;
	code_init(&code, 2, 1);
	units_make(&units, 2, 1, 64);
	uint8_t kept[64];
	memcpy(kept, units.at[0], 64);
	ck_assert(code_decode(&code, &decoder, units.at, 0x7, 0x7, 64));
	ck_assert(code_decode(&code, &decoder, units.at, 0x3, 0x7, 64));
	ck_assert_mem_eq(units.at[0], kept, 64);
	check_parity(&units, 2);
	units_end(&units);
}
END_TEST

START_TEST(all_units_may_be_wanted)
{
	struct code code;
	struct code_decoder decoder = {0};
	struct units units;
	code_init(&code, 4, 2);
	units_make(&units, 4, 2, 64);
	code_encode(&code, units.at, 64);
	check_decode(&code, &decoder, &units, 0x0f, 0x3f);
	check_decode(&code, &decoder, &units, 0x3c, 0x3f);
	units_end(&units);
}
END_TEST

START_TEST(a_decoder_is_reused_only_for_the_same_pattern)
{
	static const struct {
		unsigned k, m;
	} shapes[] = {{4, 2}, {3, 3}, {2, 4}, {5, 1}};
	struct code codes[4];
	struct units units[4];
	struct code_decoder decoder = {0};
	for (int i = 0; i < 4; i++) {
		code_init(&codes[i], shapes[i].k, shapes[i].m);
		units_make(&units[i], shapes[i].k, shapes[i].m, 128);
		code_encode(&codes[i], units[i].at, 128);
	}
	uint64_t state = 9;
	for (int i = 0; i < 4000; i++) {
		int c = test_random(&state) % 4;
		uint32_t lost = 1u << test_random(&state) % 2;
		uint32_t also = 1u << test_random(&state) % 6;
		uint32_t present = 0x3f & ~lost & ~also;
		if (__builtin_popcount(present) < codes[c].k)
			continue;
		check_decode(&codes[c], &decoder, &units[c], present, lost);
		check_decode(&codes[c], &decoder, &units[c], present, lost);
	}
	for (int i = 0; i < 4; i++)
		units_end(&units[i]);
}
END_TEST

START_TEST(the_first_parity_is_xor_and_gives_a_lost_unit_back_as_xor)
{
	struct code code;
	struct code_decoder decoder = {0};
	struct units units;
	code_init(&code, 6, 3);
	units_make(&units, 6, 3, 64);
	code_encode(&code, units.at, 64);
	ck_assert(code_decode(&code, &decoder, units.at, 0x1fb, 0x004, 64));
	ck_assert(decoder.is_xor);
	check_parity(&units, 6);
	units_end(&units);
}
END_TEST

/* Checks that the fused function does what encoding and checksumming apart do. */
static void check_fused(unsigned k, unsigned m, size_t len)
{
	struct code code;
	struct units units;
	uint64_t sums[CODE_UNITS_MAX][18];
	uint64_t *ret_sums[CODE_UNITS_MAX];
	uint64_t seeds[CODE_UNITS_MAX];
	size_t count = checksum_block_count(len);
	for (unsigned i = 0; i < k + m; i++) {
		seeds[i] = 0x9e3779b97f4a7c15ull * (i + 1);
		ret_sums[i] = sums[i];
		sums[i][count] = 77;
	}
	code_init(&code, k, m);
	units_make(&units, k, m, len);
	code_encode_with_checksums(&code, units.at, len, seeds, 48, ret_sums);
	struct units apart;
	units_make(&apart, k, m, len);
	code_encode(&code, apart.at, len);
	for (unsigned i = 0; i < k + m; i++) {
		uint64_t expected[18];
		ck_assert_mem_eq(units.at[i], apart.at[i], len);
		checksum_blocks(apart.at[i], len, seeds[i], 48, expected);
		ck_assert_mem_eq(sums[i], expected, count * sizeof expected[0]);
		ck_assert_uint_eq(sums[i][count], 77);
	}
	units_end(&apart);
	units_end(&units);
}

START_TEST(the_fused_encoder_does_what_its_two_halves_do)
{
	static const struct {
		unsigned k, m;
	} shapes[] = {{1, 0}, {1, 2}, {2, 1}, {3, 0}, {4, 2}, {8, 4}, {16, 4}};
	for (unsigned i = 0; i < 7; i++) {
		for (size_t len = 4096; len <= 65536; len += 4096)
			check_fused(shapes[i].k, shapes[i].m, len);
		check_fused(shapes[i].k, shapes[i].m, 262144);
		check_fused(shapes[i].k, shapes[i].m, 262144 - 12288 + 77);
		check_fused(shapes[i].k, shapes[i].m, 1);
		check_fused(shapes[i].k, shapes[i].m, 0);
	}
}
END_TEST

START_TEST(only_small_codes_are_supported)
{
	ck_assert(code_is_supported(1, 0));
	ck_assert(code_is_supported(16, 4));
	ck_assert(!code_is_supported(0, 1));
	ck_assert(!code_is_supported(17, 1));
	ck_assert(!code_is_supported(4, 5));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("code");
	TCase *tc = tcase_create("code");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, each_square_part_of_the_matrix_has_an_inverse);
	tcase_add_test(tc, the_oracle_sees_a_matrix_without_inverse);
	tcase_add_test(tc, the_matrix_is_powers_of_two_for_every_code);
	tcase_add_test(tc, parity_is_that_of_the_oracle);
	tcase_add_test(tc, parity_is_right_at_every_length);
	tcase_add_test(tc, the_general_kind_gives_the_same_bytes);
	tcase_add_test(tc, buffers_may_begin_anywhere);
	tcase_add_test(tc, any_k_units_give_back_all_others);
	tcase_add_test(tc, any_k_units_of_a_wide_code_give_back_all_others);
	tcase_add_test(tc, decoding_stays_inside_the_units);
	tcase_add_test(tc, fewer_than_k_units_are_refused);
	tcase_add_test(tc, a_present_unit_is_never_written);
	tcase_add_test(tc, all_units_may_be_wanted);
	tcase_add_test(tc, a_decoder_is_reused_only_for_the_same_pattern);
	tcase_add_test(tc, the_first_parity_is_xor_and_gives_a_lost_unit_back_as_xor);
	tcase_add_test(tc, the_fused_encoder_does_what_its_two_halves_do);
	tcase_add_test(tc, only_small_codes_are_supported);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
