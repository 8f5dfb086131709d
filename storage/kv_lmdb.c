/* SPDX-License-Identifier: Apache-2.0 */
/* A kv in LMDB: the environment, transactions and readers. Rows are in kv_lmdb_long.c.
 *
 * Every commit is LMDB's fully synced one: data pages, fdatasync, then the meta page through a
 * synchronous descriptor. Readers have slots of their own (NOTLS), so that a reader may live on any
 * thread and several on one; a slot of a process that died is freed at the next open. */
#include "storage/kv_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/kv_lmdb_check.h"
#include "storage/kv_lmdb_long.h"
#include "storage/kv_lmdb_suspect.h"

enum {
	KV_MAGIC = 0x6b766c6d,
	READER_MAGIC = 0x6b767264,
	READERS_MAX = 254,
};

struct kv_lmdb {
	struct kv kv;
	uint32_t magic;
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *txn; /* of the writer */
	enum err write_err; /* the first error in txn: it will not be committed */
	struct suspect suspect;
};

struct kv_lmdb_reader {
	struct kv_reader reader;
	uint32_t magic;
	bool has_begun;
	MDB_txn *txn;
	struct long_cursor cursor;
};

static struct kv_lmdb *lmdb_of(struct kv *kv)
{
	struct kv_lmdb *lmdb = CONTAINER_OF(kv, struct kv_lmdb, kv);
	assert(lmdb->magic == KV_MAGIC);
	return lmdb;
}

static struct kv_lmdb_reader *reader_of(struct kv_reader *reader)
{
	struct kv_lmdb_reader *r = CONTAINER_OF(reader, struct kv_lmdb_reader, reader);
	assert(r->magic == READER_MAGIC);
	return r;
}

/* What is damaged is read whole by the next open. */
static enum err note(const struct kv_lmdb *lmdb, enum err err)
{
	if (err == ERR_CORRUPT)
		suspect_mark(&lmdb->suspect);
	return err;
}

/* LMDB found its pages contradictory; it prints the message and ends the process after this. */
static void assertion_failed(MDB_env *env, const char *message)
{
	(void)message;
	const struct kv_lmdb *lmdb = mdb_env_get_userctx(env);
	suspect_mark(&lmdb->suspect);
}

/* --- readers ---------------------------------------------------------------------------------- */

static void lmdb_reader_close(struct kv_reader *reader)
{
	struct kv_lmdb_reader *r = reader_of(reader);
	assert(!r->has_begun);
	if (r->cursor.mdb)
		mdb_cursor_close(r->cursor.mdb);
	if (r->txn)
		mdb_txn_abort(r->txn);
	r->magic = 0;
	free(r);
}

static enum err lmdb_reader_open(struct kv *kv, struct kv_reader **ret_reader)
{
	struct kv_lmdb *lmdb = lmdb_of(kv);
	struct kv_lmdb_reader *r = calloc(1, sizeof *r);
	if (!r)
		return ERR_NO_MEMORY;
	r->reader.kv = kv;
	r->magic = READER_MAGIC;
	int rc = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &r->txn);
	if (rc == 0)
		rc = mdb_cursor_open(r->txn, lmdb->dbi, &r->cursor.mdb);
	if (r->txn)
		mdb_txn_reset(r->txn);
	if (rc != 0) {
		lmdb_reader_close(&r->reader);
		return long_err(rc);
	}
	*ret_reader = &r->reader;
	return ERR_OK;
}

static enum err lmdb_reader_begin(struct kv_reader *reader)
{
	struct kv_lmdb_reader *r = reader_of(reader);
	assert(!r->has_begun);
	int rc = mdb_txn_renew(r->txn);
	if (rc == 0) {
		rc = mdb_cursor_renew(r->txn, r->cursor.mdb);
		if (rc != 0)
			mdb_txn_reset(r->txn);
	}
	r->has_begun = rc == 0;
	return long_err(rc);
}

static void lmdb_reader_end(struct kv_reader *reader)
{
	struct kv_lmdb_reader *r = reader_of(reader);
	assert(r->has_begun);
	r->has_begun = false;
	mdb_txn_reset(r->txn);
}

static enum err lmdb_get(struct kv_reader *reader, struct bytes key, struct bytes *ret_value)
{
	struct kv_lmdb_reader *r = reader_of(reader);
	assert(r->has_begun);
	const struct kv_lmdb *lmdb = lmdb_of(reader->kv);
	return note(lmdb, long_get(r->txn, lmdb->dbi, key, ret_value));
}

static enum err lmdb_seek(
	struct kv_reader *reader, struct bytes key, struct bytes *ret_key, struct bytes *ret_value)
{
	struct kv_lmdb_reader *r = reader_of(reader);
	assert(r->has_begun);
	return note(lmdb_of(reader->kv), long_seek(&r->cursor, key, ret_key, ret_value));
}

static enum err lmdb_next(struct kv_reader *reader, struct bytes *ret_key, struct bytes *ret_value)
{
	struct kv_lmdb_reader *r = reader_of(reader);
	assert(r->has_begun);
	return note(lmdb_of(reader->kv), long_next(&r->cursor, ret_key, ret_value));
}

/* --- the writer ------------------------------------------------------------------------------- */

static enum err lmdb_write_begin(struct kv *kv)
{
	struct kv_lmdb *lmdb = lmdb_of(kv);
	assert(!lmdb->txn);
	lmdb->write_err = ERR_OK;
	return long_err(mdb_txn_begin(lmdb->env, NULL, 0, &lmdb->txn));
}

/* LMDB leaves a transaction unusable after most errors: the first one is what commit answers. */
static enum err latch(struct kv_lmdb *lmdb, enum err err)
{
	if (lmdb->write_err == ERR_OK)
		lmdb->write_err = note(lmdb, err);
	return err;
}

static enum err lmdb_put(struct kv *kv, struct bytes key, struct bytes value)
{
	struct kv_lmdb *lmdb = lmdb_of(kv);
	assert(lmdb->txn);
	if (lmdb->write_err != ERR_OK)
		return lmdb->write_err;
	return latch(lmdb, long_put(lmdb->txn, lmdb->dbi, key, value));
}

static enum err lmdb_remove(struct kv *kv, struct bytes key)
{
	struct kv_lmdb *lmdb = lmdb_of(kv);
	assert(lmdb->txn);
	if (lmdb->write_err != ERR_OK)
		return lmdb->write_err;
	return latch(lmdb, long_remove(lmdb->txn, lmdb->dbi, key));
}

static void lmdb_abort(struct kv *kv)
{
	struct kv_lmdb *lmdb = lmdb_of(kv);
	assert(lmdb->txn);
	mdb_txn_abort(lmdb->txn);
	lmdb->txn = NULL;
}

static enum err lmdb_commit(struct kv *kv)
{
	struct kv_lmdb *lmdb = lmdb_of(kv);
	assert(lmdb->txn);
	if (lmdb->write_err != ERR_OK) {
		lmdb_abort(kv);
		return lmdb->write_err;
	}
	int rc = mdb_txn_commit(lmdb->txn);
	lmdb->txn = NULL;
	return long_err(rc);
}

/* Pages of the tree; those on LMDB's free list are free to us too. */
static uint64_t lmdb_used(struct kv *kv)
{
	MDB_stat stat;
	if (mdb_env_stat(lmdb_of(kv)->env, &stat) != 0)
		return 0;
	return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages + 2) *
		(uint64_t)stat.ms_psize;
}

/* The rest of the pages that the file has, or will have once they are written. */
static uint64_t lmdb_spare(struct kv *kv)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct kv_lmdb *lmdb = lmdb_of(kv);
	if (mdb_env_info(lmdb->env, &info) != 0 || mdb_env_stat(lmdb->env, &stat) != 0)
		return 0;
	uint64_t len = (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize, used = lmdb_used(kv);
	return len > used ? len - used : 0;
}

/* --- the environment -------------------------------------------------------------------------- */

static void lmdb_close(struct kv *kv)
{
	struct kv_lmdb *lmdb = lmdb_of(kv);
	if (lmdb->txn)
		lmdb_abort(kv);
	suspect_forget(&lmdb->suspect);
	if (lmdb->env)
		mdb_env_close(lmdb->env);
	lmdb->magic = 0;
	free(lmdb);
}

static const struct kv_ops lmdb_ops = {
	.reader_open = lmdb_reader_open,
	.reader_close = lmdb_reader_close,
	.reader_begin = lmdb_reader_begin,
	.reader_end = lmdb_reader_end,
	.get = lmdb_get,
	.seek = lmdb_seek,
	.next = lmdb_next,
	.write_begin = lmdb_write_begin,
	.put = lmdb_put,
	.remove = lmdb_remove,
	.commit = lmdb_commit,
	.abort = lmdb_abort,
	.used = lmdb_used,
	.spare = lmdb_spare,
	.close = lmdb_close,
};

/* Makes the names in a directory durable: LMDB flushes its file but not where it hangs. */
static enum err sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_from_errno(errno);
	enum err err = fsync(fd) == 0 ? ERR_OK : err_from_errno(errno);
	close(fd);
	return err;
}

static enum err make_dir(const char *dir)
{
	if (mkdir(dir, 0700) != 0)
		return errno == EEXIST ? ERR_OK : err_from_errno(errno);
	char parent[PATH_MAX];
	if (snprintf(parent, sizeof parent, "%s/..", dir) >= (int)sizeof parent)
		return ERR_INVALID;
	return sync_dir(parent);
}

/* Reading ahead only pushes out what is in use once the file is larger than the memory. */
static unsigned readahead_flag(const char *path)
{
	struct stat st;
	long pages = sysconf(_SC_PHYS_PAGES), page_len = sysconf(_SC_PAGESIZE);
	if (stat(path, &st) != 0 || pages <= 0 || page_len <= 0)
		return 0;
	return (uint64_t)st.st_size > (uint64_t)pages * page_len ? MDB_NORDAHEAD : 0;
}

static enum err open_env(struct kv_lmdb *lmdb, const char *path, uint64_t map_len)
{
	long page_len = sysconf(_SC_PAGESIZE);
	assert(page_len > 0);
	int rc = mdb_env_create(&lmdb->env);
	if (rc == 0)
		rc = mdb_env_set_mapsize(lmdb->env, round_up(map_len, page_len));
	if (rc == 0)
		rc = mdb_env_set_maxreaders(lmdb->env, READERS_MAX);
	if (rc == 0)
		rc = mdb_env_open(
			lmdb->env, path, MDB_NOSUBDIR | MDB_NOTLS | readahead_flag(path), 0600);
	int dead;
	if (rc == 0)
		rc = mdb_reader_check(lmdb->env, &dead);
	return long_err(rc);
}

static enum err open_map(struct kv_lmdb *lmdb, const char *path, uint64_t map_len)
{
	enum err err = open_env(lmdb, path, map_len);
	if (err == ERR_OK)
		err = long_err(mdb_env_set_userctx(lmdb->env, lmdb));
	if (err == ERR_OK)
		err = long_err(mdb_env_set_assert(lmdb->env, assertion_failed));
	if (err == ERR_OK)
		suspect_register(&lmdb->suspect);
	return err;
}

static enum err open_rows(struct kv_lmdb *lmdb)
{
	enum err err = lmdb_write_begin(&lmdb->kv);
	if (err != ERR_OK)
		return err;
	err = long_err(mdb_dbi_open(lmdb->txn, NULL, 0, &lmdb->dbi));
	if (err == ERR_OK)
		err = long_check_format(lmdb->txn, lmdb->dbi);
	if (err == ERR_OK)
		return lmdb_commit(&lmdb->kv);
	lmdb_abort(&lmdb->kv);
	return err;
}

static enum err open_kv(
	const char *dir, uint64_t map_len, uint64_t *ret_bad_rows, struct kv **ret_kv)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/" KV_LMDB_FILE, dir) >= (int)sizeof path)
		return ERR_INVALID;
	struct kv_lmdb *lmdb = calloc(1, sizeof *lmdb);
	if (!lmdb)
		return ERR_NO_MEMORY;
	lmdb->kv.ops = &lmdb_ops;
	lmdb->magic = KV_MAGIC;
	bool is_suspect = false;
	enum err err = make_dir(dir);
	if (err == ERR_OK)
		err = suspect_init(&lmdb->suspect, dir, &is_suspect);
	if (err == ERR_OK)
		err = kv_lmdb_check(path, is_suspect || ret_bad_rows, ret_bad_rows);
	if (err == ERR_OK)
		err = open_map(lmdb, path, map_len);
	if (err == ERR_OK)
		err = open_rows(lmdb);
	if (err == ERR_OK && is_suspect && !ret_bad_rows)
		suspect_clear(&lmdb->suspect);
	if (err == ERR_OK)
		err = sync_dir(dir);
	if (err != ERR_OK) {
		lmdb_close(&lmdb->kv);
		return err;
	}
	*ret_kv = &lmdb->kv;
	return ERR_OK;
}

enum err kv_lmdb_open(const char *dir, uint64_t map_len, struct kv **ret_kv)
{
	return open_kv(dir, map_len, NULL, ret_kv);
}

enum err kv_lmdb_open_damaged(
	const char *dir, uint64_t map_len, uint64_t *ret_bad_rows, struct kv **ret_kv)
{
	uint64_t bad_rows = 0;
	enum err err = open_kv(dir, map_len, &bad_rows, ret_kv);
	if (err == ERR_OK)
		*ret_bad_rows = bad_rows;
	return err;
}

enum err kv_lmdb_set_aside(const char *dir)
{
	char path[PATH_MAX], aside[PATH_MAX], lock[PATH_MAX];
	struct suspect suspect;
	bool is_suspect;
	enum err err = suspect_init(&suspect, dir, &is_suspect);
	if (err != ERR_OK ||
		snprintf(path, sizeof path, "%s/" KV_LMDB_FILE, dir) >=
			(int)sizeof path - (int)sizeof ".damaged")
		return ERR_INVALID;
	snprintf(aside, sizeof aside, "%s/" KV_LMDB_FILE ".damaged", dir);
	snprintf(lock, sizeof lock, "%s/" KV_LMDB_FILE "-lock", dir);
	if (rename(path, aside) != 0)
		return err_from_errno(errno);
	unlink(lock); /* made anew with the map */
	suspect_clear(&suspect);
	return sync_dir(dir);
}
