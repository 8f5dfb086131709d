/* SPDX-License-Identifier: Apache-2.0 */
#if !defined(__x86_64__)
#include "server/aes_gcm.h"

/* OpenSSL is as fast as the processor where vectors are as wide as a block. */
bool aes_gcm_is_available(void)
{
	return false;
}

void aes_gcm_set_key(struct aes_gcm *gcm, const uint8_t key[AES_GCM_KEY_LEN])
{
	(void)gcm;
	(void)key;
	assert(!"aes_gcm_is_available() was asked");
}

void aes_gcm_seal(const struct aes_gcm *gcm, const uint8_t nonce[AES_GCM_NONCE_LEN],
	struct bytes clear, const uint8_t *in, size_t len, uint8_t *out,
	uint8_t ret_tag[AES_GCM_TAG_LEN])
{
	(void)gcm;
	(void)nonce;
	(void)clear;
	(void)in;
	(void)len;
	(void)out;
	(void)ret_tag;
	assert(!"aes_gcm_is_available() was asked");
}

void aes_gcm_open(const struct aes_gcm *gcm, const uint8_t nonce[AES_GCM_NONCE_LEN],
	struct bytes clear, const uint8_t *in, size_t len, uint8_t *out,
	uint8_t ret_tag[AES_GCM_TAG_LEN])
{
	aes_gcm_seal(gcm, nonce, clear, in, len, out, ret_tag);
}

#endif
