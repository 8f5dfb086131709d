/* SPDX-License-Identifier: Apache-2.0 */
#include "server/aes_gcm.h"

#include <openssl/evp.h>
#include <sys/mman.h>

#include "tests/lib/test.h"

/* The vector AES against the standard's own examples and against OpenSSL. */

enum { PAGES_LEN = 1 << 17 };

static uint8_t key[AES_GCM_KEY_LEN], nonce[AES_GCM_NONCE_LEN], clear[AES_GCM_CLEAR_LEN_MAX];
static uint8_t tag[AES_GCM_TAG_LEN], right_tag[AES_GCM_TAG_LEN], right[PAGES_LEN];
static struct aes_gcm gcm;

/* PAGES_LEN bytes; behind them is nothing. */
static uint8_t *map_pages(void)
{
	uint8_t *pages = mmap(
		NULL, PAGES_LEN + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(pages, MAP_FAILED);
	ck_assert_int_eq(mprotect(pages + PAGES_LEN, 4096, PROT_NONE), 0);
	return pages;
}

static void ask_openssl(size_t clear_len, const uint8_t *in, size_t len)
{
	int written;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	ck_assert_int_eq(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce), 1);
	ck_assert_int_eq(EVP_EncryptUpdate(ctx, NULL, &written, clear, clear_len), 1);
	ck_assert_int_eq(EVP_EncryptUpdate(ctx, right, &written, in, len), 1);
	ck_assert_int_eq(EVP_EncryptFinal_ex(ctx, right + len, &written), 1);
	ck_assert_int_eq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, right_tag), 1);
	EVP_CIPHER_CTX_free(ctx);
}

/* in and out end with their pages. */
static void compare(uint8_t *in_pages, uint8_t *out_pages, size_t clear_len, size_t len)
{
	uint8_t *in = in_pages + PAGES_LEN - len, *out = out_pages + PAGES_LEN - len;
	ask_openssl(clear_len, in, len);
	aes_gcm_set_key(&gcm, key);
	aes_gcm_seal(&gcm, nonce, bytes_make(clear, clear_len), in, len, out, tag);
	ck_assert_mem_eq(out, right, len);
	ck_assert_mem_eq(tag, right_tag, sizeof tag);
	if (len < PAGES_LEN)
		ck_assert_int_eq(out[-1], 0xee);
	memset(tag, 0, sizeof tag);
	aes_gcm_open(&gcm, nonce, bytes_make(clear, clear_len), out, len, out, tag);
	ck_assert_mem_eq(out, in, len);
	ck_assert_mem_eq(tag, right_tag, sizeof tag);
}

static void fill_random(uint64_t *seed)
{
	test_random_fill(seed, key, sizeof key);
	test_random_fill(seed, nonce, sizeof nonce);
	test_random_fill(seed, clear, sizeof clear);
}

START_TEST(each_length_is_sealed_and_opened_as_openssl_does_it)
{
	uint64_t seed = 7;
	uint8_t *in = map_pages(), *out = map_pages();
	test_random_fill(&seed, in, PAGES_LEN);
	for (size_t len = 0; len <= 1100; len++) {
		fill_random(&seed);
		memset(out, 0xee, PAGES_LEN);
		compare(in, out, len % (AES_GCM_CLEAR_LEN_MAX + 1), len);
	}
}
END_TEST

START_TEST(long_texts_and_texts_of_one_bit_are_as_openssl_has_them)
{
	uint64_t seed = 8;
	uint8_t *in = map_pages(), *out = map_pages();
	for (unsigned i = 0; i < 200; i++) {
		fill_random(&seed);
		size_t len = PAGES_LEN - i * 331;
		memset(in, 0, PAGES_LEN);
		memset(out, 0xee, PAGES_LEN);
		if (i % 2)
			test_random_fill(&seed, in, PAGES_LEN);
		else
			in[PAGES_LEN - 1 - i * 37 % len] = 1 << i % 8;
		memset(i % 3 ? key : nonce, i % 5 ? 0 : 0xff, AES_GCM_NONCE_LEN);
		compare(in, out, i % 2, len);
	}
}
END_TEST

/* Test cases 1 and 2 of the specification of GCM (McGrew and Viega). */
START_TEST(the_examples_of_the_specification_come_out)
{
	static const uint8_t zero_tag[] = {0x58, 0xe2, 0xfc, 0xce, 0xfa, 0x7e, 0x30, 0x61, 0x36,
		0x7f, 0x1d, 0x57, 0xa4, 0xe7, 0x45, 0x5a};
	static const uint8_t block[] = {0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92, 0xf3, 0x28,
		0xc2, 0xb9, 0x71, 0xb2, 0xfe, 0x78};
	static const uint8_t block_tag[] = {0xab, 0x6e, 0x47, 0xd4, 0x2c, 0xec, 0x13, 0xbd, 0xf5,
		0x3a, 0x67, 0xb2, 0x12, 0x57, 0xbd, 0xdf};
	uint8_t text[16] = {0};
	aes_gcm_set_key(&gcm, key);
	aes_gcm_seal(&gcm, nonce, bytes_make(NULL, 0), text, 0, text, tag);
	ck_assert_mem_eq(tag, zero_tag, sizeof tag);
	aes_gcm_seal(&gcm, nonce, bytes_make(NULL, 0), text, sizeof text, text, tag);
	ck_assert_mem_eq(text, block, sizeof text);
	ck_assert_mem_eq(tag, block_tag, sizeof tag);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("aes_gcm");
	TCase *tcase = tcase_create("aes_gcm");
	if (aes_gcm_is_available()) {
		tcase_add_test(tcase, each_length_is_sealed_and_opened_as_openssl_does_it);
		tcase_add_test(tcase, long_texts_and_texts_of_one_bit_are_as_openssl_has_them);
		tcase_add_test(tcase, the_examples_of_the_specification_come_out);
	}
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
