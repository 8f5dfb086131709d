/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/digest/base64.h"
#include "gateway/digest/crc.h"
#include "gateway/digest/digest_stream.h"
#include "gateway/digest/hex.h"
#include "gateway/digest/hmac.h"
#include "tests/lib/test.h"

/* --- what the values must be, by OpenSSL's own front --- */

static void values_by_openssl(const uint8_t *data, size_t len, struct digest_values *ret_values)
{
	*ret_values = (struct digest_values){.kinds = DIGEST_ALL};
	ck_assert(EVP_Digest(data, len, ret_values->md5, NULL, EVP_md5(), NULL));
	ck_assert(EVP_Digest(data, len, ret_values->sha256, NULL, EVP_sha256(), NULL));
	ck_assert(EVP_Digest(data, len, ret_values->sha1, NULL, EVP_sha1(), NULL));
	put_be32(ret_values->crc32, (uint32_t)crc_update(CRC_32, 0, data, len));
	put_be32(ret_values->crc32c, (uint32_t)crc_update(CRC_32C, 0, data, len));
	put_be64(ret_values->crc64nvme, crc_update(CRC_64NVME, 0, data, len));
}

enum { DATA_LEN = 600000 };

static uint8_t data[DATA_LEN];

START_TEST(a_stream_in_any_pieces_gives_what_openssl_gives)
{
	uint64_t random = (uint64_t)_i;
	for (int i = 0; i < 40; i++) {
		struct digest_stream stream;
		struct digest_values got, want;
		size_t len = test_random(&random) % (i % 8 == 0 ? 100000 : 400);
		const uint8_t *start = data + test_random(&random) % 100;
		digest_stream_init(&stream, DIGEST_ALL);
		for (size_t offset = 0; offset < len;) {
			size_t n = test_random(&random) % (i % 8 == 0 ? 50000 : 150);
			n = n < len - offset ? n : len - offset;
			digest_stream_update(&stream, start + offset, n);
			offset += n;
		}
		digest_stream_final(&stream, &got);
		values_by_openssl(start, len, &want);
		ck_assert_uint_eq(got.kinds, DIGEST_ALL);
		ck_assert_mem_eq(&got, &want, sizeof got);
	}
}
END_TEST

START_TEST(one_shots_give_what_openssl_gives_at_every_length)
{
	for (size_t len = 0; len <= 300; len++) {
		struct digest_values want;
		uint8_t digest[DIGEST_LEN_MAX];
		values_by_openssl(data, len, &want);
		digest_md5(data, len, digest);
		ck_assert_mem_eq(digest, want.md5, MD5_LEN);
		digest_sha1(data, len, digest);
		ck_assert_mem_eq(digest, want.sha1, SHA1_LEN);
		digest_sha256(data, len, digest);
		ck_assert_mem_eq(digest, want.sha256, SHA256_LEN);
	}
}
END_TEST

START_TEST(hmac_gives_what_openssl_gives)
{
	for (size_t key_len = 1; key_len <= 150; key_len += 7)
		for (size_t len = 0; len <= 260; len += 3) {
			uint8_t got[SHA256_LEN], want[SHA256_LEN];
			ck_assert_ptr_nonnull(HMAC(
				EVP_sha256(), data, (int)key_len, data + 500, len, want, NULL));
			hmac_sign_once(data, key_len, data + 500, len, got);
			ck_assert_mem_eq(got, want, sizeof got);
		}
}
END_TEST

START_TEST(hmac_of_nothing_with_no_key_is_known)
{
	uint8_t mac[SHA256_LEN];
	char text[2 * SHA256_LEN + 1];
	hmac_sign_once(NULL, 0, NULL, 0, mac);
	hex_encode(mac, sizeof mac, text);
	ck_assert_str_eq(text, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
END_TEST

START_TEST(crc_values_combine)
{
	static const enum digest_kind kinds[] = {DIGEST_CRC32, DIGEST_CRC32C, DIGEST_CRC64NVME};
	struct digest_values a, b, whole;
	values_by_openssl(data, 70000, &a);
	values_by_openssl(data + 70000, 12345, &b);
	values_by_openssl(data, 82345, &whole);
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		uint8_t got[CRC64_LEN];
		digest_combine(kinds[i], digest_value(&a, kinds[i]).data,
			digest_value(&b, kinds[i]).data, 12345, got);
		ck_assert_mem_eq(got, digest_value(&whole, kinds[i]).data, digest_len(kinds[i]));
	}
}
END_TEST

START_TEST(equality_looks_at_every_byte)
{
	uint8_t a[32], b[32];
	memcpy(a, data, sizeof a);
	memcpy(b, data, sizeof b);
	ck_assert(digest_is_equal(a, b, sizeof a));
	for (size_t i = 0; i < sizeof a; i++) {
		b[i] ^= 0x10;
		ck_assert(!digest_is_equal(a, b, sizeof a));
		b[i] ^= 0x10;
	}
}
END_TEST

START_TEST(hex_comes_back)
{
	char text[2 * 64 + 1];
	uint8_t back[64];
	hex_encode(data, 64, text);
	ck_assert_ok(hex_decode(bytes_of(text), back, 64));
	ck_assert_mem_eq(back, data, 64);
	ck_assert_ok(hex_decode(bytes_of("00ABcdEf"), back, 4));
	ck_assert_mem_eq(back, "\x00\xab\xcd\xef", 4);
}
END_TEST

START_TEST(hex_that_is_not_exact_is_refused)
{
	uint8_t back[2];
	ck_assert_err(hex_decode(bytes_of("012"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("01234"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("012g"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("01 3"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("@123"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("0`23"), back, 2), ERR_INVALID);
}
END_TEST

START_TEST(base64_comes_back_and_is_openssls)
{
	for (size_t len = 0; len <= 100; len++) {
		char text[BASE64_LEN(100) + 1], want[BASE64_LEN(100) + 1];
		uint8_t back[100];
		size_t back_len;
		base64_encode(data, len, text);
		EVP_EncodeBlock((uint8_t *)want, data, (int)len);
		ck_assert_str_eq(text, want);
		ck_assert_ok(base64_decode(bytes_of(text), back, len, &back_len));
		ck_assert_uint_eq(back_len, len);
		ck_assert_mem_eq(back, data, len);
	}
}
END_TEST

START_TEST(base64_that_is_not_canonical_is_refused)
{
	static const char *const texts[] = {"QQ",
		"QQ=", "QQ===", "=QQ=", "====", "Q===", "QR==", "QUJ=", "QUI=QUI=", "QU I=", "QUI-",
		"QUI_", "QUI\n", "QQ==\n", "Q=Q="};
	uint8_t back[16];
	size_t len;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
		ck_assert_msg(
			base64_decode(bytes_of(texts[i]), back, sizeof back, &len) == ERR_INVALID,
			"'%s' was taken", texts[i]);
	ck_assert_err(base64_decode(bytes_of("QUJD"), back, 2, &len), ERR_LIMIT);
}
END_TEST

static TCase *case_of_streams(void)
{
	TCase *tc = tcase_create("streams");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_stream_in_any_pieces_gives_what_openssl_gives, 0, 4);
	return tc;
}

static TCase *case_of_messages(void)
{
	TCase *tc = tcase_create("messages");
	tcase_add_test(tc, one_shots_give_what_openssl_gives_at_every_length);
	tcase_add_test(tc, hmac_gives_what_openssl_gives);
	tcase_add_test(tc, hmac_of_nothing_with_no_key_is_known);
	tcase_add_test(tc, crc_values_combine);
	tcase_add_test(tc, equality_looks_at_every_byte);
	tcase_add_test(tc, hex_comes_back);
	tcase_add_test(tc, hex_that_is_not_exact_is_refused);
	tcase_add_test(tc, base64_comes_back_and_is_openssls);
	tcase_add_test(tc, base64_that_is_not_canonical_is_refused);
	return tc;
}

int main(void)
{
	uint64_t random = 1;
	test_random_fill(&random, data, sizeof data);
	Suite *suite = suite_create("digest");
	suite_add_tcase(suite, case_of_streams());
	suite_add_tcase(suite, case_of_messages());
	return test_run(suite);
}
