/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_BUFFER_LIST_H
#define STORAGE_BUFFER_LIST_H

#include <stdatomic.h>

#include "storage/bytes.h"

/* The rows of one generation of a buffer: a skip list in an arena. One thread inserts while any
 * number read, without a lock.
 *
 * (S1) Nodes are in the order of keys, and of one key the newest first. A node never changes, but
 *      for its links; it is linked, with release, after it is complete.
 * (S2) Nothing is unlinked or reused until the whole list is reset, when nobody reads it.
 */
#define BUFFER_HEIGHT_MAX 12
#define BUFFER_VALUE_REMOVED UINT32_MAX

struct buffer_node {
	uint64_t sequence;
	uint32_t value_len; /* or BUFFER_VALUE_REMOVED */
	uint16_t key_len;
	uint16_t height;
	_Atomic uint32_t
		next[]; /* offsets in the arena, 0 at the end; then the key, then the value */
};

struct buffer_list {
	uint8_t *arena; /* of the list's owner; 8-byte aligned */
	size_t len;
	size_t used; /* of the writer */
	uint64_t random; /* of the writer */
	_Atomic size_t count;
};

/* Makes the list empty. */
void buffer_list_reset(struct buffer_list *list);

/* Inserts before all rows of the same key. A value whose data is NULL is a removal. The caller has
 * made sure of the room: buffer_row_len(). */
void buffer_list_insert(
	struct buffer_list *list, uint64_t sequence, struct bytes key, struct bytes value);

/* The newest node of the first key at or after the given one, or NULL. */
const struct buffer_node *buffer_list_seek(const struct buffer_list *list, struct bytes key);

/* The first node from this one on that is not newer than the snapshot. */
const struct buffer_node *buffer_list_visible(
	const struct buffer_list *list, const struct buffer_node *node, uint64_t snapshot);

/* The newest node of the next key that is not newer than the snapshot. */
const struct buffer_node *buffer_list_next_key(
	const struct buffer_list *list, const struct buffer_node *node, uint64_t snapshot);

static inline struct bytes buffer_node_key(const struct buffer_node *node)
{
	return bytes_make((const uint8_t *)&node->next[node->height], node->key_len);
}

static inline bool buffer_node_is_removal(const struct buffer_node *node)
{
	return node->value_len == BUFFER_VALUE_REMOVED;
}

static inline struct bytes buffer_node_value(const struct buffer_node *node)
{
	assert(!buffer_node_is_removal(node));
	return bytes_make(
		(const uint8_t *)&node->next[node->height] + node->key_len, node->value_len);
}

#endif
