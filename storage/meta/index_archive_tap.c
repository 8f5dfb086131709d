/* SPDX-License-Identifier: Apache-2.0 */
/* A kv before the index's, which sees what is committed.
 *
 * A COMMIT is in the queue before the kv begins to commit: an archive may be ahead of the kv, since
 * what it has is in the log of the index and comes again, the same. Behind it would be a gap. */
#include <stdlib.h>

#include "storage/meta/index_archive_priv.h"
#include "storage/meta/index_priv.h"

static const uint8_t applied_key[] = {INDEX_APPLIED_KEY};

static struct archive_tap *tap_of(struct kv *kv)
{
	return CONTAINER_OF(kv, struct archive_tap, kv);
}

/* --- the queue -------------------------------------------------------------------------------- */

static void free_chunks(struct archive_chunk *chunk)
{
	while (chunk) {
		struct archive_chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
}

/* Takes the chunk. What finds no room ends the recording (A7). */
static void push(struct archive_tap *tap, struct archive_chunk *chunk)
{
	size_t len = sizeof *chunk + chunk->len;
	pthread_mutex_lock(&tap->lock);
	bool has_room = !tap->is_closed && tap->len + len <= ARCHIVE_QUEUE_LEN_MAX;
	if (has_room) {
		chunk->next = NULL;
		*tap->last = chunk;
		tap->last = &chunk->next;
		tap->len += len;
	} else {
		tap->is_closed = true;
	}
	pthread_mutex_unlock(&tap->lock);
	if (!has_room) {
		free(chunk);
		tap->is_recording = false;
	}
}

static void give_up(struct archive_tap *tap)
{
	archive_tap_set(tap, false);
	tap->is_recording = false;
}

void archive_commit_encode(const struct archive_chunk *chunk, int64_t time_ms, uint8_t *body)
{
	put_le64(body, chunk->before);
	put_le64(body + 8, chunk->sequence);
	put_le64(body + 16, (uint64_t)time_ms);
	put_le64(body + 24, chunk->session);
	put_le64(body + 32, chunk->counter);
}

struct archive_chunk *archive_tap_take(struct archive_tap *tap)
{
	pthread_mutex_lock(&tap->lock);
	struct archive_chunk *first = tap->first;
	tap->first = NULL;
	tap->last = &tap->first;
	tap->len = 0;
	pthread_mutex_unlock(&tap->lock);
	return first;
}

bool archive_tap_has(struct archive_tap *tap)
{
	pthread_mutex_lock(&tap->lock);
	bool has = tap->first != NULL;
	pthread_mutex_unlock(&tap->lock);
	return has;
}

bool archive_tap_is_closed(struct archive_tap *tap)
{
	pthread_mutex_lock(&tap->lock);
	bool is_closed = tap->is_closed;
	pthread_mutex_unlock(&tap->lock);
	return is_closed;
}

void archive_tap_set(struct archive_tap *tap, bool is_open)
{
	pthread_mutex_lock(&tap->lock);
	tap->is_closed = !is_open;
	pthread_mutex_unlock(&tap->lock);
}

/* --- rows ------------------------------------------------------------------------------------- */

bool archive_row_put(uint8_t *rows, size_t *len, struct bytes key, struct bytes value)
{
	size_t value_len = value.data ? value.len : 0;
	if (*len + ARCHIVE_ROW_HEAD_LEN + key.len + value_len > ARCHIVE_ROWS_LEN_MAX)
		return false;
	uint8_t *out = rows + *len;
	put_le32(out, key.len);
	put_le32(out + 4, value.data ? value.len : ARCHIVE_REMOVED);
	memcpy(out + ARCHIVE_ROW_HEAD_LEN, key.data, key.len);
	if (value_len > 0)
		memcpy(out + ARCHIVE_ROW_HEAD_LEN + key.len, value.data, value_len);
	*len += ARCHIVE_ROW_HEAD_LEN + key.len + value_len;
	return true;
}

static struct archive_chunk *new_chunk(enum archive_kind kind, size_t cap)
{
	struct archive_chunk *chunk = malloc(sizeof *chunk + cap);
	if (chunk)
		*chunk = (struct archive_chunk){.kind = kind};
	return chunk;
}

/* What is filled goes, in as much memory as it needs. */
static void push_rows(struct archive_tap *tap)
{
	struct archive_chunk *chunk = tap->chunk;
	tap->chunk = NULL;
	if (!chunk)
		return;
	struct archive_chunk *less = realloc(chunk, sizeof *chunk + chunk->len);
	push(tap, less ? less : chunk);
}

static void record(struct archive_tap *tap, struct bytes key, struct bytes value)
{
	if (tap->chunk && archive_row_put(tap->chunk->bytes, &tap->chunk->len, key, value)) {
		tap->chunk->rows++;
		return;
	}
	push_rows(tap);
	if (!tap->is_recording)
		return;
	tap->chunk = new_chunk(ARCHIVE_ROWS, ARCHIVE_ROWS_LEN_MAX);
	if (!tap->chunk) {
		give_up(tap);
		return;
	}
	bool has_room = archive_row_put(tap->chunk->bytes, &tap->chunk->len, key, value);
	assert(has_room);
	tap->chunk->rows = 1;
}

/* Extents that are named from now on are of commands behind this commit. */
static void name_extents(const struct archive_tap *tap, struct archive_chunk *chunk)
{
	if (!tap->index)
		return;
	chunk->session = atomic_load(&tap->index->session);
	chunk->counter = atomic_load(&tap->index->next_extent);
}

static void record_end(struct archive_tap *tap, enum archive_kind kind)
{
	push_rows(tap);
	if (tap->is_recording) {
		struct archive_chunk *chunk = new_chunk(kind, 0);
		if (chunk) {
			chunk->before = tap->sequence;
			chunk->sequence = tap->next;
			name_extents(tap, chunk);
			push(tap, chunk);
		} else {
			give_up(tap);
		}
	}
	tap->wake(tap);
}

/* --- the kv ----------------------------------------------------------------------------------- */

static enum err tap_reader_open(struct kv *kv, struct kv_reader **ret_reader)
{
	return kv_reader_open(tap_of(kv)->inner, ret_reader); /* which is the inner one's */
}

static enum err tap_write_begin(struct kv *kv)
{
	struct archive_tap *tap = tap_of(kv);
	pthread_mutex_lock(&tap->lock);
	tap->is_recording = !tap->is_closed;
	pthread_mutex_unlock(&tap->lock);
	tap->has_sequence = false;
	return kv_write_begin(tap->inner);
}

static enum err tap_put(struct kv *kv, struct bytes key, struct bytes value)
{
	static const uint8_t nothing[1];
	struct archive_tap *tap = tap_of(kv);
	if (bytes_is_equal(key, bytes_make(applied_key, sizeof applied_key)) && value.len == 8) {
		tap->has_sequence = true;
		tap->next = get_le64(value.data);
	} else if (tap->is_recording) {
		record(tap, key, value.data ? value : bytes_make(nothing, 0));
	}
	return kv_put(tap->inner, key, value);
}

static enum err tap_remove(struct kv *kv, struct bytes key)
{
	struct archive_tap *tap = tap_of(kv);
	if (tap->is_recording)
		record(tap, key, (struct bytes){0});
	return kv_remove(tap->inner, key);
}

static enum err tap_commit(struct kv *kv)
{
	struct archive_tap *tap = tap_of(kv);
	assert(tap->has_sequence);
	record_end(tap, ARCHIVE_COMMIT);
	enum err err = kv_commit(tap->inner);
	if (err == ERR_OK) {
		tap->sequence = tap->next;
		pthread_mutex_lock(&tap->lock);
		bool is_first = !tap->has_committed;
		tap->has_committed = true;
		pthread_mutex_unlock(&tap->lock);
		if (is_first)
			tap->wake(tap);
	}
	return err;
}

static void tap_abort(struct kv *kv)
{
	struct archive_tap *tap = tap_of(kv);
	record_end(tap, ARCHIVE_ABORT);
	kv_abort(tap->inner);
}

static uint64_t tap_used(struct kv *kv)
{
	return kv_used(tap_of(kv)->inner);
}

static uint64_t tap_spare(struct kv *kv)
{
	return kv_spare(tap_of(kv)->inner);
}

/* Readers are the inner kv's, so that their calls do not come here. */
static const struct kv_ops tap_ops = {
	.reader_open = tap_reader_open,
	.write_begin = tap_write_begin,
	.put = tap_put,
	.remove = tap_remove,
	.commit = tap_commit,
	.abort = tap_abort,
	.used = tap_used,
	.spare = tap_spare,
};

void archive_tap_init(struct archive_tap *tap, struct kv *inner, uint64_t sequence,
	void (*wake)(struct archive_tap *tap))
{
	*tap = (struct archive_tap){.kv.ops = &tap_ops,
		.inner = inner,
		.wake = wake,
		.sequence = sequence,
		.has_committed = sequence > 0};
	tap->last = &tap->first;
	pthread_mutex_init(&tap->lock, NULL);
}

void archive_tap_fini(struct archive_tap *tap)
{
	free(tap->chunk);
	free_chunks(archive_tap_take(tap));
	pthread_mutex_destroy(&tap->lock);
}
