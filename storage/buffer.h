/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_BUFFER_H
#define STORAGE_BUFFER_H

#include <stdatomic.h>

#include "storage/bytes.h"
#include "storage/err.h"
#include "storage/kv.h"
#include "storage/loop.h"

/* A read buffer before a kv: rows are readable at once and reach the kv in big commits.
 *
 * Rows collect in a generation: an arena with a skip list. When it is big or old enough, or asked
 * for, it is frozen and the committer writes it to the kv in one transaction, while the next
 * generation collects. What is not committed is lost in a crash: the log (or the segment) that the
 * rows came from is the durable truth, and the row under applied_key tells from where to replay.
 *
 * (B1) Each change belongs to a command; commands have increasing numbers, their *sequence*. A view
 *      sees all rows of the commands that were published when it began, and none of any other.
 * (B2) A transaction holds whole commands, and the applied row that names the last of them.
 * (B3) One thread writes (the writer loop), one commits (the committer loop), any number read.
 *      Reading takes no lock; beginning a view takes one for a few instructions.
 * (B4) After a commit failed nothing is accepted and nothing is committed any more; views go on.
 * (B5) Memory is at most BUFFER_ARENAS times arena_len; the last arena is touched only when a view
 *      outlives the commit of a generation that it began on.
 */
#define BUFFER_ARENAS 3
#define BUFFER_ARENA_LEN_DEFAULT (8u << 20)
#define BUFFER_ROWS_DEFAULT 2000
#define BUFFER_APPLIED_KEY_LEN_MAX 32

struct buffer;

struct buffer_setup {
	struct kv *kv; /* borrowed; written by the committer only */
	struct loop *writer;
	struct loop *committer; /* may block for as long as the disk does */
	struct bytes applied_key; /* of the row that names the last sequence committed; copied */
	size_t arena_len; /* of each generation; at least 4 * command_len */
	size_t rows_max; /* a generation with so many rows is full */
	/* A generation with so much is committed when the committer is free, full or not: a long
	 * commit holds up everybody else who flushes the same disk. 0: there is no such limit. */
	size_t commit_len, commit_rows;
	size_t command_len; /* room that buffer_begin() guarantees; see buffer_row_len() */
	uint64_t idle_ms; /* what is uncommitted is committed after so long */
	/* Until buffer_start(), the loops do not run yet: nothing is committed in the background,
	 * and a buffer_begin() that finds no room commits by itself, and may block. For replays. */
	bool is_replaying;

	/* All on the writer loop, never inside a call of the writer, except freezing(). */
	void (*room)(void *arg); /* try again, after buffer_begin() said ERR_BUSY; or unasked */
	void (*committed)(void *arg, uint64_t sequence); /* durable up to here; may be NULL */
	void (*failed)(void *arg, enum err err); /* once: (B4) */
	/* Inside buffer_begin(), buffer_publish() or buffer_commit(), before a generation is
	 * frozen: may buffer_put() up to BUFFER_EXTRA_LEN of rows that are to be part of its
	 * transaction. They belong to the last published command. May be NULL. */
	void (*freezing)(void *arg, struct buffer *buffer);
	void *arg;
};
#define BUFFER_EXTRA_LEN 4096

/* Makes a buffer; reads the applied row. Blocks. Errors: ERR_NO_MEMORY, ERR_CORRUPT, ERR_IO. */
MUST_USE enum err buffer_new(const struct buffer_setup *setup, struct buffer **ret_buffer);

/* Commits what is uncommitted and published, and frees. Blocks; after the loops have stopped, on
 * any thread, or while nothing is uncommitted: then nothing of the buffer is left in a loop. No
 * view is open. The buffer is freed also when it fails: then, or when it had failed before, the
 * error is returned and what was not committed is gone. */
MUST_USE enum err buffer_close(struct buffer *buffer);

/* Ends is_replaying. Once, on the thread that replayed, when the loops are about to run. */
void buffer_start(struct buffer *buffer);

/* --- writing: on the writer loop -------------------------------------------------------------- */

/* Opens a command. sequence is greater than that of every command before, and than
 * buffer_applied(). Errors: ERR_BUSY, both generations are full, room() follows; what a commit
 * failed with (B4). */
MUST_USE enum err buffer_begin(struct buffer *buffer, uint64_t sequence);

/* Changes one row as part of the open command; the last change of a key counts. Key and value are
 * copied. Errors: ERR_LIMIT, the rows of this command need more than command_len; it then stays
 * unpublished for ever, and so does everything after it. */
MUST_USE enum err buffer_put(struct buffer *buffer, struct bytes key, struct bytes value);
MUST_USE enum err buffer_remove(struct buffer *buffer, struct bytes key);

/* Ends the open command and makes all of it visible, at once. */
void buffer_publish(struct buffer *buffer);

/* Asks for everything published to be committed soon. committed() tells, unless buffer_applied() is
 * buffer_published() already. No command is open. */
void buffer_commit(struct buffer *buffer);

/* What one row takes of command_len, at most. */
static inline size_t buffer_row_len(size_t key_len, size_t value_len)
{
	return 96 + key_len + value_len;
}

/* The last command published, and the last one committed. Any thread. */
uint64_t buffer_published(const struct buffer *buffer);
uint64_t buffer_applied(const struct buffer *buffer);

/* Rows in both generations. Any thread; for metrics. */
size_t buffer_row_count(struct buffer *buffer);

/* --- reading: each view on one thread ------------------------------------------------------------
 * A view is opened once for each loop that reads and begun for each batch of reads, for less than a
 * second. Keys and values are borrowed until the cursor moves or the view ends.
 */
struct buffer_view {
	/* Of the buffer. */
	struct buffer *buffer;
	struct kv_reader *reader;
	struct buffer_generation *generations[2]; /* the newer one first; may be NULL */
	uint64_t snapshot;
	bool has_begun;
	struct {
		const struct buffer_node *nodes[2];
		struct bytes kv_key, kv_value;
		bool has_kv, is_at_kv;
		bool is_at[2]; /* which sources have the row the cursor is at */
	} cursor;
};

/* Errors: ERR_NO_MEMORY, ERR_LIMIT, ERR_IO. */
MUST_USE enum err buffer_view_open(struct buffer *buffer, struct buffer_view *view);

/* Fine for a zeroed view. */
void buffer_view_close(struct buffer_view *view);

/* Begins to read what is published now; view->snapshot is its last sequence. Errors: ERR_IO. */
MUST_USE enum err buffer_view_begin(struct buffer_view *view);

/* Begins to read everything, the rows of the open command too, also those that follow. Only on the
 * writer loop, between buffer_begin() and buffer_publish(), and ended before buffer_publish(). */
MUST_USE enum err buffer_view_begin_latest(struct buffer_view *view);

void buffer_view_end(struct buffer_view *view);

/* The value of a key. The cursor stays. Errors: ERR_NOT_FOUND; ERR_CORRUPT, ERR_IO of the kv. */
MUST_USE enum err buffer_view_get(
	struct buffer_view *view, struct bytes key, struct bytes *ret_value);

/* Moves to the first key at or after the given one. ERR_NOT_FOUND: there is none. */
MUST_USE enum err buffer_view_seek(
	struct buffer_view *view, struct bytes key, struct bytes *ret_key, struct bytes *ret_value);

/* Moves on by one. Only after a seek or next that succeeded. ERR_NOT_FOUND: at the end. */
MUST_USE enum err buffer_view_next(
	struct buffer_view *view, struct bytes *ret_key, struct bytes *ret_value);

#endif
