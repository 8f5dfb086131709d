/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_TREE_H
#define TESTS_LIB_SIM_TREE_H

#include <stdbool.h>

#include "storage/bytes.h"

/* A sorted map of which any number of versions exist at once. NULL is the empty map. A version is
 * never changed: put and remove take one version and give another, which shares what is the same.
 * Its shape depends on its keys alone. */
struct sim_tree;

struct sim_tree *sim_tree_ref(struct sim_tree *tree);
void sim_tree_unref(struct sim_tree *tree);

/* Take the caller's reference to the tree and give one to the new version; copy key and value. */
struct sim_tree *sim_tree_put(struct sim_tree *tree, struct bytes key, struct bytes value);
struct sim_tree *sim_tree_remove(struct sim_tree *tree, struct bytes key);

/* The first row at or after the key (after it, if is_after). Borrowed for as long as the version.
 */
bool sim_tree_seek(const struct sim_tree *tree, struct bytes key, bool is_after,
	struct bytes *ret_key, struct bytes *ret_value);

#endif
