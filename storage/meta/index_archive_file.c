/* SPDX-License-Identifier: Apache-2.0 */
/* Frames, and the files of an archive as they are read. What is read here may be anything. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "storage/meta/index_archive_priv.h"
#include "storage/meta/index_priv.h"
#include "storage/small_file.h"

#define NEWEST_NAME ARCHIVE_DIR "/newest"

enum {
	ZSTD_LEVEL = 1,
	SUM_OFFSET = 24,
	NEWEST_VERSION = 1,
	NEWEST_DRIVES_OFFSET = 64,
	NEWEST_SUM_OFFSET = NEWEST_DRIVES_OFFSET + ARCHIVE_COPIES_MAX * ID_LEN,
	NEWEST_LEN = NEWEST_SUM_OFFSET + 8,
	LAST_FRAME_LEN = ARCHIVE_HEAD_LEN + ARCHIVE_LAST_LEN,
};

static const char first_magic[8] = "rubusarc", newest_magic[8] = "rubusnew";

/* --- frames ----------------------------------------------------------------------------------- */

size_t archive_frame_cap(void)
{
	return ARCHIVE_HEAD_LEN + ZSTD_compressBound(ARCHIVE_ROWS_LEN_MAX);
}

static uint64_t frame_sum(const uint8_t *frame, size_t stored_len, uint64_t generation)
{
	uint64_t seed = XXH3_64bits_withSeed(frame, SUM_OFFSET, generation);
	return XXH3_64bits_withSeed(frame + ARCHIVE_HEAD_LEN, stored_len, seed);
}

enum err archive_frame_encode(const struct archive_frame *frame, uint64_t generation,
	uint64_t number, uint8_t *out, size_t *ret_len)
{
	assert(frame->body.len <= ARCHIVE_ROWS_LEN_MAX);
	size_t stored_len = frame->body.len;
	if (frame->kind == ARCHIVE_ROWS) {
		stored_len = ZSTD_compress(out + ARCHIVE_HEAD_LEN,
			archive_frame_cap() - ARCHIVE_HEAD_LEN, frame->body.data, frame->body.len,
			ZSTD_LEVEL);
		if (ZSTD_isError(stored_len))
			return ERR_NO_MEMORY; /* there is room for any rows */
	} else if (stored_len > 0) {
		memcpy(out + ARCHIVE_HEAD_LEN, frame->body.data, stored_len);
	}
	memset(out, 0, ARCHIVE_HEAD_LEN);
	out[0] = frame->kind;
	out[1] = ARCHIVE_VERSION;
	put_le32(out + 4, frame->rows);
	put_le32(out + 8, frame->body.len);
	put_le32(out + 12, stored_len);
	put_le64(out + 16, number);
	put_le64(out + SUM_OFFSET, frame_sum(out, stored_len, generation));
	*ret_len = ARCHIVE_HEAD_LEN + stored_len;
	return ERR_OK;
}

static enum err read_exactly(struct archive_reader *reader, uint64_t offset, void *buf, size_t len)
{
	size_t got;
	enum err err = disk_read_now(reader->file, buf, len, offset, &got);
	return err == ERR_OK && got < len ? ERR_END : err;
}

static enum err unpack(struct archive_reader *reader, size_t stored_len, size_t len)
{
	size_t got = ZSTD_decompressDCtx(reader->zstd, reader->rows, ARCHIVE_ROWS_LEN_MAX,
		reader->stored + ARCHIVE_HEAD_LEN, stored_len);
	return ZSTD_isError(got) || got != len ? ERR_END : ERR_OK;
}

enum err archive_reader_next(struct archive_reader *reader, struct archive_frame *ret_frame)
{
	uint8_t *in = reader->stored;
	enum err err = read_exactly(reader, reader->offset, in, ARCHIVE_HEAD_LEN);
	if (err != ERR_OK)
		return err;
	uint32_t len = get_le32(in + 8), stored_len = get_le32(in + 12);
	bool is_rows = in[0] == ARCHIVE_ROWS;
	if (stored_len > archive_frame_cap() - ARCHIVE_HEAD_LEN || len > ARCHIVE_ROWS_LEN_MAX ||
		(!is_rows && len != stored_len) || get_le64(in + 16) != reader->number)
		return ERR_END;
	err = read_exactly(
		reader, reader->offset + ARCHIVE_HEAD_LEN, in + ARCHIVE_HEAD_LEN, stored_len);
	if (err != ERR_OK)
		return err;
	if (get_le64(in + SUM_OFFSET) != frame_sum(in, stored_len, reader->generation))
		return ERR_END;
	if (in[1] != ARCHIVE_VERSION)
		return ERR_VERSION;
	err = is_rows ? unpack(reader, stored_len, len) : ERR_OK;
	if (err != ERR_OK)
		return err;
	*ret_frame = (struct archive_frame){.kind = in[0],
		.rows = get_le32(in + 4),
		.body = {is_rows ? reader->rows : in + ARCHIVE_HEAD_LEN, len}};
	reader->offset += ARCHIVE_HEAD_LEN + stored_len;
	reader->number++;
	return ERR_OK;
}

enum err archive_row_take(struct bytes *rows, struct bytes *ret_key, struct bytes *ret_value)
{
	if (rows->len < ARCHIVE_ROW_HEAD_LEN)
		return ERR_CORRUPT;
	uint32_t key_len = get_le32(rows->data), value_len = get_le32(rows->data + 4);
	bool is_removed = value_len == ARCHIVE_REMOVED;
	*rows = bytes_from(*rows, ARCHIVE_ROW_HEAD_LEN);
	if (is_removed)
		value_len = 0;
	if (key_len == 0 || key_len > KV_KEY_LEN_MAX || value_len > KV_VALUE_LEN_MAX ||
		(size_t)key_len + value_len > rows->len)
		return ERR_CORRUPT;
	*ret_key = bytes_make(rows->data, key_len);
	*ret_value = bytes_make(is_removed ? NULL : rows->data + key_len, value_len);
	*rows = bytes_from(*rows, (size_t)key_len + value_len);
	return ERR_OK;
}

/* --- files that are read ---------------------------------------------------------------------- */

void archive_name(char name[ARCHIVE_NAME_LEN], const char *kind, uint64_t generation)
{
	snprintf(name, ARCHIVE_NAME_LEN, ARCHIVE_DIR "/%s-%016" PRIx64, kind, generation);
}

bool archive_name_parse(const char *name, const char *kind, uint64_t *ret_generation)
{
	size_t len = strlen(kind);
	if (strncmp(name, kind, len) != 0 || name[len] != '-' || strlen(name) != len + 17 ||
		strspn(name + len + 1, "0123456789abcdef") != 16)
		return false;
	*ret_generation = strtoull(name + len + 1, NULL, 16);
	return *ret_generation > 0;
}

static enum err read_first(struct archive_reader *reader)
{
	struct archive_frame frame;
	enum err err = archive_reader_next(reader, &frame);
	if (err == ERR_END)
		return ERR_CORRUPT;
	if (err != ERR_OK)
		return err;
	const uint8_t *in = frame.body.data;
	if (frame.kind != ARCHIVE_FIRST || frame.body.len != ARCHIVE_FIRST_LEN ||
		memcmp(in, first_magic, 8) != 0 || get_le64(in + 24) != reader->generation)
		return ERR_CORRUPT;
	memcpy(reader->node.bytes, in + 8, ID_LEN);
	reader->base = get_le64(in + 32);
	reader->time_ms = get_le64(in + 40);
	return ERR_OK;
}

enum err archive_reader_open(
	struct archive_reader *reader, struct disk *disk, const char *kind, uint64_t generation)
{
	char name[ARCHIVE_NAME_LEN];
	archive_name(name, kind, generation);
	*reader = (struct archive_reader){.generation = generation};
	reader->stored = malloc(archive_frame_cap());
	reader->rows = malloc(ARCHIVE_ROWS_LEN_MAX);
	reader->zstd = ZSTD_createDCtx();
	enum err err = reader->stored && reader->rows && reader->zstd ? ERR_OK : ERR_NO_MEMORY;
	if (err == ERR_OK)
		err = disk_open(disk, name, DISK_READ_ONLY, &reader->file);
	if (err == ERR_OK)
		err = read_first(reader);
	if (err != ERR_OK)
		archive_reader_close(reader);
	return err;
}

void archive_reader_close(struct archive_reader *reader)
{
	disk_close(reader->file);
	ZSTD_freeDCtx(reader->zstd);
	free(reader->stored);
	free(reader->rows);
	*reader = (struct archive_reader){0};
}

enum err archive_full_peek(struct disk *disk, uint64_t generation, struct archive_full *ret_full)
{
	struct archive_reader reader;
	struct archive_frame frame;
	uint8_t head[ARCHIVE_HEAD_LEN];
	uint64_t len;
	enum err err = archive_reader_open(&reader, disk, "full", generation);
	if (err != ERR_OK)
		return err;
	err = disk_size(reader.file, &len);
	if (err == ERR_OK && len < LAST_FRAME_LEN)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		err = read_exactly(&reader, len - LAST_FRAME_LEN, head, sizeof head);
	if (err == ERR_OK) {
		reader.offset = len - LAST_FRAME_LEN;
		reader.number = get_le64(head + 16);
		err = archive_reader_next(&reader, &frame);
	}
	if (err == ERR_OK && (frame.kind != ARCHIVE_LAST || frame.body.len != ARCHIVE_LAST_LEN))
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		*ret_full = (struct archive_full){.node = reader.node,
			.base = reader.base,
			.sequence = get_le64(frame.body.data),
			.time_ms = reader.time_ms,
			.rows = get_le64(frame.body.data + 8),
			.rows_len = get_le64(frame.body.data + 16),
			.file_len = len};
	archive_reader_close(&reader);
	return err == ERR_END ? ERR_CORRUPT : err;
}

/* --- the commits of a log --------------------------------------------------------------------- */

struct log_walk {
	struct archive_reader reader;
	struct archive_chain *chain;
	enum err (*take)(void *arg, struct bytes rows);
	void *arg;
	uint64_t begin_offset, begin_number; /* of the rows since the last COMMIT */
	uint64_t rows_len; /* of them */
};

static enum err check_rows(struct bytes rows, uint32_t count)
{
	enum err err = ERR_OK;
	struct bytes key, value;
	for (; count > 0 && err == ERR_OK; count--)
		err = archive_row_take(&rows, &key, &value);
	return err == ERR_OK && rows.len > 0 ? ERR_CORRUPT : err;
}

/* Reads the rows of the commit again, now that it is known to be one. */
static enum err take_rows(struct log_walk *walk)
{
	uint64_t offset = walk->reader.offset, number = walk->reader.number;
	struct archive_frame frame;
	enum err err = ERR_OK;
	walk->reader.offset = walk->begin_offset;
	walk->reader.number = walk->begin_number;
	while (err == ERR_OK && walk->reader.number + 1 < number) {
		err = archive_reader_next(&walk->reader, &frame);
		if (err == ERR_OK && frame.kind == ARCHIVE_ROWS)
			err = walk->take(walk->arg, frame.body);
	}
	walk->reader.offset = offset;
	walk->reader.number = number;
	return err == ERR_END ? ERR_CORRUPT : err;
}

static enum err found_commit(struct log_walk *walk, struct bytes body)
{
	struct archive_chain *chain = walk->chain;
	uint64_t before = get_le64(body.data), sequence = get_le64(body.data + 8);
	if (sequence > chain->sequence) {
		if (before > chain->sequence) { /* (A2) */
			chain->is_broken = true;
			return ERR_END;
		}
		enum err err = walk->take ? take_rows(walk) : ERR_OK;
		if (err != ERR_OK)
			return err;
		chain->sequence = sequence;
		chain->time_ms = get_le64(body.data + 16);
		chain->session = get_le64(body.data + 24);
		chain->counter = get_le64(body.data + 32);
	}
	chain->commits++;
	chain->rows_len += walk->rows_len;
	return ERR_OK;
}

static enum err found_frame(struct log_walk *walk, const struct archive_frame *frame)
{
	enum err err;
	switch (frame->kind) {
	case ARCHIVE_ROWS:
		walk->rows_len += frame->body.len;
		return check_rows(frame->body, frame->rows) == ERR_OK ? ERR_OK : ERR_END;
	case ARCHIVE_COMMIT:
		err = frame->body.len == ARCHIVE_COMMIT_LEN ? found_commit(walk, frame->body)
							    : ERR_END;
		break;
	case ARCHIVE_ABORT:
		err = ERR_OK;
		break;
	default:
		walk->chain->is_broken = true;
		return ERR_END;
	}
	if (err != ERR_OK)
		return err;
	walk->chain->end_offset = walk->begin_offset = walk->reader.offset;
	walk->chain->end_number = walk->begin_number = walk->reader.number;
	walk->rows_len = 0;
	return ERR_OK;
}

enum err archive_log_walk(struct disk *disk, uint64_t generation, struct archive_chain *chain,
	enum err (*take)(void *arg, struct bytes rows), void *arg)
{
	struct log_walk walk = {.chain = chain, .take = take, .arg = arg};
	struct archive_frame frame;
	enum err err = archive_reader_open(&walk.reader, disk, "log", generation);
	if (err != ERR_OK)
		return err;
	chain->node = walk.reader.node;
	chain->end_offset = walk.begin_offset = walk.reader.offset;
	chain->end_number = walk.begin_number = walk.reader.number;
	while (err == ERR_OK) {
		err = archive_reader_next(&walk.reader, &frame);
		if (err == ERR_OK)
			err = found_frame(&walk, &frame);
	}
	archive_reader_close(&walk.reader);
	return err == ERR_END ? ERR_OK : err;
}

/* --- "newest" --------------------------------------------------------------------------------- */

enum err archive_newest_write(struct disk *disk, const struct archive_newest *newest)
{
	assert(newest->count <= ARCHIVE_COPIES_MAX);
	uint8_t out[NEWEST_LEN] = {0};
	memcpy(out, newest_magic, 8);
	put_le32(out + 8, NEWEST_VERSION);
	put_le32(out + 12, newest->count);
	memcpy(out + 16, newest->node.bytes, ID_LEN);
	put_le64(out + 32, newest->generation);
	put_le64(out + 40, newest->sequence);
	put_le64(out + 48, newest->time_ms);
	for (unsigned i = 0; i < newest->count; i++)
		memcpy(out + NEWEST_DRIVES_OFFSET + i * ID_LEN, newest->drives[i].bytes, ID_LEN);
	put_le64(out + NEWEST_SUM_OFFSET, XXH3_64bits(out, NEWEST_SUM_OFFSET));
	return small_file_write(disk, NEWEST_NAME, out, sizeof out);
}

enum err archive_newest_read(struct disk *disk, struct archive_newest *ret_newest)
{
	uint8_t in[NEWEST_LEN];
	enum err err = small_file_read(disk, NEWEST_NAME, in, sizeof in);
	if (err != ERR_OK)
		return err;
	if (memcmp(in, newest_magic, 8) != 0 ||
		get_le64(in + NEWEST_SUM_OFFSET) != XXH3_64bits(in, NEWEST_SUM_OFFSET) ||
		get_le32(in + 12) > ARCHIVE_COPIES_MAX)
		return ERR_CORRUPT;
	if (get_le32(in + 8) != NEWEST_VERSION)
		return ERR_VERSION;
	struct archive_newest newest = {.count = get_le32(in + 12),
		.generation = get_le64(in + 32),
		.sequence = get_le64(in + 40),
		.time_ms = get_le64(in + 48)};
	memcpy(newest.node.bytes, in + 16, ID_LEN);
	for (unsigned i = 0; i < newest.count; i++)
		memcpy(newest.drives[i].bytes, in + NEWEST_DRIVES_OFFSET + i * ID_LEN, ID_LEN);
	*ret_newest = newest;
	return ERR_OK;
}

/* --- what is there ---------------------------------------------------------------------------- */

static bool push(uint64_t **numbers, size_t *count, size_t *cap, uint64_t number)
{
	if (*count == *cap) {
		size_t wanted = *cap ? 2 * *cap : 8;
		uint64_t *grown = realloc(*numbers, wanted * sizeof **numbers);
		if (!grown)
			return false;
		*numbers = grown;
		*cap = wanted;
	}
	(*numbers)[(*count)++] = number;
	return true;
}

/* Names are of one length and come in byte order, which is that of numbers. */
static void found_name(void *arg, const char *name)
{
	struct archive_list *list = arg;
	uint64_t number;
	bool is_kept = true;
	if (archive_name_parse(name, "full", &number))
		is_kept = push(&list->fulls, &list->full_count, &list->cap_fulls, number);
	else if (archive_name_parse(name, "log", &number))
		is_kept = push(&list->logs, &list->log_count, &list->cap_logs, number);
	if (!is_kept)
		list->err = ERR_NO_MEMORY;
}

enum err archive_list(struct disk *disk, struct archive_list *list)
{
	*list = (struct archive_list){0};
	enum err err = disk_list(disk, ARCHIVE_DIR, found_name, list);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	return err == ERR_OK ? list->err : err;
}

void archive_list_free(struct archive_list *list)
{
	free(list->fulls);
	free(list->logs);
	*list = (struct archive_list){0};
}

/* --- states ----------------------------------------------------------------------------------- */

enum err archive_read_sequence(struct kv_reader *reader, uint64_t *ret_sequence)
{
	static const uint8_t applied_key[] = {INDEX_APPLIED_KEY};
	struct bytes value;
	enum err err = kv_get(reader, bytes_make(applied_key, sizeof applied_key), &value);
	if (err == ERR_OK && value.len != 8)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		*ret_sequence = get_le64(value.data);
	else if (err == ERR_NOT_FOUND)
		*ret_sequence = 0;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err archive_look_at_kv(struct kv *kv, uint64_t *ret_sequence)
{
	struct kv_reader *reader;
	enum err err = kv_reader_open(kv, &reader);
	if (err != ERR_OK)
		return err;
	err = kv_reader_begin(reader);
	if (err == ERR_OK) {
		err = archive_read_sequence(reader, ret_sequence);
		kv_reader_end(reader);
	}
	kv_reader_close(reader);
	return err;
}

bool archive_chain_is_same(const struct archive_chain *a, const struct archive_chain *b)
{
	return a->sequence == b->sequence && a->end_offset == b->end_offset &&
		a->end_number == b->end_number && !a->is_broken;
}
