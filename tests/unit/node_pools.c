/* SPDX-License-Identifier: Apache-2.0 */
/* How the memory of a node is divided: whatever is configured, nobody waits for more than there is.
 */
#include "server/node_pools.h"

#include "erasure/stripe.h"
#include "server/config.h"
#include "storage/object/frame.h"
#include "storage/object/pack_priv.h"
#include "tests/lib/test.h"

#define LOOPS_MAX 64

START_TEST(each_pool_has_room_for_the_longest_wait)
{
	static const uint32_t mib[] = {8, 24, 48, 1000, 65536};
	struct config config = {0};
	for (config.loops = 1; config.loops <= LOOPS_MAX; config.loops++)
		for (size_t i = 0; i < ARRAY_COUNT(mib); i++) {
			config.upload_memory_mib = config.download_memory_mib = mib[i];
			struct node_pools pools = node_pools_plan(&config);
			ck_assert_uint_ge(pools.put_len, (size_t)CODE_UNITS_MAX * UNIT_LEN_SMALL);
			ck_assert_uint_ge(pools.get_len, (size_t)CODE_DATA_MAX * UNIT_LEN);
			ck_assert_uint_ge(pools.decode_len, (size_t)CODE_DATA_MAX * UNIT_LEN);
			ck_assert_uint_ge(pools.pack_len, CHUNK_LEN_MAX + STAGE_LEN_MAX);
			ck_assert_uint_ge(pools.unpack_len, 2 * FRAME_LEN);
			ck_assert_uint_ge(pools.service_len, UNIT_LEN);
		}
}
END_TEST

START_TEST(what_is_configured_is_what_the_loops_have)
{
	struct config config = {.loops = 4, .upload_memory_mib = 400, .download_memory_mib = 240};
	struct node_pools pools = node_pools_plan(&config);
	ck_assert_uint_eq(pools.put_len, 100u << 20);
	ck_assert_uint_eq(pools.pack_len, 25u << 20);
	ck_assert_uint_eq(pools.get_len, 40u << 20);
	ck_assert_uint_eq(pools.decode_len, 20u << 20);
	ck_assert_uint_eq(pools.unpack_len, 30u << 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("node_pools");
	TCase *tcase = tcase_create("lengths");
	tcase_add_test(tcase, each_pool_has_room_for_the_longest_wait);
	tcase_add_test(tcase, what_is_configured_is_what_the_loops_have);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
