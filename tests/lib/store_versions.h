/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_VERSIONS_H
#define TESTS_LIB_STORE_VERSIONS_H

#include <stdbool.h>

#include "storage/meta/rows.h"

/* The versions of a versioned bucket, beside the histories of its keys (store_model.h): what was
 * acknowledged stays, each with its bytes, or as a delete marker, until its deletion was asked for.
 *
 * Only a version is deleted by its id of which a newer one is known that nobody asked to delete, so
 * that what a key is never changes by it, and the histories know nothing of it. */
#define STORE_VERSIONS_MAX 1024

enum store_version_state {
	VERSION_THERE,
	VERSION_ASKED, /* for its deletion, which may have happened */
	VERSION_GONE,
};

struct store_version {
	unsigned key;
	struct version_id id;
	uint32_t content; /* 0: a delete marker */
	enum store_version_state state;
};

struct store_versions {
	struct store_version all[STORE_VERSIONS_MAX];
	unsigned count;
	unsigned walk; /* the next one that a reader of all takes */
};

void store_versions_add(
	struct store_versions *versions, unsigned key, struct version_id id, uint32_t content);

/* Some version of the key, whatever became of it; NULL: there is none. */
struct store_version *store_versions_choose(
	struct store_versions *versions, unsigned key, uint64_t random);

/* One that may be deleted. */
struct store_version *store_versions_choose_old(
	struct store_versions *versions, unsigned key, uint64_t random);

/* One after the other, of all keys. */
struct store_version *store_versions_walk(struct store_versions *versions);

#endif
