/* SPDX-License-Identifier: Apache-2.0 */
/* When what is written. The loop decides, the worker does: one work at a time, each short. */
#include "storage/meta/index_archive.h"

#include <stdlib.h>

#include "storage/meta/index_archive_priv.h"
#include "storage/meta/index_priv.h"

#define ARCHIVE_MAGIC 0x61726368u

enum {
	LOG_SHARE = 4, /* of a full copy: what the commits since grow to (A6) */
	RETRY_MS = 60 * 1000, /* after a full copy that failed */
	AGAIN_MS = 1000, /* after one that met a gap */
	STEP_WAIT_MS = 10, /* for a commit of the kv */
};

struct index_archive {
	uint32_t magic;
	struct index_archive_setup setup;
	struct archive_tap tap;
	uint64_t opened; /* sequence of the kv then */
	_Atomic bool is_canceled;
	_Atomic bool is_woken, is_wake_posted, may_post;

	/* Of the loop. */
	bool has_started, is_running;
	struct task start_task, wake_task, cancel_task;
	struct timer timer;
	uint64_t retry_ms; /* no full copy is begun before */
	uint64_t step_ms; /* no part of one is copied before */
	uint64_t flush_ms; /* the log is flushed then; 0: it need not be */
	struct work work;

	/* Of the worker, and of the loop while it does not run. */
	bool has_adopted;
	bool wants_sync; /* of the next run */
	bool may_begin, may_step; /* likewise */
	bool has_ended; /* a full copy, in the last run */
	struct archive_files files;
	uint64_t chain; /* sequence that the newest complete archive's log has */
	bool has_gap; /* it goes no further */
	bool is_inside; /* of a commit: no log may end here */
	bool is_copying;
	uint64_t heard; /* sequence of the last COMMIT of the tap, since it was opened; 0: none */
	uint64_t copy_chain, copy_base; /* of the full copy being made; it is of no older states */
	bool copy_has_gap;
	uint64_t copy_rows, copy_len, step_len;
	uint8_t last_key[KV_KEY_LEN_MAX + 1];
	size_t last_key_len;
	uint8_t *rows; /* ARCHIVE_ROWS_LEN_MAX while a full copy is made */
	enum err copy_err; /* of the last one */
	uint64_t full_len, log_len, changed_len;

	pthread_mutex_t lock;
	struct index_archive_status status;
	unsigned offered_count, offered_copies; /* homes, with those that nobody uses yet */
};

static bool is_canceled(struct index_archive *archive)
{
	return atomic_load(&archive->is_canceled);
}

/* --- on the worker: what is told -------------------------------------------------------------- */

static void tell(struct index_archive *archive)
{
	pthread_mutex_lock(&archive->lock);
	struct index_archive_status *status = &archive->status;
	status->err = archive->copy_err;
	status->copies = archive->files.complete > 0 ? archive_files_count(&archive->files) : 0;
	status->is_complete = archive->files.complete > 0;
	status->is_copying = archive->is_copying;
	status->is_behind = archive->has_gap;
	status->generation = archive->files.complete;
	status->full_len = archive->full_len;
	status->log_len = archive->log_len;
	status->changed_len = archive->changed_len;
	status->written_len = archive->files.written_len;
	if (!archive->files.log.is_dirty)
		status->waiting_ms = 0;
	else if (status->waiting_ms == 0)
		status->waiting_ms = clock_wall_ms(archive->setup.clock);
	pthread_mutex_unlock(&archive->lock);
}

static void told_flush(struct index_archive *archive)
{
	pthread_mutex_lock(&archive->lock);
	archive->status.log_index = place_complete(archive->chain);
	archive->status.flushed_ms = clock_wall_ms(archive->setup.clock);
	pthread_mutex_unlock(&archive->lock);
}

/* --- on the worker: commits ------------------------------------------------------------------- */

static enum err write_chunk(struct index_archive *archive, const struct archive_chunk *chunk)
{
	uint8_t body[ARCHIVE_COMMIT_LEN];
	struct archive_frame frame = {.kind = chunk->kind,
		.rows = chunk->rows,
		.body = bytes_make(chunk->bytes, chunk->len)};
	if (chunk->kind == ARCHIVE_COMMIT) {
		archive_commit_encode(chunk, clock_wall_ms(archive->setup.clock), body);
		frame.body = bytes_make(body, sizeof body);
	}
	archive->log_len += chunk->len;
	archive->changed_len += chunk->len;
	return archive_stream_write(&archive->files, &archive->files.log, &frame);
}

/* Nothing is written behind a gap: it could not be played. */
static void meet_gap(struct index_archive *archive)
{
	archive->has_gap = true;
	archive->copy_has_gap = true;
	archive->is_inside = false; /* its end does not come */
	archive->heard = 0;
	archive_tap_set(&archive->tap, false);
}

static void take_chunk(struct index_archive *archive, const struct archive_chunk *chunk)
{
	bool is_of_use = !archive->has_gap || (archive->is_copying && !archive->copy_has_gap);
	if (!is_of_use)
		return;
	if (write_chunk(archive, chunk) != ERR_OK) {
		meet_gap(archive);
		return;
	}
	if (chunk->kind != ARCHIVE_COMMIT)
		return;
	archive_follow(&archive->chain, &archive->has_gap, chunk->before, chunk->sequence);
	archive_follow(
		&archive->copy_chain, &archive->copy_has_gap, chunk->before, chunk->sequence);
}

static void drain(struct index_archive *archive)
{
	struct archive_chunk *chunk = archive_tap_take(&archive->tap);
	while (chunk) {
		struct archive_chunk *next = chunk->next;
		archive->is_inside = chunk->kind == ARCHIVE_ROWS;
		if (chunk->kind == ARCHIVE_COMMIT)
			archive->heard = chunk->sequence;
		take_chunk(archive, chunk);
		free(chunk);
		chunk = next;
	}
}

static void sync_log(struct index_archive *archive)
{
	if (!archive->files.log.is_dirty)
		return;
	if (archive_stream_sync(&archive->files, &archive->files.log) == ERR_OK)
		told_flush(archive);
	else
		meet_gap(archive);
}

/* --- on the worker: what is there at a start -------------------------------------------------- */

struct adopted {
	uint64_t generation, top_log, full_len;
	struct archive_chain chain;
};

static void look_at_home(struct index_archive *archive, unsigned home, struct adopted *found)
{
	struct disk *disk = archive->setup.homes[home].disk;
	struct archive_list list;
	if (archive_list(disk, &list) == ERR_OK) {
		uint64_t *top = &archive->files.top;
		for (size_t i = 0; i < list.log_count; i++)
			archive_files_clean(&archive->files, home, list.logs[i]);
		if (list.log_count > 0 && list.logs[list.log_count - 1] > *top)
			*top = list.logs[list.log_count - 1];
		if (list.full_count > 0 && list.fulls[list.full_count - 1] > *top)
			*top = list.fulls[list.full_count - 1];
		for (size_t i = list.full_count; i > 0 && !found->generation; i--) {
			struct archive_full full;
			if (archive_look(disk, list.fulls[i - 1], &list, &full, &found->chain) !=
					ERR_OK ||
				!id_is_equal(full.node, archive->setup.node))
				continue;
			found->generation = list.fulls[i - 1];
			found->full_len = full.rows_len;
			found->top_log = list.log_count ? list.logs[list.log_count - 1] : 0;
		}
	}
	archive_list_free(&list);
}

/* Goes on with the newest archive, on the drives that have all of it. One that is ahead of the log
 * is marked as ended, where it is. */
static void adopt(struct index_archive *archive)
{
	static const struct archive_frame end = {.kind = ARCHIVE_BREAK};
	struct adopted found[ARCHIVE_HOMES_MAX] = {0}, *best = &found[0];
	archive->has_adopted = true;
	archive->has_gap = true;
	for (unsigned i = 0; i < archive->setup.home_count && !is_canceled(archive); i++) {
		look_at_home(archive, i, &found[i]);
		if (found[i].generation && found[i].chain.sequence > best->chain.sequence)
			best = &found[i];
	}
	if (!best->generation)
		return;
	for (unsigned i = 0; i < archive->setup.home_count; i++)
		if (found[i].generation == best->generation && found[i].top_log == best->top_log &&
			archive_chain_is_same(&found[i].chain, &best->chain))
			err_ignore(archive_log_continue(&archive->files, i, best->top_log,
				&best->chain)); /* then without this one */
	archive->files.complete = best->generation;
	archive->chain = best->chain.sequence;
	archive->full_len = best->full_len;
	archive->log_len = best->chain.rows_len;
	bool is_ahead = place_complete(archive->chain) > archive->setup.log_last;
	archive->has_gap = is_ahead || archive->chain < archive->opened ||
		archive_files_count(&archive->files) == 0;
	if (is_ahead && archive_files_count(&archive->files) > 0)
		err_ignore(archive_stream_write(
			&archive->files, &archive->files.log, &end)); /* then on no drive */
	/* What a process that was killed wrote may not go with the power later. */
	archive->files.log.is_dirty = archive_files_count(&archive->files) > 0;
	sync_log(archive);
}

/* --- on the worker: full copies --------------------------------------------------------------- */

static void end_copy(struct index_archive *archive, enum err err)
{
	archive->is_copying = false;
	archive->has_ended = true;
	archive->copy_err = err;
	free(archive->rows);
	archive->rows = NULL;
	if (err != ERR_OK)
		archive_files_drop(&archive->files);
	trace_event(archive->setup.trace,
		err == ERR_OK || err == ERR_BUSY ? TRACE_INFO : TRACE_WARNING, 0,
		"archive of the index: full copy %llu, %llu rows, %llu bytes: %s",
		(unsigned long long)archive->files.full.generation,
		(unsigned long long)archive->copy_rows, (unsigned long long)archive->copy_len,
		err_text(err));
}

/* The commits from now on are recorded first, the state is looked at then: what lies between shows
 * as a gap (A2). The kv may still make the last COMMIT, and under load mostly does: its rows are
 * not in the new log, so that the copy begins when the kv has them. */
static void begin_copy(struct index_archive *archive)
{
	uint64_t base = 0;
	archive->is_copying = true;
	archive->copy_has_gap = false;
	archive->copy_rows = archive->copy_len = 0;
	archive->last_key_len = archive->last_key[0] = 0;
	archive->log_len = 0;
	archive_tap_set(&archive->tap, true);
	archive->rows = malloc(ARCHIVE_ROWS_LEN_MAX);
	enum err err = archive->rows ? ERR_OK : ERR_NO_MEMORY;
	if (err == ERR_OK)
		err = archive_look_at_kv(archive->setup.kv, &base);
	if (base < archive->heard)
		base = archive->heard;
	archive->copy_chain = archive->copy_base = base;
	if (err == ERR_OK)
		err = archive_files_begin(&archive->files, base);
	if (err != ERR_OK) {
		meet_gap(archive);
		end_copy(archive, err);
	}
}

static enum err finish_copy(struct index_archive *archive, uint64_t sequence)
{
	uint8_t body[ARCHIVE_LAST_LEN];
	drain(archive);
	if (archive->copy_has_gap || archive->copy_chain < sequence)
		return ERR_BUSY; /* (A3) cannot hold */
	put_le64(body, sequence);
	put_le64(body + 8, archive->copy_rows);
	put_le64(body + 16, archive->copy_len);
	struct archive_frame last = {.kind = ARCHIVE_LAST, .body = bytes_make(body, sizeof body)};
	struct archive_newest newest = {.node = archive->setup.node,
		.generation = archive->files.full.generation,
		.sequence = archive->copy_chain,
		.time_ms = clock_wall_ms(archive->setup.clock)};
	enum err err = archive_stream_write(&archive->files, &archive->files.full, &last);
	if (err == ERR_OK)
		err = archive_files_end(&archive->files, &newest);
	if (err != ERR_OK)
		return err;
	archive->chain = archive->copy_chain;
	archive->has_gap = false;
	archive->full_len = archive->copy_len;
	told_flush(archive);
	return ERR_OK;
}

/* Copies some rows of one view of the kv; *ret_is_over: they were the last. */
static enum err copy_rows(
	struct index_archive *archive, struct kv_reader *reader, bool *ret_is_over)
{
	struct bytes key, value;
	struct archive_frame frame = {.kind = ARCHIVE_ROWS};
	size_t len = 0;
	enum err err = kv_seek(
		reader, bytes_make(archive->last_key, archive->last_key_len + 1), &key, &value);
	while (err == ERR_OK && archive_row_put(archive->rows, &len, key, value)) {
		frame.rows++;
		memcpy(archive->last_key, key.data, key.len);
		archive->last_key_len = key.len;
		err = kv_next(reader, &key, &value);
	}
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	archive->last_key[archive->last_key_len] = 0; /* what is sought is behind it */
	*ret_is_over = err == ERR_NOT_FOUND;
	archive->copy_rows += frame.rows;
	archive->copy_len += len;
	archive->step_len = len;
	frame.body = bytes_make(archive->rows, len);
	return len > 0 ? archive_stream_write(&archive->files, &archive->files.full, &frame)
		       : ERR_OK;
}

static void step_copy(struct index_archive *archive)
{
	struct kv_reader *reader;
	bool is_over = false;
	uint64_t sequence = 0;
	enum err err = kv_reader_open(archive->setup.kv, &reader);
	if (err == ERR_OK) {
		err = kv_reader_begin(reader);
		if (err == ERR_OK) {
			err = archive_read_sequence(reader, &sequence);
			if (err == ERR_OK && sequence >= archive->copy_base)
				err = copy_rows(archive, reader, &is_over);
			kv_reader_end(reader);
		}
		kv_reader_close(reader);
	}
	if (err == ERR_OK && archive->copy_has_gap)
		err = ERR_BUSY;
	if (err == ERR_OK && is_over)
		err = finish_copy(archive, sequence);
	if (err != ERR_OK || is_over)
		end_copy(archive, err);
}

/* Is a full copy due (A6)? */
static bool is_due(struct index_archive *archive)
{
	pthread_mutex_lock(&archive->tap.lock);
	bool has_rows = archive->tap.has_committed;
	pthread_mutex_unlock(&archive->tap.lock);
	unsigned count = archive_files_count(&archive->files);
	unsigned spare = archive_files_spare(&archive->files);
	if (!has_rows || archive->is_copying || archive->is_inside || count + spare == 0)
		return false;
	uint64_t most = archive->full_len / LOG_SHARE;
	uint64_t least = archive->setup.log_len_min ? archive->setup.log_len_min
						    : ARCHIVE_LOG_LEN_MIN;
	if (most < least)
		most = least;
	bool is_loose = archive->full_len > least &&
		archive->full_len / 3 * 2 > kv_used(archive->setup.kv);
	return archive->has_gap || archive->files.complete == 0 || archive->log_len > most ||
		is_loose || (count < archive->setup.copies && spare > 0);
}

/* --- one work --------------------------------------------------------------------------------- */

static void work_run(struct work *work)
{
	struct index_archive *archive = CONTAINER_OF(work, struct index_archive, work);
	if (!archive->has_adopted)
		adopt(archive);
	drain(archive);
	if (archive_tap_is_closed(&archive->tap))
		meet_gap(archive);
	archive->step_len = 0;
	archive->has_ended = false;
	if (archive->is_copying && archive->may_step && !is_canceled(archive))
		step_copy(archive);
	else if (archive->may_begin && is_due(archive) && !is_canceled(archive))
		begin_copy(archive);
	if (archive->wants_sync)
		sync_log(archive);
	tell(archive);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static unsigned wanted(const struct index_archive_setup *setup)
{
	return setup->copies < setup->home_count ? setup->copies : setup->home_count;
}

/* Drives that were added; not while the worker runs. */
static void take_offers(struct index_archive *archive)
{
	struct index_archive_setup *setup = &archive->setup;
	pthread_mutex_lock(&archive->lock);
	if (setup->home_count < archive->offered_count) {
		setup->home_count = archive->offered_count;
		setup->copies = archive->offered_copies;
		archive->status.wanted = setup->copies < setup->home_count ? setup->copies
									   : setup->home_count;
	}
	pthread_mutex_unlock(&archive->lock);
}

static void advance(struct index_archive *archive)
{
	if (!archive->has_started || archive->is_running || is_canceled(archive))
		return;
	take_offers(archive);
	uint64_t now_ms = loop_now_ms(archive->setup.loop), next_ms = UINT64_MAX;
	bool is_woken = atomic_exchange(&archive->is_woken, false) || !archive->has_adopted;
	bool is_begin_due = is_due(archive);
	archive->wants_sync = archive->flush_ms > 0 && now_ms >= archive->flush_ms;
	archive->may_begin = now_ms >= archive->retry_ms;
	bool is_step_due = archive->is_copying && now_ms >= archive->step_ms;
	if (is_woken || archive->wants_sync || is_step_due ||
		(is_begin_due && archive->may_begin)) {
		archive->may_step = is_step_due;
		archive->is_running = true;
		worker_submit(archive->setup.worker, &archive->work);
		return;
	}
	if (archive->flush_ms > 0)
		next_ms = archive->flush_ms;
	if (archive->is_copying && archive->step_ms < next_ms)
		next_ms = archive->step_ms;
	if (is_begin_due && archive->retry_ms < next_ms)
		next_ms = archive->retry_ms;
	if (next_ms != UINT64_MAX)
		timer_set(archive->setup.loop, &archive->timer, next_ms - now_ms);
}

static void work_done(struct work *work)
{
	struct index_archive *archive = CONTAINER_OF(work, struct index_archive, work);
	uint64_t now_ms = loop_now_ms(archive->setup.loop);
	archive->is_running = false;
	if (archive->has_ended && archive->copy_err != ERR_OK)
		archive->retry_ms = now_ms + (archive->copy_err == ERR_BUSY ? AGAIN_MS : RETRY_MS);
	if (archive->is_copying && archive->may_step)
		archive->step_ms = now_ms +
			(archive->step_len ? archive->step_len * 1000 / archive->setup.rate
					   : STEP_WAIT_MS);
	if (!archive->files.log.is_dirty)
		archive->flush_ms = 0;
	else if (archive->flush_ms == 0 || archive->wants_sync)
		archive->flush_ms = now_ms + archive->setup.interval_ms;
	advance(archive);
}

static void timer_fired(struct timer *timer)
{
	advance(CONTAINER_OF(timer, struct index_archive, timer));
}

static void wake_run(struct task *task)
{
	struct index_archive *archive = CONTAINER_OF(task, struct index_archive, wake_task);
	atomic_store(&archive->is_wake_posted, false);
	advance(archive);
}

static void start_run(struct task *task)
{
	struct index_archive *archive = CONTAINER_OF(task, struct index_archive, start_task);
	archive->has_started = true;
	advance(archive);
}

static void cancel_run(struct task *task)
{
	struct index_archive *archive = CONTAINER_OF(task, struct index_archive, cancel_task);
	timer_cancel(archive->setup.loop, &archive->timer);
}

static void wake(struct index_archive *archive)
{
	atomic_store(&archive->is_woken, true);
	if (atomic_load(&archive->may_post) && !atomic_exchange(&archive->is_wake_posted, true))
		loop_post(archive->setup.loop, &archive->wake_task);
}

/* On the committing thread. Before the start everything stays in the queue. */
static void tap_wakes(struct archive_tap *tap)
{
	wake(CONTAINER_OF(tap, struct index_archive, tap));
}

/* --- opening and closing ---------------------------------------------------------------------- */

enum err index_archive_new(
	const struct index_archive_setup *setup, struct index_archive **ret_archive)
{
	assert(setup->home_count <= ARCHIVE_HOMES_MAX && setup->copies <= ARCHIVE_COPIES_MAX);
	struct index_archive *archive = calloc(1, sizeof *archive);
	if (!archive)
		return ERR_NO_MEMORY;
	archive->magic = ARCHIVE_MAGIC;
	archive->setup = *setup;
	archive->setup.rate = setup->rate ? setup->rate : ARCHIVE_RATE_DEFAULT;
	if (setup->interval_ms == 0)
		archive->setup.interval_ms = ARCHIVE_INTERVAL_MS_DEFAULT;
	archive->files.setup = &archive->setup;
	archive->files.frame = malloc(archive_frame_cap());
	enum err err = archive->files.frame ? archive_look_at_kv(setup->kv, &archive->opened)
					    : ERR_NO_MEMORY;
	if (err != ERR_OK) {
		free(archive->files.frame);
		free(archive);
		return err;
	}
	archive_tap_init(&archive->tap, setup->kv, archive->opened, tap_wakes);
	pthread_mutex_init(&archive->lock, NULL);
	archive->offered_count = setup->home_count;
	archive->status.wanted = wanted(setup);
	archive->start_task.run = start_run;
	archive->wake_task.run = wake_run;
	archive->cancel_task.run = cancel_run;
	archive->timer.fire = timer_fired;
	archive->work = (struct work){.run = work_run, .done = work_done, .loop = setup->loop};
	*ret_archive = archive;
	return ERR_OK;
}

struct kv *index_archive_kv(struct index_archive *archive)
{
	return &archive->tap.kv;
}

void index_archive_attach(struct index_archive *archive, const struct index *index)
{
	archive->tap.index = index;
}

void index_archive_start(struct index_archive *archive)
{
	assert(archive->magic == ARCHIVE_MAGIC && !atomic_load(&archive->may_post));
	atomic_store(&archive->may_post, true);
	loop_post(archive->setup.loop, &archive->start_task);
}

enum err index_archive_add(
	struct index_archive *archive, const struct archive_home *home, unsigned copies)
{
	assert(copies <= ARCHIVE_COPIES_MAX);
	pthread_mutex_lock(&archive->lock);
	bool has_room = archive->offered_count < ARCHIVE_HOMES_MAX;
	if (has_room) { /* nobody looks behind home_count */
		archive->setup.homes[archive->offered_count++] = *home;
		archive->offered_copies = copies;
	}
	pthread_mutex_unlock(&archive->lock);
	if (has_room)
		wake(archive);
	return has_room ? ERR_OK : ERR_LIMIT;
}

void index_archive_cancel(struct index_archive *archive)
{
	bool was_canceled = atomic_exchange(&archive->is_canceled, true);
	if (!was_canceled && atomic_load(&archive->may_post))
		loop_post(archive->setup.loop, &archive->cancel_task);
}

void index_archive_free(struct index_archive *archive)
{
	if (!archive)
		return;
	assert(archive->magic == ARCHIVE_MAGIC);
	if (archive->has_adopted) {
		drain(archive);
		sync_log(archive);
	}
	archive_files_close(&archive->files);
	archive_tap_fini(&archive->tap);
	pthread_mutex_destroy(&archive->lock);
	archive->magic = 0;
	free(archive->rows);
	free(archive);
}

void index_archive_status(struct index_archive *archive, struct index_archive_status *ret_status)
{
	pthread_mutex_lock(&archive->lock);
	*ret_status = archive->status;
	pthread_mutex_unlock(&archive->lock);
}
