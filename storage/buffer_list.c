/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/buffer_list.h"

enum {
	HEAD_OFFSET = 8, /* 0 is the end of the list */
	HEAD_LEN = sizeof(struct buffer_node) + BUFFER_HEIGHT_MAX * sizeof(uint32_t),
};

static_assert(sizeof(struct buffer_node) == 16, "the head of a node is small");
static_assert(HEAD_LEN + 7 <= 96, "buffer_row_len() is enough");

static struct buffer_node *node_at(const struct buffer_list *list, uint32_t offset)
{
	return offset != 0 ? (struct buffer_node *)(void *)(list->arena + offset) : NULL;
}

static struct buffer_node *next_of(
	const struct buffer_list *list, const struct buffer_node *node, unsigned level)
{
	return node_at(list, atomic_load_explicit(&node->next[level], memory_order_acquire));
}

void buffer_list_reset(struct buffer_list *list)
{
	assert((uintptr_t)list->arena % 8 == 0);
	assert(list->len > HEAD_OFFSET + HEAD_LEN && list->len <= UINT32_MAX);
	struct buffer_node *head = node_at(list, HEAD_OFFSET);
	head->sequence = 0;
	head->value_len = 0;
	head->key_len = 0;
	head->height = BUFFER_HEIGHT_MAX;
	for (unsigned i = 0; i < BUFFER_HEIGHT_MAX; i++)
		atomic_init(&head->next[i], 0);
	list->used = round_up(HEAD_OFFSET + HEAD_LEN, 8);
	list->random = 0x9e3779b97f4a7c15u;
	atomic_store_explicit(&list->count, 0, memory_order_relaxed);
}

/* One level more with a chance of 1/4 each (xorshift64). */
static unsigned random_height(struct buffer_list *list)
{
	uint64_t x = list->random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	list->random = x;
	unsigned height = 1;
	for (x >>= 32; height < BUFFER_HEIGHT_MAX && (x & 3) == 0; x >>= 2)
		height++;
	return height;
}

/* The last node before the key, on each level. */
static void find(const struct buffer_list *list, struct bytes key,
	struct buffer_node *before[BUFFER_HEIGHT_MAX])
{
	struct buffer_node *node = node_at(list, HEAD_OFFSET);
	const struct buffer_node *known = NULL; /* not before the key, as a higher level saw */
	for (unsigned level = BUFFER_HEIGHT_MAX; level-- > 0;) {
		struct buffer_node *next = next_of(list, node, level);
		while (next && next != known && bytes_compare(buffer_node_key(next), key) < 0) {
			node = next;
			next = next_of(list, node, level);
		}
		known = next;
		before[level] = node;
	}
}

void buffer_list_insert(
	struct buffer_list *list, uint64_t sequence, struct bytes key, struct bytes value)
{
	struct buffer_node *before[BUFFER_HEIGHT_MAX];
	find(list, key, before);
	unsigned height = random_height(list);
	size_t head_len = sizeof(struct buffer_node) + height * sizeof(uint32_t);
	uint32_t offset = list->used;
	assert(offset % 8 == 0);
	list->used += round_up(head_len + key.len + value.len, 8);
	assert(list->used <= list->len);
	struct buffer_node *node = node_at(list, offset);
	node->sequence = sequence;
	node->value_len = value.data ? value.len : BUFFER_VALUE_REMOVED;
	node->key_len = key.len;
	node->height = height;
	uint8_t *bytes = (uint8_t *)node + head_len;
	memcpy(bytes, key.data, key.len);
	if (value.len > 0)
		memcpy(bytes + key.len, value.data, value.len);
	for (unsigned i = 0; i < height; i++) {
		uint32_t next = atomic_load_explicit(&before[i]->next[i], memory_order_relaxed);
		atomic_init(&node->next[i], next);
	}
	for (unsigned i = 0; i < height; i++)
		atomic_store_explicit(&before[i]->next[i], offset, memory_order_release);
	size_t count = atomic_load_explicit(&list->count, memory_order_relaxed);
	atomic_store_explicit(&list->count, count + 1, memory_order_relaxed);
}

const struct buffer_node *buffer_list_seek(const struct buffer_list *list, struct bytes key)
{
	struct buffer_node *before[BUFFER_HEIGHT_MAX];
	find(list, key, before);
	const struct buffer_node *node = next_of(list, before[0], 0);
	/* Rows may have been linked behind before[0] since. */
	while (node && bytes_compare(buffer_node_key(node), key) < 0)
		node = next_of(list, node, 0);
	return node;
}

const struct buffer_node *buffer_list_visible(
	const struct buffer_list *list, const struct buffer_node *node, uint64_t snapshot)
{
	while (node && node->sequence > snapshot)
		node = next_of(list, node, 0);
	return node;
}

const struct buffer_node *buffer_list_next_key(
	const struct buffer_list *list, const struct buffer_node *node, uint64_t snapshot)
{
	struct bytes key = buffer_node_key(node);
	do
		node = next_of(list, node, 0);
	while (node && bytes_is_equal(buffer_node_key(node), key));
	return buffer_list_visible(list, node, snapshot);
}
