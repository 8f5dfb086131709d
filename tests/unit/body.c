/* SPDX-License-Identifier: Apache-2.0 */
/* The upload of a body under trouble, and what is kept beside it. */
#include "gateway/body.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/checksum_s3.h"
#include "gateway/metadata_headers.h"
#include "gateway/op_put_conditions.h"
#include "gateway/op_upload_id.h"
#include "tests/lib/object_rig.h"
#include "tests/lib/test.h"

#define DATA_LEN (2u << 20)

static struct object_rig rig;
static uint8_t data[DATA_LEN];

static void fill(void)
{
	uint64_t state = 1;
	test_random_fill(&state, data, sizeof data);
}

static void setup(void)
{
	fill();
	object_rig_open(&rig, 3);
}

static void teardown(void)
{
	object_rig_close(&rig);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void start_put(struct fake_exchange *fake, const char *target, size_t len, size_t given_len)
{
	fake_exchange_init(fake, rig.client, "PUT", target);
	fake_exchange_body(fake, data, given_len);
	fake->x.has_body = true;
	fake->x.body_len = len;
	if (given_len < len)
		fake->body_err = ERR_BUSY; /* the rest does not come */
	rig.sign.wall_ms = clock_wall_ms(sim_node_clock(rig.node));
	sign_request(fake, &rig.sign, "UNSIGNED-PAYLOAD");
	object_rig_start(&rig, fake);
}

static void go_away(void *arg)
{
	struct fake_exchange *fake = arg;
	fake->is_gone = true;
	fake->x.gone(&fake->x);
}

START_TEST(who_holds_memory_and_sends_nothing_gives_way_to_who_waits)
{
	static struct fake_exchange slow, quick;
	rig.store_loop.put_pool.limit_len = 200 << 10; /* one stripe of small units */
	start_put(&slow, "/bkt/slow", DATA_LEN, 10000);
	sim_run_ms(rig.sim, 60000);
	ck_assert(!slow.is_ended); /* nobody waits */
	start_put(&quick, "/bkt/quick", DATA_LEN, DATA_LEN);
	object_rig_wait(&rig, &quick);
	ck_assert_uint_eq(quick.response.status, 200);
	ck_assert(slow.is_ended);
	ck_assert_uint_eq(slow.response.status, 400);
	ck_assert_str_eq(fake_exchange_element(&slow, "Code"), "RequestTimeout");
	fake_exchange_fini(&slow);
	fake_exchange_fini(&quick);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/quick"), 200);
	ck_assert_int_eq(memcmp(rig.fake.answer, data, DATA_LEN), 0);
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/slow"), 404);
}
END_TEST

START_TEST(who_waited_for_memory_has_as_long_as_others_to_send)
{
	static struct fake_exchange slow, next, last;
	rig.store_loop.put_pool.limit_len = 200 << 10;
	start_put(&slow, "/bkt/slow", DATA_LEN, 10000);
	sim_run_ms(rig.sim, 1000);
	start_put(&next, "/bkt/next", DATA_LEN, 0);
	start_put(&last, "/bkt/last", DATA_LEN, 0);
	while (!slow.is_ended)
		sim_run_ms(rig.sim, 100);
	sim_run_ms(rig.sim, 4500);
	ck_assert(!next.is_ended); /* it has memory for less than the limit */
	sim_run_ms(rig.sim, 3000);
	ck_assert(next.is_ended && !last.is_ended);
	ck_assert_str_eq(fake_exchange_element(&next, "Code"), "RequestTimeout");
	sim_call(rig.sim, rig.client, go_away, &last);
	object_rig_wait(&rig, &last);
	fake_exchange_fini(&slow);
	fake_exchange_fini(&next);
	fake_exchange_fini(&last);
}
END_TEST

START_TEST(many_uploads_share_the_memory_of_one)
{
	enum { COUNT = 8 };
	static struct fake_exchange fakes[COUNT];
	char target[32];
	rig.store_loop.put_pool.limit_len = 200 << 10;
	for (int i = 0; i < COUNT; i++) {
		snprintf(target, sizeof target, "/bkt/%d", i);
		start_put(&fakes[i], strdup(target), 300000 + i, 300000 + i);
	}
	for (int i = 0; i < COUNT; i++) {
		object_rig_wait(&rig, &fakes[i]);
		ck_assert_uint_eq(fakes[i].response.status, 200);
		fake_exchange_fini(&fakes[i]);
		free((void *)(uintptr_t)fakes[i].x.target.data);
	}
	for (int i = 0; i < COUNT; i++) {
		snprintf(target, sizeof target, "/bkt/%d", i);
		ck_assert_uint_eq(object_rig_ask(&rig, "GET", target), 200);
		ck_assert_uint_eq(rig.fake.answer_len, 300000 + i);
		ck_assert_int_eq(memcmp(rig.fake.answer, data, 300000 + i), 0);
	}
}
END_TEST

START_TEST(a_client_that_goes_away_stores_nothing_and_holds_nothing)
{
	static const size_t lens[] = {100, 4096, 300000, DATA_LEN};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		static struct fake_exchange fake;
		start_put(&fake, "/bkt/key", lens[i], lens[i] / 2);
		sim_run_ms(rig.sim, 50);
		sim_call(rig.sim, rig.client, go_away, &fake);
		object_rig_wait(&rig, &fake);
		ck_assert(!fake.is_answered);
		fake_exchange_fini(&fake);
		ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 404);
		ck_assert_uint_eq(rig.store_loop.put_pool.lent_len, 0);
	}
}
END_TEST

/* --- drives ----------------------------------------------------------------------------------- */

static void take_decode_memory(void *arg)
{
	uint8_t **buffer = arg;
	ck_assert_int_eq(pool_take(&rig.store_loop.decode_pool, POOL_256K, 1, buffer), ERR_OK);
}

static void give_decode_memory(void *arg)
{
	uint8_t **buffer = arg;
	pool_give(&rig.store_loop.decode_pool, *buffer);
}

static void fence_drive(void *arg)
{
	drive_fence(arg, ERR_IO);
}

START_TEST(a_get_that_loses_its_drives_while_it_waits_for_memory_ends)
{
	static struct fake_exchange get;
	uint8_t *buffer;
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/key", data, DATA_LEN), 200);
	rig.store_loop.decode_pool.limit_len = 256 << 10;
	sim_call(rig.sim, rig.client, take_decode_memory, &buffer);
	sim_call(rig.sim, rig.owner, fence_drive, rig.store.drives[0].drive);
	fake_exchange_init(&get, rig.client, "GET", "/bkt/key");
	rig.sign.wall_ms = clock_wall_ms(sim_node_clock(rig.node));
	sign_request(&get, &rig.sign, "UNSIGNED-PAYLOAD");
	object_rig_start(&rig, &get);
	sim_run_ms(rig.sim, 1000);
	ck_assert(!get.is_ended && rig.store_loop.decode_pool.first);
	sim_call(rig.sim, rig.owner, fence_drive, rig.store.drives[1].drive);
	sim_call(rig.sim, rig.client, give_decode_memory, &buffer);
	sim_run_ms(rig.sim, 1000);
	ck_assert(get.is_ended);
	ck_assert_uint_ge(get.response.status, 500);
	fake_exchange_fini(&get);
}
END_TEST

START_TEST(a_put_that_loses_a_drive_fails_and_the_next_one_is_narrowed)
{
	sim_disk_fail_nth(rig.disks[0], SIM_WRITE, 2, SIM_GONE);
	unsigned status = object_rig_send(&rig, "PUT", "/bkt/key", data, DATA_LEN);
	ck_assert_uint_eq(status, 503);
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 404);
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/key", data, DATA_LEN), 200);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
	ck_assert_uint_eq(rig.fake.answer_len, DATA_LEN);
	ck_assert_int_eq(memcmp(rig.fake.answer, data, DATA_LEN), 0);
}
END_TEST

START_TEST(a_put_is_there_or_not_whichever_call_of_a_drive_fails)
{
	for (unsigned n = 1; n < 12; n++) {
		object_rig_open(&rig, n);
		sim_disk_fail_nth(rig.disks[n % 3], SIM_ANY_CALL, n, SIM_EIO);
		unsigned status = object_rig_send(&rig, "PUT", "/bkt/key", data, 700000);
		ck_assert_msg(status == 200 || status >= 500, "%u", status);
		unsigned found = object_rig_ask(&rig, "GET", "/bkt/key");
		ck_assert_uint_eq(found, status == 200 ? 200 : 404);
		if (found == 200)
			ck_assert_int_eq(memcmp(rig.fake.answer, data, 700000), 0);
		object_rig_close(&rig);
	}
}
END_TEST

/* --- what is kept beside the bytes ------------------------------------------------------------ */

static struct request *request_of(const struct http_header *headers, size_t count)
{
	static struct request request;
	static struct exchange x;
	memset(&request, 0, offsetof(struct request, target_buf));
	s3_error_detail_init(&request.error);
	x = (struct exchange){.headers = headers, .header_count = count};
	request.exchange = &x;
	return &request;
}

START_TEST(repeated_headers_are_joined_and_aws_chunked_is_not_kept)
{
	static struct metadata metadata;
	const struct http_header headers[] = {
		{bytes_of("x-amz-meta-a"), bytes_of("1")},
		{bytes_of("content-encoding"), bytes_of("AWS-chunked")},
		{bytes_of("host"), bytes_of("h")},
		{bytes_of("x-amz-meta-a"), bytes_of("2, 3")},
		{bytes_of("content-encoding"), bytes_of("gzip , aws-chunked,br")},
		{bytes_of("expires"), bytes_of("never")},
	};
	struct request *request = request_of(headers, ARRAY_COUNT(headers));
	ck_assert_int_eq(metadata_read_headers(request, &metadata), S3_OK);
	struct bytes rest = metadata_pairs(&metadata);
	struct metadata_pair pair;
	ck_assert(metadata_next(&rest, &pair));
	ck_assert(bytes_is_text(pair.name, "x-amz-meta-a"));
	ck_assert(bytes_is_text(pair.value, "1,2, 3"));
	ck_assert(metadata_next(&rest, &pair));
	ck_assert(bytes_is_text(pair.value, "gzip,br"));
	ck_assert(metadata_next(&rest, &pair));
	ck_assert(bytes_is_text(pair.name, "expires"));
	ck_assert(!metadata_next(&rest, &pair));
	ck_assert(metadata_is_valid(metadata_pairs(&metadata)));
	ck_assert_int_eq(metadata_read_headers(request_of(headers + 1, 2), &metadata), S3_OK);
	ck_assert_uint_eq(metadata.len, 0);
}
END_TEST

START_TEST(tags_are_ten_at_most_and_each_key_once)
{
	static struct metadata metadata;
	static const char *const bad[] = {
		"a=1&a=2", "=1", "aws:x=1", "a=%FF", "a=%4", "a&b&c&d&e&f&g&h&i&j&k"};
	ck_assert_int_eq(metadata_parse_tags(bytes_of("a=1&b=x+y%26&c"), &metadata), S3_OK);
	struct bytes rest = metadata_tags(&metadata);
	struct metadata_pair pair;
	ck_assert_uint_eq(metadata_tag_count(rest), 3);
	ck_assert(metadata_next(&rest, &pair) && metadata_next(&rest, &pair));
	ck_assert(bytes_is_text(pair.value, "x y&"));
	ck_assert_int_eq(metadata_parse_tags(bytes_of("a&b&c&d&e&f&g&h&i&j"), &metadata), S3_OK);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert_msg(metadata_parse_tags(bytes_of(bad[i]), &metadata) == S3_INVALID_TAG,
			"%s", bad[i]);
}
END_TEST

START_TEST(etags_are_read_in_any_dress)
{
	static const char *const same[] = {"0123456789abcdef0123456789ABCDEF-3",
		"\"0123456789abcdef0123456789abcdef-3\"",
		"W/\"0123456789abcdef0123456789abcdef-3\""};
	static const char *const none[] = {"", "*", "x", "\"0123456789abcdef0123456789abcde\"",
		"0123456789abcdef0123456789abcdef-0", "0123456789abcdef0123456789abcdef-",
		"0123456789abcdef0123456789abcdef0"};
	struct etag etag, first;
	op_put_conditions_parse_etag(bytes_of(same[0]), &first);
	ck_assert_uint_eq(first.part_count, 3);
	ck_assert_uint_eq(first.md5[1], 0x23);
	for (size_t i = 1; i < ARRAY_COUNT(same); i++) {
		op_put_conditions_parse_etag(bytes_of(same[i]), &etag);
		ck_assert_msg(etag_is_equal(&etag, &first), "%s", same[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
		op_put_conditions_parse_etag(bytes_of(none[i]), &etag);
		ck_assert_msg(etag.part_count > ROW_PART_MAX, "%s", none[i]);
	}
}
END_TEST

START_TEST(upload_ids_come_back_and_others_are_none)
{
	uint8_t text[OP_UPLOAD_ID_LEN];
	struct text_out out;
	uint64_t state = 5, upload;
	for (int i = 0; i < 200; i++) {
		uint64_t id = i == 0 ? 1 : test_random(&state);
		text_out_init(&out, text, sizeof text);
		op_upload_id_put(&out, id);
		ck_assert_uint_eq(out.len, OP_UPLOAD_ID_LEN);
		ck_assert_uint_eq(text[0], 'u'); /* or some are numbers */
		ck_assert_ok(op_upload_id_parse(text_out_bytes(&out), &upload));
		ck_assert_uint_eq(upload, id);
		text[i % OP_UPLOAD_ID_LEN] ^= 1;
		ck_assert_err(op_upload_id_parse(text_out_bytes(&out), &upload), ERR_INVALID);
	}
	ck_assert_err(op_upload_id_parse(bytes_of(""), &upload), ERR_INVALID);
	ck_assert_err(op_upload_id_parse(bytes_make(text, out.len - 1), &upload), ERR_INVALID);
}
END_TEST

/* --- checksums -------------------------------------------------------------------------------- */

static struct checksum sum_of(enum checksum_algorithm algorithm, size_t offset, size_t len)
{
	struct digest_stream stream;
	struct digest_values values;
	digest_stream_init(&stream, checksum_s3_digest(algorithm));
	digest_stream_update(&stream, data + offset, len);
	digest_stream_final(&stream, &values);
	struct bytes value = digest_value(&values, checksum_s3_digest(algorithm));
	struct checksum sum = {.algorithm = algorithm, .len = value.len};
	memcpy(sum.value, value.data, value.len);
	return sum;
}

START_TEST(full_checksums_of_parts_are_combined)
{
	static const enum checksum_algorithm algorithms[] = {
		CHECKSUM_CRC32, CHECKSUM_CRC32C, CHECKSUM_CRC64NVME};
	static const size_t ends[] = {0, 1, 1, 5000, 70000, DATA_LEN};
	for (size_t i = 0; i < ARRAY_COUNT(algorithms); i++) {
		struct checksum_s3_whole whole;
		struct checksum got, expected = sum_of(algorithms[i], 0, DATA_LEN);
		checksum_s3_whole_init(&whole, algorithms[i], CHECKSUM_FULL_OBJECT);
		for (size_t j = 1; j < ARRAY_COUNT(ends); j++) {
			size_t len = ends[j] - ends[j - 1];
			struct checksum part = sum_of(algorithms[i], ends[j - 1], len);
			checksum_s3_whole_add(&whole, &part, len);
		}
		checksum_s3_whole_final(&whole, &got);
		ck_assert_int_eq(memcmp(&got, &expected, sizeof got), 0);
	}
}
END_TEST

START_TEST(a_part_without_the_checksum_leaves_the_whole_without)
{
	struct checksum_s3_whole whole;
	struct checksum got, part = sum_of(CHECKSUM_CRC32, 0, 10), other = {0};
	checksum_s3_whole_init(&whole, CHECKSUM_CRC32, CHECKSUM_FULL_OBJECT);
	checksum_s3_whole_add(&whole, &part, 10);
	checksum_s3_whole_add(&whole, &other, 10);
	checksum_s3_whole_add(&whole, &part, 10);
	checksum_s3_whole_final(&whole, &got);
	ck_assert_uint_eq(got.algorithm, CHECKSUM_NONE);
	checksum_s3_whole_init(&whole, CHECKSUM_NONE, CHECKSUM_FULL_OBJECT);
	checksum_s3_whole_add(&whole, &part, 10);
	checksum_s3_whole_final(&whole, &got);
	ck_assert_uint_eq(got.algorithm, CHECKSUM_NONE);
}
END_TEST

START_TEST(checksums_are_read_with_and_without_a_count)
{
	static const char *const bad[] = {"", "NhCmhg", "NhCmhg==-", "NhCmhg==-0", "NhCmhg==-10001",
		"NhCmhg==-1x", "NhCmhg==-123456", "AAAA", "NhCmhg== "};
	struct checksum sum;
	uint32_t count;
	ck_assert_ok(checksum_s3_parse(bytes_of("NhCmhg=="), CHECKSUM_CRC32, &sum, &count));
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(sum.type, CHECKSUM_FULL_OBJECT);
	ck_assert_ok(checksum_s3_parse(bytes_of("NhCmhg==-10000"), CHECKSUM_CRC32, &sum, &count));
	ck_assert_uint_eq(count, 10000);
	ck_assert_uint_eq(sum.type, CHECKSUM_COMPOSITE);
	uint8_t text[CHECKSUM_S3_TEXT_LEN_MAX];
	struct text_out out;
	text_out_init(&out, text, sizeof text);
	checksum_s3_put(&out, &sum, count);
	ck_assert(bytes_is_text(text_out_bytes(&out), "NhCmhg==-10000"));
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert_msg(checksum_s3_parse(bytes_of(bad[i]), CHECKSUM_CRC32, &sum, &count) ==
				ERR_INVALID,
			"%s", bad[i]);
}
END_TEST

START_TEST(algorithms_have_the_types_of_s3)
{
	ck_assert(checksum_s3_is_type_allowed(CHECKSUM_CRC32, CHECKSUM_COMPOSITE));
	ck_assert(checksum_s3_is_type_allowed(CHECKSUM_CRC32C, CHECKSUM_FULL_OBJECT));
	ck_assert(!checksum_s3_is_type_allowed(CHECKSUM_CRC64NVME, CHECKSUM_COMPOSITE));
	ck_assert(!checksum_s3_is_type_allowed(CHECKSUM_SHA1, CHECKSUM_FULL_OBJECT));
	for (enum checksum_algorithm i = CHECKSUM_CRC32; i <= CHECKSUM_CRC64NVME; i++) {
		ck_assert_int_eq(checksum_s3_from_name(bytes_of(checksum_s3_name(i))), i);
		ck_assert_int_eq(checksum_s3_from_header(bytes_of(checksum_s3_header(i))), i);
		ck_assert_int_eq(checksum_s3_from_element(bytes_of(checksum_s3_element(i))), i);
		ck_assert_int_eq(checksum_s3_from_digest(checksum_s3_digest(i)), i);
		ck_assert(checksum_s3_is_type_allowed(i, checksum_s3_default_type(i)));
	}
	ck_assert_int_eq(checksum_s3_from_name(bytes_of("crc32c")), CHECKSUM_CRC32C);
	ck_assert_int_eq(checksum_s3_from_name(bytes_of("crc32cc")), CHECKSUM_NONE);
	ck_assert_int_eq(checksum_s3_from_name(bytes_of("MD5")), CHECKSUM_NONE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("body");
	TCase *node = tcase_create("node"), *alone = tcase_create("alone");
	tcase_add_checked_fixture(node, setup, teardown);
	tcase_add_checked_fixture(alone, fill, NULL);
	tcase_set_timeout(node, 60);
	tcase_set_timeout(alone, 60);
	tcase_add_test(node, who_holds_memory_and_sends_nothing_gives_way_to_who_waits);
	tcase_add_test(node, who_waited_for_memory_has_as_long_as_others_to_send);
	tcase_add_test(node, who_waited_for_memory_has_as_long_as_others_to_send);
	tcase_add_test(node, many_uploads_share_the_memory_of_one);
	tcase_add_test(node, a_client_that_goes_away_stores_nothing_and_holds_nothing);
	tcase_add_test(node, a_get_that_loses_its_drives_while_it_waits_for_memory_ends);
	tcase_add_test(node, a_put_that_loses_a_drive_fails_and_the_next_one_is_narrowed);
	tcase_add_test(alone, a_put_is_there_or_not_whichever_call_of_a_drive_fails);
	tcase_add_test(alone, repeated_headers_are_joined_and_aws_chunked_is_not_kept);
	tcase_add_test(alone, tags_are_ten_at_most_and_each_key_once);
	tcase_add_test(alone, etags_are_read_in_any_dress);
	tcase_add_test(alone, upload_ids_come_back_and_others_are_none);
	tcase_add_test(alone, full_checksums_of_parts_are_combined);
	tcase_add_test(alone, a_part_without_the_checksum_leaves_the_whole_without);
	tcase_add_test(alone, checksums_are_read_with_and_without_a_count);
	tcase_add_test(alone, algorithms_have_the_types_of_s3);
	suite_add_tcase(suite, node);
	suite_add_tcase(suite, alone);
	return test_run(suite);
}
