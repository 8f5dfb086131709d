/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/chunked.h"

#include <stdio.h>

#include "tests/lib/chunked_model.h"
#include "tests/lib/test.h"

static const enum sigv4_payload forms[] = {SIGV4_PAYLOAD_SIGNED_CHUNKS,
	SIGV4_PAYLOAD_SIGNED_CHUNKS_TRAILER, SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER};

static uint8_t payload[CHUNKED_MODEL_PAYLOAD_MAX];
static uint8_t wire[CHUNKED_MODEL_WIRE_MAX];
static struct chunked_model_result result;
static struct sigv4 auth;
static uint64_t seed = 11;

static void start(enum sigv4_payload form)
{
	uint64_t fill = 4;
	test_random_fill(&fill, payload, sizeof payload);
	chunked_model_auth(form, &auth);
}

static const char *trailer_of(enum sigv4_payload form)
{
	return form == SIGV4_PAYLOAD_SIGNED_CHUNKS ? NULL : "sOO8/Q==";
}

static const char *name_of(enum sigv4_payload form)
{
	return form == SIGV4_PAYLOAD_SIGNED_CHUNKS ? "" : CHUNKED_MODEL_TRAILER;
}

/* Decodes text as the body of a request with that form. */
static enum s3_code decode_text(
	enum sigv4_payload form, const char *text, uint64_t decoded_len, const char *trailer_name)
{
	start(form);
	chunked_model_decode(&auth, bytes_of(text), decoded_len, trailer_name, 1, &seed, &result);
	enum s3_code slowly = result.code;
	chunked_model_decode(
		&auth, bytes_of(text), decoded_len, trailer_name, SIZE_MAX, &seed, &result);
	ck_assert_int_eq(slowly, result.code);
	return result.code;
}

START_TEST(any_split_of_a_body_gives_the_same)
{
	static const size_t lens[][3] = {{0}, {1}, {8192}, {20000}, {8192, 8192}, {65536}};
	for (size_t i = 0; i < ARRAY_COUNT(forms) * ARRAY_COUNT(lens) * 12; i++) {
		enum sigv4_payload form = forms[i % ARRAY_COUNT(forms)];
		start(form);
		size_t len = i / 3 % 12 == 0 ? 0 : test_random(&seed) % 30000;
		struct bytes body = chunked_model_encode(&auth, bytes_make(payload, len),
			lens[i / 36 % 6][0] == 1 && form != forms[2] ? lens[2] : lens[i / 36 % 6],
			2, trailer_of(form), wire);
		static const size_t pieces[] = {SIZE_MAX, 1, 7, 0, 0, 0};
		for (size_t j = 0; j < ARRAY_COUNT(pieces); j++) {
			chunked_model_decode(
				&auth, body, len, name_of(form), pieces[j], &seed, &result);
			ck_assert_msg(result.code == S3_OK, "%s", s3_error_code(result.code));
			ck_assert_uint_eq(result.wire_used, body.len);
			ck_assert(bytes_is_equal(bytes_make(result.payload, result.payload_len),
				bytes_make(payload, len)));
			ck_assert_str_eq(result.trailer, trailer_of(form) ? trailer_of(form) : "");
		}
	}
}
END_TEST

START_TEST(a_body_cut_anywhere_is_incomplete)
{
	static const size_t lens[] = {100};
	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		start(forms[i]);
		struct bytes body = chunked_model_encode(
			&auth, bytes_make(payload, 100), lens, 1, trailer_of(forms[i]), wire);
		for (size_t len = 0; len < body.len; len++) {
			chunked_model_decode(&auth, bytes_make(wire, len), 100, name_of(forms[i]),
				0, &seed, &result);
			ck_assert_int_eq(result.code, S3_INCOMPLETE_BODY);
		}
	}
}
END_TEST

START_TEST(a_signed_body_that_was_changed_is_refused)
{
	for (size_t i = 0; i < 2; i++) {
		start(forms[i]);
		size_t lens[] = {8192};
		struct bytes body = chunked_model_encode(
			&auth, bytes_make(payload, 9000), lens, 1, trailer_of(forms[i]), wire);
		for (size_t at = 0; at<body.len; at += at> 200 && at + 1300 < body.len ? 97 : 1) {
			for (int bit = 0; bit < 8; bit++) {
				wire[at] ^= 1 << bit;
				chunked_model_decode(&auth, body, 9000, name_of(forms[i]), SIZE_MAX,
					&seed, &result);
				/* Sizes and names may be spelled in either case. */
				ck_assert_msg(result.code != S3_OK || bit == 5, "byte %zu bit %d",
					at, bit);
				if (result.code == S3_OK)
					ck_assert_mem_eq(result.payload, payload, 9000);
				wire[at] ^= 1 << bit;
			}
		}
	}
}
END_TEST

START_TEST(the_payload_has_exactly_the_announced_length)
{
	ck_assert_int_eq(decode_text(forms[2], "3\r\nabc\r\n0\r\n\r\n", 3, ""), S3_OK);
	ck_assert_int_eq(decode_text(forms[2], "3\r\nabc\r\n0\r\n\r\n", 4, ""), S3_INCOMPLETE_BODY);
	ck_assert_int_eq(decode_text(forms[2], "3\r\nabc\r\n0\r\n\r\n", 2, ""), S3_INCOMPLETE_BODY);
	ck_assert_int_eq(decode_text(forms[2], "0\r\n\r\n", 0, ""), S3_OK);
	ck_assert_int_eq(decode_text(forms[2], "0\r\n\r\n", 1, ""), S3_INCOMPLETE_BODY);
	ck_assert_int_eq(
		decode_text(forms[2], "ffffffffffffffff\r\nabc", 3, ""), S3_INCOMPLETE_BODY);
}
END_TEST

START_TEST(heads_of_chunks_have_one_form)
{
	static const char *const bad[] = {"\r\n", ";\r\n", "3 \r\nabc\r\n0\r\n\r\n",
		" 3\r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n",
		"3;a=b\r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabc0\r\n\r\n",
		"3\r\nabc\n0\r\n\r\n", "3\r\nabc\r\n\r\n0\r\n\r\n",
		"00000000000000003\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\n",
		"3\r\nabc\r\n0\r\nx"};
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert_int_eq(decode_text(forms[2], bad[i], 3, ""), S3_INVALID_REQUEST);
	ck_assert_int_eq(
		decode_text(forms[2], "0000000000000003\r\nabc\r\n000\r\n\r\n", 3, ""), S3_OK);
	ck_assert_int_eq(decode_text(forms[0], "3\r\nabc\r\n0\r\n\r\n", 3, ""), S3_INVALID_REQUEST);
	ck_assert_int_eq(decode_text(forms[0], "3;chunk-signaturf=", 3, ""), S3_INVALID_REQUEST);
	ck_assert_int_eq(decode_text(forms[0], "3;chunk-signature=AA", 3, ""), S3_INVALID_REQUEST);
}
END_TEST

START_TEST(the_trailer_is_exactly_the_announced_one)
{
	static const char *const good[] = {"x-a:v\r\n\r\n", "x-a:v\n\r\n\r\n", "X-A:\t v \r\n\r\n"};
	static const char *const bad[] = {"\r\n", "x-b:v\r\n\r\n", "x-a:v\r\nx-a:v\r\n\r\n",
		"x-a:v\r\nx-b:v\r\n\r\n", "x-a\r\n\r\n", "x-a:\r\n\r\n", "x-a:v\n\n",
		"x-a:v\r\r\n\r\n", "x-a:v\x01\r\n\r\n", "\nx-a:v\r\n\r\n",
		"x-a:v\r\nx-amz-trailer-signature:00\r\n\r\n", "x-a :v\r\n\r\n", ":v\r\n\r\n",
		"x-a:v\r\n\rx"};
	char text[64];
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		snprintf(text, sizeof text, "0\r\n%s", good[i]);
		ck_assert_int_eq(decode_text(forms[2], text, 0, "x-A"), S3_OK);
		ck_assert_str_eq(result.trailer, "v");
		ck_assert_int_eq(decode_text(forms[2], text, 0, ""), S3_INVALID_REQUEST);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		snprintf(text, sizeof text, "0\r\n%s", bad[i]);
		ck_assert_int_eq(decode_text(forms[2], text, 0, "x-a"), S3_MALFORMED_TRAILER);
	}
	ck_assert_int_eq(decode_text(forms[2], "", 0, "x-a, x-b"), S3_MALFORMED_TRAILER);
	ck_assert_int_eq(decode_text(forms[0], "", 0, "x-a"), S3_MALFORMED_TRAILER);
	ck_assert_int_eq(decode_text(forms[1], "", 0, ""), S3_MALFORMED_TRAILER);
}
END_TEST

START_TEST(a_trailer_line_is_bounded)
{
	static char text[400];
	start(forms[2]);
	memset(text, 'v', sizeof text);
	memcpy(text, "0\r\nx-a:", 7);
	memcpy(text + 3 + 256, "\r\n\r\n", 5);
	ck_assert_int_eq(decode_text(forms[2], text, 0, "x-a"), S3_OK);
	ck_assert_uint_eq(strlen(result.trailer), 252);
	memcpy(text + 3 + 256, "v\r\n\r\n", 6);
	ck_assert_int_eq(decode_text(forms[2], text, 0, "x-a"), S3_MALFORMED_TRAILER);
}
END_TEST

START_TEST(a_signed_trailer_needs_its_signature)
{
	start(forms[1]);
	struct bytes body = chunked_model_encode(
		&auth, bytes_make(payload, 10), NULL, 0, "sOO8/Q==", wire);
	uint8_t *line = memmem(wire, body.len, "x-amz-trailer-signature:", 24);
	ck_assert_ptr_nonnull(line);
	memcpy(line, "\r\n", 2);
	body.len = line + 2 - wire;
	chunked_model_decode(&auth, body, 10, CHUNKED_MODEL_TRAILER, 0, &seed, &result);
	ck_assert_int_eq(result.code, S3_MALFORMED_TRAILER);
}
END_TEST

START_TEST(only_the_last_signed_chunk_may_be_short)
{
	static const size_t short_first[] = {8191, 8192};
	static const size_t long_first[] = {8192, 8192};
	start(forms[0]);
	struct bytes data = {payload, 16385};
	struct bytes body = chunked_model_encode(&auth, data, long_first, 2, NULL, wire);
	chunked_model_decode(&auth, body, data.len, "", 0, &seed, &result);
	ck_assert_int_eq(result.code, S3_OK);

	body = chunked_model_encode(&auth, data, short_first, 2, NULL, wire);
	chunked_model_decode(&auth, body, data.len, "", 0, &seed, &result);
	ck_assert_int_eq(result.code, S3_INVALID_CHUNK_SIZE);

	start(forms[2]);
	body = chunked_model_encode(&auth, data, short_first, 2, "v", wire);
	chunked_model_decode(&auth, body, data.len, CHUNKED_MODEL_TRAILER, 0, &seed, &result);
	ck_assert_int_eq(result.code, S3_OK);
}
END_TEST

START_TEST(chunks_cannot_be_swapped_dropped_or_repeated)
{
	static const size_t lens[] = {8192, 8192, 8192};
	enum { HEAD = 4 + 17 + 64 + 2, CHUNK = HEAD + 8192 + 2 };
	start(forms[0]);
	struct bytes data = {payload, 3 * 8192};
	struct bytes body = chunked_model_encode(&auth, data, lens, 3, NULL, wire);
	static uint8_t changed[CHUNKED_MODEL_WIRE_MAX];

	memcpy(changed, wire + CHUNK, CHUNK);
	memcpy(changed + CHUNK, wire, CHUNK);
	memcpy(changed + 2 * CHUNK, wire + 2 * CHUNK, body.len - 2 * CHUNK);
	chunked_model_decode(&auth, bytes_make(changed, body.len), data.len, "", 0, &seed, &result);
	ck_assert_int_eq(result.code, S3_SIGNATURE_DOES_NOT_MATCH);

	memcpy(changed, wire, CHUNK);
	memcpy(changed + CHUNK, wire + 2 * CHUNK, body.len - 2 * CHUNK);
	chunked_model_decode(&auth, bytes_make(changed, body.len - CHUNK), data.len - 8192, "", 0,
		&seed, &result);
	ck_assert_int_eq(result.code, S3_SIGNATURE_DOES_NOT_MATCH);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chunked");
	TCase *tc = tcase_create("chunked");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, any_split_of_a_body_gives_the_same);
	tcase_add_test(tc, a_body_cut_anywhere_is_incomplete);
	tcase_add_test(tc, a_signed_body_that_was_changed_is_refused);
	tcase_add_test(tc, the_payload_has_exactly_the_announced_length);
	tcase_add_test(tc, heads_of_chunks_have_one_form);
	tcase_add_test(tc, the_trailer_is_exactly_the_announced_one);
	tcase_add_test(tc, a_trailer_line_is_bounded);
	tcase_add_test(tc, a_signed_trailer_needs_its_signature);
	tcase_add_test(tc, only_the_last_signed_chunk_may_be_short);
	tcase_add_test(tc, chunks_cannot_be_swapped_dropped_or_repeated);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
