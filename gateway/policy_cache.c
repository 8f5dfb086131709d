/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/policy_cache.h"

#include <stdlib.h>

void policy_cache_init(struct policy_cache *cache)
{
	memset(cache, 0, sizeof *cache);
}

void policy_cache_release(struct policy_kept *kept)
{
	if (!kept)
		return;
	assert(kept->refs > 0);
	if (--kept->refs > 0)
		return;
	policy_free(kept->policy);
	free(kept);
}

static size_t memory_of(const struct policy_kept *kept)
{
	return sizeof *kept + kept->text_len + (kept->policy ? policy_memory(kept->policy) : 0);
}

static void empty(struct policy_cache *cache, struct policy_kept **slot)
{
	if (*slot)
		cache->memory -= memory_of(*slot);
	policy_cache_release(*slot);
	*slot = NULL;
}

void policy_cache_fini(struct policy_cache *cache)
{
	for (size_t i = 0; i < POLICY_CACHE_SLOTS; i++)
		empty(cache, &cache->slots[i]);
	assert(cache->memory == 0);
}

static enum err compile(struct bytes text, struct policy_kept **ret_kept)
{
	const char *why;
	struct policy_kept *kept = malloc(sizeof *kept + text.len);
	if (!kept)
		return ERR_NO_MEMORY;
	*kept = (struct policy_kept){.refs = 1, .text_len = text.len};
	memcpy(kept->text, text.data, text.len);
	enum err err = policy_parse(POLICY_OF_KEY, text, (struct bytes){0}, &kept->policy, &why);
	if (err == ERR_NO_MEMORY) {
		free(kept);
		return err;
	}
	*ret_kept = kept;
	return ERR_OK;
}

static struct policy_kept **slot_of(struct policy_cache *cache, struct bytes whose)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < whose.len; i++)
		hash = (hash ^ whose.data[i]) * 0x100000001b3u;
	return &cache->slots[(hash >> 32) % POLICY_CACHE_SLOTS];
}

enum err policy_cache_take(struct policy_cache *cache, struct bytes whose, struct bytes text,
	struct policy_kept **ret_kept)
{
	struct policy_kept **slot = slot_of(cache, whose), *kept = *slot;
	assert(text.len > 0);
	if (!kept || !bytes_is_equal(bytes_make(kept->text, kept->text_len), text)) { /* (K1) */
		enum err err = compile(text, &kept);
		if (err != ERR_OK)
			return err;
		empty(cache, slot);
		if (cache->memory + memory_of(kept) > POLICY_CACHE_MEMORY_MAX)
			policy_cache_fini(cache);
		*slot = kept;
		cache->memory += memory_of(kept);
	}
	kept->refs++;
	*ret_kept = kept;
	return ERR_OK;
}
