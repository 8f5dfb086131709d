/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/segment_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Numbers are little-endian on disk and so are the machines that run tests. */
enum { PAGE = 4096, BLOCK = 16384, HEAD_SUMS = 304, MORE_SUMS = 500 };

struct reader {
	struct disk *disk;
	void (*found)(void *arg, const struct segment_record *record);
	void *arg;
	size_t count;
	uint8_t drive[16];
	uint8_t *file;
	uint64_t len;
};

static uint64_t u64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static uint32_t u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static void be64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = v;
}

static int is_sealed(const uint8_t *page, const char *magic, uint64_t seed)
{
	return memcmp(page, magic, 8) == 0 &&
		u64(page + 4088) == XXH3_64bits_withSeed(page, 4088, seed);
}

static uint8_t *load(struct disk *disk, const char *name, uint64_t *ret_len)
{
	struct disk_file *file;
	if (disk_open(disk, name, DISK_READ_ONLY, &file) != ERR_OK)
		return NULL;
	uint64_t len = 0;
	size_t got = 0;
	uint8_t *data = NULL;
	if (disk_size(file, &len) == ERR_OK && len > 0) {
		data = calloc(1, len);
		if (!data)
			abort();
		for (uint64_t i = 0; i < len; i += PAGE) {
			if (disk_read_now(file, data + i, PAGE, i, &got) != ERR_OK)
				memset(data + i, 0, PAGE);
		}
	}
	disk_close(file);
	*ret_len = len;
	return data;
}

/* The checksum of block n of the record at head. 0 if its block of checksums is damaged, which is
 * as good as any other wrong number. */
static uint64_t sum_of(const uint8_t *head, uint64_t n, uint64_t seed)
{
	if (n < HEAD_SUMS)
		return u64(head + 1656 + 8 * n);
	uint64_t number = 1 + (n - HEAD_SUMS) / MORE_SUMS;
	const uint8_t *more = head + number * PAGE;
	if (!is_sealed(more, "RBUSSUM1", seed + number) || u32(more + 12) != number)
		return 0;
	return u64(more + 88 + 8 * ((n - HEAD_SUMS) % MORE_SUMS));
}

static uint32_t count_bad(const uint8_t *head, const struct segment_record *record, uint64_t seed)
{
	uint8_t name[17];
	be64(name, record->session);
	be64(name + 8, record->counter);
	name[16] = record->index;
	uint64_t block_seed = XXH3_64bits_withSeed(name, sizeof name, 0);
	const uint8_t *data = head + (record->record_len - record->shard_len);
	uint32_t bad = 0;
	for (uint64_t i = 0; i * BLOCK < record->shard_len; i++) {
		uint64_t left = record->shard_len - i * BLOCK;
		uint64_t len = left < BLOCK ? left : BLOCK;
		uint64_t sum = XXH3_64bits_withSeed(data + i * BLOCK, len, block_seed + i);
		bad += sum != sum_of(head, i, seed);
	}
	return bad;
}

static uint64_t heads_of(uint64_t shard_len)
{
	uint64_t blocks = (shard_len + BLOCK - 1) / BLOCK;
	return blocks <= HEAD_SUMS ? 1 : 1 + (blocks - HEAD_SUMS + MORE_SUMS - 1) / MORE_SUMS;
}

static void read_records(struct reader *reader, uint64_t number, const uint8_t *life)
{
	uint64_t generation = u64(life + 56);
	uint64_t seed = u64(life + 80);
	uint64_t offset = PAGE;
	while (offset + PAGE <= reader->len - PAGE) {
		const uint8_t *head = reader->file + offset;
		if (!is_sealed(head, "RBUSREC1", seed) || u64(head + 16) != u64(life + 88) ||
			memcmp(head + 24, reader->drive, 16) != 0 || u64(head + 40) != number ||
			u64(head + 48) != generation || u64(head + 56) != offset) {
			offset += PAGE;
			continue;
		}
		struct segment_record record = {
			.segment = number,
			.generation = generation,
			.offset = offset,
			.session = u64(head + 64),
			.counter = u64(head + 72),
			.index = head[80],
			.k = head[81],
			.m = head[82],
			.shard_len = u64(head + 104),
		};
		record.record_len = heads_of(record.shard_len) * PAGE + record.shard_len;
		if (offset + record.record_len > reader->len - PAGE) {
			if (reader->len == u64(life + 64))
				abort(); /* it could not have been written */
			offset += PAGE; /* the file lost its end */
			continue;
		}
		record.bad_blocks = count_bad(head, &record, seed);
		reader->found(reader->arg, &record);
		reader->count++;
		offset += record.record_len;
	}
}

static void read_segment(void *arg, const char *name)
{
	struct reader *reader = arg;
	char path[64];
	snprintf(path, sizeof path, "segments/%s", name);
	reader->file = load(reader->disk, path, &reader->len);
	if (!reader->file)
		return;
	const uint8_t *life = reader->file;
	if (!is_sealed(life, "RBUSSEG1", 0))
		life = reader->file + reader->len - PAGE;
	if (is_sealed(life, "RBUSSEG1", 0) && memcmp(life + 32, reader->drive, 16) == 0)
		read_records(reader, strtoull(name, NULL, 16), life);
	free(reader->file);
}

size_t segment_reader_run(
	struct disk *disk, void (*found)(void *arg, const struct segment_record *record), void *arg)
{
	struct reader reader = {.disk = disk, .found = found, .arg = arg};
	uint64_t len;
	uint8_t *superblock = load(disk, "superblock", &len);
	if (!superblock)
		return 0;
	const uint8_t *copy = superblock;
	if (!is_sealed(copy, "RBUSBDR1", 0))
		copy += PAGE;
	memcpy(reader.drive, copy + 40, 16);
	free(superblock);
	if (disk_list(disk, "segments", read_segment, &reader) != ERR_OK)
		return 0;
	return reader.count;
}
