/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_AES_GCM_H
#define SERVER_AES_GCM_H

#include "storage/bytes.h"

/* AES-128-GCM (NIST SP 800-38D) with the vector AES instructions that OpenSSL 3.0 does not know:
 * four blocks an instruction, where OpenSSL takes one. For machines that have them; the others go
 * on with OpenSSL. Times depend on lengths alone: no table is looked up and no branch taken by
 * what is secret. */
#define AES_GCM_KEY_LEN 16
#define AES_GCM_NONCE_LEN 12
#define AES_GCM_TAG_LEN 16
#define AES_GCM_CLEAR_LEN_MAX 16

/* What is made of a key; secret. */
struct aes_gcm {
	uint8_t round_keys[11][16];
	uint8_t powers[16][16]; /* of the hash key, highest first */
};

/* Can this machine do it? */
bool aes_gcm_is_available(void);

void aes_gcm_set_key(struct aes_gcm *gcm, const uint8_t key[AES_GCM_KEY_LEN]);

/* Encrypts len bytes (less than 2^32) from in to out, which may be the same, and makes the tag of
 * clear (at most AES_GCM_CLEAR_LEN_MAX bytes) and them. */
void aes_gcm_seal(const struct aes_gcm *gcm, const uint8_t nonce[AES_GCM_NONCE_LEN],
	struct bytes clear, const uint8_t *in, size_t len, uint8_t *out,
	uint8_t ret_tag[AES_GCM_TAG_LEN]);

/* Decrypts likewise and makes the tag that there should be: it is the caller's to compare, in
 * constant time, before anything of out is used. */
void aes_gcm_open(const struct aes_gcm *gcm, const uint8_t nonce[AES_GCM_NONCE_LEN],
	struct bytes clear, const uint8_t *in, size_t len, uint8_t *out,
	uint8_t ret_tag[AES_GCM_TAG_LEN]);

#endif
