/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SIGV4_KEYS_H
#define GATEWAY_SIGV4_KEYS_H

#include "gateway/digest/hmac.h"
#include "storage/bytes.h"

/* The signing keys of SigV4, which are four HMACs away from a secret and the same for a whole day.
 * One of these per loop; fixed size, no locks. */
enum {
	SIGV4_KEYS_SETS = 16,
	SIGV4_KEYS_WAYS = 4,
	SIGV4_SECRET_LEN_MAX = 128,
	SIGV4_KEY_ID_LEN_MAX = 128,
	SIGV4_SCOPE_LEN_MAX = 104,
};

struct sigv4_keys_entry {
	uint64_t used_at; /* 0: empty */
	size_t key_id_len, scope_len, secret_len;
	uint8_t key_id[SIGV4_KEY_ID_LEN_MAX];
	uint8_t scope[SIGV4_SCOPE_LEN_MAX];
	uint8_t secret[SIGV4_SECRET_LEN_MAX]; /* an entry of a changed secret is not used */
	struct hmac_key signing_key;
};

struct sigv4_keys {
	uint64_t clock; /* counts lookups */
	uint64_t derived_count; /* lookups that were not answered from here */
	struct sigv4_keys_entry entries[SIGV4_KEYS_SETS][SIGV4_KEYS_WAYS];
};

void sigv4_keys_init(struct sigv4_keys *keys);

/* Wipes the secrets. */
void sigv4_keys_fini(struct sigv4_keys *keys);

/* The signing key of a secret for a scope ("20130524/us-east-1/s3/aws4_request"). keys may be NULL:
 * derive it. Longer inputs than the bounds above are derived each time. */
void sigv4_keys_find(struct sigv4_keys *keys, struct bytes key_id, struct bytes secret,
	struct bytes scope, struct hmac_key *ret_signing_key);

/* Some signing key, taking the same time as sigv4_keys_find() would for a key id in use: for
 * requests of key ids that do not exist. Never compare it with a hope of success. */
void sigv4_keys_find_none(
	struct sigv4_keys *keys, struct bytes scope, struct hmac_key *ret_signing_key);

#endif
