/* SPDX-License-Identifier: Apache-2.0 */
/* What asks for memory while rings are planned says so when there is none, and changes nothing. */
#include <stdlib.h>

#include "storage/ring/ring_moves.h"
#include "storage/ring/ring_plan.h"
#include "storage/ring/ring_summary.h"
#include "tests/lib/failing_memory.h"
#include "tests/lib/test.h"

#define SLOTS 64
#define DRIVES 6

static struct ring_drive_info drives[DRIVES];
static uint8_t slots[2][SLOTS * 2 * 3];
static struct ring rings[2];
static struct ring_plan_request plan_request = {
	.drives = drives,
	.drive_count = DRIVES - 1,
	.profile = {2, 1},
	.domain = RING_DOMAIN_NODE,
	.slot_count = SLOTS,
};

static void setup(void)
{
	for (unsigned i = 0; i < DRIVES; i++) {
		drives[i] = (struct ring_drive_info){.number = i + 1, .weight = 1000 + 100 * i};
		drives[i].node.bytes[0] = i + 1;
	}
	failing_memory_arm(0);
	ck_assert_ok(ring_plan(&plan_request, slots[0], &rings[0]));
	plan_request.old = &rings[0];
	plan_request.drive_count = DRIVES;
}

/* Makes the n-th request fail, for each n, until the call gets through; there must be some. */
#define CHECK_EACH(call) \
	do { \
		unsigned n = 0; \
		enum err err; \
		do { \
			failing_memory_arm(++n); \
			err = (call); \
			ck_assert(err == ERR_OK || err == ERR_NO_MEMORY); \
			ck_assert_int_eq(err == ERR_OK, failing_memory_failures() == failures); \
			failures = failing_memory_failures(); \
		} while (err != ERR_OK); \
		ck_assert_uint_gt(n, 1); \
		failing_memory_arm(0); \
	} while (0)

static uint64_t failures;

START_TEST(a_plan_without_memory_fails_and_leaves_the_ring)
{
	rings[1].version = 99;
	failures = failing_memory_failures();
	failing_memory_arm(3);
	ck_assert_err(ring_plan(&plan_request, slots[1], &rings[1]), ERR_NO_MEMORY);
	ck_assert_uint_eq(rings[1].version, 99);
	failures = failing_memory_failures();
	CHECK_EACH(ring_plan(&plan_request, slots[1], &rings[1]));
	ck_assert_ok(ring_check(&rings[1], drives, DRIVES));
	uint64_t best;
	CHECK_EACH(ring_plan_best(&plan_request, &best));
}
END_TEST

START_TEST(summaries_and_moves_without_memory_fail)
{
	struct ring_drive_summary sums[DRIVES];
	struct ring_summary summary;
	struct ring_move moves[SLOTS * 3];
	struct ring_durability durability;
	struct ring_durability_assumptions assumptions = RING_DURABILITY_DEFAULT;
	struct ring_summary_request request = {
		.old = &rings[0], .new = &rings[1], .drives = drives, .drive_count = DRIVES};
	size_t count;
	ck_assert_ok(ring_plan(&plan_request, slots[1], &rings[1]));
	failures = failing_memory_failures();
	CHECK_EACH(ring_summarize(&request, sums, &summary));
	CHECK_EACH(ring_moves(&rings[0], &rings[1], moves, &count));
	CHECK_EACH(ring_durability(&rings[1], true, &assumptions, &durability));
	ck_assert_uint_eq(count, summary.move_count);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_memory");
	TCase *tc = tcase_create("ring_memory");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_plan_without_memory_fails_and_leaves_the_ring);
	tcase_add_test(tc, summaries_and_moves_without_memory_fail);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
