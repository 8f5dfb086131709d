/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_POLICY_CACHE_H
#define GATEWAY_POLICY_CACHE_H

#include "gateway/policy.h"

/* Policies of users, keys and sessions, compiled: kept by each loop under their very text.
 *
 * (K1) What is kept is found by who has it and by all bytes of its text, which the caller has just
 *      read: a policy that was changed is never found, and nothing has to be told of changes.
 * (K2) A text that does not compile (damage, a newer program's) is kept too, and denies everything.
 */
enum { POLICY_CACHE_SLOTS = 32, POLICY_CACHE_MEMORY_MAX = 1 << 20 };

struct policy_kept {
	unsigned refs;
	struct policy *policy; /* NULL: it does not compile */
	size_t text_len;
	uint8_t text[];
};

struct policy_cache {
	size_t memory;
	struct policy_kept *slots[POLICY_CACHE_SLOTS]; /* references */
};

void policy_cache_init(struct policy_cache *cache);
void policy_cache_fini(struct policy_cache *cache);

/* The compiled policy; `whose` chooses the slot. The caller gives it back with
 * policy_cache_release(). Errors: ERR_NO_MEMORY. */
MUST_USE enum err policy_cache_take(struct policy_cache *cache, struct bytes whose,
	struct bytes text, struct policy_kept **ret_kept);

/* NULL is fine. */
void policy_cache_release(struct policy_kept *kept);

#endif
