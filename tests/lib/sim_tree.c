/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_tree.h"

#include <stdlib.h>

#include "tests/lib/sim.h"

/* A row, shared by the nodes of all versions that have it. */
struct row {
	unsigned ref_count;
	size_t key_len, value_len;
	uint8_t data[];
};

/* A treap: ordered by key, and a heap by priority, which is a hash of the key. A node with one
 * reference belongs to one version and is changed in place; a shared one is copied first. */
struct sim_tree {
	unsigned ref_count;
	uint64_t priority;
	struct row *row;
	struct sim_tree *left, *right;
};

static struct bytes row_key(const struct row *row)
{
	return bytes_make(row->data, row->key_len);
}

static struct row *row_new(struct bytes key, struct bytes value)
{
	struct row *row = sim_must(malloc(sizeof *row + key.len + value.len));
	*row = (struct row){.ref_count = 1, .key_len = key.len, .value_len = value.len};
	if (key.len > 0)
		memcpy(row->data, key.data, key.len);
	if (value.len > 0)
		memcpy(row->data + key.len, value.data, value.len);
	return row;
}

static void row_unref(struct row *row)
{
	if (--row->ref_count == 0)
		free(row);
}

struct sim_tree *sim_tree_ref(struct sim_tree *tree)
{
	if (tree)
		tree->ref_count++;
	return tree;
}

void sim_tree_unref(struct sim_tree *tree)
{
	if (!tree || --tree->ref_count > 0)
		return;
	sim_tree_unref(tree->left);
	sim_tree_unref(tree->right);
	row_unref(tree->row);
	free(tree);
}

/* Turns a reference to a node into one to a node of this version alone. */
static struct sim_tree *own(struct sim_tree *tree)
{
	if (tree->ref_count == 1)
		return tree;
	struct sim_tree *copy = sim_must(malloc(sizeof *copy));
	*copy = *tree;
	copy->ref_count = 1;
	copy->row->ref_count++;
	sim_tree_ref(copy->left);
	sim_tree_ref(copy->right);
	sim_tree_unref(tree);
	return copy;
}

static struct sim_tree *put_row(struct sim_tree *tree, struct row *row)
{
	if (!tree) {
		tree = sim_must(calloc(1, sizeof *tree));
		tree->ref_count = 1;
		tree->row = row;
		tree->priority = sim_hash_bytes(row->data, row->key_len);
		return tree;
	}
	tree = own(tree);
	int order = bytes_compare(row_key(row), row_key(tree->row));
	struct sim_tree *child;
	if (order == 0) {
		row_unref(tree->row);
		tree->row = row;
		return tree;
	}
	if (order < 0) {
		child = tree->left = put_row(tree->left, row);
		if (child->priority <= tree->priority)
			return tree;
		tree->left = child->right;
		child->right = tree;
	} else {
		child = tree->right = put_row(tree->right, row);
		if (child->priority <= tree->priority)
			return tree;
		tree->right = child->left;
		child->left = tree;
	}
	return child;
}

struct sim_tree *sim_tree_put(struct sim_tree *tree, struct bytes key, struct bytes value)
{
	return put_row(tree, row_new(key, value));
}

/* Joins two trees; all keys of the first are before those of the second. */
static struct sim_tree *join(struct sim_tree *first, struct sim_tree *second)
{
	if (!first || !second)
		return first ? first : second;
	if (first->priority >= second->priority) {
		first = own(first);
		first->right = join(first->right, second);
		return first;
	}
	second = own(second);
	second->left = join(first, second->left);
	return second;
}

static struct sim_tree *remove_row(struct sim_tree *tree, struct bytes key)
{
	tree = own(tree);
	int order = bytes_compare(key, row_key(tree->row));
	if (order < 0) {
		tree->left = remove_row(tree->left, key);
	} else if (order > 0) {
		tree->right = remove_row(tree->right, key);
	} else {
		struct sim_tree *rest = join(tree->left, tree->right);
		tree->left = tree->right = NULL;
		sim_tree_unref(tree);
		return rest;
	}
	return tree;
}

struct sim_tree *sim_tree_remove(struct sim_tree *tree, struct bytes key)
{
	struct bytes found, value;
	if (!sim_tree_seek(tree, key, false, &found, &value) || !bytes_is_equal(found, key))
		return tree;
	return remove_row(tree, key);
}

bool sim_tree_seek(const struct sim_tree *tree, struct bytes key, bool is_after,
	struct bytes *ret_key, struct bytes *ret_value)
{
	const struct row *best = NULL;
	while (tree) {
		int order = bytes_compare(row_key(tree->row), key);
		if (order > 0 || (order == 0 && !is_after)) {
			best = tree->row;
			tree = tree->left;
		} else {
			tree = tree->right;
		}
	}
	if (!best)
		return false;
	*ret_key = row_key(best);
	*ret_value = bytes_make(best->data + best->key_len, best->value_len);
	return true;
}
