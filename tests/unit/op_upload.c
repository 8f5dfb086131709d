/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts, on a whole node in the simulator. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/digest/base64.h"
#include "gateway/digest/digest_stream.h"
#include "gateway/digest/hex.h"
#include "gateway/text_out.h"
#include "tests/lib/object_rig.h"
#include "tests/lib/test.h"

#define PART_LEN (5u << 20)
#define LAST_LEN 70001u
#define DATA_LEN (2 * PART_LEN + LAST_LEN)

static struct object_rig rig;
static uint8_t *data;
static char upload[64]; /* id */
static char target[256], document[4096];
static char etags[4][40]; /* of parts, without quotes */

static void setup(void)
{
	uint64_t state = 1;
	data = malloc(DATA_LEN);
	ck_assert_ptr_nonnull(data);
	test_random_fill(&state, data, DATA_LEN);
	object_rig_open(&rig, 2);
}

static void teardown(void)
{
	object_rig_close(&rig);
	free(data);
}

static const char *part_target(unsigned number)
{
	snprintf(target, sizeof target, "/bkt/key?partNumber=%u&uploadId=%s", number, upload);
	return target;
}

static const char *upload_target(void)
{
	snprintf(target, sizeof target, "/bkt/key?uploadId=%s", upload);
	return target;
}

static void create(const char *name, const char *value, const char *name2, const char *value2)
{
	object_rig_make(&rig, "POST", "/bkt/key?uploads=");
	if (name)
		fake_exchange_header(&rig.fake, name, value);
	if (name2)
		fake_exchange_header(&rig.fake, name2, value2);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "Bucket"), "bkt");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "Key"), "key");
	snprintf(upload, sizeof upload, "%s", fake_exchange_element(&rig.fake, "UploadId"));
}

static void put_part(unsigned number, size_t offset, size_t len)
{
	uint8_t md5[MD5_LEN];
	ck_assert_uint_eq(
		object_rig_send(&rig, "PUT", part_target(number), data + offset, len), 200);
	digest_md5(data + offset, len, md5);
	hex_encode(md5, sizeof md5, etags[number]);
	char quoted[48];
	snprintf(quoted, sizeof quoted, "\"%s\"", etags[number]);
	ck_assert_str_eq(object_rig_header(&rig, "etag"), quoted);
}

static void put_three(void)
{
	put_part(3, 2 * PART_LEN, LAST_LEN);
	put_part(1, 0, PART_LEN);
	put_part(2, PART_LEN, PART_LEN);
}

/* The list of the given parts. */
static const char *list(const unsigned *numbers, size_t count)
{
	struct text_out out;
	text_out_init(&out, document, sizeof document);
	text_put_text(&out, "<CompleteMultipartUpload>");
	for (size_t i = 0; i < count; i++) {
		text_put_text(&out, "<Part><ETag>\"");
		text_put_text(&out, etags[numbers[i]]);
		text_put_text(&out, "\"</ETag><PartNumber>");
		text_put_uint(&out, numbers[i]);
		text_put_text(&out, "</PartNumber></Part>");
	}
	text_put_text(&out, "</CompleteMultipartUpload>");
	text_put_char(&out, 0);
	ck_assert(!out.overflowed);
	return document;
}

static unsigned complete(const char *text)
{
	return object_rig_send(&rig, "POST", upload_target(), text, strlen(text));
}

/* The ETag of parts 1 to count. */
static const char *composite(unsigned count)
{
	static char text[64];
	uint8_t md5s[3 * MD5_LEN], md5[MD5_LEN];
	for (unsigned i = 0; i < count; i++)
		ck_assert_ok(hex_decode(
			bytes_make(etags[i + 1], 32), md5s + (size_t)i * MD5_LEN, MD5_LEN));
	digest_md5(md5s, (size_t)count * MD5_LEN, md5);
	text[0] = '"';
	hex_encode(md5, sizeof md5, text + 1);
	snprintf(text + 33, sizeof text - 33, "-%u\"", count);
	return text;
}

static void assert_object(const uint8_t *bytes, size_t len)
{
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 200);
	ck_assert_uint_eq(rig.fake.answer_len, len);
	ck_assert_int_eq(memcmp(rig.fake.answer, bytes, len), 0);
}

static const unsigned one_two_three[] = {1, 2, 3};

START_TEST(parts_become_an_object)
{
	create("x-amz-meta-a", "1", NULL, NULL);
	put_three();
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 404);
	ck_assert_uint_eq(complete(list(one_two_three, 3)), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ETag"), composite(3));
	ck_assert_ptr_nonnull(fake_exchange_element(&rig.fake, "Location"));
	assert_object(data, DATA_LEN);
	ck_assert_str_eq(object_rig_header(&rig, "etag"), composite(3));
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-meta-a"), "1");

	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key?partNumber=3"), 206);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-mp-parts-count"), "3");
	ck_assert_str_eq(object_rig_header(&rig, "etag"), composite(3));
	ck_assert_uint_eq(rig.fake.answer_len, LAST_LEN);
	ck_assert_int_eq(memcmp(rig.fake.answer, data + 2 * PART_LEN, LAST_LEN), 0);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key?partNumber=4"), 416);

	object_rig_make(&rig, "GET", "/bkt/key");
	fake_exchange_header(&rig.fake, "range", "bytes=5242870-5242889");
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 206);
	ck_assert_uint_eq(rig.fake.answer_len, 20);
	ck_assert_int_eq(memcmp(rig.fake.answer, data + 5242870, 20), 0);
}
END_TEST

START_TEST(a_second_complete_has_the_answer_of_the_first)
{
	create(NULL, NULL, NULL, NULL);
	put_part(1, 0, 100);
	ck_assert_uint_eq(complete(list(one_two_three, 1)), 200);
	ck_assert_uint_eq(complete(list(one_two_three, 1)), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ETag"), composite(1));
	ck_assert_uint_eq(object_rig_ask(&rig, "DELETE", upload_target()), 404);
	memset(etags[1], etags[1][0] == 'a' ? 'b' : 'a', 32);
	ck_assert_uint_eq(complete(list(one_two_three, 1)), 404);
	ck_assert_str_eq(object_rig_code(&rig), "NoSuchUpload");
}
END_TEST

START_TEST(a_part_that_is_sent_again_replaces_the_first)
{
	create(NULL, NULL, NULL, NULL);
	put_part(1, 0, 100);
	put_part(1, 500, 5000);
	put_part(2, 0, 9);
	ck_assert_uint_eq(complete(list(one_two_three, 1)), 200);
	assert_object(data + 500, 5000);
}
END_TEST

START_TEST(lists_that_do_not_fit_are_refused)
{
	static const unsigned wrong_order[] = {2, 1};
	create(NULL, NULL, NULL, NULL);
	put_part(1, 0, 100);
	put_part(2, 100, 100);
	ck_assert_uint_eq(complete(list(wrong_order, 2)), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidPartOrder");
	ck_assert_uint_eq(complete(list(one_two_three, 2)), 400);
	ck_assert_str_eq(object_rig_code(&rig), "EntityTooSmall");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "PartNumber"), "1");
	memcpy(etags[3], etags[1], sizeof etags[3]);
	ck_assert_uint_eq(complete(list(one_two_three + 2, 1)), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidPart");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "PartNumber"), "3");
	memcpy(etags[1], etags[2], sizeof etags[1]);
	ck_assert_uint_eq(complete(list(one_two_three, 1)), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidPart");
	ck_assert_uint_eq(complete("<CompleteMultipartUpload/>"), 400);
	ck_assert_str_eq(object_rig_code(&rig), "MalformedXML");
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt/key"), 404);
}
END_TEST

START_TEST(uploads_that_are_not_there_are_not_there)
{
	create(NULL, NULL, NULL, NULL);
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", part_target(0), data, 1), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidArgument");
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", part_target(10001), data, 1), 400);
	ck_assert_uint_eq(object_rig_ask(&rig, "DELETE", upload_target()), 204);
	ck_assert_uint_eq(object_rig_ask(&rig, "DELETE", upload_target()), 404);
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", part_target(1), data, 1), 404);
	ck_assert_str_eq(object_rig_code(&rig), "NoSuchUpload");
	upload[3] ^= 1;
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", upload_target()), 404);
	ck_assert_str_eq(object_rig_code(&rig), "NoSuchUpload");
}
END_TEST

START_TEST(conditions_are_decided_at_the_end)
{
	create(NULL, NULL, NULL, NULL);
	put_part(1, 0, 100);
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/key", "x", 1), 200);
	const char *text = list(one_two_three, 1);
	object_rig_make(&rig, "POST", upload_target());
	fake_exchange_header(&rig.fake, "if-none-match", "*");
	fake_exchange_body(&rig.fake, text, strlen(text));
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 412);
	object_rig_make(&rig, "POST", upload_target());
	fake_exchange_header(&rig.fake, "x-amz-mp-object-size", "99");
	fake_exchange_body(&rig.fake, text, strlen(text));
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRequest");
	ck_assert_uint_eq(complete(text), 200);
}
END_TEST

/* --- listings --------------------------------------------------------------------------------- */

START_TEST(parts_are_listed_in_pages)
{
	create(NULL, NULL, NULL, NULL);
	put_part(1, 0, 10);
	put_part(2, 10, 20);
	put_part(3, 30, 30);
	snprintf(target, sizeof target, "/bkt/key?uploadId=%s&max-parts=2", upload);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", target), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "IsTruncated"), "true");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "NextPartNumberMarker"), "2");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "Size"), "10");
	snprintf(target, sizeof target, "/bkt/key?uploadId=%s&part-number-marker=2", upload);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", target), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "IsTruncated"), "false");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "PartNumber"), "3");
	char quoted[48];
	snprintf(quoted, sizeof quoted, "\"%s\"", etags[3]);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ETag"), quoted);
}
END_TEST

static size_t count_of(const char *what)
{
	size_t count = 0;
	for (const char *p = (const char *)rig.fake.answer; (p = strstr(p, what)); p++)
		count++;
	return count;
}

static void create_at(const char *at)
{
	ck_assert_uint_eq(object_rig_ask(&rig, "POST", at), 200);
	snprintf(upload, sizeof upload, "%s", fake_exchange_element(&rig.fake, "UploadId"));
}

START_TEST(uploads_are_listed_by_key_and_then_by_time)
{
	char first[64], second[64];
	create_at("/bkt/b?uploads=");
	memcpy(first, upload, sizeof first);
	create_at("/bkt/b?uploads=");
	memcpy(second, upload, sizeof second);
	create_at("/bkt/a/x?uploads=");
	create_at("/bkt/a/y?uploads=");
	create_at("/bkt/c?uploads=");
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt?uploads="), 200);
	ck_assert_uint_eq(count_of("<Upload>"), 5);
	const char *answer = (const char *)rig.fake.answer;
	ck_assert(strstr(answer, first) < strstr(answer, second));
	ck_assert(strstr(answer, "a/y") < strstr(answer, first));

	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt?uploads=&delimiter=%2F"), 200);
	ck_assert_uint_eq(count_of("<Upload>"), 3);
	ck_assert_uint_eq(count_of("<CommonPrefixes>"), 1);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt?prefix=b&uploads="), 200);
	ck_assert_uint_eq(count_of("<Upload>"), 2);

	snprintf(target, sizeof target, "/bkt?key-marker=b&upload-id-marker=%s&uploads=", first);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", target), 200);
	ck_assert_uint_eq(count_of("<Upload>"), 2);
	snprintf(target, sizeof target, "/bkt?upload-id-marker=%s&uploads=", first);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", target), 200);
	ck_assert_uint_eq(count_of("<Upload>"), 5);
	ck_assert_uint_eq(object_rig_ask(&rig, "GET", "/bkt?max-uploads=3&uploads="), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "IsTruncated"), "true");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "NextKeyMarker"), "b");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "NextUploadIdMarker"), first);
}
END_TEST

/* --- copies ----------------------------------------------------------------------------------- */

static unsigned copy_part(unsigned number, const char *range)
{
	object_rig_make(&rig, "PUT", part_target(number));
	fake_exchange_header(&rig.fake, "x-amz-copy-source", "/bkt/source");
	if (range)
		fake_exchange_header(&rig.fake, "x-amz-copy-source-range", range);
	unsigned status = object_rig_run(&rig, NULL);
	const char *etag = fake_exchange_element(&rig.fake, "ETag");
	if (status == 200)
		snprintf(etags[number], sizeof etags[number], "%.32s", etag + 1);
	return status;
}

START_TEST(parts_are_copied_from_ranges_of_objects)
{
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/source", data, DATA_LEN), 200);
	create(NULL, NULL, NULL, NULL);
	ck_assert_uint_eq(copy_part(1, "bytes=1000-5243879"), 200);
	ck_assert_uint_eq(copy_part(2, NULL), 200);
	ck_assert_uint_eq(copy_part(3, "bytes=0-0"), 200);
	ck_assert_uint_eq(copy_part(4, "bytes=0-99999999"), 400);
	ck_assert_uint_eq(copy_part(4, "bytes=5-"), 400);
	char etag[40];
	uint8_t md5[MD5_LEN];
	digest_md5(data + 1000, PART_LEN, md5);
	hex_encode(md5, sizeof md5, etag);
	ck_assert_str_eq(etags[1], etag);
	ck_assert_uint_eq(complete(list(one_two_three, 3)), 200);
	uint8_t *expected = malloc(PART_LEN + DATA_LEN + 1);
	ck_assert_ptr_nonnull(expected);
	memcpy(expected, data + 1000, PART_LEN);
	memcpy(expected + PART_LEN, data, DATA_LEN);
	expected[PART_LEN + DATA_LEN] = data[0];
	ck_assert_uint_eq(object_rig_ask(&rig, "DELETE", "/bkt/source"), 204);
	assert_object(expected, PART_LEN + DATA_LEN + 1);
	free(expected);
}
END_TEST

/* Each generation is made of ranges that cross the borders of the parts of the one before, so that
 * bodies would get ever deeper. */
START_TEST(copies_of_copies_of_copies_can_be_made_for_ever)
{
	enum { GENERATIONS = 9 };
	size_t len = PART_LEN + 1000;
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/source", data, len), 200);
	for (unsigned i = 0; i < GENERATIONS; i++) {
		char range[64];
		size_t cut = PART_LEN + 50 + i;
		create(NULL, NULL, NULL, NULL);
		for (unsigned part = 1; part <= 2; part++) {
			snprintf(range, sizeof range, "bytes=%zu-%zu", part == 1 ? 0 : cut,
				part == 1 ? cut - 1 : len - 1);
			ck_assert_uint_eq(copy_part(part, range), 200);
		}
		ck_assert_uint_eq(complete(list(one_two_three, 2)), 200);
		assert_object(data, len);
		object_rig_make(&rig, "PUT", "/bkt/source");
		fake_exchange_header(&rig.fake, "x-amz-copy-source", "/bkt/key");
		ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	}
	ck_assert_uint_gt(rig.store_loop.counters.put_bytes, 2 * PART_LEN); /* some were written */
}
END_TEST

START_TEST(a_thousand_parts_are_completed_at_once)
{
	enum { COUNT = 1024 };
	char *text = malloc(COUNT * 100);
	struct text_out out;
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", "/bkt/source", data, PART_LEN), 200);
	create(NULL, NULL, NULL, NULL);
	text_out_init(&out, text, COUNT * 100);
	text_put_text(&out, "<CompleteMultipartUpload>");
	for (unsigned i = 1; i <= COUNT; i++) {
		object_rig_make(&rig, "PUT", part_target(i));
		fake_exchange_header(&rig.fake, "x-amz-copy-source", "bkt/source");
		ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
		text_put_text(&out, "<Part><ETag>");
		text_put_text(&out, fake_exchange_element(&rig.fake, "ETag"));
		text_put_text(&out, "</ETag><PartNumber>");
		text_put_uint(&out, i);
		text_put_text(&out, "</PartNumber></Part>");
	}
	text_put_text(&out, "</CompleteMultipartUpload>");
	text_put_char(&out, 0);
	ck_assert(!out.overflowed);
	ck_assert_uint_eq(complete(text), 200);
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 200);
	ck_assert_uint_eq(rig.fake.response.len, UINT64_C(5) << 30);
	object_rig_make(&rig, "GET", "/bkt/key");
	fake_exchange_header(&rig.fake, "range", "bytes=5368709110-");
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 206);
	ck_assert_uint_eq(rig.fake.answer_len, 10);
	ck_assert_int_eq(memcmp(rig.fake.answer, data + PART_LEN - 10, 10), 0);
	ck_assert_uint_eq(complete(text), 200); /* from the tombstone */
	free(text);
}
END_TEST

/* --- checksums -------------------------------------------------------------------------------- */

static const char *checksum_of(unsigned kind, const void *bytes, size_t len)
{
	static char text[64];
	struct digest_stream stream;
	struct digest_values values;
	digest_stream_init(&stream, kind);
	digest_stream_update(&stream, bytes, len);
	digest_stream_final(&stream, &values);
	struct bytes value = digest_value(&values, kind);
	base64_encode(value.data, value.len, text);
	return text;
}

START_TEST(full_checksums_of_parts_become_that_of_the_whole)
{
	create("x-amz-checksum-algorithm", "CRC32C", "x-amz-checksum-type", "FULL_OBJECT");
	put_three();
	const char *text = list(one_two_three, 3);
	const char *sum = checksum_of(DIGEST_CRC32C, data, DATA_LEN);
	object_rig_make(&rig, "POST", upload_target());
	fake_exchange_header(&rig.fake, "x-amz-checksum-crc32c", "AAAAAA==");
	fake_exchange_body(&rig.fake, text, strlen(text));
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
	ck_assert_str_eq(object_rig_code(&rig), "BadDigest");
	object_rig_make(&rig, "POST", upload_target());
	fake_exchange_header(&rig.fake, "x-amz-checksum-crc32c", sum);
	fake_exchange_body(&rig.fake, text, strlen(text));
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ChecksumCRC32C"), sum);
	object_rig_make(&rig, "HEAD", "/bkt/key");
	fake_exchange_header(&rig.fake, "x-amz-checksum-mode", "ENABLED");
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-checksum-crc32c"), sum);
	ck_assert_str_eq(object_rig_header(&rig, "x-amz-checksum-type"), "FULL_OBJECT");
}
END_TEST

START_TEST(composite_checksums_are_of_the_checksums)
{
	uint8_t sums[2 * SHA256_LEN];
	char expected[80];
	create("x-amz-checksum-algorithm", "SHA256", NULL, NULL);
	put_part(1, 0, PART_LEN);
	put_part(2, PART_LEN, 100);
	digest_sha256(data, PART_LEN, sums);
	digest_sha256(data + PART_LEN, 100, sums + SHA256_LEN);
	snprintf(expected, sizeof expected, "%s-2", checksum_of(DIGEST_SHA256, sums, sizeof sums));
	ck_assert_uint_eq(complete(list(one_two_three, 2)), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ChecksumSHA256"), expected);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ChecksumType"), "COMPOSITE");
}
END_TEST

START_TEST(a_part_has_the_algorithm_of_its_upload)
{
	create("x-amz-checksum-algorithm", "SHA256", NULL, NULL);
	object_rig_make(&rig, "PUT", part_target(1));
	fake_exchange_header(&rig.fake, "x-amz-checksum-crc32", "NhCmhg==");
	fake_exchange_body(&rig.fake, "hello", 5);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRequest");
	object_rig_make(&rig, "POST", "/bkt/key?uploads=");
	fake_exchange_header(&rig.fake, "x-amz-checksum-algorithm", "SHA1");
	fake_exchange_header(&rig.fake, "x-amz-checksum-type", "FULL_OBJECT");
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
}
END_TEST

/* A list of part 1 that has this as the part's checksum. */
static const char *list_with(const char *element, const char *checksum)
{
	snprintf(document, sizeof document,
		"<CompleteMultipartUpload><Part><%s>%s</%s><ETag>%s</ETag>"
		"<PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
		element, checksum, element, etags[1]);
	return document;
}

START_TEST(the_checksum_that_a_list_has_of_a_part_is_compared)
{
	char right[64];
	create("x-amz-checksum-algorithm", "CRC32", NULL, NULL);
	put_part(1, 0, 100);
	snprintf(right, sizeof right, "%s", checksum_of(DIGEST_CRC32, data, 100));
	ck_assert_uint_eq(complete(list_with("ChecksumCRC32", "AAAAAA==")), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidPart");
	ck_assert_uint_eq(complete(list_with("ChecksumCRC32C", right)), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidPart");
	ck_assert_uint_eq(complete(list_with("ChecksumCRC32", "AAAA")), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidArgument");
	ck_assert_uint_eq(complete(list_with("ChecksumCRC32", "never base64")), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidArgument");
	ck_assert_uint_eq(complete(list_with("ChecksumCRC32", right)), 200);
	ck_assert_uint_eq(complete(list_with("ChecksumCRC32", right)), 200); /* once more */
	ck_assert_uint_eq(complete(list_with("ChecksumCRC32", "AAAAAA==")), 404);
	ck_assert_str_eq(object_rig_code(&rig), "NoSuchUpload");
}
END_TEST

START_TEST(an_upload_without_an_algorithm_passes_over_the_checksums_of_others)
{
	create(NULL, NULL, NULL, NULL);
	put_part(1, 0, 100);
	ck_assert_uint_eq(complete(list_with("ChecksumCRC64NVME", "AAAAAAAAAAA=")), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidPart");
	ck_assert_uint_eq(complete(list_with("ChecksumCRC32", "AAAAAA==")), 200);
}
END_TEST

static void give_the_rest(void *arg)
{
	struct fake_exchange *fake = arg;
	fake->body_err = ERR_OK;
	fake->body.len = strlen(document);
	fake->x.readable(&fake->x);
}

/* Completes with the document, while another part comes between its first half and its second. */
static unsigned complete_meanwhile(struct fake_exchange *fake)
{
	static char at[256]; /* as long as the request */
	snprintf(at, sizeof at, "/bkt/key?uploadId=%s", upload);
	fake_exchange_init(fake, rig.client, "POST", at);
	fake_exchange_body(fake, document, strlen(document));
	fake->body.len /= 2;
	fake->body_err = ERR_BUSY;
	rig.sign.wall_ms = clock_wall_ms(sim_node_clock(rig.node));
	sign_request(fake, &rig.sign, "UNSIGNED-PAYLOAD");
	object_rig_start(&rig, fake);
	sim_run_ms(rig.sim, 10);
	put_part(2, 0, 7);
	sim_call(rig.sim, rig.client, give_the_rest, fake);
	object_rig_wait(&rig, fake);
	return fake->response.status;
}

START_TEST(parts_are_compared_again_when_the_upload_changes_meanwhile)
{
	static struct fake_exchange fake;
	create("x-amz-checksum-algorithm", "CRC32", NULL, NULL);
	put_part(1, 0, 100);
	list_with("ChecksumCRC32", "AAAAAA==");
	ck_assert_uint_eq(complete_meanwhile(&fake), 400);
	ck_assert_str_eq(fake_exchange_element(&fake, "Code"), "InvalidPart");
	fake_exchange_fini(&fake);
	list_with("ChecksumCRC32", checksum_of(DIGEST_CRC32, data, 100));
	ck_assert_uint_eq(complete_meanwhile(&fake), 200);
	fake_exchange_fini(&fake);
	assert_object(data, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("op_upload");
	TCase *tcase = tcase_create("node");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, parts_become_an_object);
	tcase_add_test(tcase, a_second_complete_has_the_answer_of_the_first);
	tcase_add_test(tcase, a_part_that_is_sent_again_replaces_the_first);
	tcase_add_test(tcase, lists_that_do_not_fit_are_refused);
	tcase_add_test(tcase, uploads_that_are_not_there_are_not_there);
	tcase_add_test(tcase, conditions_are_decided_at_the_end);
	tcase_add_test(tcase, parts_are_listed_in_pages);
	tcase_add_test(tcase, uploads_are_listed_by_key_and_then_by_time);
	tcase_add_test(tcase, parts_are_copied_from_ranges_of_objects);
	tcase_add_test(tcase, copies_of_copies_of_copies_can_be_made_for_ever);
	tcase_add_test(tcase, a_thousand_parts_are_completed_at_once);
	tcase_add_test(tcase, full_checksums_of_parts_become_that_of_the_whole);
	tcase_add_test(tcase, composite_checksums_are_of_the_checksums);
	tcase_add_test(tcase, a_part_has_the_algorithm_of_its_upload);
	tcase_add_test(tcase, the_checksum_that_a_list_has_of_a_part_is_compared);
	tcase_add_test(tcase, an_upload_without_an_algorithm_passes_over_the_checksums_of_others);
	tcase_add_test(tcase, parts_are_compared_again_when_the_upload_changes_meanwhile);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
