/* SPDX-License-Identifier: Apache-2.0 */
/* PutObject, GetObject, HeadObject, DeleteObject and DeleteObjects, on a whole node in the
 * simulator. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/digest/base64.h"
#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"
#include "gateway/text_out.h"
#include "tests/lib/object_rig.h"
#include "tests/lib/test.h"

#define DATA_LEN (3u << 20)

static struct object_rig rig;
static uint8_t *data;

static void setup(void)
{
	uint64_t state = 1;
	data = malloc(DATA_LEN);
	ck_assert_ptr_nonnull(data);
	test_random_fill(&state, data, DATA_LEN);
	object_rig_open(&rig, 1);
}

static void teardown(void)
{
	object_rig_close(&rig);
	free(data);
}

/* "<md5>" with its quotes, in a buffer of its own. */
static const char *etag_of(const void *bytes, size_t len)
{
	static char text[64];
	uint8_t md5[MD5_LEN];
	digest_md5(bytes, len, md5);
	text[0] = '"';
	hex_encode(md5, sizeof md5, text + 1);
	text[33] = '"';
	text[34] = '\0';
	return text;
}

static unsigned put_text(const char *target, const char *text)
{
	return object_rig_send(&rig, "PUT", target, text, strlen(text));
}

static void assert_body(const void *bytes, size_t len)
{
	ck_assert_uint_eq(rig.fake.answer_len, len);
	ck_assert(len == 0 || memcmp(rig.fake.answer, bytes, len) == 0);
	ck_assert(rig.fake.is_whole);
}

static void assert_text(const char *text)
{
	assert_body(text, strlen(text));
}

/* GET with one header more. */
static unsigned get_with(const char *target, const char *name, const char *value)
{
	object_rig_make(&rig, "GET", target);
	fake_exchange_header(&rig.fake, name, value);
	return object_rig_run(&rig, NULL);
}

static unsigned put_with(const char *target, const char *text, const char *name, const char *value)
{
	object_rig_make(&rig, "PUT", target);
	fake_exchange_header(&rig.fake, name, value);
	fake_exchange_body(&rig.fake, text, strlen(text));
	return object_rig_run(&rig, NULL);
}

/* --- put and get ------------------------------------------------------------------------------ */

START_TEST(objects_of_all_sizes_come_back_as_they_were_put)
{
	static const size_t lens[] = {0, 1, 4096, 4097, 131072, 131073, 524288, DATA_LEN};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/key", data, lens[i]), 200);
		ck_assert_uint_eq(rig.fake.answer_len, 0);
		ck_assert_str_eq(object_rig_header(&rig, "etag"), etag_of(data, lens[i]));
		ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
		ck_assert_uint_eq(rig.fake.response.len, lens[i]);
		ck_assert_str_eq(object_rig_header(&rig, "etag"), etag_of(data, lens[i]));
		assert_body(data, lens[i]);
		ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 200);
		ck_assert_uint_eq(rig.fake.response.len, lens[i]);
		ck_assert_uint_eq(rig.fake.answer_len, 0);
	}
}
END_TEST

START_TEST(a_body_that_comes_in_small_pieces_is_the_same)
{
	object_rig_make(&rig, "PUT", "/bkt/key");
	fake_exchange_body(&rig.fake, data, 600001);
	rig.fake.piece_len = 7777;
	rig.fake.is_slow = true;
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
	assert_body(data, 600001);
}
END_TEST

START_TEST(a_wrong_md5_stores_nothing)
{
	ck_assert_uint_eq(
		put_with("/bkt/key", "hello", "content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="), 400);
	ck_assert_str_eq(object_rig_code(&rig), "BadDigest");
	ck_assert_uint_eq(put_with("/bkt/key", "hello", "content-md5", "short"), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidDigest");
	ck_assert_uint_eq(rig.fake.reads, 0);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 404);
	ck_assert_str_eq(object_rig_code(&rig), "NoSuchKey");
}
END_TEST

START_TEST(a_body_other_than_what_was_signed_stores_nothing)
{
	object_rig_make(&rig, "PUT", "/bkt/key");
	fake_exchange_body(&rig.fake, data, 500000);
	char hex[65];
	memset(hex, 'a', 64);
	hex[64] = '\0';
	ck_assert_uint_eq(object_rig_run(&rig, hex), 400);
	ck_assert_str_eq(object_rig_code(&rig), "XAmzContentSHA256Mismatch");
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 404);
}
END_TEST

START_TEST(a_body_that_ends_early_stores_nothing)
{
	static const size_t lens[] = {100, 300000, 2000000};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		object_rig_make(&rig, "PUT", "/bkt/key");
		fake_exchange_body(&rig.fake, data, lens[i]);
		rig.fake.x.body_len += 70000;
		rig.fake.body_err = i == 1 ? ERR_TIMEOUT : ERR_CLOSED;
		object_rig_run(&rig, "UNSIGNED-PAYLOAD");
		ck_assert_uint_ne(rig.fake.response.status, 200);
		ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 404);
	}
}
END_TEST

START_TEST(a_length_is_asked_for)
{
	object_rig_make(&rig, "PUT", "/bkt/key");
	fake_exchange_body(&rig.fake, "hello", 5);
	rig.fake.x.has_body_len = false;
	ck_assert_uint_eq(object_rig_run(&rig, "UNSIGNED-PAYLOAD"), 411);
	ck_assert_str_eq(object_rig_code(&rig), "MissingContentLength");
	object_rig_make(&rig, "PUT", "/bkt/key"); /* neither length nor body */
	ck_assert_uint_eq(object_rig_run(&rig, "UNSIGNED-PAYLOAD"), 411);
	object_rig_make(&rig, "PUT", "/bkt/key");
	fake_exchange_body(&rig.fake, "", 0);
	ck_assert_uint_eq(object_rig_run(&rig, "UNSIGNED-PAYLOAD"), 200);
	rig.gateway.settings.object_len_max = 4;
	ck_assert_uint_eq(put_text("/bkt/key", "hello"), 400);
	ck_assert_str_eq(object_rig_code(&rig), "EntityTooLarge");
}
END_TEST

START_TEST(a_checksum_is_checked_kept_and_given_when_asked_for)
{
	ck_assert_uint_eq(put_with("/bkt/key", "hello", "x-amz-checksum-crc32", "AAAAAA=="), 400);
	ck_assert_str_eq(object_rig_code(&rig), "BadDigest");
	ck_assert_uint_eq(put_with("/bkt/key", "hello", "x-amz-checksum-crc32", "NhCmhg=="), 200);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-checksum-crc32"), "NhCmhg==");
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-checksum-crc32"), "");
	ck_assert_uint_eq(get_with("/bkt/key", "x-amz-checksum-mode", "ENABLED"), 200);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-checksum-crc32"), "NhCmhg==");
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-checksum-type"), "FULL_OBJECT");
	object_rig_make(&rig, "GET", "/bkt/key");
	fake_exchange_header(&rig.fake, "x-amz-checksum-mode", "ENABLED");
	fake_exchange_header(&rig.fake, "range", "bytes=1-2");
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 206);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-checksum-crc32"), "");
}
END_TEST

/* Wraps bytes into chunks with a trailer, in a buffer that the caller frees. */
static size_t make_chunks(size_t len, size_t chunk_len, uint8_t **ret_chunks)
{
	uint8_t crc[CRC32_LEN];
	char text[16];
	struct digest_stream stream;
	struct digest_values values;
	uint8_t *out = malloc(2 * len + 200);
	ck_assert_ptr_nonnull(out);
	size_t n = 0;
	for (size_t i = 0; i < len; i += chunk_len) {
		size_t part = len - i < chunk_len ? len - i : chunk_len;
		n += snprintf((char *)out + n, 20, "%zx\r\n", part);
		memcpy(out + n, data + i, part);
		n += part;
		memcpy(out + n, "\r\n", 2);
		n += 2;
	}
	digest_stream_init(&stream, DIGEST_CRC32);
	digest_stream_update(&stream, data, len);
	digest_stream_final(&stream, &values);
	memcpy(crc, values.crc32, sizeof crc);
	base64_encode(crc, sizeof crc, text);
	n += snprintf((char *)out + n, 100, "0\r\nx-amz-checksum-crc32:%s\r\n\r\n", text);
	*ret_chunks = out;
	return n;
}

static unsigned put_chunks(const uint8_t *chunks, size_t len, size_t decoded_len, size_t piece_len)
{
	char text[24];
	object_rig_make(&rig, "PUT", "/bkt/key");
	snprintf(text, sizeof text, "%zu", decoded_len);
	fake_exchange_header(&rig.fake, "content-encoding", "aws-chunked,gzip");
	fake_exchange_header(&rig.fake, "x-amz-decoded-content-length", text);
	fake_exchange_header(&rig.fake, "x-amz-trailer", "x-amz-checksum-crc32");
	fake_exchange_body(&rig.fake, chunks, len);
	rig.fake.x.has_body_len = false;
	rig.fake.piece_len = piece_len;
	return object_rig_run(&rig, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
}

START_TEST(chunks_with_a_trailer_are_the_payload_alone)
{
	static const size_t lens[] = {0, 5, 4096, 70000, 1100000};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		uint8_t *chunks;
		size_t len = make_chunks(lens[i], i % 2 ? 65536 : 1000, &chunks);
		ck_assert_uint_eq(put_chunks(chunks, len, lens[i], i == 3 ? 13 : 0), 200);
		ck_assert_str_eq(object_rig_header(&rig, "etag"), etag_of(data, lens[i]));
		ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
		ck_assert_str_eq(object_rig_header(&rig, "content-encoding"), "gzip");
		assert_body(data, lens[i]);
		free(chunks);
	}
}
END_TEST

START_TEST(a_wrong_trailer_and_a_wrong_length_store_nothing)
{
	uint8_t *chunks;
	size_t len = make_chunks(70000, 65536, &chunks);
	ck_assert_uint_eq(put_chunks(chunks, len, 70001, 0), 400);
	ck_assert_uint_eq(put_chunks(chunks, len, 69999, 0), 400);
	ck_assert_uint_eq(put_chunks(chunks, len - 20, 70000, 0), 400);
	chunks[100] ^= 1;
	ck_assert_uint_eq(put_chunks(chunks, len, 70000, 0), 400);
	ck_assert_str_eq(object_rig_code(&rig), "BadDigest");
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 404);
	free(chunks);
}
END_TEST

START_TEST(what_was_said_of_an_object_comes_back)
{
	object_rig_make(&rig, "PUT", "/bkt/key");
	fake_exchange_header(&rig.fake, "content-type", "text/x-poem");
	fake_exchange_header(&rig.fake, "cache-control", "no-store");
	fake_exchange_header(&rig.fake, "x-amz-meta-a", "1");
	fake_exchange_header(&rig.fake, "x-amz-meta-b", "x,y");
	fake_exchange_header(&rig.fake, "x-amz-meta-empty", "");
	fake_exchange_header(&rig.fake, "x-amz-tagging", "color=dark+blue&n=1");
	fake_exchange_header(&rig.fake, "x-amz-storage-class", "STANDARD");
	fake_exchange_header(&rig.fake, "x-amz-acl", "private");
	fake_exchange_body(&rig.fake, "roses", 5);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 200);
	ck_assert_str_eq(object_rig_header(&rig, "content-type"), "text/x-poem");
	ck_assert_str_eq(object_rig_header(&rig, "cache-control"), "no-store");
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-meta-a"), "1");
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-meta-b"), "x,y");
	ck_assert_ptr_nonnull(fake_exchange_answer_header(&rig.fake, "x-amz-meta-empty"));
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-tagging-count"), "2");
	ck_assert_str_eq(object_rig_header(&rig, "accept-ranges"), "bytes");
	ck_assert_uint_eq(strlen(object_rig_header(&rig, "last-modified")), 29);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key?response-content-type=a%2Fb"), 200);
	ck_assert_str_eq(object_rig_header(&rig, "content-type"), "a/b");
	ck_assert_uint_eq(
		object_rig_ask(&rig, "GET", "/bkt/key?response-expires=x%0D%0Ay%3A%20z"), 400);
}
END_TEST

START_TEST(as_many_metadata_as_a_request_can_have_come_back)
{
	char name[32], value[8];
	object_rig_make(&rig, "PUT", "/bkt/key");
	for (unsigned i = 0; i < 90; i++) {
		snprintf(name, sizeof name, "x-amz-meta-n%u", i);
		snprintf(value, sizeof value, "%u", i);
		fake_exchange_header(&rig.fake, name, value);
	}
	fake_exchange_body(&rig.fake, "", 0);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 200);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-missing-meta"), "");
	for (unsigned i = 0; i < 90; i++) {
		snprintf(name, sizeof name, "x-amz-meta-n%u", i);
		snprintf(value, sizeof value, "%u", i);
		ck_assert_str_eq(object_rig_header(&rig, name), value);
	}
}
END_TEST

START_TEST(what_we_do_not_do_is_refused_and_not_ignored)
{
	static const char *const cases[][4] = {
		{"x-amz-server-side-encryption", "aws:kms", "501", "NotImplemented"},
		{"x-amz-object-lock-mode", "GOVERNANCE", "400", "InvalidRequest"},
		{"x-amz-write-offset-bytes", "0", "501", "NotImplemented"},
		{"x-amz-acl", "public-read", "400", "AccessControlListNotSupported"},
		{"x-amz-grant-read", "id=x", "400", "AccessControlListNotSupported"},
		{"x-amz-storage-class", "SHOEBOX", "400", "InvalidStorageClass"},
		{"x-amz-tagging", "a=1&a=2", "400", "InvalidTag"},
		{"if-unmodified-since", "Sat, 21 Nov 2026 12:48:16 GMT", "501", "NotImplemented"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		unsigned status = put_with("/bkt/key", "x", cases[i][0], cases[i][1]);
		ck_assert_msg(
			status == strtoul(cases[i][2], NULL, 10), "%s: %u", cases[i][0], status);
		ck_assert_str_eq(object_rig_code(&rig), cases[i][3]);
		ck_assert_uint_eq(rig.fake.reads, 0);
	}
	char value[2100];
	memset(value, 'v', sizeof value);
	value[2048] = '\0';
	ck_assert_uint_eq(put_with("/bkt/key", "x", "x-amz-meta-a", value), 400);
	ck_assert_str_eq(object_rig_code(&rig), "MetadataTooLarge");
	value[2047] = '\0';
	ck_assert_uint_eq(put_with("/bkt/key", "x", "x-amz-meta-a", value), 200);
}
END_TEST

/* --- conditions ------------------------------------------------------------------------------- */

START_TEST(conditions_of_a_put_are_kept)
{
	ck_assert_uint_eq(put_with("/bkt/key", "a", "if-match", "\"x\""), 404);
	ck_assert_uint_eq(put_with("/bkt/key", "a", "if-none-match", "*"), 200);
	ck_assert_uint_eq(put_with("/bkt/key", "b", "if-none-match", "*"), 412);
	ck_assert_str_eq(object_rig_code(&rig), "PreconditionFailed");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "Condition"), "If-None-Match");
	ck_assert_uint_eq(rig.fake.reads, 0);
	ck_assert_uint_eq(put_with("/bkt/key", "b", "if-match", etag_of("b", 1)), 412);
	ck_assert_uint_eq(put_with("/bkt/key", "b", "if-match", etag_of("a", 1)), 200);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
	assert_text("b");
}
END_TEST

START_TEST(one_of_two_that_want_to_be_first_is)
{
	static struct fake_exchange a, b;
	struct fake_exchange *both[] = {&a, &b};
	unsigned won = 0;
	for (size_t i = 0; i < 2; i++) {
		fake_exchange_init(both[i], rig.client, "PUT", "/bkt/key");
		fake_exchange_header(both[i], "if-none-match", "*");
		fake_exchange_body(both[i], data + i, 10000);
		rig.sign.wall_ms = clock_wall_ms(sim_node_clock(rig.node));
		sign_request(both[i], &rig.sign, NULL);
		object_rig_start(&rig, both[i]);
	}
	for (size_t i = 0; i < 2; i++) {
		object_rig_wait(&rig, both[i]);
		won += both[i]->response.status == 200;
		ck_assert(both[i]->response.status == 200 || both[i]->response.status == 412);
	}
	ck_assert_uint_eq(won, 1);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
	assert_body(data + (a.response.status == 200 ? 0 : 1), 10000);
	fake_exchange_fini(&a);
	fake_exchange_fini(&b);
}
END_TEST

START_TEST(a_put_that_is_sent_again_succeeds_again)
{
	for (int i = 0; i < 2; i++) {
		object_rig_make(&rig, "PUT", "/bkt/key");
		fake_exchange_header(&rig.fake, "if-none-match", "*");
		fake_exchange_header(&rig.fake, "amz-sdk-invocation-id", "one-and-the-same");
		fake_exchange_body(&rig.fake, data, 200000);
		ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
		ck_assert_str_eq(object_rig_header(&rig, "etag"), etag_of(data, 200000));
	}
}
END_TEST

START_TEST(conditions_of_a_get_are_kept)
{
	char etag[64], time[64];
	ck_assert_uint_eq(put_text("/bkt/key", "a"), 200);
	snprintf(etag, sizeof etag, "%s", object_rig_header(&rig, "etag"));
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 200);
	snprintf(time, sizeof time, "%s", object_rig_header(&rig, "last-modified"));
	ck_assert_uint_eq(get_with("/bkt/key", "if-none-match", etag), 304);
	ck_assert_str_eq(object_rig_header(&rig, "etag"), etag);
	ck_assert_str_eq(object_rig_header(&rig, "last-modified"), time);
	ck_assert_uint_eq(rig.fake.answer_len, 0);
	ck_assert_uint_eq(get_with("/bkt/key", "if-modified-since", time), 304);
	ck_assert_uint_eq(get_with("/bkt/key", "if-match", etag), 200);
	ck_assert_uint_eq(get_with("/bkt/key", "if-match", "\"other\""), 412);
	ck_assert_uint_eq(get_with("/bkt/no", "if-match", "\"other\""), 404);
}
END_TEST

/* --- ranges ----------------------------------------------------------------------------------- */

START_TEST(ranges_are_those_bytes)
{
	static const struct {
		const char *range;
		unsigned status;
		size_t start, len;
		const char *content_range;
	} cases[] = {
		{"bytes=0-0", 206, 0, 1, "bytes 0-0/1000000"},
		{"bytes=524287-524288", 206, 524287, 2, "bytes 524287-524288/1000000"},
		{"bytes=999999-2000000", 206, 999999, 1, "bytes 999999-999999/1000000"},
		{"bytes=-3", 206, 999997, 3, "bytes 999997-999999/1000000"},
		{"bytes=100000-", 206, 100000, 900000, "bytes 100000-999999/1000000"},
		{"bytes=5-4", 200, 0, 1000000, ""},
		{"lines=1-2", 200, 0, 1000000, ""},
	};
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/key", data, 1000000), 200);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		ck_assert_uint_eq(get_with("/bkt/key", "range", cases[i].range), cases[i].status);
		ck_assert_str_eq(object_rig_header(&rig, "content-range"), cases[i].content_range);
		assert_body(data + cases[i].start, cases[i].len);
	}
	ck_assert_uint_eq(get_with("/bkt/key", "range", "bytes=1000000-"), 416);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRange");
	ck_assert_str_eq(object_rig_header(&rig, "content-range"), "bytes */1000000");
	ck_assert_uint_eq(put_text("/bkt/empty", ""), 200);
	ck_assert_uint_eq(get_with("/bkt/empty", "range", "bytes=0-"), 416);
}
END_TEST

START_TEST(a_plain_object_is_one_part)
{
	ck_assert_uint_eq(put_text("/bkt/key", "hello"), 200);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key?partNumber=1"), 206);
	ck_assert_str_eq(object_rig_header(&rig, "content-range"), "bytes 0-4/5");
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-mp-parts-count"), "");
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key?partNumber=2"), 416);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidPartNumber");
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key?partNumber=0"), 400);
	ck_assert_uint_eq(get_with("/bkt/key?partNumber=1", "range", "bytes=0-1"), 400);
}
END_TEST

START_TEST(a_client_that_goes_away_leaves_nothing_behind)
{
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/key", data, DATA_LEN), 200);
	static const size_t lens[] = {1, 600000, DATA_LEN};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		object_rig_make(&rig, "GET", "/bkt/key");
		rig.fake.gone_after = lens[i];
		object_rig_run(&rig, NULL);
		ck_assert(rig.fake.is_ended);
	}
}
END_TEST

START_TEST(an_object_is_read_without_one_drive)
{
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/key", data, DATA_LEN), 200);
	sim_disk_fail_nth(rig.disks[1], SIM_READ, 1, SIM_GONE);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
	assert_body(data, DATA_LEN);
}
END_TEST

START_TEST(an_object_that_cannot_be_read_is_an_error_and_no_more)
{
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/key", data, DATA_LEN), 200);
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/small", data, 100), 200);
	for (size_t i = 0; i < 3; i++)
		sim_disk_fail_nth(rig.disks[i], SIM_READ, 1, SIM_GONE);
	ck_assert_uint_ge(object_rig_ask(&rig, "GET", "/bkt/key"), 500);
	ck_assert_uint_ge(object_rig_ask(&rig, "GET", "/bkt/key"), 500);
	ck_assert_uint_eq(rig.store_loop.get_pool.lent_len, 0);
	ck_assert_uint_eq(rig.store_loop.decode_pool.lent_len, 0);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/small"), 200);
	assert_body(data, 100);
}
END_TEST

/* --- delete ----------------------------------------------------------------------------------- */

START_TEST(what_is_deleted_is_gone_and_what_is_not_there_is_deleted)
{
	ck_assert_uint_eq(put_text("/bkt/key", "a"), 200);
	object_rig_make(&rig, "DELETE", "/bkt/key");
	fake_exchange_header(&rig.fake, "if-match", etag_of("b", 1));
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 412);
	ck_assert_uint_eq(object_rig_ask(&rig, "DELETE", "/bkt/key"), 204);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 404);
	ck_assert_uint_eq(object_rig_ask(&rig, "DELETE", "/bkt/key"), 204);
	ck_assert_uint_eq(object_rig_ask(&rig, "DELETE", "/bkt/key?versionId=garbage"), 400);
}
END_TEST

static unsigned delete_many(const char *document)
{
	return object_rig_send(&rig, "POST", "/bkt?delete=", document, strlen(document));
}

START_TEST(many_are_deleted_at_once)
{
	ck_assert_uint_eq(put_text("/bkt/a", "a"), 200);
	ck_assert_uint_eq(put_text("/bkt/b%26c", "b"), 200);
	ck_assert_uint_eq(delete_many("<Delete><Object><Key>a</Key></Object>"
				      "<Object><Key>x</Key><VersionId>garbage</VersionId></Object>"
				      "<Object><Key>b&amp;c</Key></Object></Delete>"),
		200);
	const char *answer = (const char *)rig.fake.answer;
	const char *last_deleted = strstr(answer, "<Deleted><Key>b&amp;c</Key></Deleted>");
	const char *first_error = strstr(answer, "<Error><Key>x</Key>");
	ck_assert(strstr(answer, "<Deleted><Key>a</Key></Deleted>"));
	ck_assert(last_deleted && first_error && last_deleted < first_error);
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/a"), 404);
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/b%26c"), 404);
	ck_assert_uint_eq(
		delete_many("<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>"),
		200);
	ck_assert_ptr_null(strstr((const char *)rig.fake.answer, "Deleted>"));
	ck_assert_uint_eq(delete_many("<Delete></Delete>"), 400);
	ck_assert_str_eq(object_rig_code(&rig), "MalformedXML");
	ck_assert_uint_eq(delete_many("<Delete><Object><Key>a</Key>"), 400);
}
END_TEST

START_TEST(a_thousand_long_keys_are_answered_for)
{
	enum { CAP = 2000 * 1000 };
	char *document = malloc(CAP), key[1020];
	struct text_out out;
	ck_assert_ptr_nonnull(document);
	text_out_init(&out, document, CAP);
	text_put_text(&out, "<Delete>");
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "%04d%01000d", i, 7);
		text_put_text(&out, "<Object><Key>");
		text_put_text(&out, key);
		text_put_text(&out, "</Key></Object>");
	}
	text_put_text(&out, "</Delete>");
	ck_assert_uint_eq(object_rig_send(&rig, "POST", "/bkt?delete=", document, out.len), 200);
	size_t count = 0;
	for (const char *p = (const char *)rig.fake.answer; (p = strstr(p, "<Deleted>")); p++)
		count++;
	ck_assert_uint_eq(count, 1000);
	ck_assert(rig.fake.is_whole);
	free(document);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("op_object");
	TCase *tcase = tcase_create("node");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, objects_of_all_sizes_come_back_as_they_were_put);
	tcase_add_test(tcase, a_body_that_comes_in_small_pieces_is_the_same);
	tcase_add_test(tcase, a_wrong_md5_stores_nothing);
	tcase_add_test(tcase, a_body_other_than_what_was_signed_stores_nothing);
	tcase_add_test(tcase, a_body_that_ends_early_stores_nothing);
	tcase_add_test(tcase, a_length_is_asked_for);
	tcase_add_test(tcase, a_checksum_is_checked_kept_and_given_when_asked_for);
	tcase_add_test(tcase, chunks_with_a_trailer_are_the_payload_alone);
	tcase_add_test(tcase, a_wrong_trailer_and_a_wrong_length_store_nothing);
	tcase_add_test(tcase, what_was_said_of_an_object_comes_back);
	tcase_add_test(tcase, as_many_metadata_as_a_request_can_have_come_back);
	tcase_add_test(tcase, what_we_do_not_do_is_refused_and_not_ignored);
	tcase_add_test(tcase, conditions_of_a_put_are_kept);
	tcase_add_test(tcase, one_of_two_that_want_to_be_first_is);
	tcase_add_test(tcase, a_put_that_is_sent_again_succeeds_again);
	tcase_add_test(tcase, conditions_of_a_get_are_kept);
	tcase_add_test(tcase, ranges_are_those_bytes);
	tcase_add_test(tcase, a_plain_object_is_one_part);
	tcase_add_test(tcase, a_client_that_goes_away_leaves_nothing_behind);
	tcase_add_test(tcase, an_object_is_read_without_one_drive);
	tcase_add_test(tcase, an_object_that_cannot_be_read_is_an_error_and_no_more);
	tcase_add_test(tcase, what_is_deleted_is_gone_and_what_is_not_there_is_deleted);
	tcase_add_test(tcase, many_are_deleted_at_once);
	tcase_add_test(tcase, a_thousand_long_keys_are_answered_for);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
