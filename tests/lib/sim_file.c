/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/bytes.h"

enum { PAGE_LEN = 4096, CHUNK_PAGES = 256, SECTOR_LEN = 512 };

/* Pages in chunks of 256. A page is missing (a hole), zero_page (allocated and never written), or
 * memory of its own. */
struct image {
	uint8_t ***chunks;
	uint64_t chunk_count;
	uint64_t page_count;
	uint64_t size;
};

struct change {
	enum sim_change kind;
	uint64_t offset, len, number;
	bool is_durable, is_doomed;
	struct change *next;
	uint8_t data[];
};

struct sim_file {
	struct image visible, stable;
	struct change *first;
	struct change **tail;
	uint64_t number;
	uint64_t newest;
	unsigned ref_count;
};

static uint8_t zero_page[PAGE_LEN];

/* --- images ------------------------------------------------------------------------------- */

static uint8_t *page_at(const struct image *image, uint64_t page)
{
	uint64_t chunk = page / CHUNK_PAGES;
	if (chunk >= image->chunk_count || !image->chunks[chunk])
		return NULL;
	return image->chunks[chunk][page % CHUNK_PAGES];
}

static uint8_t **page_slot(struct image *image, uint64_t page)
{
	uint64_t chunk = page / CHUNK_PAGES;
	if (chunk >= image->chunk_count) {
		uint64_t count = 2 * chunk + 1;
		image->chunks = sim_must(reallocarray(image->chunks, count, sizeof *image->chunks));
		memset(image->chunks + image->chunk_count, 0,
			(count - image->chunk_count) * sizeof *image->chunks);
		image->chunk_count = count;
	}
	if (!image->chunks[chunk])
		image->chunks[chunk] = sim_must(calloc(CHUNK_PAGES, sizeof **image->chunks));
	return &image->chunks[chunk][page % CHUNK_PAGES];
}

static void page_drop(struct image *image, uint64_t page)
{
	if (!page_at(image, page))
		return;
	uint8_t **slot = page_slot(image, page);
	if (*slot != zero_page)
		free(*slot);
	*slot = NULL;
	image->page_count--;
}

/* The page's own memory, made when it has none. */
static uint8_t *page_own(struct image *image, uint64_t page)
{
	uint8_t **slot = page_slot(image, page);
	if (!*slot)
		image->page_count++;
	if (!*slot || *slot == zero_page)
		*slot = sim_must(calloc(1, PAGE_LEN));
	return *slot;
}

static void image_fini(struct image *image)
{
	for (uint64_t chunk = 0; chunk < image->chunk_count; chunk++) {
		if (!image->chunks[chunk])
			continue;
		for (unsigned i = 0; i < CHUNK_PAGES; i++)
			page_drop(image, chunk * CHUNK_PAGES + i);
		free(image->chunks[chunk]);
	}
	free(image->chunks);
	*image = (struct image){0};
}

static void image_copy(struct image *to, const struct image *from)
{
	image_fini(to);
	for (uint64_t page = 0; page < from->chunk_count * CHUNK_PAGES; page++) {
		const uint8_t *data = page_at(from, page);
		if (!data)
			continue;
		if (data == zero_page) {
			*page_slot(to, page) = zero_page;
			to->page_count++;
		} else {
			memcpy(page_own(to, page), data, PAGE_LEN);
		}
	}
	to->size = from->size;
}

static void image_write(struct image *image, uint64_t offset, const uint8_t *data, uint64_t len)
{
	if (len > 0 && offset + len > image->size)
		image->size = offset + len;
	while (len > 0) {
		uint64_t within = offset % PAGE_LEN;
		uint64_t part = len < PAGE_LEN - within ? len : PAGE_LEN - within;
		memcpy(page_own(image, offset / PAGE_LEN) + within, data, part);
		offset += part;
		data += part;
		len -= part;
	}
}

/* Zeros a range; whole pages become holes. */
static void image_punch(struct image *image, uint64_t offset, uint64_t len)
{
	while (len > 0) {
		uint64_t within = offset % PAGE_LEN;
		uint64_t part = len < PAGE_LEN - within ? len : PAGE_LEN - within;
		uint64_t page = offset / PAGE_LEN;
		if (part == PAGE_LEN)
			page_drop(image, page);
		else if (page_at(image, page))
			memset(page_own(image, page) + within, 0, part);
		offset += part;
		len -= part;
	}
}

static void image_truncate(struct image *image, uint64_t size)
{
	if (size < image->size)
		image_punch(image, size, round_up(image->size, PAGE_LEN) - size);
	/* Pages may have been allocated beyond the end, too. */
	for (uint64_t page = round_up(size, PAGE_LEN) / PAGE_LEN;
		page < image->chunk_count * CHUNK_PAGES; page++)
		page_drop(image, page);
	image->size = size;
}

static void image_allocate(struct image *image, uint64_t len)
{
	for (uint64_t page = 0; page * PAGE_LEN < len; page++) {
		uint8_t **slot = page_slot(image, page);
		if (*slot)
			continue;
		*slot = zero_page;
		image->page_count++;
	}
	if (len > image->size)
		image->size = len;
}

static void image_change(struct image *image, enum sim_change kind, uint64_t offset,
	const uint8_t *data, uint64_t len)
{
	switch (kind) {
	case SIM_CHANGE_WRITE:
		image_write(image, offset, data, len);
		return;
	case SIM_CHANGE_TRUNCATE:
		image_truncate(image, offset);
		return;
	case SIM_CHANGE_ALLOCATE:
		image_allocate(image, len);
		return;
	case SIM_CHANGE_PUNCH:
		if (offset < image->size)
			image_punch(image, offset,
				len < image->size - offset ? len : image->size - offset);
		return;
	}
}

/* --- chance ------------------------------------------------------------------------------- */

/* Which sectors of a write are there after it was cut short: a beginning, or each by chance. */
struct tear {
	struct sim *sim;
	bool is_prefix;
	uint64_t prefix_len;
};

static struct tear tear_begin(struct sim *sim, uint64_t len)
{
	bool is_prefix = sim_random(sim) % 2;
	return (struct tear){sim, is_prefix, sim_random_below(sim, len + 1)};
}

static bool tear_keeps(struct tear *tear, uint64_t to)
{
	return tear->is_prefix ? to <= tear->prefix_len : sim_random(tear->sim) % 2;
}

/* Where the sector ends in which byte from of a write at offset lies. */
static uint64_t sector_end(uint64_t offset, uint64_t from, uint64_t len)
{
	uint64_t to = (offset + from) / SECTOR_LEN * SECTOR_LEN + SECTOR_LEN - offset;
	return to < len ? to : len;
}

static void image_tear(struct image *image, struct sim *sim, const struct change *change)
{
	struct tear tear = tear_begin(sim, change->len);
	for (uint64_t from = 0, to; from < change->len; from = to) {
		to = sector_end(change->offset, from, change->len);
		if (tear_keeps(&tear, to))
			image_write(image, change->offset + from, change->data + from, to - from);
	}
}

/* --- the file ----------------------------------------------------------------------------- */

struct sim_file *sim_file_new(uint64_t number)
{
	struct sim_file *file = sim_must(calloc(1, sizeof *file));
	file->number = number;
	file->tail = &file->first;
	file->ref_count = 1;
	return file;
}

void sim_file_ref(struct sim_file *file)
{
	file->ref_count++;
}

static void drop_first(struct sim_file *file)
{
	struct change *change = file->first;
	file->first = change->next;
	if (!file->first)
		file->tail = &file->first;
	free(change);
}

void sim_file_unref(struct sim_file *file)
{
	if (!file)
		return;
	assert(file->ref_count > 0);
	if (--file->ref_count > 0)
		return;
	while (file->first)
		drop_first(file);
	image_fini(&file->visible);
	image_fini(&file->stable);
	free(file);
}

uint64_t sim_file_number(const struct sim_file *file)
{
	return file->number;
}

uint64_t sim_file_size(const struct sim_file *file)
{
	return file->visible.size;
}

uint64_t sim_file_pages(const struct sim_file *file)
{
	return file->visible.page_count;
}

uint64_t sim_file_holes(const struct sim_file *file, uint64_t offset, uint64_t len)
{
	uint64_t holes = 0;
	for (uint64_t page = offset / PAGE_LEN; page * PAGE_LEN < offset + len; page++)
		holes += !page_at(&file->visible, page);
	return holes;
}

size_t sim_file_read(const struct sim_file *file, void *buf, size_t len, uint64_t offset)
{
	const struct image *image = &file->visible;
	if (offset >= image->size)
		return 0;
	if (len > image->size - offset)
		len = image->size - offset;
	uint8_t *to = buf;
	for (size_t left = len; left > 0;) {
		uint64_t within = offset % PAGE_LEN;
		size_t part = left < PAGE_LEN - within ? left : PAGE_LEN - within;
		const uint8_t *page = page_at(image, offset / PAGE_LEN);
		memcpy(to, (page ? page : zero_page) + within, part);
		to += part;
		offset += part;
		left -= part;
	}
	return len;
}

/* Brings what is decided at the head of the list to the platter (C3). */
static void settle(struct sim_file *file)
{
	while (file->first && (file->first->is_durable || file->first->is_doomed)) {
		struct change *change = file->first;
		if (change->is_durable)
			image_change(&file->stable, change->kind, change->offset, change->data,
				change->len);
		drop_first(file);
	}
}

void sim_file_change(struct sim_file *file, enum sim_change kind, uint64_t offset, const void *data,
	uint64_t len, bool is_durable)
{
	image_change(&file->visible, kind, offset, data, len);
	size_t data_len = kind == SIM_CHANGE_WRITE ? len : 0;
	struct change *change = sim_must(calloc(1, sizeof *change + data_len));
	change->kind = kind;
	change->offset = offset;
	change->len = len;
	change->number = ++file->newest;
	change->is_durable = is_durable;
	if (data_len > 0)
		memcpy(change->data, data, data_len);
	*file->tail = change;
	file->tail = &change->next;
	settle(file);
}

uint64_t sim_file_mark(const struct sim_file *file)
{
	return file->newest;
}

void sim_file_flush(struct sim_file *file, uint64_t mark)
{
	for (struct change *change = file->first; change && change->number <= mark;
		change = change->next)
		if (!change->is_doomed)
			change->is_durable = true;
	settle(file);
}

void sim_file_doom(struct sim_file *file, struct sim *sim)
{
	for (struct change *change = file->first; change; change = change->next)
		if (!change->is_durable && sim_random(sim) % 2)
			change->is_doomed = true;
	settle(file);
}

void sim_file_crash(struct sim_file *file, struct sim *sim)
{
	enum { LOSE_ALL, KEEP_ALL, EACH } mode = sim_random_below(sim, 4);
	while (file->first) {
		struct change *change = file->first;
		bool is_kept = change->is_durable;
		if (!is_kept && !change->is_doomed && mode != LOSE_ALL) {
			uint64_t fate = mode == KEEP_ALL ? 0 : sim_random_below(sim, 3);
			is_kept = fate == 0;
			if (fate == 1 && change->kind == SIM_CHANGE_WRITE)
				image_tear(&file->stable, sim, change);
		}
		if (is_kept)
			image_change(&file->stable, change->kind, change->offset, change->data,
				change->len);
		drop_first(file);
	}
	image_copy(&file->visible, &file->stable);
}

static bool flip(struct image *image, uint64_t offset, unsigned bit)
{
	if (offset >= image->size || !page_at(image, offset / PAGE_LEN))
		return false;
	page_own(image, offset / PAGE_LEN)[offset % PAGE_LEN] ^= 1 << bit;
	return true;
}

bool sim_file_flip(struct sim_file *file, uint64_t offset, unsigned bit)
{
	assert(bit < 8);
	flip(&file->stable, offset, bit);
	return flip(&file->visible, offset, bit);
}

void sim_file_tear(
	struct sim_file *file, struct sim *sim, uint64_t offset, const void *data, size_t len)
{
	struct tear tear = tear_begin(sim, len);
	for (uint64_t from = 0, to; from < len; from = to) {
		to = sector_end(offset, from, len);
		if (tear_keeps(&tear, to))
			sim_file_change(file, SIM_CHANGE_WRITE, offset + from,
				(const uint8_t *)data + from, to - from, false);
	}
}
