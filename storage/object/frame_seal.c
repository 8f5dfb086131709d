/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/object/frame_seal.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/* Once a context has its cipher and key, OpenSSL has no reason to refuse bytes: it allocates
 * nothing any more. So what fails later is a mistake of ours, but for a wrong tag. */
enum { NONCE_LEN = 12, AAD_LEN = FRAME_ID_LEN + 8 + 4 + 1 };
enum { AAD_LAST = 1 << 0, AAD_ZIPPED = 1 << 1, AAD_KEY = 1 << 2 };

static enum err begin(struct frame_seal *seal, const uint8_t key[FRAME_KEY_LEN],
	const uint8_t id[FRAME_ID_LEN], bool is_opening)
{
	memcpy(seal->id, id, FRAME_ID_LEN);
	seal->is_opening = is_opening;
	seal->ctx = EVP_CIPHER_CTX_new();
	if (seal->ctx &&
		EVP_CipherInit_ex(seal->ctx, EVP_aes_256_gcm(), NULL, key, NULL, !is_opening) == 1)
		return ERR_OK;
	frame_seal_fini(seal);
	return ERR_NO_MEMORY;
}

enum err frame_seal_init(struct frame_seal *seal, const struct frame_key *key, bool is_opening)
{
	return begin(seal, key->key, key->id, is_opening);
}

void frame_seal_fini(struct frame_seal *seal)
{
	EVP_CIPHER_CTX_free(seal->ctx); /* which wipes it */
	*seal = (struct frame_seal){0};
}

static void begin_message(struct frame_seal *seal, uint64_t number, uint32_t len, uint8_t flags)
{
	uint8_t nonce[NONCE_LEN] = {0}, aad[AAD_LEN];
	int out_len;
	put_be64(nonce + NONCE_LEN - 8, number);
	memcpy(aad, seal->id, FRAME_ID_LEN);
	put_be64(aad + FRAME_ID_LEN, number);
	put_be32(aad + FRAME_ID_LEN + 8, len);
	aad[AAD_LEN - 1] = flags;
	bool is_begun = EVP_CipherInit_ex(seal->ctx, NULL, NULL, NULL, nonce, -1) == 1 &&
		EVP_CipherUpdate(seal->ctx, NULL, &out_len, aad, sizeof aad) == 1;
	assert(is_begun);
}

void frame_seal_begin(struct frame_seal *seal, const struct frame *frame)
{
	begin_message(seal, frame->number, frame->len,
		(frame->is_last ? AAD_LAST : 0) | (frame->is_zipped ? AAD_ZIPPED : 0));
}

void frame_seal_run(struct frame_seal *seal, const uint8_t *in, size_t len, uint8_t *out)
{
	int out_len;
	assert(len <= FRAME_LEN);
	if (len == 0)
		return;
	int is_done = EVP_CipherUpdate(seal->ctx, out, &out_len, in, len);
	assert(is_done == 1 && (size_t)out_len == len);
}

void frame_seal_end(struct frame_seal *seal, uint8_t ret_tag[FRAME_TAG_LEN])
{
	uint8_t none[FRAME_TAG_LEN];
	int out_len;
	assert(!seal->is_opening);
	bool is_done = EVP_CipherFinal_ex(seal->ctx, none, &out_len) == 1 &&
		EVP_CIPHER_CTX_ctrl(seal->ctx, EVP_CTRL_AEAD_GET_TAG, FRAME_TAG_LEN, ret_tag) == 1;
	assert(is_done);
}

enum err frame_seal_check(struct frame_seal *seal, const uint8_t tag[FRAME_TAG_LEN])
{
	uint8_t none[FRAME_TAG_LEN], expected[FRAME_TAG_LEN];
	int out_len;
	assert(seal->is_opening);
	memcpy(expected, tag, sizeof expected);
	int is_set = EVP_CIPHER_CTX_ctrl(seal->ctx, EVP_CTRL_AEAD_SET_TAG, FRAME_TAG_LEN, expected);
	assert(is_set == 1);
	return EVP_CipherFinal_ex(seal->ctx, none, &out_len) == 1 ? ERR_OK : ERR_CHECKSUM;
}

enum err frame_key_wrap(const struct frame_key *key, const uint8_t by[FRAME_KEY_LEN],
	uint8_t ret_wrapped[FRAME_WRAPPED_LEN])
{
	struct frame_seal seal = {0};
	enum err err = begin(&seal, by, key->id, false);
	if (err)
		return err;
	begin_message(&seal, 0, FRAME_KEY_LEN, AAD_KEY);
	frame_seal_run(&seal, key->key, FRAME_KEY_LEN, ret_wrapped);
	frame_seal_end(&seal, ret_wrapped + FRAME_KEY_LEN);
	frame_seal_fini(&seal);
	return ERR_OK;
}

enum err frame_key_unwrap(const uint8_t wrapped[FRAME_WRAPPED_LEN], const uint8_t by[FRAME_KEY_LEN],
	const uint8_t id[FRAME_ID_LEN], struct frame_key *ret_key)
{
	struct frame_seal seal = {0};
	struct frame_key key;
	enum err err = begin(&seal, by, id, true);
	if (err)
		return err;
	begin_message(&seal, 0, FRAME_KEY_LEN, AAD_KEY);
	frame_seal_run(&seal, wrapped, FRAME_KEY_LEN, key.key);
	err = frame_seal_check(&seal, wrapped + FRAME_KEY_LEN);
	frame_seal_fini(&seal);
	memcpy(key.id, id, FRAME_ID_LEN);
	if (err == ERR_OK)
		*ret_key = key;
	frame_key_wipe(&key);
	return err;
}

void frame_key_wipe(struct frame_key *key)
{
	OPENSSL_cleanse(key, sizeof *key);
}
