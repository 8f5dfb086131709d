/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include "gateway/policy_cache.h"
#include "gateway/secrets.h"
#include "gateway/session_token.h"
#include "gateway/sigv4.h"
#include "storage/meta/index.h"

/* Who a request comes from, and what they may do.
 *
 * (A1) An access key that was changed, disabled or deleted is refused by every request that begins
 *      after that was answered: the row is read for each request, and a derived key that is kept is
 *      used for the very secret only that it was derived from.
 * (A2) A key id that does not exist, one that is disabled or expired or whose user is disabled, and
 *      a wrong signature take the same time.
 * (A3) Rights belong to owners. An owner may do everything to the own buckets; AUTH_ROLE_ADMIN may
 *      do everything; who has not signed may do nothing. What others may besides, and what policies
 *      take away, is authorize.h's.
 */
enum auth_role { /* kept on disk, in row_access_key.role */
	AUTH_ROLE_OWNER = 0,
	AUTH_ROLE_ADMIN = 1,
};

enum { AUTH_LIMITS_MAX = 2 };

/* The principal of a request. */
struct auth_principal {
	bool is_anonymous;
	bool is_admin;
	bool is_user; /* the owner has a row_user */
	bool is_session; /* temporary: of session_token.h */
	size_t owner_len, key_id_len, session_name_len;
	uint8_t owner[ROW_OWNER_LEN_MAX];
	uint8_t key_id[SIGV4_KEY_ID_LEN_MAX]; /* that grants name; of a session, its parent's */
	uint8_t session_name[SESSION_NAME_LEN_MAX];
	/* References; NULL: it has none. */
	struct policy_kept *user_policy; /* adds to what the owner may, and denies */
	struct policy_kept
		*limits[AUTH_LIMITS_MAX]; /* each has to allow: of the key, of a session */
};

/* Gives the policies back. Zeroed is fine. */
void auth_principal_fini(struct auth_principal *principal);

static inline struct bytes auth_owner(const struct auth_principal *principal)
{
	return bytes_make(principal->owner, principal->owner_len);
}

static inline struct bytes auth_key_id(const struct auth_principal *principal)
{
	return bytes_make(principal->key_id, principal->key_id_len);
}

static inline struct bytes auth_session_name(const struct auth_principal *principal)
{
	return bytes_make(principal->session_name, principal->session_name_len);
}

/* A secret as it was opened. The same sealed bytes are the same secret; a changed one is sealed
 * with another nonce. */
enum { AUTH_SECRETS_COUNT = 16, AUTH_SEALED_LEN_MAX = 256 };

struct auth_secret {
	size_t sealed_len; /* 0: none */
	size_t len;
	uint8_t sealed[AUTH_SEALED_LEN_MAX];
	uint8_t secret[SIGV4_SECRET_LEN_MAX];
};

/* Of one loop: signing keys that were derived, secrets that were opened, policies compiled. */
struct auth_keys {
	struct policy_cache policies;
	struct sigv4_keys *signing_keys; /* owned */
	struct auth_secret secrets[AUTH_SECRETS_COUNT];
};

MUST_USE enum err auth_keys_init(struct auth_keys *keys); /* Errors: ERR_NO_MEMORY. */
void auth_keys_fini(struct auth_keys *keys);

/* Verifies a parsed signature that is not anonymous, under a view of the index. Returns what
 * sigv4_verify() does; S3_INVALID_TOKEN and S3_EXPIRED_TOKEN; and, when the key's row
 * cannot be read, S3_INTERNAL_ERROR, S3_SERVICE_UNAVAILABLE or S3_SLOW_DOWN. The caller ends the
 * principal with auth_principal_fini(), if there is one. */
enum s3_code auth_verify(struct auth_keys *keys, struct index_reader *reader,
	struct secrets *secrets, uint64_t now_ms, const struct sigv4_request *request,
	struct sigv4 *auth, struct auth_principal *ret_principal,
	struct s3_error_detail *ret_detail) MUST_USE;

/* Does the principal own what is of this owner, or everything? */
bool auth_may(const struct auth_principal *principal, struct bytes bucket_owner);

#endif
