/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and committing a buffer; reading is in buffer_view.c.
 *
 *   active --freeze--> frozen --commit--> (in the kv) --last view ends--> free
 *
 * The writer decides everything: it freezes when the active generation is full, due, or asked for,
 * no older one is being committed, and a free arena is there. The committer gets the frozen
 * generation by message and answers by message. Invariants (B1) to (B5) are in the header.
 *
 * A freeze may come while a command is open only at buffer_begin(), before its first row; and the
 * committer passes over rows later than the last published sequence, so that a command which never
 * ended is in no commit (B2). */
#include "storage/buffer_priv.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER_MAGIC 0x62756666u

/* --- committing: on the committer ------------------------------------------------------------- */

static enum err commit_row(struct buffer *buffer, const struct buffer_node *node)
{
	struct bytes key = buffer_node_key(node);
	if (buffer_node_is_removal(node))
		return kv_remove(buffer->setup.kv, key);
	return kv_put(buffer->setup.kv, key, buffer_node_value(node));
}

/* Writes the newest row of each key up to the generation's last sequence, in the order of keys. */
static enum err commit_rows(struct buffer *buffer, struct buffer_generation *generation)
{
	const struct buffer_list *list = &generation->list;
	uint64_t last = generation->last_sequence;
	const struct buffer_node *node = buffer_list_seek(list, bytes_make(NULL, 0));
	node = buffer_list_visible(list, node, last);
	for (; node; node = buffer_list_next_key(list, node, last)) {
		enum err err = commit_row(buffer, node);
		if (err != ERR_OK)
			return err;
	}
	uint8_t applied[8];
	put_le64(applied, last);
	return kv_put(
		buffer->setup.kv, buffer->setup.applied_key, bytes_make(applied, sizeof applied));
}

static enum err commit_generation(struct buffer *buffer, struct buffer_generation *generation)
{
	struct kv *kv = buffer->setup.kv;
	enum err err = kv_write_begin(kv);
	if (err != ERR_OK)
		return err;
	err = commit_rows(buffer, generation);
	if (err != ERR_OK) {
		kv_abort(kv);
		return err;
	}
	atomic_store(&buffer->committing, generation->last_sequence);
	return kv_commit(kv);
}

static void commit_run(struct task *task)
{
	struct buffer *buffer = CONTAINER_OF(task, struct buffer, commit_task);
	assert(buffer->magic == BUFFER_MAGIC);
	buffer->commit_err = commit_generation(buffer, buffer->frozen);
	buffer->is_committed = buffer->commit_err == ERR_OK;
	loop_post(buffer->setup.writer, &buffer->done_task);
}

/* --- freezing: on the writer ------------------------------------------------------------------ */

/* An arena that nobody reads. */
static struct buffer_generation *find_free(struct buffer *buffer)
{
	for (int i = 0; i < BUFFER_ARENAS; i++) {
		struct buffer_generation *generation = &buffer->generations[i];
		if (generation != buffer->active && generation != buffer->frozen &&
			atomic_load(&generation->view_count) == 0)
			return generation;
	}
	return NULL;
}

static size_t active_count(const struct buffer *buffer)
{
	return atomic_load_explicit(&buffer->active->list.count, memory_order_relaxed);
}

/* Is there no room for one more command and the rows of freezing()? */
static bool is_full(const struct buffer *buffer)
{
	const struct buffer_list *list = &buffer->active->list;
	size_t wanted = buffer->setup.command_len + BUFFER_EXTRA_LEN;
	return active_count(buffer) >= buffer->setup.rows_max || list->len - list->used < wanted;
}

/* Is there enough for a commit of its own? Commits grow by themselves when they are slow. */
static bool is_big(const struct buffer *buffer)
{
	const struct buffer_setup *setup = &buffer->setup;
	return (setup->commit_rows > 0 && active_count(buffer) >= setup->commit_rows) ||
		(setup->commit_len > 0 && buffer->active->list.used >= setup->commit_len);
}

/* Does the active generation tell the kv anything? A command without rows still is applied. */
static bool has_uncommitted(const struct buffer *buffer)
{
	uint64_t before = buffer->frozen ? buffer->frozen->last_sequence
					 : atomic_load(&buffer->applied);
	return active_count(buffer) > 0 || atomic_load(&buffer->published) > before;
}

static bool can_freeze(struct buffer *buffer)
{
	return buffer->failed == ERR_OK && !buffer->frozen && has_uncommitted(buffer) &&
		find_free(buffer);
}

/* Lets the owner add rows of its own to the transaction. */
static void call_freezing(struct buffer *buffer)
{
	if (!buffer->setup.freezing)
		return;
	buffer->is_freezing = true;
	buffer->budget = BUFFER_EXTRA_LEN;
	buffer->sequence = atomic_load(&buffer->published);
	buffer->setup.freezing(buffer->setup.arg, buffer);
	buffer->is_freezing = false;
}

static void freeze(struct buffer *buffer)
{
	assert(!buffer->is_open && can_freeze(buffer));
	call_freezing(buffer);
	struct buffer_generation *fresh = find_free(buffer);
	buffer_list_reset(&fresh->list);
	buffer->active->last_sequence = atomic_load(&buffer->published);
	pthread_mutex_lock(&buffer->lock);
	buffer->frozen = buffer->active;
	buffer->active = fresh;
	pthread_mutex_unlock(&buffer->lock);
	buffer->is_committed = false;
	buffer->is_due = false;
	if (buffer->is_timer_set)
		timer_cancel(buffer->setup.writer, &buffer->timer);
	buffer->is_timer_set = false;
	loop_post(buffer->setup.committer, &buffer->commit_task);
}

/* Freezes if there is a reason to. */
static void advance(struct buffer *buffer)
{
	if (buffer->setup.is_replaying || buffer->is_open || !can_freeze(buffer))
		return;
	if (buffer->is_due || is_big(buffer) || is_full(buffer))
		freeze(buffer);
}

static void timer_fired(struct timer *timer)
{
	struct buffer *buffer = CONTAINER_OF(timer, struct buffer, timer);
	buffer->is_timer_set = false;
	buffer->is_due = true;
	advance(buffer);
}

/* Gives memory back to the system when there is nothing to do: idle is small. */
static void give_back(struct buffer *buffer)
{
	long page_len = sysconf(_SC_PAGESIZE);
	assert(page_len > 0);
	for (int i = 0; i < BUFFER_ARENAS; i++) {
		struct buffer_generation *generation = &buffer->generations[i];
		struct buffer_list *list = &generation->list;
		bool is_active = generation == buffer->active;
		if (!is_active && atomic_load(&generation->view_count) > 0)
			continue;
		size_t keep = is_active ? round_up(list->used, page_len) : 0;
		/* It is only advice: what stays is memory within (B5). */
		if (keep < list->len)
			(void)madvise(list->arena + keep, list->len - keep, MADV_DONTNEED);
	}
}

static void tell_room(struct buffer *buffer)
{
	int wanted = ROOM_WANTED;
	if (atomic_compare_exchange_strong(&buffer->room, &wanted, ROOM_UNASKED))
		buffer->setup.room(buffer->setup.arg);
}

static void done_run(struct task *task)
{
	struct buffer *buffer = CONTAINER_OF(task, struct buffer, done_task);
	assert(buffer->magic == BUFFER_MAGIC && buffer->frozen);
	if (!buffer->is_committed) {
		buffer->failed = buffer->commit_err;
		buffer->setup.failed(buffer->setup.arg, buffer->failed);
		return;
	}
	uint64_t applied = buffer->frozen->last_sequence;
	pthread_mutex_lock(&buffer->lock);
	buffer->frozen = NULL;
	pthread_mutex_unlock(&buffer->lock);
	atomic_store(&buffer->applied, applied);
	advance(buffer);
	if (!buffer->frozen && !buffer->is_open && !has_uncommitted(buffer))
		give_back(buffer);
	if (buffer->setup.committed)
		buffer->setup.committed(buffer->setup.arg, applied);
	tell_room(buffer);
}

static void room_run(struct task *task)
{
	struct buffer *buffer = CONTAINER_OF(task, struct buffer, room_task);
	assert(buffer->magic == BUFFER_MAGIC);
	atomic_store(&buffer->room, ROOM_UNASKED);
	advance(buffer);
	buffer->setup.room(buffer->setup.arg);
}

void buffer_generation_released(struct buffer *buffer)
{
	int wanted = ROOM_WANTED;
	if (atomic_compare_exchange_strong(&buffer->room, &wanted, ROOM_POSTED))
		loop_post(buffer->setup.writer, &buffer->room_task);
}

/* --- replaying: before the loops run ---------------------------------------------------------- */

/* Commits the active generation on this thread, and goes on in it. */
static enum err commit_here(struct buffer *buffer)
{
	assert(atomic_load(&buffer->active->view_count) == 0);
	call_freezing(buffer);
	buffer->active->last_sequence = atomic_load(&buffer->published);
	buffer->failed = commit_generation(buffer, buffer->active);
	if (buffer->failed != ERR_OK)
		return buffer->failed;
	atomic_store(&buffer->applied, buffer->active->last_sequence);
	buffer_list_reset(&buffer->active->list);
	return ERR_OK;
}

static void set_timer(struct buffer *buffer)
{
	if (buffer->is_timer_set || buffer->is_due)
		return;
	buffer->is_timer_set = true;
	timer_set(buffer->setup.writer, &buffer->timer, buffer->setup.idle_ms);
}

static void start_run(struct task *task)
{
	struct buffer *buffer = CONTAINER_OF(task, struct buffer, start_task);
	assert(buffer->magic == BUFFER_MAGIC);
	if (has_uncommitted(buffer))
		set_timer(buffer);
}

void buffer_start(struct buffer *buffer)
{
	assert(buffer->magic == BUFFER_MAGIC && buffer->setup.is_replaying);
	buffer->setup.is_replaying = false;
	loop_post(buffer->setup.writer, &buffer->start_task);
}

/* --- writing ---------------------------------------------------------------------------------- */

enum err buffer_begin(struct buffer *buffer, uint64_t sequence)
{
	assert(buffer->magic == BUFFER_MAGIC);
	assert(sequence > atomic_load(&buffer->published));
	if (buffer->failed != ERR_OK || buffer->is_broken)
		return buffer->failed != ERR_OK ? buffer->failed : ERR_LIMIT;
	assert(!buffer->is_open);
	if (is_full(buffer) && buffer->setup.is_replaying) {
		enum err err = commit_here(buffer);
		if (err != ERR_OK)
			return err;
	} else if (is_full(buffer) && !can_freeze(buffer)) {
		/* Asked for first, looked again second: a view that ends in between is not missed.
		 */
		int unasked = ROOM_UNASKED;
		atomic_compare_exchange_strong(&buffer->room, &unasked, ROOM_WANTED);
		if (!can_freeze(buffer))
			return ERR_BUSY;
		int wanted = ROOM_WANTED;
		atomic_compare_exchange_strong(&buffer->room, &wanted, ROOM_UNASKED);
	}
	if (is_full(buffer))
		freeze(buffer);
	assert(!is_full(buffer));
	buffer->is_open = true;
	buffer->sequence = sequence;
	buffer->budget = buffer->setup.command_len;
	return ERR_OK;
}

static enum err change(struct buffer *buffer, struct bytes key, struct bytes value)
{
	assert(buffer->magic == BUFFER_MAGIC && (buffer->is_open || buffer->is_freezing));
	assert(key.len > 0 && key.len <= KV_KEY_LEN_MAX && value.len <= KV_VALUE_LEN_MAX);
	size_t len = buffer_row_len(key.len, value.len);
	if (len > buffer->budget)
		buffer->is_broken = true;
	if (buffer->is_broken)
		return ERR_LIMIT;
	buffer->budget -= len;
	buffer_list_insert(&buffer->active->list, buffer->sequence, key, value);
	return ERR_OK;
}

enum err buffer_put(struct buffer *buffer, struct bytes key, struct bytes value)
{
	static const uint8_t empty[1];
	if (value.len == 0)
		value.data = empty; /* NULL is a removal */
	return change(buffer, key, value);
}

enum err buffer_remove(struct buffer *buffer, struct bytes key)
{
	return change(buffer, key, bytes_make(NULL, 0));
}

void buffer_publish(struct buffer *buffer)
{
	assert(buffer->magic == BUFFER_MAGIC && buffer->is_open);
	assert(!buffer->is_broken);
	buffer->is_open = false;
	atomic_store(&buffer->published, buffer->sequence);
	if (!buffer->setup.is_replaying)
		set_timer(buffer);
	advance(buffer);
}

void buffer_commit(struct buffer *buffer)
{
	assert(buffer->magic == BUFFER_MAGIC && !buffer->is_open);
	if (!has_uncommitted(buffer))
		return;
	buffer->is_due = true;
	advance(buffer);
}

uint64_t buffer_published(const struct buffer *buffer)
{
	return atomic_load(&buffer->published);
}

uint64_t buffer_applied(const struct buffer *buffer)
{
	return atomic_load(&buffer->applied);
}

size_t buffer_row_count(struct buffer *buffer)
{
	pthread_mutex_lock(&buffer->lock);
	size_t count = active_count(buffer);
	if (buffer->frozen)
		count += atomic_load_explicit(&buffer->frozen->list.count, memory_order_relaxed);
	pthread_mutex_unlock(&buffer->lock);
	return count;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static enum err read_applied(struct buffer *buffer, uint64_t *ret_applied)
{
	struct kv_reader *reader;
	enum err err = kv_reader_open(buffer->setup.kv, &reader);
	if (err != ERR_OK)
		return err;
	err = kv_reader_begin(reader);
	if (err == ERR_OK) {
		struct bytes value;
		err = kv_get(reader, buffer->setup.applied_key, &value);
		if (err == ERR_NOT_FOUND) {
			*ret_applied = 0;
			err = ERR_OK;
		} else if (err == ERR_OK && value.len != 8) {
			err = ERR_CORRUPT;
		} else if (err == ERR_OK) {
			*ret_applied = get_le64(value.data);
		}
		kv_reader_end(reader);
	}
	kv_reader_close(reader);
	return err;
}

static void buffer_free(struct buffer *buffer)
{
	for (int i = 0; i < BUFFER_ARENAS; i++)
		if (buffer->generations[i].list.arena)
			munmap(buffer->generations[i].list.arena, buffer->setup.arena_len);
	pthread_mutex_destroy(&buffer->lock);
	buffer->magic = 0;
	free(buffer);
}

static enum err map_arenas(struct buffer *buffer)
{
	for (int i = 0; i < BUFFER_ARENAS; i++) {
		void *arena = mmap(NULL, buffer->setup.arena_len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (arena == MAP_FAILED)
			return ERR_NO_MEMORY;
		buffer->generations[i].list.arena = arena;
		buffer->generations[i].list.len = buffer->setup.arena_len;
	}
	return ERR_OK;
}

enum err buffer_new(const struct buffer_setup *setup, struct buffer **ret_buffer)
{
	assert(setup->kv && setup->writer && setup->committer && setup->room && setup->failed);
	assert(setup->applied_key.len > 0);
	assert(setup->applied_key.len <= BUFFER_APPLIED_KEY_LEN_MAX);
	assert(setup->arena_len >= 4 * (setup->command_len + BUFFER_EXTRA_LEN));
	assert(setup->rows_max > 0);
	struct buffer *buffer = calloc(1, sizeof *buffer);
	if (!buffer)
		return ERR_NO_MEMORY;
	buffer->magic = BUFFER_MAGIC;
	buffer->setup = *setup;
	memcpy(buffer->applied_key, setup->applied_key.data, setup->applied_key.len);
	buffer->setup.applied_key.data = buffer->applied_key;
	pthread_mutex_init(&buffer->lock, NULL);
	buffer->timer.fire = timer_fired;
	buffer->commit_task.run = commit_run;
	buffer->done_task.run = done_run;
	buffer->room_task.run = room_run;
	buffer->start_task.run = start_run;
	enum err err = map_arenas(buffer);
	uint64_t applied = 0;
	if (err == ERR_OK)
		err = read_applied(buffer, &applied);
	if (err != ERR_OK) {
		buffer_free(buffer);
		return err;
	}
	atomic_init(&buffer->applied, applied);
	atomic_init(&buffer->published, applied);
	atomic_init(&buffer->committing, applied);
	buffer->active = &buffer->generations[0];
	buffer_list_reset(&buffer->active->list);
	*ret_buffer = buffer;
	return ERR_OK;
}

/* Commits what is left, the older generation first. */
static enum err commit_rest(struct buffer *buffer)
{
	if (buffer->failed != ERR_OK)
		return buffer->failed;
	enum err err = ERR_OK;
	if (buffer->frozen && !buffer->is_committed)
		err = commit_generation(buffer, buffer->frozen);
	if (err != ERR_OK || !has_uncommitted(buffer))
		return err;
	if (!buffer->is_broken)
		call_freezing(buffer);
	buffer->active->last_sequence = atomic_load(&buffer->published);
	return commit_generation(buffer, buffer->active);
}

enum err buffer_close(struct buffer *buffer)
{
	if (!buffer)
		return ERR_OK;
	assert(buffer->magic == BUFFER_MAGIC);
	assert(atomic_load(&buffer->view_count) == 0);
	enum err err = commit_rest(buffer);
	buffer_free(buffer);
	return err;
}
