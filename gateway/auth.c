/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/auth.h"

#include <stdlib.h>

enum err auth_keys_init(struct auth_keys *keys)
{
	keys->signing_keys = malloc(sizeof *keys->signing_keys);
	if (!keys->signing_keys)
		return ERR_NO_MEMORY;
	sigv4_keys_init(keys->signing_keys);
	policy_cache_init(&keys->policies);
	memset(keys->secrets, 0, sizeof keys->secrets);
	return ERR_OK;
}

void auth_keys_fini(struct auth_keys *keys)
{
	if (!keys->signing_keys)
		return;
	sigv4_keys_fini(keys->signing_keys);
	free(keys->signing_keys);
	keys->signing_keys = NULL;
	explicit_bzero(keys->secrets, sizeof keys->secrets);
	policy_cache_fini(&keys->policies);
}

void auth_principal_fini(struct auth_principal *principal)
{
	policy_cache_release(principal->user_policy);
	principal->user_policy = NULL;
	for (size_t i = 0; i < AUTH_LIMITS_MAX; i++) {
		policy_cache_release(principal->limits[i]);
		principal->limits[i] = NULL;
	}
}

static bool is_usable(const struct row_access_key *row, uint64_t now_ms)
{
	return row->state == ACCESS_KEY_ENABLED &&
		(row->expires_ms == 0 || now_ms < row->expires_ms);
}

static struct auth_secret *place_of(struct auth_keys *keys, struct bytes sealed)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < sealed.len; i++)
		hash = (hash ^ sealed.data[i]) * 0x100000001b3u;
	return &keys->secrets[(hash >> 32) % AUTH_SECRETS_COUNT];
}

/* Opens a sealed secret, or finds that it was opened before. */
MUST_USE static enum err open_secret(struct auth_keys *keys, struct secrets *secrets,
	struct bytes sealed, uint8_t *buf, size_t *ret_len)
{
	struct auth_secret *kept = place_of(keys, sealed);
	if (sealed.len > 0 && bytes_is_equal(bytes_make(kept->sealed, kept->sealed_len), sealed)) {
		memcpy(buf, kept->secret, kept->len);
		*ret_len = kept->len;
		return ERR_OK;
	}
	enum err err = secrets_open(secrets, sealed, buf, SIGV4_SECRET_LEN_MAX, ret_len);
	if (err != ERR_OK || sealed.len == 0 || sealed.len > AUTH_SEALED_LEN_MAX)
		return err;
	assert(*ret_len <= SIGV4_SECRET_LEN_MAX);
	memcpy(kept->sealed, sealed.data, sealed.len);
	memcpy(kept->secret, buf, *ret_len);
	kept->sealed_len = sealed.len;
	kept->len = *ret_len;
	return ERR_OK;
}

/* An access key, the user whose it is, and the session that was made of it. */
struct found {
	struct row_access_key key;
	struct row_user user; /* zero: the owner is no user */
	struct session session; /* empty: none */
	uint8_t session_buf[SESSION_SEALED_LEN_MAX];
};

/* Opens the token of a request, and says whose session it is. */
static enum s3_code find_session(struct secrets *secrets, uint64_t now_ms, const struct sigv4 *auth,
	struct found *found, struct bytes *ret_key_id)
{
	*ret_key_id = auth->access_key_id;
	if (auth->session_token.len == 0)
		return S3_OK;
	if (session_token_open(secrets, auth->session_token, found->session_buf, &found->session) !=
			ERR_OK ||
		!bytes_is_equal(found->session.key_id, auth->access_key_id))
		return S3_INVALID_TOKEN;
	if (now_ms >= found->session.expires_ms)
		return S3_EXPIRED_TOKEN;
	*ret_key_id = found->session.parent;
	return S3_OK;
}

/* The secret of an access key. Errors: ERR_NOT_FOUND, there is none that may be used; those of the
 * index; ERR_CORRUPT. */
MUST_USE static enum err find_secret(struct auth_keys *keys, struct index_reader *reader,
	struct secrets *secrets, struct bytes key_id, uint64_t now_ms, uint8_t *buf,
	size_t *ret_len, struct found *found)
{
	if (key_id.len == 0 || key_id.len > SIGV4_KEY_ID_LEN_MAX)
		return ERR_NOT_FOUND;
	enum err err = index_access_key_get(reader, key_id, &found->key);
	if (err == ERR_OK && found->key.has_user)
		err = index_user_get(reader, found->key.owner, &found->user);
	if (err != ERR_OK)
		return err;
	if (!is_usable(&found->key, now_ms) || found->user.state != USER_ENABLED)
		return ERR_NOT_FOUND;
	return open_secret(keys, secrets, found->key.secret, buf, ret_len);
}

/* Under the view that the rows were found in. */
MUST_USE static enum err make_principal(struct auth_keys *keys, struct bytes key_id,
	const struct found *found, struct auth_principal *ret_principal)
{
	struct bytes owner = found->key.owner;
	struct auth_principal principal = {
		.is_admin = found->key.role == AUTH_ROLE_ADMIN,
		.owner_len = owner.len,
		.key_id_len = key_id.len,
		.is_user = found->key.has_user,
		.is_session = found->session.key_id.len > 0,
		.session_name_len = found->session.name.len,
	};
	enum err err = ERR_OK;

	assert(owner.len <= ROW_OWNER_LEN_MAX && key_id.len <= SIGV4_KEY_ID_LEN_MAX);
	if (owner.len > 0)
		memcpy(principal.owner, owner.data, owner.len);
	memcpy(principal.key_id, key_id.data, key_id.len);
	if (principal.session_name_len > 0)
		memcpy(principal.session_name, found->session.name.data,
			principal.session_name_len);
	if (found->user.policy.len > 0)
		err = policy_cache_take(
			&keys->policies, owner, found->user.policy, &principal.user_policy);
	if (err == ERR_OK && found->key.policy.len > 0)
		err = policy_cache_take(
			&keys->policies, key_id, found->key.policy, &principal.limits[0]);
	if (err == ERR_OK && found->session.policy.len > 0)
		err = policy_cache_take(&keys->policies, found->session.key_id,
			found->session.policy, &principal.limits[1]);
	if (err != ERR_OK)
		auth_principal_fini(&principal);
	else
		*ret_principal = principal;
	return err;
}

static enum s3_code code_of(enum err err)
{
	if (err == ERR_NO_MEMORY)
		return S3_SLOW_DOWN;
	return err == ERR_UNAVAILABLE ? S3_SERVICE_UNAVAILABLE : S3_INTERNAL_ERROR;
}

enum s3_code auth_verify(struct auth_keys *keys, struct index_reader *reader,
	struct secrets *secrets, uint64_t now_ms, const struct sigv4_request *request,
	struct sigv4 *auth, struct auth_principal *ret_principal,
	struct s3_error_detail *ret_detail)
{
	uint8_t secret_buf[SIGV4_SECRET_LEN_MAX];
	struct bytes secret = {.data = secret_buf}, key_id;
	struct found found;

	assert(!auth->is_anonymous);
	found.user = (struct row_user){.state = USER_ENABLED};
	found.session = (struct session){.expires_ms = 0};
	enum s3_code code = find_session(secrets, now_ms, auth, &found, &key_id);
	if (code != S3_OK)
		return code;
	enum err err = find_secret(
		keys, reader, secrets, key_id, now_ms, secret_buf, &secret.len, &found);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return code_of(err);
	if (found.session.key_id.len > 0)
		secret = found.session.secret;
	code = sigv4_verify(
		auth, request, err == ERR_OK ? &secret : NULL, keys->signing_keys, ret_detail);
	explicit_bzero(secret_buf, sizeof secret_buf);
	if (code == S3_OK && found.key.role > AUTH_ROLE_ADMIN)
		code = S3_ACCESS_DENIED; /* what this version cannot weigh grants nothing */
	if (code == S3_OK)
		err = make_principal(keys, key_id, &found, ret_principal);
	if (found.session.key_id.len > 0)
		explicit_bzero(found.session_buf, sizeof found.session_buf);
	if (code != S3_OK)
		return code;
	return err == ERR_OK ? S3_OK : code_of(err);
}

bool auth_may(const struct auth_principal *principal, struct bytes bucket_owner)
{
	if (principal->is_anonymous)
		return false;
	if (principal->is_admin)
		return true;
	return principal->owner_len > 0 && bytes_is_equal(auth_owner(principal), bucket_owner);
}
