/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_BUCKET_RULES_H
#define GATEWAY_BUCKET_RULES_H

#include "gateway/bucket_config.h"
#include "gateway/policy.h"
#include "storage/meta/index.h"

/* What every request to a bucket has to know of its configurations, ready to be used: kept by each
 * loop, by the bucket's id and change_count.
 *
 * (L1) The bucket's row is read for each request anyway, and every change of a configuration raises
 *      its change_count: what is kept under another one is not found. So a change holds for every
 *      request that begins after it was answered, on every node.
 * (L2) A bucket that was never changed has none, and nothing is read, kept or allocated for it. One
 *      whose changes left nothing to keep costs a look at its slot.
 * (L3) What cannot be read or understood (damage, a newer program's) allows nothing.
 */
enum {
	BUCKET_RULES_SLOTS = 64,
	BUCKET_RULES_MEMORY_MAX = 1 << 20, /* of one loop, beside those that requests hold */
};

struct bucket_rules {
	unsigned refs;
	size_t memory;
	struct policy *policy; /* NULL: none */
	bool is_policy_unreadable;
	bool has_lifecycle; /* the index has the rules */
	bool has_retention; /* new versions are kept, if they do not say otherwise */
	uint8_t public_access; /* set of enum bucket_public_access */
	uint8_t encryption; /* enum sse_mode, of objects that ask for none */
	uint8_t compression; /* enum frame_compression, of new bodies */
	uint8_t ownership; /* enum bucket_ownership; 0: as if BUCKET_OWNER_ENFORCED */
	size_t cors_len, grants_len, acl_len; /* 0: none */
	uint8_t blobs[]; /* what bucket_config_cors_next() takes, grants_next(), and acl.h */
};

struct bucket_rules_slot {
	uint64_t bucket, change_count; /* bucket 0: empty */
	struct bucket_rules *rules; /* a reference; NULL: the bucket has none */
};

struct bucket_rules_cache {
	size_t memory; /* of what the slots refer to */
	struct bucket_rules_slot slots[BUCKET_RULES_SLOTS];
};

void bucket_rules_init(struct bucket_rules_cache *cache);
void bucket_rules_fini(struct bucket_rules_cache *cache);

/* The rules of a bucket, or NULL: it has none. Under a view, which the row is of. The caller gives
 * them back with bucket_rules_release(). Errors: those of the index; ERR_NO_MEMORY. */
MUST_USE enum err bucket_rules_take(struct bucket_rules_cache *cache, struct index_reader *reader,
	const struct row_bucket *bucket, struct bucket_rules **ret_rules);

/* NULL is fine. */
void bucket_rules_release(struct bucket_rules *rules);

static inline struct bytes bucket_rules_cors(const struct bucket_rules *rules)
{
	return bytes_make(rules ? rules->blobs : NULL, rules ? rules->cors_len : 0);
}

static inline struct bytes bucket_rules_grants(const struct bucket_rules *rules)
{
	return bytes_make(
		rules ? rules->blobs + rules->cors_len : NULL, rules ? rules->grants_len : 0);
}

/* Does the bucket, and what is in it, have ACLs that count? */
static inline bool bucket_rules_has_acls(const struct bucket_rules *rules)
{
	return rules && rules->ownership > BUCKET_OWNER_ENFORCED;
}

/* The bucket's own; empty: it is private. */
static inline struct bytes bucket_rules_acl(const struct bucket_rules *rules)
{
	return bytes_make(rules ? rules->blobs + rules->cors_len + rules->grants_len : NULL,
		rules ? rules->acl_len : 0);
}

#endif
