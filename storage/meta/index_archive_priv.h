/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_ARCHIVE_PRIV_H
#define STORAGE_META_INDEX_ARCHIVE_PRIV_H

#include "storage/meta/index_archive.h"

/* Shared by index_archive.c (when what is written), index_archive_tap.c (commits),
 * index_archive_write.c (files that are written), index_archive_file.c (frames, and files that are
 * read), index_archive_restore.c. */
enum {
	ARCHIVE_VERSION = 1,
	ARCHIVE_HEAD_LEN = 32,
	ARCHIVE_ROW_HEAD_LEN = 8,
	ARCHIVE_FIRST_LEN = 48,
	ARCHIVE_COMMIT_LEN = 40,
	ARCHIVE_LAST_LEN = 24,
	ARCHIVE_NAME_LEN = 48,
};
#define ARCHIVE_REMOVED UINT32_MAX
static_assert(ARCHIVE_ROW_HEAD_LEN + KV_KEY_LEN_MAX + KV_VALUE_LEN_MAX < ARCHIVE_ROWS_LEN_MAX,
	"a row fits");

enum archive_kind { /* on disk */
	ARCHIVE_FIRST = 1,
	ARCHIVE_ROWS = 2,
	ARCHIVE_COMMIT = 3,
	ARCHIVE_ABORT = 4,
	ARCHIVE_BREAK = 5,
	ARCHIVE_LAST = 6,
};

struct archive_frame {
	enum archive_kind kind;
	uint32_t rows;
	struct bytes body; /* rows as they were before zstd */
};

/* --- frames, index_archive_file.c ------------------------------------------------------------- */

size_t archive_frame_cap(void); /* bytes that a frame takes at most */

/* Writes a frame to out. Errors: ERR_NO_MEMORY. */
MUST_USE enum err archive_frame_encode(const struct archive_frame *frame, uint64_t generation,
	uint64_t number, uint8_t *out, size_t *ret_len);

/* A file that is read from its beginning. Zeroed before it is opened. */
struct archive_reader {
	struct disk_file *file;
	uint64_t generation, number, offset;
	uint8_t *stored, *rows; /* owned */
	void *zstd; /* owned */
	struct id node;
	uint64_t base;
	int64_t time_ms;
};

/* Opens a file and reads its FIRST. Errors: ERR_NOT_FOUND, ERR_CORRUPT, ERR_VERSION, those of the
 * disk, ERR_NO_MEMORY. */
MUST_USE enum err archive_reader_open(
	struct archive_reader *reader, struct disk *disk, const char *kind, uint64_t generation);
void archive_reader_close(struct archive_reader *reader);

/* The next frame; its body is borrowed until the next call. Errors: ERR_END, there is none, or none
 * that is whole; ERR_VERSION; those of the disk. */
MUST_USE enum err archive_reader_next(
	struct archive_reader *reader, struct archive_frame *ret_frame);

/* Takes a row off a body; ret_value->data is NULL where the row is gone. Errors: ERR_CORRUPT. */
MUST_USE enum err archive_row_take(
	struct bytes *rows, struct bytes *ret_key, struct bytes *ret_value);

void archive_name(char name[ARCHIVE_NAME_LEN], const char *kind, uint64_t generation);

/* The generation that a name in the directory says; false: it is no name of that kind. */
bool archive_name_parse(const char *name, const char *kind, uint64_t *ret_generation);

/* Reads LAST at the end of a full copy. Errors: ERR_CORRUPT; as archive_reader_open(). */
struct archive_full {
	struct id node;
	uint64_t base, sequence;
	int64_t time_ms;
	uint64_t rows, rows_len, file_len;
};
MUST_USE enum err archive_full_peek(
	struct disk *disk, uint64_t generation, struct archive_full *ret_full);

/* --- the commits of a log --------------------------------------------------------------------- */

struct archive_chain {
	uint64_t sequence; /* of the state: in and out */
	int64_t time_ms; /* of the last commit, if there is one */
	uint64_t session, counter; /* likewise */
	uint64_t commits, rows_len; /* that were found */
	bool is_broken; /* something is behind the last commit that does not go on from it */
	/* Of the file that was read last. */
	uint64_t end_offset, end_number; /* behind its last commit */
	struct id node;
};

/* Do both end at the same place, with nothing behind it? */
bool archive_chain_is_same(const struct archive_chain *a, const struct archive_chain *b);

/* The sequence of the state that the kv is in; 0: it is empty. Errors: ERR_CORRUPT; of the kv. */
MUST_USE enum err archive_read_sequence(struct kv_reader *reader, uint64_t *ret_sequence);
MUST_USE enum err archive_look_at_kv(struct kv *kv, uint64_t *ret_sequence);

/* Goes through a log from chain->sequence on. take() gets the rows of commits that are ahead of it,
 * each row whole commits at a time; NULL: they are passed over. Errors: as archive_reader_open();
 * of take(). */
MUST_USE enum err archive_log_walk(struct disk *disk, uint64_t generation,
	struct archive_chain *chain, enum err (*take)(void *arg, struct bytes rows), void *arg);

/* --- "newest" --------------------------------------------------------------------------------- */

struct archive_newest {
	struct id node;
	uint64_t generation, sequence;
	int64_t time_ms;
	unsigned count;
	struct id drives[ARCHIVE_COPIES_MAX];
};
MUST_USE enum err archive_newest_write(struct disk *disk, const struct archive_newest *newest);
MUST_USE enum err archive_newest_read(struct disk *disk, struct archive_newest *ret_newest);

/* Looks at one generation of those on a drive, and plays it. Errors: ERR_CORRUPT, ERR_NOT_FOUND: it
 * is not complete; as archive_log_walk(). */
struct archive_list;
MUST_USE enum err archive_look(struct disk *disk, uint64_t generation,
	const struct archive_list *list, struct archive_full *ret_full,
	struct archive_chain *ret_chain);

/* --- what is there ---------------------------------------------------------------------------- */

struct archive_list {
	uint64_t *fulls, *logs; /* ascending; owned */
	size_t full_count, log_count, cap_fulls, cap_logs;
	enum err err;
};

/* Lists the generations on a drive. archive_list_free() in any case. Errors: those of the disk;
 * ERR_NO_MEMORY. A drive without the directory has none. */
MUST_USE enum err archive_list(struct disk *disk, struct archive_list *list);
void archive_list_free(struct archive_list *list);

/* --- commits on their way, index_archive_tap.c ------------------------------------------------ */

struct archive_chunk {
	struct archive_chunk *next;
	enum archive_kind kind;
	uint32_t rows;
	uint64_t before, sequence, session, counter; /* of a COMMIT */
	size_t len;
	uint8_t bytes[];
};

/* The body of a COMMIT, ARCHIVE_COMMIT_LEN bytes. */
void archive_commit_encode(const struct archive_chunk *chunk, int64_t time_ms, uint8_t *body);

/* What the committing thread writes to, and what it leaves for the worker. */
struct archive_tap {
	struct kv kv; /* what the index gets */
	struct kv *inner;
	const struct index *index; /* NULL: not open yet */
	void (*wake)(
		struct archive_tap *tap); /* something is in the queue; the committing thread */

	/* Of the committing thread. */
	struct archive_chunk *chunk; /* being filled */
	bool is_recording; /* this transaction */
	bool has_sequence;
	uint64_t next; /* sequence of this transaction */
	uint64_t sequence; /* of the last one that was committed */

	pthread_mutex_t lock; /* of what follows */
	struct archive_chunk *first, **last;
	size_t len;
	bool is_closed; /* nothing is recorded */
	bool has_committed; /* ever: the index has rows */
};

void archive_tap_init(struct archive_tap *tap, struct kv *inner, uint64_t sequence,
	void (*wake)(struct archive_tap *tap));
void archive_tap_fini(struct archive_tap *tap);

/* Takes what is in the queue; the caller frees each. Any thread. */
struct archive_chunk *archive_tap_take(struct archive_tap *tap);

/* Is anything in the queue? Any thread. */
bool archive_tap_has(struct archive_tap *tap);

/* Begins to record, from the next transaction on, or ends it. Any thread. */
void archive_tap_set(struct archive_tap *tap, bool is_open);
bool archive_tap_is_closed(struct archive_tap *tap);

/* Puts a row into a frame that has len bytes of rows; false: there is no room. */
bool archive_row_put(uint8_t *rows, size_t *len, struct bytes key, struct bytes value);

/* --- files that are written, index_archive_write.c -------------------------------------------- */

/* The same frames on several drives. */
struct archive_stream {
	const char *kind;
	uint64_t generation, number, offset;
	struct disk_file *files[ARCHIVE_HOMES_MAX]; /* NULL: not on this one */
	bool is_dirty;
};

struct archive_files {
	const struct index_archive_setup *setup;
	struct archive_stream log, full;
	bool is_failed[ARCHIVE_HOMES_MAX]; /* a write failed: not used any more in this life */
	uint8_t *frame; /* archive_frame_cap() bytes */
	uint64_t written_len;
	uint64_t top; /* the highest generation that any file has */
	uint64_t complete; /* the newest with a full copy; 0: none */
};

/* How many homes have the log that is written to now. */
unsigned archive_files_count(const struct archive_files *files);

/* How many homes could have one and do not. */
unsigned archive_files_spare(const struct archive_files *files);

/* Opens the log of a generation on a home, to go on at the chain's end. */
MUST_USE enum err archive_log_continue(struct archive_files *files, unsigned home,
	uint64_t generation, const struct archive_chain *chain);

/* Begins a log and a full copy of the next generation; base is for FIRST. Errors: none of the homes
 * can have one. */
MUST_USE enum err archive_files_begin(struct archive_files *files, uint64_t base);

/* Writes a frame. A home that fails is left out. Errors: none is left. */
MUST_USE enum err archive_stream_write(struct archive_files *files, struct archive_stream *stream,
	const struct archive_frame *frame);
MUST_USE enum err archive_stream_sync(struct archive_files *files, struct archive_stream *stream);

/* Gives the full copy its name (A4), writes "newest", removes what is older than the one before. */
MUST_USE enum err archive_files_end(
	struct archive_files *files, const struct archive_newest *newest);

/* Removes what is left of a full copy that was not ended. */
void archive_files_clean(struct archive_files *files, unsigned home, uint64_t generation);

/* Gives the full copy up. */
void archive_files_drop(struct archive_files *files);
void archive_files_close(struct archive_files *files);

/* A commit goes on from a state, or leaves a gap (A2). */
static inline void archive_follow(
	uint64_t *chain, bool *has_gap, uint64_t before, uint64_t sequence)
{
	if (sequence <= *chain || *has_gap)
		return;
	if (before > *chain)
		*has_gap = true;
	else
		*chain = sequence;
}

#endif
