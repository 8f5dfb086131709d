/* SPDX-License-Identifier: Apache-2.0 */
/* What an archive brings back, where nothing but a drive is left. */
#include <stdlib.h>

#include "storage/meta/index_archive_priv.h"
#include "storage/meta/index_copy.h"
#include "storage/meta/index_priv.h"
#include "storage/meta/state_hash.h"

#define ROW_ID_BITS 20 /* behind the log index in the ids of row_id_make() */
#define COMMIT_LEN (8u << 20) /* of rows in one transaction */

static const uint8_t applied_key[] = {INDEX_APPLIED_KEY};

uint64_t archive_log_index(uint64_t sequence)
{
	return place_complete(sequence);
}

uint64_t archive_late_session(uint64_t sequence)
{
	return row_id_make((struct version_id){.index = (sequence >> PLACE_BITS) + 1});
}

/* --- finding ---------------------------------------------------------------------------------- */

/* Plays the logs from a generation on; take as in archive_log_walk(). */
static enum err walk_logs(struct disk *disk, uint64_t generation, const struct archive_list *list,
	struct archive_chain *chain, enum err (*take)(void *arg, struct bytes rows), void *arg)
{
	enum err err = ERR_OK;
	for (size_t i = 0; i < list->log_count && err == ERR_OK && !chain->is_broken; i++) {
		if (list->logs[i] < generation)
			continue;
		err = archive_log_walk(disk, list->logs[i], chain, take, arg);
		if (err == ERR_CORRUPT || err == ERR_NOT_FOUND) { /* nothing behind it counts */
			chain->is_broken = true;
			err = ERR_OK;
		}
	}
	return err;
}

enum err archive_look(struct disk *disk, uint64_t generation, const struct archive_list *list,
	struct archive_full *ret_full, struct archive_chain *ret_chain)
{
	enum err err = archive_full_peek(disk, generation, ret_full);
	if (err != ERR_OK)
		return err;
	*ret_chain = (struct archive_chain){
		.sequence = ret_full->base, .time_ms = ret_full->time_ms};
	err = walk_logs(disk, generation, list, ret_chain, NULL, NULL);
	if (err == ERR_OK && ret_chain->sequence < ret_full->sequence)
		err = ERR_CORRUPT; /* (A3) */
	return err;
}

static enum err look_at(struct disk *disk, uint64_t generation, const struct archive_list *list,
	struct archive_found *found)
{
	struct archive_full full;
	struct archive_chain chain;
	enum err err = archive_look(disk, generation, list, &full, &chain);
	if (err != ERR_OK)
		return err;
	found->node = full.node;
	found->generation = generation;
	found->sequence = chain.sequence;
	found->full_ms = full.time_ms;
	found->end_ms = chain.time_ms;
	found->full_len = full.file_len;
	found->commits = chain.commits;
	found->session = chain.session;
	found->counter = chain.counter;
	return ERR_OK;
}

static void look_at_newest(struct disk *disk, struct archive_found *found)
{
	struct archive_newest newest;
	if (archive_newest_read(disk, &newest) != ERR_OK)
		return; /* then it says nothing */
	found->newest = newest.generation;
	found->newest_count = newest.count;
	memcpy(found->newest_drives, newest.drives, sizeof newest.drives);
}

enum err archive_find(struct disk *disk, uint64_t older_than, struct archive_found *ret_found)
{
	struct archive_list list;
	*ret_found = (struct archive_found){0};
	enum err err = archive_list(disk, &list);
	if (err != ERR_OK) {
		archive_list_free(&list);
		return err;
	}
	look_at_newest(disk, ret_found);
	err = ERR_NOT_FOUND;
	for (size_t i = list.full_count; i > 0; i--) {
		if (older_than > 0 && list.fulls[i - 1] >= older_than)
			continue;
		err = look_at(disk, list.fulls[i - 1], &list, ret_found);
		if (err != ERR_CORRUPT && err != ERR_NOT_FOUND)
			break;
		err = ERR_NOT_FOUND;
	}
	archive_list_free(&list);
	return err;
}

/* --- restoring -------------------------------------------------------------------------------- */

struct restore {
	struct kv *kv;
	size_t pending_len; /* in the transaction that is open */
	bool is_open;
	struct archive_restored so_far;
	void (*progress)(void *arg, const struct archive_restored *so_far);
	void *arg;
};

static enum err end_some(struct restore *restore)
{
	if (!restore->is_open)
		return ERR_OK;
	restore->is_open = false;
	restore->pending_len = 0;
	if (restore->progress)
		restore->progress(restore->arg, &restore->so_far);
	return kv_commit(restore->kv);
}

static enum err put_row(struct restore *restore, struct bytes key, struct bytes value)
{
	if (bytes_is_equal(key, bytes_make(applied_key, sizeof applied_key)))
		return ERR_OK;
	return value.data ? kv_put(restore->kv, key, value) : kv_remove(restore->kv, key);
}

/* Puts what is in a frame; the transaction may go on with the next one. */
static enum err take_rows(void *arg, struct bytes rows)
{
	struct restore *restore = arg;
	enum err err = restore->is_open ? ERR_OK : kv_write_begin(restore->kv);
	if (err != ERR_OK)
		return err;
	restore->is_open = true;
	restore->pending_len += rows.len;
	restore->so_far.bytes += rows.len;
	while (err == ERR_OK && rows.len > 0) {
		struct bytes key, value;
		err = archive_row_take(&rows, &key, &value);
		if (err == ERR_OK)
			err = put_row(restore, key, value);
		restore->so_far.rows++;
	}
	if (err != ERR_OK || restore->pending_len < COMMIT_LEN)
		return err;
	return end_some(restore);
}

static enum err restore_full(
	struct restore *restore, struct disk *disk, uint64_t generation, uint64_t *ret_base)
{
	struct archive_reader reader;
	struct archive_frame frame = {0};
	enum err err = archive_reader_open(&reader, disk, "full", generation);
	if (err != ERR_OK)
		return err;
	while (err == ERR_OK && frame.kind != ARCHIVE_LAST) {
		err = archive_reader_next(&reader, &frame);
		if (err == ERR_OK && frame.kind == ARCHIVE_ROWS)
			err = take_rows(restore, frame.body);
		else if (err == ERR_OK && frame.kind != ARCHIVE_LAST)
			err = ERR_CORRUPT;
	}
	if (err == ERR_OK &&
		(frame.body.len != ARCHIVE_LAST_LEN ||
			get_le64(frame.body.data + 8) != restore->so_far.rows))
		err = ERR_CORRUPT;
	if (err == ERR_OK)
		*ret_base = reader.base;
	archive_reader_close(&reader);
	return err == ERR_END ? ERR_CORRUPT : err;
}

static enum err restore_logs(struct restore *restore, struct disk *disk,
	const struct archive_found *found, uint64_t base)
{
	struct archive_list list;
	struct archive_chain chain = {.sequence = base};
	enum err err = archive_list(disk, &list);
	if (err == ERR_OK)
		err = walk_logs(disk, found->generation, &list, &chain, take_rows, restore);
	archive_list_free(&list);
	if (err == ERR_OK && chain.sequence != found->sequence)
		err = ERR_CORRUPT; /* it was read as another one before */
	restore->so_far.sequence = chain.sequence;
	return err;
}

/* --- the state hash (A8) ---------------------------------------------------------------------- */

static enum err read_hash(struct kv_reader *reader, struct state_hash *ret_hash)
{
	struct row_key key;
	struct bytes value;
	row_key_name(&key, TABLE_LOCAL, bytes_of("state-hash"));
	enum err err = kv_get(reader, row_key_bytes(&key), &value);
	if (err == ERR_OK)
		err = state_hash_decode(value, ret_hash);
	return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

static enum err hash_rows(struct kv_reader *reader, struct state_hash *hash)
{
	static const uint8_t first[1];
	struct bytes key, value;
	enum err err = kv_seek(reader, bytes_make(first, 1), &key, &value);
	for (; err == ERR_OK; err = kv_next(reader, &key, &value))
		state_hash_add(hash, key, value);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err check_hash(struct kv *kv)
{
	struct kv_reader *reader;
	enum err err = kv_reader_open(kv, &reader);
	if (err != ERR_OK)
		return err;
	struct state_hash said = {0}, is = {0};
	err = kv_reader_begin(reader);
	if (err == ERR_OK) {
		err = read_hash(reader, &said);
		if (err == ERR_OK)
			err = hash_rows(reader, &is);
		kv_reader_end(reader);
	}
	kv_reader_close(reader);
	if (err == ERR_OK && memcmp(&said, &is, sizeof said) != 0)
		err = ERR_CORRUPT;
	return err;
}

enum err archive_restore(struct disk *disk, const struct archive_found *found, struct kv *kv,
	void (*progress)(void *arg, const struct archive_restored *so_far), void *arg)
{
	struct restore restore = {.kv = kv, .progress = progress, .arg = arg};
	uint64_t base = 0;
	enum err err = index_copy_clear(kv);
	if (err == ERR_OK)
		err = restore_full(&restore, disk, found->generation, &base);
	if (err == ERR_OK)
		err = restore_logs(&restore, disk, found, base);
	if (err == ERR_OK)
		err = end_some(&restore);
	else if (restore.is_open)
		kv_abort(kv);
	return err == ERR_OK ? check_hash(kv) : err;
}

/* --- the end ---------------------------------------------------------------------------------- */

struct seal {
	struct kv *kv;
	struct kv_reader *reader; /* of the state before */
	struct state_hash hash;
};

static enum err put_setting(struct seal *seal, const char *name, struct bytes value)
{
	struct row_key key;
	struct bytes old;
	row_key_name(&key, TABLE_SETTING, bytes_of(name));
	enum err err = kv_get(seal->reader, row_key_bytes(&key), &old);
	if (err == ERR_OK)
		state_hash_subtract(&seal->hash, row_key_bytes(&key), old);
	else if (err != ERR_NOT_FOUND)
		return err;
	state_hash_add(&seal->hash, row_key_bytes(&key), value);
	return kv_put(seal->kv, row_key_bytes(&key), value);
}

static enum err raise_epoch(struct seal *seal, uint64_t *ret_epoch)
{
	struct row_key key;
	struct bytes value;
	uint8_t buf[8];
	row_key_name(&key, TABLE_SETTING, bytes_of(COMMAND_SETTING_EPOCH));
	enum err err = kv_get(seal->reader, row_key_bytes(&key), &value);
	if (err == ERR_OK && value.len != 8)
		err = ERR_CORRUPT;
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	*ret_epoch = (err == ERR_OK ? get_le64(value.data) : 0) + 1;
	put_le64(buf, *ret_epoch);
	return put_setting(seal, COMMAND_SETTING_EPOCH, bytes_make(buf, 8));
}

static enum err put_local(struct seal *seal, uint64_t log_index)
{
	struct row_key key;
	uint8_t hash[STATE_HASH_LEN_MAX], applied[8];
	size_t len = state_hash_encode(&seal->hash, hash);
	row_key_name(&key, TABLE_LOCAL, bytes_of("state-hash"));
	enum err err = kv_put(seal->kv, row_key_bytes(&key), bytes_make(hash, len));
	put_le64(applied, log_index << PLACE_BITS | PLACE_LAST);
	if (err == ERR_OK)
		err = kv_put(seal->kv, bytes_make(applied_key, sizeof applied_key),
			bytes_make(applied, 8));
	return err;
}

static enum err seal_rows(struct seal *seal, const struct archive_found *found, const char *why,
	struct archive_end *ret_end)
{
	/* A commit may end inside a group: what the rest of it was is lost. */
	uint64_t log_index = (found->sequence >> PLACE_BITS) + ARCHIVE_JUMP;
	uint64_t epoch = 0;
	if (log_index >= UINT64_C(1) << (64 - ROW_ID_BITS))
		return ERR_CORRUPT;
	enum err err = read_hash(seal->reader, &seal->hash);
	if (err == ERR_OK)
		err = raise_epoch(seal, &epoch);
	if (err == ERR_OK)
		err = put_setting(seal, COMMAND_SETTING_HELD, bytes_of(why));
	if (err == ERR_OK)
		err = put_local(seal, log_index);
	*ret_end = (struct archive_end){.log_index = log_index, .epoch = epoch};
	return err;
}

static enum err seal_now(struct seal *seal, const struct archive_found *found, const char *why,
	struct archive_end *ret_end)
{
	enum err err = kv_write_begin(seal->kv);
	if (err != ERR_OK)
		return err;
	err = seal_rows(seal, found, why, ret_end);
	if (err == ERR_OK)
		return kv_commit(seal->kv);
	kv_abort(seal->kv);
	return err;
}

enum err archive_seal(struct kv *kv, const struct archive_found *found, const char *why,
	struct archive_end *ret_end)
{
	struct seal seal = {.kv = kv};
	enum err err = kv_reader_open(kv, &seal.reader);
	if (err != ERR_OK)
		return err;
	err = kv_reader_begin(seal.reader);
	if (err == ERR_OK) {
		err = seal_now(&seal, found, why, ret_end);
		kv_reader_end(seal.reader);
	}
	kv_reader_close(seal.reader);
	return err;
}

enum err archive_resume(struct kv *kv, const struct archive_found *found)
{
	uint8_t applied[8];
	put_le64(applied, found->sequence);
	enum err err = kv_write_begin(kv);
	if (err != ERR_OK)
		return err;
	err = kv_put(kv, bytes_make(applied_key, sizeof applied_key), bytes_make(applied, 8));
	if (err == ERR_OK)
		return kv_commit(kv);
	kv_abort(kv);
	return err;
}
