/* SPDX-License-Identifier: Apache-2.0 */
#include "erasure/stripe.h"

#include <stdlib.h>
#include <string.h>

#include "erasure/checksum.h"
#include "erasure/code.h"
#include "tests/lib/test.h"

/* ck_assert() tells its place to the parent each time; this only when it fails. */
#define must(condition) \
	do { \
		if (!(condition)) \
			ck_abort_msg("%s", #condition); \
	} while (0)

static struct geometry make(unsigned k, unsigned m, uint32_t unit_len, uint32_t body_len)
{
	struct geometry geometry;
	must(stripe_geometry_init(&geometry, k, m, unit_len, body_len));
	return geometry;
}

/* A walk over the whole extent as the definition has it, stripe by stripe and unit by unit, against
 * what the functions say. */
static void check_geometry(const struct geometry *g)
{
	uint32_t body_offset = 0;
	uint32_t shard_offset = 0;
	uint32_t stripe = 0;
	for (; body_offset < g->body_len; stripe++) {
		uint32_t left = g->body_len - body_offset;
		uint32_t unit_len = g->unit_len;
		if (left < g->k * g->unit_len) {
			unit_len = UNIT_GRAIN;
			while (unit_len * g->k < left)
				unit_len += UNIT_GRAIN;
		}
		must(stripe_body_offset(g, stripe) == body_offset);
		must(stripe_shard_offset(g, stripe) == shard_offset);
		must(stripe_unit_len(g, stripe) == unit_len);
		must(stripe_of_shard_offset(g, shard_offset) == stripe);
		must(stripe_of_shard_offset(g, shard_offset + unit_len - 1) == stripe);
		uint32_t sum = 0;
		for (unsigned unit = 0; unit < g->k; unit++) {
			uint32_t len = left - sum < unit_len ? left - sum : unit_len;
			must(stripe_unit_body_len(g, stripe, unit) == len);
			sum += len;
		}
		must(stripe_body_len(g, stripe) == sum);
		body_offset += sum;
		shard_offset += unit_len;
	}
	must(body_offset == g->body_len);
	must(stripe_count(g) == stripe);
	must(stripe_shard_len(g) == shard_offset);
	must(stripe_block_count(g) == checksum_block_count(shard_offset));
}

/* Checks that the pieces of a range follow each other and are where the stripes are. */
static void check_walk(const struct geometry *g, uint32_t offset, uint32_t len)
{
	struct stripe_walk walk = stripe_walk_start(g, offset, len);
	struct stripe_piece piece;
	struct stripe_piece last = {.stripe = UINT32_MAX};
	uint32_t at = offset;
	while (stripe_walk_next(&walk, &piece)) {
		uint32_t unit_len = stripe_unit_len(g, piece.stripe);
		must(piece.body_offset == at);
		must(piece.len > 0);
		must(piece.unit < g->k);
		must(piece.unit_offset + piece.len <=
			stripe_unit_body_len(g, piece.stripe, piece.unit));
		must(piece.shard_offset ==
			stripe_shard_offset(g, piece.stripe) + piece.unit_offset);
		must(piece.body_offset ==
			stripe_body_offset(g, piece.stripe) + piece.unit * unit_len +
				piece.unit_offset);
		must(piece.stripe != last.stripe || piece.unit != last.unit);
		last = piece;
		at += piece.len;
	}
	must(at == offset + len);
	must(!stripe_walk_next(&walk, &piece));
}

START_TEST(every_extent_up_to_a_stripe_has_its_geometry)
{
	static const unsigned ks[] = {1, 2, 3, 4, 5, 8, 16};
	for (unsigned i = 0; i < sizeof ks / sizeof ks[0]; i++) {
		for (uint32_t len = 1; len <= 70000; len += len < 9000 ? 1 : 7) {
			struct geometry g = make(ks[i], 2, UNIT_LEN_SMALL, len);
			check_geometry(&g);
			check_walk(&g, 0, len);
		}
	}
}
END_TEST

START_TEST(every_grain_up_to_three_stripes_has_its_geometry)
{
	for (unsigned k = 1; k <= CODE_DATA_MAX; k++) {
		for (uint32_t grain = 1; grain <= 3 * k * 16; grain++) {
			for (int delta = -1; delta <= 1; delta++) {
				struct geometry g = make(
					k, 1, UNIT_LEN_SMALL, grain * UNIT_GRAIN + delta);
				check_geometry(&g);
				check_walk(&g, 0, g.body_len);
				check_walk(&g, g.body_len - 1, 1);
				check_walk(&g, g.body_len, 0);
			}
		}
	}
}
END_TEST

START_TEST(any_extent_has_its_geometry)
{
	uint64_t state = 1;
	for (int i = 0; i < 3000; i++) {
		unsigned k = 1 + test_random(&state) % CODE_DATA_MAX;
		uint32_t unit_len = test_random(&state) % 2 ? UNIT_LEN : UNIT_LEN_SMALL;
		uint32_t cap = EXTENT_LEN_MAX >> test_random(&state) % 20;
		uint32_t len = 1 + test_random(&state) % cap;
		struct geometry g = make(k, 0, unit_len, i % 100 ? len : EXTENT_LEN_MAX);
		check_geometry(&g);
		uint32_t offset = test_random(&state) % g.body_len;
		check_walk(&g, offset, test_random(&state) % (g.body_len - offset + 1));
	}
}
END_TEST

START_TEST(each_range_of_a_small_extent_has_its_pieces)
{
	struct geometry g = make(3, 1, UNIT_LEN_SMALL, 3 * UNIT_LEN_SMALL + 3 * UNIT_GRAIN + 5);
	static const uint32_t edges[] = {0, UNIT_LEN_SMALL, 2 * UNIT_LEN_SMALL, 3 * UNIT_LEN_SMALL,
		3 * UNIT_LEN_SMALL + UNIT_GRAIN, 3 * UNIT_LEN_SMALL + 2 * UNIT_GRAIN,
		3 * UNIT_LEN_SMALL + 3 * UNIT_GRAIN};
	enum { COUNT = sizeof edges / sizeof edges[0] };
	for (unsigned i = 0; i < COUNT * 5; i++) {
		for (unsigned j = 0; j < COUNT * 5; j++) {
			int64_t from = (int64_t)edges[i / 5] + i % 5 - 2;
			int64_t to = (int64_t)edges[j / 5] + j % 5 - 2;
			if (from >= 0 && to >= from && to <= g.body_len)
				check_walk(&g, from, to - from);
		}
	}
}
END_TEST

/* Bytes that go through the shards by the pieces of any ranges come back. */
START_TEST(an_extent_scattered_by_one_walk_is_gathered_by_others)
{
	uint64_t state = 3;
	for (int round = 0; round < 12; round++) {
		unsigned k = 1 + test_random(&state) % 5;
		struct geometry g = make(
			k, 0, UNIT_LEN_SMALL, 1 + test_random(&state) % (3 * k * UNIT_LEN_SMALL));
		uint8_t *body = malloc(g.body_len);
		uint8_t *shards = calloc(k, stripe_shard_len(&g));
		uint8_t *back = calloc(1, g.body_len);
		test_random_fill(&state, body, g.body_len);
		struct stripe_piece p;
		struct stripe_walk walk = stripe_walk_start(&g, 0, g.body_len);
		while (stripe_walk_next(&walk, &p))
			memcpy(shards + (size_t)p.unit * stripe_shard_len(&g) + p.shard_offset,
				body + p.body_offset, p.len);
		for (uint32_t offset = 0; offset < g.body_len;) {
			uint32_t left = g.body_len - offset;
			uint32_t len = test_random(&state) % (left < 100000 ? left + 1 : 100000);
			walk = stripe_walk_start(&g, offset, len);
			while (stripe_walk_next(&walk, &p))
				memcpy(back + p.body_offset,
					shards + (size_t)p.unit * stripe_shard_len(&g) +
						p.shard_offset,
					p.len);
			offset += len;
		}
		ck_assert_mem_eq(back, body, g.body_len);
		free(back);
		free(shards);
		free(body);
	}
}
END_TEST

START_TEST(blocks_cover_a_range_and_no_more)
{
	uint64_t state = 5;
	for (int i = 0; i < 20000; i++) {
		uint32_t cap = EXTENT_LEN_MAX >> test_random(&state) % 16;
		struct geometry g = make(1 + test_random(&state) % CODE_DATA_MAX, 1, UNIT_LEN_SMALL,
			1 + test_random(&state) % cap);
		uint32_t shard_len = stripe_shard_len(&g);
		uint32_t offset = test_random(&state) % shard_len;
		uint32_t len = 1 + test_random(&state) % (shard_len - offset);
		struct stripe_blocks b = stripe_blocks_of(&g, offset, len);
		uint32_t end = b.shard_offset + b.len;
		must(b.shard_offset == b.first * BLOCK_LEN);
		must(b.shard_offset <= offset);
		must(b.shard_offset + BLOCK_LEN > offset);
		must(end >= offset + len);
		must(end < offset + len + BLOCK_LEN);
		must(end <= shard_len);
		must(end % BLOCK_LEN == 0 || end == shard_len);
		must(b.count == checksum_block_count(b.len));
		must(b.first + b.count <= stripe_block_count(&g));
	}
}
END_TEST

START_TEST(examples_are_as_calculated_by_hand)
{
	struct geometry g = make(2, 1, UNIT_LEN, 1);
	ck_assert_uint_eq(stripe_shard_len(&g), 4096);
	ck_assert_uint_eq(stripe_unit_body_len(&g, 0, 1), 0);
	g = make(4, 2, UNIT_LEN, 1 << 20);
	ck_assert_uint_eq(stripe_count(&g), 1);
	ck_assert_uint_eq(stripe_shard_len(&g), 262144);
	g = make(4, 2, UNIT_LEN, (1 << 20) + 4 * 4096 + 1);
	ck_assert_uint_eq(stripe_count(&g), 2);
	ck_assert_uint_eq(stripe_shard_len(&g), 262144 + 8192);
	ck_assert_uint_eq(stripe_block_count(&g), 17);
	ck_assert_uint_eq(stripe_unit_body_len(&g, 1, 2), 1);
	ck_assert_uint_eq(stripe_unit_body_len(&g, 1, 3), 0);
	g = make(3, 1, UNIT_LEN, EXTENT_LEN_MAX);
	ck_assert_uint_eq(stripe_count(&g), 86);
	ck_assert_uint_eq(stripe_shard_len(&g), 85 * 262144 + 90112);
}
END_TEST

START_TEST(numbers_that_make_no_geometry_are_refused)
{
	struct geometry g = {.body_len = 9};
	ck_assert(!stripe_geometry_init(&g, 0, 1, UNIT_LEN, 1));
	ck_assert(!stripe_geometry_init(&g, 17, 1, UNIT_LEN, 1));
	ck_assert(!stripe_geometry_init(&g, 4, 5, UNIT_LEN, 1));
	ck_assert(!stripe_geometry_init(&g, (1ull << 32) + 1, 1, UNIT_LEN, 1));
	ck_assert(!stripe_geometry_init(&g, 4, (1ull << 32) + 1, UNIT_LEN, 1));
	ck_assert(!stripe_geometry_init(&g, 4, 2, UNIT_LEN + 1, 1));
	ck_assert(!stripe_geometry_init(&g, 4, 2, (1ull << 32) + UNIT_LEN, 1));
	ck_assert(!stripe_geometry_init(&g, 4, 2, 0, 1));
	ck_assert(!stripe_geometry_init(&g, 4, 2, UNIT_LEN, 0));
	ck_assert(!stripe_geometry_init(&g, 4, 2, UNIT_LEN, EXTENT_LEN_MAX + 1));
	ck_assert(!stripe_geometry_init(&g, 4, 2, UNIT_LEN, (1ull << 32) + 1));
	ck_assert_uint_eq(g.body_len, 9);
	ck_assert(stripe_geometry_init(&g, 16, 4, UNIT_LEN, EXTENT_LEN_MAX));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stripe");
	TCase *tc = tcase_create("stripe");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_extent_up_to_a_stripe_has_its_geometry);
	tcase_add_test(tc, every_grain_up_to_three_stripes_has_its_geometry);
	tcase_add_test(tc, any_extent_has_its_geometry);
	tcase_add_test(tc, each_range_of_a_small_extent_has_its_pieces);
	tcase_add_test(tc, an_extent_scattered_by_one_walk_is_gathered_by_others);
	tcase_add_test(tc, blocks_cover_a_range_and_no_more);
	tcase_add_test(tc, examples_are_as_calculated_by_hand);
	tcase_add_test(tc, numbers_that_make_no_geometry_are_refused);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
