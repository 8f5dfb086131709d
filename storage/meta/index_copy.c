/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a copy; when it is made stands in index_copies.c. */
#include "storage/meta/index_copy.h"

#include <stdlib.h>
#include <xxhash.h>

#include "storage/meta/index_priv.h"

#define COPY_NAME_NEW INDEX_COPY_NAME ".new"

enum {
	HEADER_LEN = 48,
	HEADER_SUM_OFFSET = HEADER_LEN - 8,
	CHUNK_HEAD_LEN = 16,
	ROW_HEAD_LEN = 8,
	COPY_VERSION = 1,
	CHUNK_LEN_MAX = 512 * 1024,
	COMMIT_LEN = 8 << 20, /* of rows in one transaction of a restore */
	CLEAR_ROWS = 2000,
};
static_assert(ROW_HEAD_LEN + KV_KEY_LEN_MAX + KV_VALUE_LEN_MAX < CHUNK_LEN_MAX, "a row fits");

static const char copy_magic[8] = "rubusidx";
static const uint8_t applied_key[] = {INDEX_APPLIED_KEY};

static bool is_applied_key(struct bytes key)
{
	return bytes_is_equal(key, bytes_make(applied_key, sizeof applied_key));
}

static enum err read_sequence(struct kv_reader *reader, uint64_t *ret_sequence)
{
	struct bytes value;
	enum err err = kv_get(reader, bytes_make(applied_key, sizeof applied_key), &value);
	if (err == ERR_OK && value.len != 8)
		return ERR_CORRUPT;
	if (err == ERR_OK)
		*ret_sequence = get_le64(value.data);
	else if (err == ERR_NOT_FOUND)
		*ret_sequence = 0;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err index_copy_applied(struct kv *kv, uint64_t *ret_log_index)
{
	struct kv_reader *reader;
	uint64_t sequence;
	enum err err = kv_reader_open(kv, &reader);
	if (err != ERR_OK)
		return err;
	err = kv_reader_begin(reader);
	if (err == ERR_OK) {
		err = read_sequence(reader, &sequence);
		kv_reader_end(reader);
	}
	kv_reader_close(reader);
	if (err == ERR_OK)
		*ret_log_index = place_complete(sequence);
	return err;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct writer {
	struct disk *const *disks;
	struct disk_file *files[LOG_COPIES_MAX];
	enum err *errs;
	size_t count;
	const _Atomic bool *is_canceled;
	uint8_t *buf; /* a chunk */
	size_t len; /* of its rows */
	uint32_t rows;
	uint64_t offset, number, total;
};

/* Writes to all files that are still good. */
static void write_all(struct writer *writer, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < writer->count; i++) {
		if (writer->errs[i] == ERR_OK && atomic_load(writer->is_canceled))
			writer->errs[i] = ERR_CANCELED;
		if (writer->errs[i] == ERR_OK)
			writer->errs[i] = disk_write_now(
				writer->files[i], data, len, writer->offset);
	}
	writer->offset += len;
}

static void write_chunk(struct writer *writer)
{
	uint8_t *head = writer->buf;
	put_le32(head, writer->len);
	put_le32(head + 4, writer->rows);
	put_le64(
		head + 8, XXH3_64bits_withSeed(head + CHUNK_HEAD_LEN, writer->len, writer->number));
	write_all(writer, writer->buf, CHUNK_HEAD_LEN + writer->len);
	writer->number++;
	writer->total += writer->rows;
	writer->len = 0;
	writer->rows = 0;
}

static void write_row(struct writer *writer, struct bytes key, struct bytes value)
{
	size_t len = ROW_HEAD_LEN + key.len + value.len;
	if (writer->len + len > CHUNK_LEN_MAX)
		write_chunk(writer);
	uint8_t *out = writer->buf + CHUNK_HEAD_LEN + writer->len;
	put_le32(out, key.len);
	put_le32(out + 4, value.len);
	memcpy(out + ROW_HEAD_LEN, key.data, key.len);
	if (value.len > 0)
		memcpy(out + ROW_HEAD_LEN + key.len, value.data, value.len);
	writer->len += len;
	writer->rows++;
}

static void write_header(struct writer *writer, struct id node, uint64_t sequence)
{
	uint8_t out[HEADER_LEN] = {0};
	memcpy(out, copy_magic, 8);
	put_le32(out + 8, COPY_VERSION);
	memcpy(out + 16, node.bytes, ID_LEN);
	put_le64(out + 32, sequence);
	put_le64(out + HEADER_SUM_OFFSET, XXH3_64bits(out, HEADER_SUM_OFFSET));
	write_all(writer, out, sizeof out);
}

static bool is_any_good(const struct writer *writer)
{
	for (size_t i = 0; i < writer->count; i++)
		if (writer->errs[i] == ERR_OK)
			return true;
	return false;
}

static enum err write_rows(struct writer *writer, struct kv_reader *reader)
{
	struct bytes key, value;
	static const uint8_t first[1];
	enum err err = kv_seek(reader, bytes_make(first, 1), &key, &value);
	while (err == ERR_OK && is_any_good(writer)) {
		write_row(writer, key, value);
		err = kv_next(reader, &key, &value);
	}
	if (err != ERR_NOT_FOUND)
		return err;
	if (writer->rows > 0)
		write_chunk(writer);
	memset(writer->buf, 0, CHUNK_HEAD_LEN);
	put_le64(writer->buf + 8, writer->total);
	write_all(writer, writer->buf, CHUNK_HEAD_LEN);
	return ERR_OK;
}

static enum err write_commit(
	struct writer *writer, struct kv *kv, struct id node, uint64_t *ret_log_index)
{
	struct kv_reader *reader;
	uint64_t sequence;
	enum err err = kv_reader_open(kv, &reader);
	if (err != ERR_OK)
		return err;
	err = kv_reader_begin(reader);
	if (err == ERR_OK) {
		err = read_sequence(reader, &sequence);
		if (err == ERR_OK) {
			*ret_log_index = place_complete(sequence);
			write_header(writer, node, sequence);
			err = write_rows(writer, reader);
		}
		kv_reader_end(reader);
	}
	kv_reader_close(reader);
	return err;
}

static enum err begin_file(struct disk *disk, struct disk_file **ret_file)
{
	enum err err = disk_open(disk, COPY_NAME_NEW, DISK_CREATE, ret_file);
	if (err != ERR_OK)
		return err;
	err = disk_truncate(*ret_file, 0);
	if (err != ERR_OK) {
		disk_close(*ret_file);
		*ret_file = NULL;
	}
	return err;
}

/* Gives the file its name; what was not finished goes, so that it takes no space. */
static enum err end_file(struct disk *disk, struct disk_file *file, enum err err)
{
	if (err == ERR_OK)
		err = disk_sync_now(file);
	disk_close(file);
	if (err == ERR_OK)
		err = disk_rename(disk, COPY_NAME_NEW, INDEX_COPY_NAME);
	if (err == ERR_OK)
		err = disk_sync_dir(disk);
	else
		err_ignore(disk_remove(disk, COPY_NAME_NEW)); /* by the next copy then */
	return err;
}

enum err index_copy_write(struct kv *kv, struct id node, struct disk *const *disks, size_t count,
	const _Atomic bool *is_canceled, enum err *errs, uint64_t *ret_log_index)
{
	assert(count <= LOG_COPIES_MAX);
	struct writer writer = {
		.disks = disks, .errs = errs, .count = count, .is_canceled = is_canceled};
	writer.buf = malloc(CHUNK_HEAD_LEN + CHUNK_LEN_MAX);
	if (!writer.buf)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		errs[i] = begin_file(disks[i], &writer.files[i]);
	enum err err = write_commit(&writer, kv, node, ret_log_index);
	for (size_t i = 0; i < count; i++)
		if (writer.files[i])
			errs[i] = end_file(
				disks[i], writer.files[i], err != ERR_OK ? err : errs[i]);
	free(writer.buf);
	return err;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct copy_reader {
	struct disk_file *file;
	uint8_t *buf;
	uint64_t offset, number, total;
};

static enum err read_exactly(struct copy_reader *reader, void *buf, size_t len)
{
	size_t got;
	enum err err = disk_read_now(reader->file, buf, len, reader->offset, &got);
	if (err == ERR_OK && got < len)
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		reader->offset += len;
	return err;
}

static enum err open_copy(
	struct disk *disk, struct id node, struct copy_reader *reader, uint64_t *ret_sequence)
{
	uint8_t in[HEADER_LEN];
	enum err err = disk_open(disk, INDEX_COPY_NAME, DISK_READ_ONLY, &reader->file);
	if (err != ERR_OK)
		return err;
	err = read_exactly(reader, in, sizeof in);
	if (err == ERR_OK &&
		(memcmp(in, copy_magic, 8) != 0 ||
			get_le64(in + HEADER_SUM_OFFSET) != XXH3_64bits(in, HEADER_SUM_OFFSET)))
		err = ERR_CORRUPT;
	if (err == ERR_OK && get_le32(in + 8) != COPY_VERSION)
		err = ERR_VERSION;
	if (err == ERR_OK && memcmp(in + 16, node.bytes, ID_LEN) != 0)
		err = ERR_FOREIGN;
	if (err != ERR_OK) {
		disk_close(reader->file);
		return err;
	}
	*ret_sequence = get_le64(in + 32);
	return ERR_OK;
}

enum err index_copy_peek(struct disk *disk, struct id node, uint64_t *ret_log_index)
{
	struct copy_reader reader = {0};
	uint64_t sequence;
	enum err err = open_copy(disk, node, &reader, &sequence);
	if (err != ERR_OK)
		return err;
	disk_close(reader.file);
	*ret_log_index = place_complete(sequence);
	return ERR_OK;
}

/* Reads the next chunk's rows. Errors: ERR_END. */
static enum err read_chunk(struct copy_reader *reader, struct bytes *ret_rows, uint32_t *ret_count)
{
	uint8_t head[CHUNK_HEAD_LEN];
	enum err err = read_exactly(reader, head, sizeof head);
	if (err != ERR_OK)
		return err;
	uint32_t len = get_le32(head), count = get_le32(head + 4);
	uint64_t sum = get_le64(head + 8);
	if (len == 0)
		return count == 0 && sum == reader->total ? ERR_END : ERR_CORRUPT;
	if (len > CHUNK_LEN_MAX)
		return ERR_CORRUPT;
	err = read_exactly(reader, reader->buf, len);
	if (err != ERR_OK)
		return err;
	if (XXH3_64bits_withSeed(reader->buf, len, reader->number++) != sum)
		return ERR_CORRUPT;
	reader->total += count;
	*ret_rows = bytes_make(reader->buf, len);
	*ret_count = count;
	return ERR_OK;
}

static enum err take_row(struct bytes *rows, struct bytes *ret_key, struct bytes *ret_value)
{
	if (rows->len < ROW_HEAD_LEN)
		return ERR_CORRUPT;
	uint32_t key_len = get_le32(rows->data), value_len = get_le32(rows->data + 4);
	*rows = bytes_from(*rows, ROW_HEAD_LEN);
	if (key_len == 0 || key_len > KV_KEY_LEN_MAX || value_len > KV_VALUE_LEN_MAX ||
		(size_t)key_len + value_len > rows->len)
		return ERR_CORRUPT;
	*ret_key = bytes_make(rows->data, key_len);
	*ret_value = bytes_make(rows->data + key_len, value_len);
	*rows = bytes_from(*rows, (size_t)key_len + value_len);
	return ERR_OK;
}

/* Puts the rows but the one that says what is applied. */
static enum err put_rows(struct kv *kv, struct bytes rows, uint32_t count)
{
	enum err err = ERR_OK;
	for (; count > 0 && err == ERR_OK; count--) {
		struct bytes key, value;
		err = take_row(&rows, &key, &value);
		if (err == ERR_OK && !is_applied_key(key))
			err = kv_put(kv, key, value);
	}
	return err == ERR_OK && rows.len > 0 ? ERR_CORRUPT : err;
}

/* Reads up to the end into transactions; *ret_is_over when it was the last one. */
static enum err restore_some(struct copy_reader *reader, struct kv *kv, bool *ret_is_over)
{
	enum err err = kv_write_begin(kv);
	if (err != ERR_OK)
		return err;
	for (size_t len = 0; len < COMMIT_LEN;) {
		struct bytes rows;
		uint32_t count;
		err = read_chunk(reader, &rows, &count);
		if (err == ERR_OK)
			err = put_rows(kv, rows, count);
		if (err != ERR_OK)
			break;
		len += rows.len;
	}
	*ret_is_over = err == ERR_END;
	if (err != ERR_OK && err != ERR_END) {
		kv_abort(kv);
		return err;
	}
	return kv_commit(kv);
}

static enum err put_applied(struct kv *kv, uint64_t sequence)
{
	uint8_t value[8];
	put_le64(value, sequence);
	enum err err = kv_write_begin(kv);
	if (err != ERR_OK)
		return err;
	err = kv_put(kv, bytes_make(applied_key, sizeof applied_key), bytes_make(value, 8));
	if (err == ERR_OK)
		return kv_commit(kv);
	kv_abort(kv);
	return err;
}

enum err index_copy_restore(struct disk *disk, struct id node, struct kv *kv)
{
	struct copy_reader reader = {0};
	uint64_t sequence;
	enum err err = open_copy(disk, node, &reader, &sequence);
	if (err != ERR_OK)
		return err;
	bool is_over = false;
	reader.buf = malloc(CHUNK_LEN_MAX);
	err = reader.buf ? index_copy_clear(kv) : ERR_NO_MEMORY;
	while (err == ERR_OK && !is_over)
		err = restore_some(&reader, kv, &is_over);
	if (err == ERR_OK)
		err = put_applied(kv, sequence);
	free(reader.buf);
	disk_close(reader.file);
	return err;
}

/* --- clearing --------------------------------------------------------------------------------- */

/* Removes the first rows there are. */
static enum err clear_some(struct kv *kv, struct kv_reader *reader, bool *ret_is_over)
{
	static const uint8_t first[1];
	struct bytes key, value;
	enum err err = kv_write_begin(kv);
	if (err != ERR_OK)
		return err;
	err = kv_remove(kv, bytes_make(applied_key, sizeof applied_key));
	if (err == ERR_OK)
		err = kv_reader_begin(reader);
	if (err != ERR_OK) {
		kv_abort(kv);
		return err;
	}
	err = kv_seek(reader, bytes_make(first, 1), &key, &value);
	for (unsigned left = CLEAR_ROWS; left > 0 && err == ERR_OK; left--) {
		err = kv_remove(kv, key);
		if (err == ERR_OK)
			err = kv_next(reader, &key, &value);
	}
	kv_reader_end(reader);
	*ret_is_over = err == ERR_NOT_FOUND;
	if (err == ERR_OK || err == ERR_NOT_FOUND)
		return kv_commit(kv);
	kv_abort(kv);
	return err;
}

enum err index_copy_clear(struct kv *kv)
{
	struct kv_reader *reader;
	enum err err = kv_reader_open(kv, &reader);
	bool is_over = false;
	if (err != ERR_OK)
		return err;
	while (err == ERR_OK && !is_over)
		err = clear_some(kv, reader, &is_over);
	kv_reader_close(reader);
	return err;
}
