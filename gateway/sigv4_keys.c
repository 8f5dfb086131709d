/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sigv4_keys.h"

#include "gateway/digest/digest.h"

void sigv4_keys_init(struct sigv4_keys *keys)
{
	memset(keys, 0, sizeof *keys);
}

void sigv4_keys_fini(struct sigv4_keys *keys)
{
	explicit_bzero(keys, sizeof *keys);
}

/* HMAC(HMAC(HMAC(HMAC("AWS4" secret, date), region), service), "aws4_request") */
static void derive(struct bytes secret, struct bytes scope, struct hmac_key *ret_signing_key)
{
	uint8_t start[4 + SIGV4_SECRET_LEN_MAX];
	uint8_t step[SHA256_LEN];
	assert(secret.len <= SIGV4_SECRET_LEN_MAX);
	memcpy(start, "AWS4", 4);
	if (secret.len > 0)
		memcpy(start + 4, secret.data, secret.len);

	struct hmac_key key;
	hmac_key_init(&key, start, 4 + secret.len);
	while (scope.len > 0) {
		const uint8_t *slash = memchr(scope.data, '/', scope.len);
		size_t len = slash ? (size_t)(slash - scope.data) : scope.len;
		hmac_sign(&key, scope.data, len, step);
		hmac_key_init(&key, step, sizeof step);
		scope = bytes_from(scope, slash ? len + 1 : len);
	}
	*ret_signing_key = key;
	explicit_bzero(start, sizeof start);
	explicit_bzero(step, sizeof step);
	hmac_key_fini(&key);
}

static size_t set_of(struct bytes key_id, struct bytes scope)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < key_id.len; i++)
		hash = (hash ^ key_id.data[i]) * 0x100000001b3u;
	for (size_t i = 0; i < scope.len; i++)
		hash = (hash ^ scope.data[i]) * 0x100000001b3u;
	return (hash >> 32) % SIGV4_KEYS_SETS;
}

static bool is_entry_of(const struct sigv4_keys_entry *entry, struct bytes key_id,
	struct bytes secret, struct bytes scope)
{
	return entry->used_at != 0 &&
		bytes_is_equal(bytes_make(entry->key_id, entry->key_id_len), key_id) &&
		bytes_is_equal(bytes_make(entry->scope, entry->scope_len), scope) &&
		entry->secret_len == secret.len &&
		digest_is_equal(entry->secret, secret.data, secret.len);
}

void sigv4_keys_find(struct sigv4_keys *keys, struct bytes key_id, struct bytes secret,
	struct bytes scope, struct hmac_key *ret_signing_key)
{
	if (!keys || key_id.len > SIGV4_KEY_ID_LEN_MAX || scope.len > SIGV4_SCOPE_LEN_MAX) {
		derive(secret, scope, ret_signing_key);
		return;
	}

	struct sigv4_keys_entry *set = keys->entries[set_of(key_id, scope)];
	struct sigv4_keys_entry *oldest = &set[0];
	keys->clock++;
	for (size_t i = 0; i < SIGV4_KEYS_WAYS; i++) {
		if (is_entry_of(&set[i], key_id, secret, scope)) {
			set[i].used_at = keys->clock;
			*ret_signing_key = set[i].signing_key;
			return;
		}
		if (set[i].used_at < oldest->used_at)
			oldest = &set[i];
	}

	keys->derived_count++;
	derive(secret, scope, &oldest->signing_key);
	memcpy(oldest->key_id, key_id.data, key_id.len);
	memcpy(oldest->scope, scope.data, scope.len);
	if (secret.len > 0)
		memcpy(oldest->secret, secret.data, secret.len);
	oldest->key_id_len = key_id.len;
	oldest->scope_len = scope.len;
	oldest->secret_len = secret.len;
	oldest->used_at = keys->clock;
	*ret_signing_key = oldest->signing_key;
}

void sigv4_keys_find_none(
	struct sigv4_keys *keys, struct bytes scope, struct hmac_key *ret_signing_key)
{
	for (size_t i = 0; keys && i < SIGV4_KEYS_SETS * SIGV4_KEYS_WAYS; i++) {
		const struct sigv4_keys_entry *entry =
			&keys->entries[i / SIGV4_KEYS_WAYS][i % SIGV4_KEYS_WAYS];
		if (entry->used_at != 0 &&
			bytes_is_equal(bytes_make(entry->scope, entry->scope_len), scope)) {
			*ret_signing_key = entry->signing_key;
			return;
		}
	}
	derive(bytes_of("a secret that nobody has, at the usual len"), scope, ret_signing_key);
}
