/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/auth.h"

#include <stdlib.h>

enum err auth_keys_init(struct auth_keys *keys)
{
	keys->signing_keys = malloc(sizeof *keys->signing_keys);
	if (!keys->signing_keys)
		return ERR_NO_MEMORY;
	sigv4_keys_init(keys->signing_keys);
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

/* The secret of an access key. Errors: ERR_NOT_FOUND, there is none that may be used; those of the
 * index; ERR_CORRUPT. */
MUST_USE static enum err find_secret(struct auth_keys *keys, struct index_reader *reader,
	struct secrets *secrets, struct bytes key_id, uint64_t now_ms, uint8_t *buf,
	size_t *ret_len, struct row_access_key *ret_row)
{
	if (key_id.len == 0 || key_id.len > SIGV4_KEY_ID_LEN_MAX)
		return ERR_NOT_FOUND;
	enum err err = index_access_key_get(reader, key_id, ret_row);
	if (err != ERR_OK)
		return err;
	if (!is_usable(ret_row, now_ms))
		return ERR_NOT_FOUND;
	return open_secret(keys, secrets, ret_row->secret, buf, ret_len);
}

enum s3_code auth_verify(struct auth_keys *keys, struct index_reader *reader,
	struct secrets *secrets, uint64_t now_ms, const struct sigv4_request *request,
	struct sigv4 *auth, struct auth_principal *ret_principal,
	struct s3_error_detail *ret_detail)
{
	uint8_t secret_buf[SIGV4_SECRET_LEN_MAX];
	struct bytes secret = {.data = secret_buf};
	struct row_access_key row = {0};

	assert(!auth->is_anonymous);
	if (auth->session_token.len > 0)
		return S3_INVALID_TOKEN;
	enum err err = find_secret(
		keys, reader, secrets, auth->access_key_id, now_ms, secret_buf, &secret.len, &row);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err == ERR_UNAVAILABLE ? S3_SERVICE_UNAVAILABLE : S3_INTERNAL_ERROR;
	enum s3_code code = sigv4_verify(
		auth, request, err == ERR_OK ? &secret : NULL, keys->signing_keys, ret_detail);
	explicit_bzero(secret_buf, sizeof secret_buf);
	if (code != S3_OK)
		return code;
	assert(err == ERR_OK && row.owner.len <= ROW_OWNER_LEN_MAX);
	/* What this version cannot weigh grants nothing. */
	if (row.policy.len > 0 || row.role > AUTH_ROLE_ADMIN)
		return S3_ACCESS_DENIED;
	*ret_principal = (struct auth_principal){
		.is_admin = row.role == AUTH_ROLE_ADMIN,
		.owner_len = row.owner.len,
	};
	if (row.owner.len > 0)
		memcpy(ret_principal->owner, row.owner.data, row.owner.len);
	return S3_OK;
}

bool auth_may(const struct auth_principal *principal, struct bytes bucket_owner)
{
	if (principal->is_anonymous)
		return false;
	if (principal->is_admin)
		return true;
	return principal->owner_len > 0 && bytes_is_equal(auth_owner(principal), bucket_owner);
}
