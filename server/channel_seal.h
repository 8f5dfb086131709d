/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHANNEL_SEAL_H
#define SERVER_CHANNEL_SEAL_H

#include "server/channel_format.h"

/* One direction of a link: seals records, or opens them, in the order in which they travel.
 *
 * The number of a record is its nonce and is never sent, so a record that is played again, left
 * out or moved does not open. After CHANNEL_REKEY_RECORDS records, at most 64 GiB, both ends derive
 * the next key from the last and forget that. A direction ends before its counter could wrap. */
#define CHANNEL_REKEY_RECORDS (UINT64_C(1) << 20)
#define CHANNEL_RECORDS_MAX (UINT64_C(1) << 56)

struct evp_cipher_ctx_st;

struct channel_seal {
	struct evp_cipher_ctx_st *ctx; /* owned */
	enum channel_cipher cipher;
	bool is_sealing;
	uint8_t chain[CHANNEL_KEY_LEN];
	uint8_t iv[12];
	uint64_t counter;
};

/* Does this processor have AES? */
bool channel_seal_has_fast_aes(void);

/* Makes one direction of key (32 bytes). Errors: ERR_NO_MEMORY. */
MUST_USE enum err channel_seal_init(struct channel_seal *seal, enum channel_cipher cipher,
	bool is_sealing, const uint8_t key[CHANNEL_KEY_LEN]);

/* Wipes it. One that is zero is fine. */
void channel_seal_fini(struct channel_seal *seal);

/* Seals len bytes into out, which may be in, and their tag. clear is authenticated too.
 * Errors: ERR_LIMIT, the direction has ended; ERR_NO_MEMORY. */
MUST_USE enum err channel_seal_put(struct channel_seal *seal, struct bytes clear, const uint8_t *in,
	size_t len, uint8_t *out, uint8_t tag[CHANNEL_TAG_LEN]);

/* Opens likewise. What is in out after an error is nobody's. Errors: ERR_CHECKSUM, also ERR_LIMIT,
 * ERR_NO_MEMORY. */
MUST_USE enum err channel_seal_get(struct channel_seal *seal, struct bytes clear, const uint8_t *in,
	size_t len, uint8_t *out, const uint8_t tag[CHANNEL_TAG_LEN]);

/* Goes on by a record that nobody wants to read. Errors: ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE enum err channel_seal_skip(struct channel_seal *seal);

#endif
