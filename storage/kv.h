/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_KV_H
#define STORAGE_KV_H

#include "storage/bytes.h"
#include "storage/err.h"

/* The seam to an ordered map that commits: LMDB in one real file (storage/kv_lmdb.c), a map in
 * memory with crash-to-last-commit and injected errors in the simulator.
 *
 * (K1) Keys are 1 to KV_KEY_LEN_MAX bytes and ordered as unsigned bytes, a prefix first.
 * (K2) A commit is all or nothing and durable when it returns.
 * (K3) A reader sees the commits that were complete when it began, and nothing later.
 * (K4) Values are checked when they are read: damage is ERR_CORRUPT, never wrong bytes.
 * One thread writes at a time; readers run on any thread, one thread per reader.
 */
#define KV_KEY_LEN_MAX 2200 /* an escaped S3 key of 1024 bytes and what stands around it */
#define KV_VALUE_LEN_MAX (64 * 1024)

struct kv;
struct kv_reader;

struct kv_ops {
	enum err (*reader_open)(struct kv *kv, struct kv_reader **ret_reader);
	void (*reader_close)(struct kv_reader *reader);
	enum err (*reader_begin)(struct kv_reader *reader);
	void (*reader_end)(struct kv_reader *reader);
	enum err (*get)(struct kv_reader *reader, struct bytes key, struct bytes *ret_value);
	enum err (*seek)(struct kv_reader *reader, struct bytes key, struct bytes *ret_key,
		struct bytes *ret_value);
	enum err (*next)(struct kv_reader *reader, struct bytes *ret_key, struct bytes *ret_value);
	enum err (*write_begin)(struct kv *kv);
	enum err (*put)(struct kv *kv, struct bytes key, struct bytes value);
	enum err (*remove)(struct kv *kv, struct bytes key);
	enum err (*commit)(struct kv *kv);
	void (*abort)(struct kv *kv);
	uint64_t (*used)(struct kv *kv);
	uint64_t (*spare)(struct kv *kv);
	void (*close)(struct kv *kv);
};

struct kv {
	const struct kv_ops *ops;
};

/* Every backend's reader begins so. */
struct kv_reader {
	struct kv *kv;
};

/* --- reading -------------------------------------------------------------------------------- */

MUST_USE static inline enum err kv_reader_open(struct kv *kv, struct kv_reader **ret_reader)
{
	return kv->ops->reader_open(kv, ret_reader);
}

static inline void kv_reader_close(struct kv_reader *reader)
{
	if (reader)
		reader->kv->ops->reader_close(reader);
}

/* Begins to read the newest commit. Shorter than a second until kv_reader_end(): what is being read
 * cannot be reused. */
MUST_USE static inline enum err kv_reader_begin(struct kv_reader *reader)
{
	return reader->kv->ops->reader_begin(reader);
}

static inline void kv_reader_end(struct kv_reader *reader)
{
	reader->kv->ops->reader_end(reader);
}

/* The value of a key, borrowed until kv_reader_end(). Errors: ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO.
 */
MUST_USE static inline enum err kv_get(
	struct kv_reader *reader, struct bytes key, struct bytes *ret_value)
{
	return reader->kv->ops->get(reader, key, ret_value);
}

/* Moves the reader's cursor to the first key at or after the given one. Key and value are borrowed
 * until the cursor moves again or kv_reader_end(). Errors: ERR_NOT_FOUND at the end. */
MUST_USE static inline enum err kv_seek(
	struct kv_reader *reader, struct bytes key, struct bytes *ret_key, struct bytes *ret_value)
{
	return reader->kv->ops->seek(reader, key, ret_key, ret_value);
}

/* Moves the cursor on by one. Only after a kv_seek() or kv_next() that succeeded. */
MUST_USE static inline enum err kv_next(
	struct kv_reader *reader, struct bytes *ret_key, struct bytes *ret_value)
{
	return reader->kv->ops->next(reader, ret_key, ret_value);
}

/* --- writing: one thread, may block for as long as the disk does ---------------------------- */

MUST_USE static inline enum err kv_write_begin(struct kv *kv)
{
	return kv->ops->write_begin(kv);
}

MUST_USE static inline enum err kv_put(struct kv *kv, struct bytes key, struct bytes value)
{
	return kv->ops->put(kv, key, value);
}

/* Removes a key; one that is not there is fine. */
MUST_USE static inline enum err kv_remove(struct kv *kv, struct bytes key)
{
	return kv->ops->remove(kv, key);
}

/* Ends the transaction, also when it fails. */
MUST_USE static inline enum err kv_commit(struct kv *kv)
{
	return kv->ops->commit(kv);
}

static inline void kv_abort(struct kv *kv)
{
	kv->ops->abort(kv);
}

/* Bytes of the file that are in use. */
static inline uint64_t kv_used(struct kv *kv)
{
	return kv->ops->used(kv);
}

/* Bytes of the file that are not in use: commits take them before the file grows. Any thread. */
static inline uint64_t kv_spare(struct kv *kv)
{
	return kv->ops->spare(kv);
}

static inline void kv_close(struct kv *kv)
{
	if (kv)
		kv->ops->close(kv);
}

#endif
