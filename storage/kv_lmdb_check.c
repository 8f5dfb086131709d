/* SPDX-License-Identifier: Apache-2.0 */
/* What LMDB (0.9, 64 bits, the machine's byte order) has in its file, and whether it adds up.
 *
 *   page 0, 1   header, then magic 4, version 4, address 8, map length 8, two trees, last page 8,
 *               transaction 8; the one with the higher transaction counts
 *   tree        page length or 0 (4), flags 2, depth 2, branch, leaf and overflow pages 8 each,
 *               entries 8, root 8 (all ones: empty); the first is of free pages, the second of rows
 *   header      number 8, 0 (2), flags 2, lower 2, upper 2; of overflow pages their count (4)
 *   node        length of the data or number of the child 4, flags or more of the number 2,
 *               length of the key 2, key, data or the number of the overflow page 8
 *
 * (C1) A page has its own number, is of one tree once or is free, and is in the file.
 * (C2) Keys ascend over all leaves, and the key of a branch is between those left and right of it.
 * (C3) Every row has the trailer of its key and value, and a tree has as many rows and pages as it
 *      says. So one changed bit in anything that is in use is found.
 *
 * A transaction may leave the last pages of the file unwritten if it freed them again, so a file
 * may be shorter than its last page: then those pages must be free (C1). */
#include "storage/kv_lmdb_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/kv_lmdb_long.h"

enum {
	HEADER_LEN = 16,
	NODE_HEADER_LEN = 8,
	META_LEN = HEADER_LEN + 136,
	PAGE_LEN_MIN = 512,
	PAGE_LEN_MAX = 65536,
	DEPTH_MAX = 32,
	KEY_LEN_MAX = 511,
	META_MAGIC = 0xBEEFC0DE,
	META_VERSION = 1,
	FLAG_BRANCH = 1,
	FLAG_LEAF = 2,
	FLAG_OVERFLOW = 4,
	FLAG_META = 8,
	NODE_BIG = 1,
	FREE_FLAGS = 0x4008, /* MDB_INTEGERKEY; MDB_NOSUBDIR, of the environment */
	VALUE_LEN_MAX = KV_VALUE_LEN_MAX + 8,
};

struct tree {
	uint32_t pad;
	uint16_t flags, depth;
	uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta {
	uint32_t magic, version;
	uint64_t address, map_len;
	struct tree free, rows;
	uint64_t last_page, txn;
};
static_assert(sizeof(struct tree) == 48 && sizeof(struct meta) == 136, "as LMDB has them");

struct check {
	int fd;
	uint64_t page_len, page_count; /* whole pages of the file */
	struct meta meta;
	uint8_t *seen; /* a bit for each page up to the last */
	uint8_t *pages; /* one for each level */
	uint8_t *big; /* a value in overflow pages, with their header */
	size_t big_cap;
	bool accepts_rows; /* whose checksum is wrong */
	uint64_t bad_rows;
	/* Of the tree being walked. */
	bool has_rows; /* else free pages */
	struct tree count;
	bool has_last, is_bound; /* last is the key of a branch: the next may be equal */
	size_t last_len;
	uint8_t last[KEY_LEN_MAX];
};

static enum err read_at(struct check *check, void *buf, size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		ssize_t got = pread(check->fd, (uint8_t *)buf + done, len - done, offset + done);
		if (got < 0 && errno != EINTR)
			return err_from_errno(errno);
		if (got == 0)
			return ERR_CORRUPT;
		done += got > 0 ? got : 0;
	}
	return ERR_OK;
}

/* Takes pages that nothing else may have (C1). */
static enum err take_pages(struct check *check, uint64_t first, uint64_t count)
{
	if (first < 2 || count > check->meta.last_page || first > check->meta.last_page + 1 - count)
		return ERR_CORRUPT;
	for (uint64_t page = first; page < first + count; page++) {
		uint8_t bit = 1 << page % 8;
		if (check->seen[page / 8] & bit)
			return ERR_CORRUPT;
		check->seen[page / 8] |= bit;
	}
	return ERR_OK;
}

static uint64_t get_pages(const uint8_t *node)
{
	return get_le32(node) | (uint64_t)get_le16(node + 4) << 32;
}

/* --- keys and values -------------------------------------------------------------------------- */

static int compare_keys(const struct check *check, const uint8_t *key, size_t len)
{
	if (!check->has_rows) {
		uint64_t own = get_le64(key), last = get_le64(check->last);
		return own < last ? -1 : own > last;
	}
	size_t shared = len < check->last_len ? len : check->last_len;
	int order = memcmp(key, check->last, shared);
	return order != 0 ? order : (len > check->last_len) - (len < check->last_len);
}

/* The next key in the order of the walk (C2). */
static enum err take_key(struct check *check, const uint8_t *key, size_t len, bool is_branch)
{
	if (len == 0 || len > KEY_LEN_MAX || (!check->has_rows && len != 8))
		return ERR_CORRUPT;
	int order = check->has_last ? compare_keys(check, key, len) : 1;
	bool may_be_equal = !is_branch && check->is_bound;
	if (order < 0 || (order == 0 && !may_be_equal))
		return ERR_CORRUPT;
	memcpy(check->last, key, len);
	check->last_len = len;
	check->has_last = true;
	check->is_bound = is_branch;
	return ERR_OK;
}

/* A list of free pages: their count, then their numbers. */
static enum err take_free(struct check *check, const uint8_t *data, size_t len)
{
	if (len < 8 || get_le64(data) > len / 8 - 1)
		return ERR_CORRUPT;
	enum err err = ERR_OK;
	for (uint64_t i = get_le64(data); i > 0 && err == ERR_OK; i--)
		err = take_pages(check, get_le64(data + 8 * i), 1);
	return err;
}

static enum err take_value(struct check *check, const uint8_t *node, const uint8_t *data)
{
	size_t key_len = get_le16(node + 6), len = get_le32(node);
	if (!check->has_rows)
		return take_free(check, data, len);
	MDB_val key = {key_len, (void *)(node + NODE_HEADER_LEN)}, value = {len, (void *)data};
	if (long_is_whole(&key, &value))
		return ERR_OK;
	check->bad_rows++;
	return check->accepts_rows ? ERR_OK : ERR_CORRUPT;
}

/* A value in pages of its own; there may be more of them than it needs. */
static enum err take_big(struct check *check, const uint8_t *node, uint64_t first)
{
	uint64_t len = get_le32(node), own = HEADER_LEN + len;
	uint8_t header[HEADER_LEN];
	if ((check->has_rows && len > VALUE_LEN_MAX) || first > check->meta.last_page)
		return ERR_CORRUPT;
	enum err err = read_at(check, header, sizeof header, first * check->page_len);
	if (err != ERR_OK)
		return err;
	uint32_t count = get_le32(header + 12);
	if (get_le64(header) != first || get_le16(header + 10) != FLAG_OVERFLOW ||
		count * check->page_len < own)
		return ERR_CORRUPT;
	check->count.overflow_pages += count;
	err = take_pages(check, first, count);
	if (err == ERR_OK && own > check->big_cap) {
		uint8_t *big = realloc(check->big, own);
		if (!big)
			return ERR_NO_MEMORY;
		check->big = big;
		check->big_cap = own;
	}
	if (err == ERR_OK)
		err = read_at(check, check->big, own, first * check->page_len);
	return err == ERR_OK ? take_value(check, node, check->big + HEADER_LEN) : err;
}

/* --- pages ------------------------------------------------------------------------------------ */

/* The i-th node of a page, within it. NULL: it is not. */
static const uint8_t *find_node(const struct check *check, const uint8_t *page, size_t i)
{
	size_t upper = get_le16(page + 14), offset = get_le16(page + HEADER_LEN + 2 * i);
	if (offset < upper || offset % 2 != 0 || offset + NODE_HEADER_LEN > check->page_len)
		return NULL;
	const uint8_t *node = page + offset;
	size_t len = NODE_HEADER_LEN + get_le16(node + 6);
	if (offset + len > check->page_len)
		return NULL;
	if (get_le16(page + 10) == FLAG_BRANCH)
		return node;
	uint16_t flags = get_le16(node + 4);
	size_t data_len = flags & NODE_BIG ? 8 : get_le32(node);
	if ((flags & ~NODE_BIG) || data_len > check->page_len - offset - len)
		return NULL;
	return node;
}

static enum err take_leaf(struct check *check, const uint8_t *page, size_t count)
{
	check->count.leaf_pages++;
	check->count.entries += count;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *node = find_node(check, page, i);
		if (!node)
			return ERR_CORRUPT;
		size_t key_len = get_le16(node + 6);
		const uint8_t *data = node + NODE_HEADER_LEN + key_len;
		enum err err = take_key(check, node + NODE_HEADER_LEN, key_len, false);
		if (err == ERR_OK && (get_le16(node + 4) & NODE_BIG))
			err = take_big(check, node, get_le64(data));
		else if (err == ERR_OK)
			err = take_value(check, node, data);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

/* Reads a page of the tree and checks its header; gives the count of its nodes. */
static enum err read_page(
	struct check *check, uint64_t number, uint8_t *page, bool is_leaf, size_t *ret_count)
{
	enum err err = take_pages(check, number, 1);
	if (err == ERR_OK)
		err = read_at(check, page, check->page_len, number * check->page_len);
	if (err != ERR_OK)
		return err;
	size_t lower = get_le16(page + 12), upper = get_le16(page + 14);
	if (get_le64(page) != number || get_le16(page + 10) != (is_leaf ? FLAG_LEAF : FLAG_BRANCH))
		return ERR_CORRUPT;
	if (lower < HEADER_LEN + 2 || lower > upper || upper > check->page_len || lower % 2 != 0)
		return ERR_CORRUPT;
	*ret_count = (lower - HEADER_LEN) / 2;
	return ERR_OK;
}

/* Walks a page and all below it, in order; depth is at most DEPTH_MAX. */
static enum err walk(struct check *check, uint64_t number, unsigned depth)
{
	uint8_t *page = check->pages + (depth - 1) * check->page_len;
	size_t count = 0;
	enum err err = read_page(check, number, page, depth == 1, &count);
	if (err != ERR_OK)
		return err;
	if (depth == 1)
		return take_leaf(check, page, count);
	check->count.branch_pages++;
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		const uint8_t *node = find_node(check, page, i);
		if (!node)
			return ERR_CORRUPT;
		if (i > 0) /* the first stands for all that is less */
			err = take_key(check, node + NODE_HEADER_LEN, get_le16(node + 6), true);
		if (err == ERR_OK)
			err = walk(check, get_pages(node), depth - 1);
	}
	return err;
}

static enum err walk_tree(struct check *check, const struct tree *tree, bool has_rows)
{
	check->has_rows = has_rows;
	check->has_last = check->is_bound = false;
	check->count = (struct tree){0};
	bool is_empty = tree->root == UINT64_MAX;
	if (tree->depth > DEPTH_MAX || is_empty != (tree->depth == 0))
		return ERR_CORRUPT;
	enum err err = is_empty ? ERR_OK : walk(check, tree->root, tree->depth);
	if (err != ERR_OK)
		return err;
	const struct tree *count = &check->count;
	bool adds_up = count->entries == tree->entries && count->leaf_pages == tree->leaf_pages &&
		count->branch_pages == tree->branch_pages &&
		count->overflow_pages == tree->overflow_pages;
	return adds_up ? ERR_OK : ERR_CORRUPT;
}

/* --- the whole -------------------------------------------------------------------------------- */

static enum err read_meta(struct check *check, uint64_t offset, struct meta *ret_meta)
{
	uint8_t bytes[META_LEN];
	enum err err = read_at(check, bytes, sizeof bytes, offset);
	if (err != ERR_OK)
		return err;
	memcpy(ret_meta, bytes + HEADER_LEN, sizeof *ret_meta);
	if (!(get_le16(bytes + 10) & FLAG_META) || ret_meta->magic != META_MAGIC)
		return ERR_CORRUPT;
	if (ret_meta->version != META_VERSION)
		return ERR_VERSION;
	uint32_t page_len = ret_meta->free.pad;
	bool is_valid = page_len >= PAGE_LEN_MIN && page_len <= PAGE_LEN_MAX &&
		(page_len & (page_len - 1)) == 0 && ret_meta->free.flags == FREE_FLAGS &&
		ret_meta->rows.flags == 0 && ret_meta->last_page >= 1 &&
		ret_meta->last_page < UINT64_MAX / PAGE_LEN_MAX - 1;
	return is_valid ? ERR_OK : ERR_CORRUPT;
}

static enum err read_metas(struct check *check)
{
	struct meta first, second;
	enum err err = read_meta(check, 0, &first);
	if (err == ERR_OK)
		err = read_meta(check, first.free.pad, &second);
	if (err != ERR_OK)
		return err;
	if (first.free.pad != second.free.pad)
		return ERR_CORRUPT;
	check->meta = first.txn < second.txn ? second : first;
	check->page_len = first.free.pad;
	return ERR_OK;
}

static enum err walk_all(struct check *check)
{
	/* A last page that no file of this length can have is not given memory for. */
	if (check->meta.last_page / 2 > check->page_count + (KV_LMDB_CHECK_LEN / PAGE_LEN_MIN))
		return ERR_CORRUPT;
	check->seen = calloc(check->meta.last_page / 8 + 1, 1);
	check->pages = malloc(DEPTH_MAX * check->page_len);
	if (!check->seen || !check->pages)
		return ERR_NO_MEMORY;
	posix_fadvise(check->fd, 0, 0, POSIX_FADV_WILLNEED);
	enum err err = walk_tree(check, &check->meta.rows, true);
	return err == ERR_OK ? walk_tree(check, &check->meta.free, false) : err;
}

static enum err check_file(struct check *check, bool is_suspect)
{
	struct stat st;
	if (fstat(check->fd, &st) != 0)
		return err_from_errno(errno);
	if (st.st_size == 0)
		return ERR_OK;
	enum err err = read_metas(check);
	if (err != ERR_OK)
		return err;
	check->page_count = (uint64_t)st.st_size / check->page_len;
	bool is_short = check->page_count < check->meta.last_page + 1;
	bool is_small = st.st_size <= KV_LMDB_CHECK_LEN;
	return is_short || is_small || is_suspect ? walk_all(check) : ERR_OK;
}

enum err kv_lmdb_check(const char *path, bool is_suspect, uint64_t *ret_bad_rows)
{
	struct check check = {
		.fd = open(path, O_RDONLY | O_CLOEXEC), .accepts_rows = ret_bad_rows != NULL};
	if (check.fd < 0)
		return errno == ENOENT ? ERR_OK : err_from_errno(errno);
	enum err err = check_file(&check, is_suspect);
	free(check.seen);
	free(check.pages);
	free(check.big);
	close(check.fd);
	if (err == ERR_OK && ret_bad_rows)
		*ret_bad_rows = check.bad_rows;
	return err;
}
