/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <string.h>

#include "server/net_test.h"
#include "server/net_way.h"
#include "tests/lib/test.h"

START_TEST(in_all_rounds_each_two_nodes_meet_once_and_in_none_is_a_node_twice)
{
	for (unsigned count = 1; count <= 33; count++) {
		unsigned met[33][33] = {0};
		for (unsigned round = 0; round < count + count % 2 - 1; round++) {
			bool sits[33] = {false};
			for (unsigned table = 0; table < (count + 1) / 2; table++) {
				unsigned a, b;
				if (!net_test_meet(count, round, table, &a, &b))
					continue;
				ck_assert(a < count && b < count && a != b);
				ck_assert(!sits[a] && !sits[b]);
				sits[a] = sits[b] = true;
				met[a][b]++;
				met[b][a]++;
			}
		}
		for (unsigned a = 0; a < count; a++)
			for (unsigned b = 0; b < count; b++)
				ck_assert_uint_eq(met[a][b], a != b);
	}
}
END_TEST

static const struct net_way sample = {.end = NET_WAY_NO_LARGE,
	.err = ERR_TIMEOUT,
	.rtt_us = 1,
	.rtt_us_min = 2,
	.rtt_us_max = INT64_MAX,
	.bytes_per_second = 4,
	.sounding_err = ERR_UNSUPPORTED,
	.sounding = {.is_known = true,
		.is_told_back = true,
		.device = "eth0",
		.mtu_here = 5,
		.mtu_there = 6,
		.there = 7,
		.back = UINT32_MAX}};

START_TEST(a_way_is_read_as_it_was_sent)
{
	uint8_t buf[NET_WAY_LEN], again[NET_WAY_LEN];
	struct net_way way;
	net_way_encode(&sample, buf);
	ck_assert_int_eq(net_way_decode(bytes_make(buf, sizeof buf), &way), ERR_OK);
	ck_assert(way.end == sample.end && way.err == ERR_TIMEOUT);
	ck_assert(way.sounding_err == ERR_UNSUPPORTED && way.bytes_per_second == 4);
	ck_assert(way.sounding.is_told_back && !way.sounding.is_told_there);
	ck_assert_uint_eq(way.sounding.back, UINT32_MAX);
	ck_assert_str_eq(way.sounding.device, "eth0");
	net_way_encode(&way, again);
	ck_assert_mem_eq(again, buf, sizeof buf);
}
END_TEST

START_TEST(a_way_that_no_node_would_send_is_refused)
{
	uint8_t buf[NET_WAY_LEN];
	struct net_way way;
	net_way_encode(&sample, buf);
	for (size_t len = 0; len < sizeof buf; len++)
		ck_assert_int_eq(net_way_decode(bytes_make(buf, len), &way), ERR_INVALID);
	for (unsigned field = 0; field < 12; field++) {
		net_way_encode(&sample, buf);
		buf[8 * field + 7] = 0x80;
		enum err err = net_way_decode(bytes_make(buf, sizeof buf), &way);
		ck_assert_int_eq(err, field == 7 ? ERR_OK : ERR_INVALID); /* flags of the future */
	}
}
END_TEST

START_TEST(the_name_of_a_device_is_a_word_whatever_was_sent)
{
	uint8_t buf[NET_WAY_LEN];
	struct net_way way;
	net_way_encode(&sample, buf);
	memcpy(buf + NET_WAY_LEN - IF_NAMESIZE, "e\n\x1b[ \xff\"bcdefghijk", IF_NAMESIZE);
	ck_assert_int_eq(net_way_decode(bytes_make(buf, sizeof buf), &way), ERR_OK);
	ck_assert_str_eq(way.sounding.device, "e??[??\"bcdefghi");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_test");
	TCase *tcase = tcase_create("net_test");
	tcase_add_test(tcase, in_all_rounds_each_two_nodes_meet_once_and_in_none_is_a_node_twice);
	tcase_add_test(tcase, a_way_is_read_as_it_was_sent);
	tcase_add_test(tcase, a_way_that_no_node_would_send_is_refused);
	tcase_add_test(tcase, the_name_of_a_device_is_a_word_whatever_was_sent);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
