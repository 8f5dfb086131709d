/* SPDX-License-Identifier: Apache-2.0 */
/* Objects whose bodies are zipped, encrypted, or both, on a whole node in the simulator. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/digest/base64.h"
#include "gateway/digest/digest.h"
#include "gateway/sse.h"
#include "storage/object/frame.h"
#include "tests/lib/object_rig.h"
#include "tests/lib/test.h"

#define DATA_LEN (3u << 20)
#define SSE "x-amz-server-side-encryption"

static struct object_rig rig;
static uint8_t *noise, *text, *mixed;

/* Words, zeros, noise and words, in runs of other lengths than a frame has. */
static void make_data(void)
{
	uint64_t state = 1;
	noise = malloc(DATA_LEN);
	text = malloc(DATA_LEN);
	mixed = malloc(DATA_LEN);
	ck_assert(noise && text && mixed);
	test_random_fill(&state, noise, DATA_LEN);
	for (size_t i = 0; i < DATA_LEN; i++)
		text[i] = "a rubus grows by the wall "[(i * 7 + noise[i / 13] % 3) % 26];
	for (size_t i = 0; i < DATA_LEN; i++)
		mixed[i] = i / 300001 % 3 == 0 ? text[i] : i / 300001 % 3 == 1 ? noise[i] : 0;
}

static void setup(void)
{
	make_data();
	object_rig_open(&rig, 1);
	rig.gateway.settings.sse_c_without_tls = true;
}

static void teardown(void)
{
	object_rig_close(&rig);
	free(noise);
	free(text);
	free(mixed);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void zip_bucket(bool is_zipped)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = rig.bucket;
	command.bucket_update.set = BUCKET_SET_CONFIG;
	command.bucket_update.config_kind = BUCKET_CONFIG_COMPRESSION;
	command.bucket_update.config = is_zipped ? bytes_make("\1\1", 2) : (struct bytes){0};
	ck_assert_uint_eq(object_rig_propose(&rig, &command).code, COMMAND_OK);
}

/* The headers of a customer's key that is made of one letter. */
static void add_key_of(const char *prefix, char letter)
{
	uint8_t key[FRAME_KEY_LEN], md5[MD5_LEN];
	char value[64], name[128];
	memset(key, letter, sizeof key);
	digest_md5(key, sizeof key, md5);
	snprintf(name, sizeof name, "%s-customer-algorithm", prefix);
	fake_exchange_header(&rig.fake, name, "AES256");
	base64_encode(key, sizeof key, value);
	snprintf(name, sizeof name, "%s-customer-key", prefix);
	fake_exchange_header(&rig.fake, name, value);
	base64_encode(md5, sizeof md5, value);
	snprintf(name, sizeof name, "%s-customer-key-md5", prefix);
	fake_exchange_header(&rig.fake, name, value);
}

static void add_mode(enum sse_mode mode, bool is_put)
{
	if (mode == SSE_S3 && is_put)
		fake_exchange_header(&rig.fake, SSE, "AES256");
	if (mode == SSE_C)
		add_key_of(SSE, 'k');
}

static unsigned put(const char *target, enum sse_mode mode, const uint8_t *bytes, size_t len)
{
	object_rig_make(&rig, "PUT", target);
	add_mode(mode, true);
	fake_exchange_body(&rig.fake, bytes, len);
	return object_rig_run(&rig, "UNSIGNED-PAYLOAD");
}

static unsigned get(const char *target, enum sse_mode mode)
{
	object_rig_make(&rig, "GET", target);
	add_mode(mode, false);
	return object_rig_run(&rig, NULL);
}

static void assert_range(
	const char *target, enum sse_mode mode, const uint8_t *bytes, size_t start, size_t len)
{
	char range[64];
	snprintf(range, sizeof range, "bytes=%zu-%zu", start, start + len - 1);
	object_rig_make(&rig, "GET", target);
	add_mode(mode, false);
	fake_exchange_header(&rig.fake, "range", range);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 206);
	ck_assert_uint_eq(rig.fake.answer_len, len);
	ck_assert(memcmp(rig.fake.answer, bytes + start, len) == 0);
	ck_assert(rig.fake.is_whole);
}

static void assert_whole(const char *target, enum sse_mode mode, const uint8_t *bytes, size_t len)
{
	ck_assert_uint_eq(get(target, mode), 200);
	ck_assert_uint_eq(rig.fake.response.len, len);
	ck_assert_uint_eq(rig.fake.answer_len, len);
	ck_assert(len == 0 || memcmp(rig.fake.answer, bytes, len) == 0);
	ck_assert(rig.fake.is_whole);
}

/* Each byte at a border of frames, and what lies over it. */
static void assert_borders(const char *target, enum sse_mode mode, const uint8_t *bytes, size_t len)
{
	for (size_t at = FRAME_LEN; at < len; at += FRAME_LEN * (at < 5 * FRAME_LEN ? 1 : 11)) {
		assert_range(target, mode, bytes, at - 1, 1);
		assert_range(target, mode, bytes, at, 1);
		assert_range(target, mode, bytes, at - 1, 2);
		size_t over = len - at < FRAME_LEN + 1 ? len - at : FRAME_LEN + 1;
		assert_range(target, mode, bytes, at - 1, over);
	}
	assert_range(target, mode, bytes, 0, 1);
	assert_range(target, mode, bytes, len - 1, 1);
}

/* --- the forms -------------------------------------------------------------------------------- */

static const size_t lens[] = {0, 1, 100, 4079, 4080, 4081, 4096, 4097, FRAME_LEN - 1, FRAME_LEN,
	FRAME_LEN + 1, 131072, 262144, 262145, 600001, DATA_LEN};

static void check_forms(const uint8_t *bytes, enum sse_mode mode)
{
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		ck_assert_uint_eq(put("/bkt/key", mode, bytes, lens[i]), 200);
		assert_whole("/bkt/key", mode, bytes, lens[i]);
		if (lens[i] > 0)
			assert_borders("/bkt/key", mode, bytes, lens[i]);
	}
}

START_TEST(zipped_objects_come_back_as_they_were_put)
{
	const uint8_t *const all[] = {noise, text, mixed};
	zip_bucket(true);
	check_forms(all[_i], SSE_NONE);
}
END_TEST

START_TEST(encrypted_objects_come_back_as_they_were_put)
{
	check_forms(mixed, _i == 0 ? SSE_S3 : SSE_C);
}
END_TEST

START_TEST(zipped_and_encrypted_objects_come_back_as_they_were_put)
{
	zip_bucket(true);
	check_forms(mixed, _i == 0 ? SSE_S3 : SSE_C);
}
END_TEST

/* What the row of the body says. */
static struct row_body row_of(const char *key)
{
	struct index_reader *reader = rig.store_loop.reader;
	struct object_info object;
	struct index_leaf leaf;
	ck_assert_int_eq(index_view_begin(reader), ERR_OK);
	ck_assert_int_eq(index_version_find(reader, rig.bucket, bytes_of(key), &object), ERR_OK);
	ck_assert_int_eq(index_leaf_find(reader, object.row.body, 0, &leaf), ERR_OK);
	index_view_end(reader);
	return leaf.body;
}

START_TEST(a_body_that_begins_with_noise_is_left_alone)
{
	enum sse_mode mode = _i == 0 ? SSE_NONE : SSE_S3;
	uint8_t *data = malloc(DATA_LEN);
	ck_assert_ptr_nonnull(data);
	memcpy(data, text, DATA_LEN);
	memcpy(data, noise, 4 * FRAME_LEN);
	ck_assert_uint_eq(put("/bkt/plain", mode, data, DATA_LEN), 200);
	zip_bucket(true);
	ck_assert_uint_eq(put("/bkt/key", mode, data, DATA_LEN), 200);
	struct row_body row = row_of("key"), plain = row_of("plain");
	ck_assert_uint_eq(row.compression, FRAME_NOT_ZIPPED);
	ck_assert_uint_eq(row.stored_len, plain.stored_len);
	ck_assert_uint_eq(row.piece_count, plain.piece_count);
	assert_whole("/bkt/key", SSE_NONE, data, DATA_LEN);
	assert_borders("/bkt/key", SSE_NONE, data, DATA_LEN);
	free(data);
}
END_TEST

/* One frame of the first that are looked at is worth it; what follows is noise. */
START_TEST(a_body_of_which_a_beginning_frame_pays_is_zipped)
{
	enum sse_mode mode = _i == 0 ? SSE_NONE : SSE_S3;
	uint8_t *data = malloc(DATA_LEN);
	ck_assert_ptr_nonnull(data);
	memcpy(data, noise, DATA_LEN);
	memcpy(data + 2 * FRAME_LEN, text, FRAME_LEN);
	zip_bucket(true);
	ck_assert_uint_eq(put("/bkt/key", mode, data, DATA_LEN), 200);
	struct row_body row = row_of("key");
	ck_assert_uint_eq(row.compression, FRAME_ZSTD);
	assert_whole("/bkt/key", SSE_NONE, data, DATA_LEN);
	free(data);
}
END_TEST

/* Zeros, of which nothing is expected, and then noise (an image of a disk that is almost empty):
 * neither is each stage an extent of its own, nor is more padded than came unexpectedly. */
START_TEST(noise_behind_zeros_is_few_extents)
{
	const size_t zeros_len = 96u << 20, noise_len = 16u << 20;
	uint8_t *data = calloc(1, zeros_len + noise_len);
	uint64_t state = 2;
	ck_assert_ptr_nonnull(data);
	test_random_fill(&state, data + zeros_len, noise_len);
	zip_bucket(true);
	ck_assert_uint_eq(put("/bkt/key", SSE_NONE, data, zeros_len + noise_len), 200);
	struct row_body row = row_of("key");
	ck_assert_uint_eq(row.compression, FRAME_ZSTD);
	ck_assert_uint_le(row.piece_count, 40);
	ck_assert_uint_ge(row.stored_len, noise_len);
	ck_assert_uint_le(row.stored_len, noise_len + (1u << 20));
	assert_whole("/bkt/key", SSE_NONE, data, zeros_len + noise_len);
	free(data);
}
END_TEST

/* --- what clients are told -------------------------------------------------------------------- */

START_TEST(the_cluster_s_key_is_told_and_the_etag_is_md5)
{
	ck_assert_uint_eq(put("/bkt/plain", SSE_NONE, text, 100000), 200);
	char etag[64];
	snprintf(etag, sizeof etag, "%s", object_rig_header(&rig, "etag"));
	ck_assert_uint_eq(put("/bkt/key", SSE_S3, text, 100000), 200);
	ck_assert_str_eq(object_rig_header(&rig, SSE), "AES256");
	ck_assert_str_eq(object_rig_header(&rig, "etag"), etag);
	ck_assert_uint_eq(get("/bkt/key", SSE_NONE), 200);
	ck_assert_str_eq(object_rig_header(&rig, SSE), "AES256");
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 200);
	ck_assert_str_eq(object_rig_header(&rig, SSE), "AES256");
	ck_assert_uint_eq(get("/bkt/plain", SSE_NONE), 200);
	ck_assert_str_eq(object_rig_header(&rig, SSE), "");
	object_rig_make(&rig, "GET", "/bkt/key");
	fake_exchange_header(&rig.fake, SSE, "AES256");
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
}
END_TEST

START_TEST(a_customer_s_key_is_needed_and_never_told)
{
	ck_assert_uint_eq(put("/bkt/key", SSE_C, text, 100000), 200);
	ck_assert_str_eq(object_rig_header(&rig, SSE), "");
	ck_assert_str_eq(object_rig_header(&rig, SSE "-customer-algorithm"), "AES256");
	ck_assert_str_ne(object_rig_header(&rig, SSE "-customer-key-md5"), "");
	ck_assert_str_eq(object_rig_header(&rig, SSE "-customer-key"), "");
	ck_assert_uint_eq(get("/bkt/key", SSE_NONE), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRequest");
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 400);
	object_rig_make(&rig, "GET", "/bkt/key");
	add_key_of(SSE, 'x');
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 403);
	ck_assert_str_eq(object_rig_code(&rig), "AccessDenied");
	object_rig_make(&rig, "HEAD", "/bkt/key");
	add_key_of(SSE, 'k');
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_str_eq(object_rig_header(&rig, SSE "-customer-algorithm"), "AES256");
	ck_assert_uint_eq(put("/bkt/plain", SSE_NONE, text, 10), 200);
	ck_assert_uint_eq(get("/bkt/plain", SSE_C), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRequest");
}
END_TEST

START_TEST(a_customer_s_key_seals_nothing_over_plain_http)
{
	rig.gateway.settings.sse_c_without_tls = false;
	ck_assert_uint_eq(put("/bkt/key", SSE_C, text, 10), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRequest");
	object_rig_make(&rig, "PUT", "/bkt/key");
	add_key_of(SSE, 'k');
	rig.fake.x.is_tls = true;
	fake_exchange_body(&rig.fake, "hello", 5);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
}
END_TEST

START_TEST(half_a_customer_s_key_is_refused)
{
	static const char *const cases[][3] = {
		{SSE "-customer-algorithm", "AES256", "InvalidArgument"},
		{SSE "-customer-key",
			"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=", "InvalidArgument"},
		{SSE "-customer-key-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "InvalidArgument"},
		{SSE "-customer-algorithm", "AES128", "InvalidArgument"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		object_rig_make(&rig, "PUT", "/bkt/key");
		fake_exchange_header(&rig.fake, cases[i][0], cases[i][1]);
		fake_exchange_body(&rig.fake, "hello", 5);
		ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
		ck_assert_str_eq(object_rig_code(&rig), cases[i][2]);
	}
	object_rig_make(&rig, "PUT", "/bkt/key");
	fake_exchange_header(&rig.fake, SSE, "AES256");
	add_key_of(SSE, 'k');
	fake_exchange_body(&rig.fake, "hello", 5);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidArgument");
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/key"), 404);
}
END_TEST

START_TEST(a_key_whose_digest_is_another_is_refused)
{
	object_rig_make(&rig, "PUT", "/bkt/key");
	fake_exchange_header(&rig.fake, SSE "-customer-algorithm", "AES256");
	fake_exchange_header(
		&rig.fake, SSE "-customer-key", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=");
	fake_exchange_header(&rig.fake, SSE "-customer-key-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
	fake_exchange_body(&rig.fake, "hello", 5);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidArgument");
}
END_TEST

START_TEST(the_etag_of_what_a_customer_s_key_seals_says_nothing)
{
	char etag[64];
	ck_assert_uint_eq(put("/bkt/key", SSE_C, text, 1000), 200);
	snprintf(etag, sizeof etag, "%s", object_rig_header(&rig, "etag"));
	ck_assert_uint_eq(put("/bkt/key", SSE_C, text, 1000), 200);
	ck_assert_str_ne(object_rig_header(&rig, "etag"), etag);
}
END_TEST

/* --- copies and parts ------------------------------------------------------------------------- */

static unsigned copy(const char *target, enum sse_mode mode, const char *source,
	enum sse_mode source_mode, const char *range)
{
	object_rig_make(&rig, "PUT", target);
	fake_exchange_header(&rig.fake, "x-amz-copy-source", source);
	add_mode(mode, strchr(target, '?') == NULL);
	if (source_mode == SSE_C)
		add_key_of("x-amz-copy-source-server-side-encryption", 'k');
	if (range)
		fake_exchange_header(&rig.fake, "x-amz-copy-source-range", range);
	return object_rig_run(&rig, NULL);
}

START_TEST(copies_are_encrypted_as_is_asked_for)
{
	static const size_t copied[] = {0, 1, 5000, 600001};
	zip_bucket(_i == 1);
	for (enum sse_mode from = SSE_NONE; from <= SSE_C; from++)
		for (enum sse_mode to = SSE_NONE; to <= SSE_C; to++)
			for (size_t i = 0; i < ARRAY_COUNT(copied); i++) {
				ck_assert_uint_eq(put("/bkt/from", from, mixed, copied[i]), 200);
				ck_assert_uint_eq(copy("/bkt/to", to, "bkt/from", from, NULL), 200);
				enum sse_mode got = to == SSE_NONE && from == SSE_S3 ? SSE_S3 : to;
				const char *told = got == SSE_S3 ? "AES256" : "";
				ck_assert_str_eq(object_rig_header(&rig, SSE), told);
				assert_whole("/bkt/to", got, mixed, copied[i]);
				ck_assert_str_eq(object_rig_header(&rig, SSE), told);
				if (copied[i] > FRAME_LEN)
					assert_borders("/bkt/to", got, mixed, copied[i]);
			}
}
END_TEST

START_TEST(what_a_customer_s_key_seals_is_not_copied_without_it)
{
	ck_assert_uint_eq(put("/bkt/from", SSE_C, mixed, 5000), 200);
	ck_assert_uint_eq(copy("/bkt/to", SSE_NONE, "bkt/from", SSE_NONE, NULL), 400);
	ck_assert_uint_eq(copy("/bkt/to", SSE_C, "bkt/from", SSE_NONE, NULL), 400);
	object_rig_make(&rig, "PUT", "/bkt/to");
	fake_exchange_header(&rig.fake, "x-amz-copy-source", "bkt/from");
	add_key_of("x-amz-copy-source-server-side-encryption", 'x');
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 403);
	ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/to"), 404);
	ck_assert_uint_eq(copy("/bkt/from", SSE_NONE, "bkt/from", SSE_C, NULL), 200);
	assert_whole("/bkt/from", SSE_NONE, mixed, 5000);
}
END_TEST

static char upload[64];

static void begin_upload(const char *target, enum sse_mode mode)
{
	char name[128];
	snprintf(name, sizeof name, "%s?uploads", target);
	object_rig_make(&rig, "POST", name);
	add_mode(mode, true);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	ck_assert_str_eq(object_rig_header(&rig, SSE), mode == SSE_S3 ? "AES256" : "");
	const char *id = strstr((const char *)rig.fake.answer, "<UploadId>");
	ck_assert_ptr_nonnull(id);
	snprintf(upload, sizeof upload, "%.*s", (int)strcspn(id + 10, "<"), id + 10);
}

static const char *part_of(const char *target, unsigned number)
{
	static char name[256];
	snprintf(name, sizeof name, "%s?partNumber=%u&uploadId=%s", target, number, upload);
	return name;
}

/* Of an upload part, or a part copied. */
static void note_etag(char *list, size_t cap, unsigned number, bool is_copy)
{
	char etag[64];
	const char *found = is_copy ? strstr((const char *)rig.fake.answer, "<ETag>") + 6
				    : object_rig_header(&rig, "etag");
	snprintf(etag, sizeof etag, "%.*s", (int)strcspn(found, "<"), found);
	size_t len = strlen(list);
	snprintf(list + len, cap - len, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>",
		number, etag);
}

static void complete(const char *target, const char *parts)
{
	char document[2200], name[256];
	snprintf(document, sizeof document, "<CompleteMultipartUpload>%s</CompleteMultipartUpload>",
		parts);
	snprintf(name, sizeof name, "%s?uploadId=%s", target, upload);
	ck_assert_uint_eq(object_rig_send(&rig, "POST", name, document, strlen(document)), 200);
	ck_assert_ptr_nonnull(strstr((const char *)rig.fake.answer, "CompleteMultipartUpload"));
}

#define PART_LEN (5u << 20)

/* A part of its own, one copied from each mode, and a short last one. */
START_TEST(parts_of_all_modes_become_an_object_of_one)
{
	enum sse_mode mode = _i % 3;
	char parts[2048] = "";
	uint8_t *whole = malloc(4 * PART_LEN + 100);
	ck_assert_ptr_nonnull(whole);
	for (size_t i = 0; i < 4 * PART_LEN + 100; i++)
		whole[i] = mixed[i % DATA_LEN] + i / DATA_LEN;
	zip_bucket(_i >= 3);
	ck_assert_uint_eq(put("/bkt/from0", SSE_NONE, whole + PART_LEN - 70, PART_LEN + 100), 200);
	ck_assert_uint_eq(
		put("/bkt/from1", SSE_S3, whole + 2 * PART_LEN - 70, PART_LEN + 100), 200);
	ck_assert_uint_eq(put("/bkt/from2", SSE_C, whole + 3 * PART_LEN - 70, PART_LEN + 100), 200);
	begin_upload("/bkt/key", mode);
	object_rig_make(&rig, "PUT", part_of("/bkt/key", 1));
	add_mode(mode, false);
	fake_exchange_body(&rig.fake, whole, PART_LEN);
	ck_assert_uint_eq(object_rig_run(&rig, "UNSIGNED-PAYLOAD"), 200);
	note_etag(parts, sizeof parts, 1, false);
	for (unsigned i = 0; i < 3; i++) {
		char source[32], range[64];
		snprintf(source, sizeof source, "bkt/from%u", i);
		snprintf(range, sizeof range, "bytes=70-%u", PART_LEN + 69);
		ck_assert_uint_eq(copy(part_of("/bkt/key", i + 2), mode, source, i, range), 200);
		note_etag(parts, sizeof parts, i + 2, true);
	}
	object_rig_make(&rig, "PUT", part_of("/bkt/key", 5));
	add_mode(mode, false);
	fake_exchange_body(&rig.fake, whole + 4 * PART_LEN, 100);
	ck_assert_uint_eq(object_rig_run(&rig, "UNSIGNED-PAYLOAD"), 200);
	note_etag(parts, sizeof parts, 5, false);
	complete("/bkt/key", parts);
	ck_assert_str_eq(object_rig_header(&rig, SSE), mode == SSE_S3 ? "AES256" : "");
	assert_whole("/bkt/key", mode, whole, 4 * PART_LEN + 100);
	ck_assert_str_eq(object_rig_header(&rig, SSE), mode == SSE_S3 ? "AES256" : "");
	for (unsigned i = 1; i <= 4; i++) {
		assert_range("/bkt/key", mode, whole, i * PART_LEN - 1, 2);
		assert_range("/bkt/key", mode, whole, i * PART_LEN - 70000, 70050);
	}
	object_rig_make(&rig, "GET", "/bkt/key?partNumber=3");
	add_mode(mode, false);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 206);
	ck_assert_uint_eq(rig.fake.answer_len, PART_LEN);
	ck_assert(memcmp(rig.fake.answer, whole + 2 * PART_LEN, PART_LEN) == 0);
	free(whole);
}
END_TEST

START_TEST(parts_need_the_key_that_their_upload_was_begun_with)
{
	begin_upload("/bkt/key", SSE_C);
	ck_assert_uint_eq(object_rig_send(&rig, "PUT", part_of("/bkt/key", 1), "hello", 5), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRequest");
	object_rig_make(&rig, "PUT", part_of("/bkt/key", 1));
	add_key_of(SSE, 'x');
	fake_exchange_body(&rig.fake, "hello", 5);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
	ck_assert_str_eq(object_rig_code(&rig), "InvalidRequest");
	begin_upload("/bkt/key", SSE_NONE);
	object_rig_make(&rig, "PUT", part_of("/bkt/key", 1));
	add_key_of(SSE, 'k');
	fake_exchange_body(&rig.fake, "hello", 5);
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 400);
}
END_TEST

START_TEST(a_client_that_goes_away_leaves_nothing_behind)
{
	zip_bucket(true);
	ck_assert_uint_eq(put("/bkt/key", SSE_S3, mixed, DATA_LEN), 200);
	static const size_t behind[] = {1, 70000, 1000000};
	for (size_t i = 0; i < ARRAY_COUNT(behind); i++) {
		object_rig_make(&rig, "GET", "/bkt/key");
		rig.fake.gone_after = behind[i];
		object_rig_run(&rig, NULL);
		ck_assert(!rig.fake.is_whole);
		object_rig_make(&rig, "PUT", "/bkt/other");
		fake_exchange_header(&rig.fake, SSE, "AES256");
		fake_exchange_body(&rig.fake, mixed, behind[i]);
		rig.fake.x.body_len += 700000;
		rig.fake.body_err = ERR_CLOSED;
		object_rig_run(&rig, "UNSIGNED-PAYLOAD");
		ck_assert_uint_eq(object_rig_ask(&rig, "HEAD", "/bkt/other"), 404);
	}
}
END_TEST

START_TEST(a_body_that_comes_in_small_pieces_is_the_same)
{
	const uint8_t *data = _i == 2 ? noise : mixed;
	zip_bucket(_i >= 1);
	object_rig_make(&rig, "PUT", "/bkt/key");
	if (_i < 2)
		fake_exchange_header(&rig.fake, SSE, "AES256");
	fake_exchange_body(&rig.fake, data, 1300001);
	rig.fake.piece_len = 7777;
	rig.fake.is_slow = true;
	ck_assert_uint_eq(object_rig_run(&rig, "UNSIGNED-PAYLOAD"), 200);
	assert_whole("/bkt/key", SSE_NONE, data, 1300001);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("op_sse");
	TCase *tcase = tcase_create("node");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, zipped_objects_come_back_as_they_were_put, 0, 3);
	tcase_add_loop_test(tcase, encrypted_objects_come_back_as_they_were_put, 0, 2);
	tcase_add_loop_test(tcase, zipped_and_encrypted_objects_come_back_as_they_were_put, 0, 2);
	tcase_add_loop_test(tcase, a_body_that_begins_with_noise_is_left_alone, 0, 2);
	tcase_add_loop_test(tcase, a_body_of_which_a_beginning_frame_pays_is_zipped, 0, 2);
	tcase_add_test(tcase, noise_behind_zeros_is_few_extents);
	tcase_add_test(tcase, the_cluster_s_key_is_told_and_the_etag_is_md5);
	tcase_add_test(tcase, a_customer_s_key_is_needed_and_never_told);
	tcase_add_test(tcase, a_customer_s_key_seals_nothing_over_plain_http);
	tcase_add_test(tcase, half_a_customer_s_key_is_refused);
	tcase_add_test(tcase, a_key_whose_digest_is_another_is_refused);
	tcase_add_test(tcase, the_etag_of_what_a_customer_s_key_seals_says_nothing);
	tcase_add_loop_test(tcase, copies_are_encrypted_as_is_asked_for, 0, 2);
	tcase_add_test(tcase, what_a_customer_s_key_seals_is_not_copied_without_it);
	tcase_add_loop_test(tcase, parts_of_all_modes_become_an_object_of_one, 0, 6);
	tcase_add_test(tcase, parts_need_the_key_that_their_upload_was_begun_with);
	tcase_add_test(tcase, a_client_that_goes_away_leaves_nothing_behind);
	tcase_add_loop_test(tcase, a_body_that_comes_in_small_pieces_is_the_same, 0, 3);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
