/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/bucket_rules.h"

#include <stdlib.h>

#include "gateway/sse.h"

void bucket_rules_init(struct bucket_rules_cache *cache)
{
	memset(cache, 0, sizeof *cache);
}

void bucket_rules_release(struct bucket_rules *rules)
{
	if (!rules)
		return;
	assert(rules->refs > 0);
	if (--rules->refs > 0)
		return;
	policy_free(rules->policy);
	free(rules);
}

static void empty(struct bucket_rules_cache *cache, struct bucket_rules_slot *slot)
{
	if (slot->rules)
		cache->memory -= slot->rules->memory;
	bucket_rules_release(slot->rules);
	*slot = (struct bucket_rules_slot){.bucket = 0};
}

void bucket_rules_fini(struct bucket_rules_cache *cache)
{
	for (size_t i = 0; i < BUCKET_RULES_SLOTS; i++)
		empty(cache, &cache->slots[i]);
	assert(cache->memory == 0);
}

/* What stands under a kind, without its format byte; empty: nothing. Errors: those of the index;
 * ERR_VERSION. */
static enum err read_config(struct index_reader *reader, uint64_t bucket, enum bucket_config kind,
	struct bytes *ret_rest)
{
	struct bytes blob;
	*ret_rest = (struct bytes){0};
	enum err err = index_bucket_config(reader, bucket, kind, &blob);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	return err == ERR_OK ? bucket_config_open(blob, ret_rest) : err;
}

static bool is_damage(enum err err)
{
	return err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_INVALID || err == ERR_LIMIT;
}

/* (L3) */
static enum err load_policy(struct index_reader *reader, const struct row_bucket *bucket,
	struct policy **ret_policy, bool *ret_is_unreadable)
{
	struct bytes json;
	const char *why;
	enum err err = read_config(reader, bucket->id, BUCKET_CONFIG_POLICY, &json);
	if (err == ERR_OK && json.len > 0)
		err = policy_parse(POLICY_OF_BUCKET, json, bucket->name, ret_policy, &why);
	if (!is_damage(err))
		return err;
	*ret_is_unreadable = true;
	return ERR_OK;
}

static enum err load_public_access(
	struct index_reader *reader, uint64_t bucket, uint8_t *ret_public_access)
{
	struct bytes rest;
	enum err err = read_config(reader, bucket, BUCKET_CONFIG_PUBLIC_ACCESS, &rest);
	if (err != ERR_OK && !is_damage(err))
		return err;
	*ret_public_access = err != ERR_OK || rest.len > 1 ? UINT8_MAX
		: rest.len == 1                            ? rest.data[0]
							   : 0;
	return ERR_OK;
}

static enum err has_config(
	struct index_reader *reader, uint64_t bucket, enum bucket_config kind, bool *ret_has)
{
	struct bytes blob;
	enum err err = index_bucket_config(reader, bucket, kind, &blob);
	*ret_has = err == ERR_OK && blob.len > 0;
	return err == ERR_NOT_FOUND || is_damage(err) ? ERR_OK : err;
}

static enum err load_flags(struct index_reader *reader, const struct row_bucket *bucket,
	bool *ret_has_lifecycle, bool *ret_has_retention)
{
	enum err err = has_config(reader, bucket->id, BUCKET_CONFIG_LIFECYCLE, ret_has_lifecycle);
	if (err == ERR_OK && bucket->has_lock)
		err = has_config(reader, bucket->id, BUCKET_CONFIG_LOCK, ret_has_retention);
	return err;
}

/* How new bodies are stored. */
struct storing {
	uint8_t encryption, compression;
};

static enum err load_byte(struct index_reader *reader, uint64_t bucket, enum bucket_config kind,
	uint8_t max, uint8_t *ret_value)
{
	struct bytes rest;
	enum err err = read_config(reader, bucket, kind, &rest);
	if (err == ERR_OK && rest.len > 0 && rest.data[0] > max)
		err = ERR_VERSION;
	if (err == ERR_OK)
		*ret_value = rest.len > 0 ? rest.data[0] : 0;
	return err;
}

/* Who cannot read that bodies are to be encrypted writes none. */
static enum err load_storing(struct index_reader *reader, uint64_t bucket, struct storing *storing)
{
	enum err err = load_byte(
		reader, bucket, BUCKET_CONFIG_ENCRYPTION, SSE_S3, &storing->encryption);
	if (err == ERR_OK)
		err = load_byte(reader, bucket, BUCKET_CONFIG_COMPRESSION, FRAME_ZSTD,
			&storing->compression);
	return err;
}

/* What is not known is the strictest. */
static enum err load_ownership(
	struct index_reader *reader, uint64_t bucket, uint8_t *ret_ownership, struct bytes *ret_acl)
{
	struct bytes rest;
	*ret_acl = (struct bytes){0};
	enum err err = read_config(reader, bucket, BUCKET_CONFIG_OWNERSHIP, &rest);
	if (err != ERR_OK && !is_damage(err))
		return err;
	bool is_known = err == ERR_OK && rest.len == 1 && rest.data[0] <= BUCKET_OBJECT_WRITER;
	*ret_ownership = is_known ? rest.data[0] : 0;
	if (*ret_ownership <= BUCKET_OWNER_ENFORCED)
		return ERR_OK;
	err = index_bucket_config(reader, bucket, BUCKET_CONFIG_ACL, ret_acl);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* *ret_rules NULL: the bucket has none. */
static enum err load(struct index_reader *reader, const struct row_bucket *bucket,
	struct bucket_rules **ret_rules)
{
	struct policy *policy = NULL;
	bool is_unreadable = false;
	uint8_t public_access = 0, ownership = 0;
	struct bytes cors = {0}, grants = {0}, acl = {0};
	bool has_lifecycle = false, has_retention = false;
	struct storing storing = {0};

	enum err err = load_policy(reader, bucket, &policy, &is_unreadable);
	if (err == ERR_OK)
		err = load_public_access(reader, bucket->id, &public_access);
	if (err == ERR_OK)
		err = read_config(reader, bucket->id, BUCKET_CONFIG_CORS, &cors);
	if (err == ERR_OK || is_damage(err)) /* no origin is allowed then */
		err = read_config(reader, bucket->id, BUCKET_CONFIG_GRANTS, &grants);
	if (err == ERR_OK || is_damage(err))
		err = load_flags(reader, bucket, &has_lifecycle, &has_retention);
	if (err == ERR_OK)
		err = load_storing(reader, bucket->id, &storing);
	if (err == ERR_OK)
		err = load_ownership(reader, bucket->id, &ownership, &acl);
	bool is_none = !policy && !is_unreadable && public_access == 0 && cors.len == 0 &&
		grants.len == 0 && !has_lifecycle && !has_retention && storing.encryption == 0 &&
		storing.compression == 0 && ownership == 0;
	if (err != ERR_OK || is_none) {
		policy_free(policy);
		*ret_rules = NULL;
		return err;
	}
	struct bucket_rules *rules = malloc(sizeof *rules + cors.len + grants.len + acl.len);
	if (!rules) {
		policy_free(policy);
		return ERR_NO_MEMORY;
	}
	*rules = (struct bucket_rules){
		.refs = 1,
		.memory = sizeof *rules + cors.len + grants.len + acl.len +
			(policy ? policy_memory(policy) : 0),
		.policy = policy,
		.is_policy_unreadable = is_unreadable,
		.has_lifecycle = has_lifecycle,
		.has_retention = has_retention,
		.public_access = public_access,
		.encryption = storing.encryption,
		.compression = storing.compression,
		.cors_len = cors.len,
		.grants_len = grants.len,
		.ownership = ownership,
		.acl_len = acl.len,
	};
	if (cors.len > 0)
		memcpy(rules->blobs, cors.data, cors.len);
	if (grants.len > 0)
		memcpy(rules->blobs + cors.len, grants.data, grants.len);
	if (acl.len > 0)
		memcpy(rules->blobs + cors.len + grants.len, acl.data, acl.len);
	*ret_rules = rules;
	return ERR_OK;
}

static struct bucket_rules_slot *slot_of(struct bucket_rules_cache *cache, uint64_t bucket)
{
	return &cache->slots[(bucket * UINT64_C(0x9e3779b97f4a7c15)) >> 58];
}

/* Rules take memory by their documents: when there is too much, all go, and come back as they are
 * asked for. */
static void keep(struct bucket_rules_cache *cache, const struct row_bucket *bucket,
	struct bucket_rules *rules)
{
	struct bucket_rules_slot *slot = slot_of(cache, bucket->id);
	size_t memory = rules ? rules->memory : 0;

	empty(cache, slot);
	if (cache->memory + memory > BUCKET_RULES_MEMORY_MAX)
		bucket_rules_fini(cache);
	*slot = (struct bucket_rules_slot){bucket->id, bucket->change_count, rules};
	cache->memory += memory;
	if (rules)
		rules->refs++;
}

enum err bucket_rules_take(struct bucket_rules_cache *cache, struct index_reader *reader,
	const struct row_bucket *bucket, struct bucket_rules **ret_rules)
{
	static_assert(BUCKET_RULES_SLOTS == 64, "slot_of() gives six bits");
	if (bucket->change_count <= 1) { /* (L2) */
		*ret_rules = NULL;
		return ERR_OK;
	}
	struct bucket_rules_slot *slot = slot_of(cache, bucket->id);
	struct bucket_rules *rules = slot->rules;
	if (slot->bucket != bucket->id || slot->change_count != bucket->change_count) {
		enum err err = load(reader, bucket, &rules);
		if (err != ERR_OK)
			return err;
		keep(cache, bucket, rules);
	} else if (rules) {
		rules->refs++;
	}
	*ret_rules = rules;
	return ERR_OK;
}
