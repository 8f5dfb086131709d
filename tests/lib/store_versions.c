/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store_versions.h"

#include <assert.h>

static bool is_newer(struct version_id a, struct version_id b)
{
	return a.index > b.index || (a.index == b.index && a.position > b.position);
}

void store_versions_add(
	struct store_versions *versions, unsigned key, struct version_id id, uint32_t content)
{
	assert(versions->count < STORE_VERSIONS_MAX);
	for (unsigned i = 0; i < versions->count; i++)
		assert(is_newer(id, versions->all[i].id) || is_newer(versions->all[i].id, id));
	versions->all[versions->count++] = (struct store_version){
		.key = key, .id = id, .content = content};
}

/* Is there a newer one of its key that stays? */
static bool is_old(const struct store_versions *versions, const struct store_version *version)
{
	for (unsigned i = 0; i < versions->count; i++) {
		const struct store_version *other = &versions->all[i];
		if (other->key == version->key && other->state == VERSION_THERE &&
			is_newer(other->id, version->id))
			return true;
	}
	return false;
}

static struct store_version *choose(
	struct store_versions *versions, unsigned key, uint64_t random, bool is_to_go)
{
	for (unsigned i = 0; i < versions->count; i++) {
		struct store_version *version =
			&versions->all[(random % versions->count + i) % versions->count];
		if (version->key == key &&
			(!is_to_go ||
				(version->state == VERSION_THERE && is_old(versions, version))))
			return version;
	}
	return NULL;
}

struct store_version *store_versions_choose(
	struct store_versions *versions, unsigned key, uint64_t random)
{
	return choose(versions, key, random, false);
}

struct store_version *store_versions_choose_old(
	struct store_versions *versions, unsigned key, uint64_t random)
{
	return choose(versions, key, random, true);
}

struct store_version *store_versions_walk(struct store_versions *versions)
{
	return versions->count > 0 ? &versions->all[versions->walk++ % versions->count] : NULL;
}
