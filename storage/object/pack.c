/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/object/pack_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define GUESS_LEN_MIN (1u << 20) /* of what is expected: below, only what is there is announced */
#define OPEN_LEN_MAX (1u << 20) /* what may be behind a zipped body that is open */
#define GUESS_LEN_MAX (64u << 20)
#define GUESSES_MAX 32 /* what was wrong so often is not trusted any more */

static void advance(struct pack *pack);

static void run_advance(struct task *task)
{
	struct pack *pack = CONTAINER_OF(task, struct pack, task);
	assert(pack->magic == PACK_MAGIC);
	pack->is_posted = false;
	advance(pack);
}

void pack_advance_soon(struct pack *pack)
{
	if (pack->is_posted)
		return;
	pack->is_posted = true;
	loop_post(pack_store(pack)->loop, &pack->task);
}

void pack_fail(struct pack *pack, enum err err)
{
	if (pack->err == ERR_OK)
		pack->err = err;
	pack_advance_soon(pack);
}

static bool is_with_owner(const struct pack *pack)
{
	return pack->chunks[0].is_with_owner || pack->chunks[1].is_with_owner;
}

/* A chunk that was digested and made into frames takes bytes again. */
static void settle_chunks(struct pack *pack)
{
	for (unsigned i = 0; i < PACK_CHUNKS_MAX; i++) {
		struct pack_chunk *chunk = &pack->chunks[i];
		if (chunk->is_full && !chunk->is_with_owner &&
			chunk->packed_len == chunk->filled_len) {
			chunk->is_full = false;
			chunk->filled_len = chunk->packed_len = 0;
		}
	}
}

/* --- the put ---------------------------------------------------------------------------------- */

static struct pack *of_put(struct put *put)
{
	struct pack *pack = CONTAINER_OF(put, struct pack, put);
	assert(pack->magic == PACK_MAGIC);
	return pack;
}

static void room_came(struct put *put)
{
	struct pack *pack = of_put(put);
	if (pack->has_frames)
		advance(pack);
	else
		pack->setup.room(pack);
}

/* Frames of the put are what is stored; nobody has to see it. */
static void frame_came(struct put *put, struct put_frame *frame)
{
	struct pack *pack = of_put(put);
	if (pack->has_frames)
		put_frame_done(put, frame);
	else
		pack->setup.frame(pack, frame);
}

static void put_ended(struct put *put, enum err err)
{
	struct pack *pack = of_put(put);
	if (pack->has_frames && err) {
		pack->is_put_active = false;
		pack_fail(pack, err);
		return;
	}
	pack->is_durable = err == ERR_OK;
	if (err)
		pack->magic = 0;
	if (pack->has_frames && !is_with_owner(pack))
		pack_give_memory(pack);
	pack->setup.durable(pack, err);
}

static void put_discarded(struct put *put)
{
	struct pack *pack = of_put(put);
	pack->is_put_active = false;
	if (pack->has_frames) {
		pack_advance_soon(pack);
		return;
	}
	pack->magic = 0;
	pack->setup.discarded(pack);
}

static enum err begin_put(struct pack *pack, uint64_t len, bool is_open)
{
	struct put_setup setup = pack->setup.put;
	setup.hint.data = pack->hint;
	setup.len = len;
	setup.is_open = is_open;
	setup.is_packed = pack->has_frames && (pack->is_zipped || pack->is_sealed);
	setup.room = room_came;
	setup.frame = frame_came;
	setup.durable = put_ended;
	setup.discarded = put_discarded;
	enum err err = put_start(&pack->put, &setup);
	pack->is_put_active = err == ERR_OK;
	pack->is_closed = !is_open;
	return err;
}

/* What the client's bytes come to if none are zipped; what is announced of them, if more may come.
 */
static uint64_t plain_len(const struct pack *pack)
{
	return pack->is_sealed ? frame_sealed_len(pack->len) : pack->len;
}

/* How many more bytes than those in the stage are announced (K3). */
static uint64_t guess_more(struct pack *pack)
{
	if (!pack->is_zipped)
		return plain_len(pack) - pack->frames_len;
	uint64_t left = pack->len - pack->packed_len;
	uint64_t guess = (double)left * pack->frames_len / pack->packed_len * 3 / 4;
	guess = pack_at_most(guess, pack->frames_len);
	if (guess < GUESS_LEN_MIN)
		guess = 0;
	if (pack->guesses >= GUESSES_MAX) {
		uint64_t least = pack->guesses < GUESSES_MAX + 6
			? (uint64_t)GUESS_LEN_MIN << (pack->guesses - GUESSES_MAX)
			: GUESS_LEN_MAX;
		guess = guess > least ? guess : least;
		guess = pack_at_most(guess, pack->is_sealed ? frame_sealed_len(left) : left);
	}
	pack->guesses++;
	return pack_at_most(guess, GUESS_LEN_MAX - (pack->stage_len - pack->stage_from));
}

/* All of a zipped body is in the stage: it is as long as that, if not in the index itself, which is
 * for short ones with their table alone. */
static enum err begin_short(struct pack *pack)
{
	uint64_t table_len = frame_table_len(pack->len);
	uint64_t len = pack->stage_len;
	if (!pack->has_paid && !pack->is_sealed)
		pack->is_zipped = false; /* it is what the client sent */
	if (!pack->is_zipped)
		return begin_put(pack, len, false);
	if (table_len + len <= STORE_INLINE_LEN_MAX && frame_count(pack->len) <= FRAME_WINDOW) {
		memmove(pack->stage + table_len, pack->stage, len);
		memcpy(pack->stage, pack->table, table_len);
		pack->stage_len += table_len;
		pack->has_table_inside = true;
		len += table_len;
	} else if (len <= STORE_INLINE_LEN_MAX) {
		len = STORE_INLINE_LEN_MAX + 1;
	}
	return begin_put(pack, len, false);
}

/* The stage is full, and the put has not begun: where nothing paid so far, nothing is tried (K5).
 */
static enum err begin_long(struct pack *pack)
{
	if (pack->is_zipped && !pack->has_paid) {
		pack->is_zipped = false;
		free(pack->table);
		pack->table = NULL;
		pack->is_len_known = !pack->is_open;
	}
	return begin_put(
		pack, pack->frames_len + guess_more(pack), pack->is_zipped || pack->is_open);
}

/* Sees that the put expects what is in the stage. False: there may be more to come first. */
static bool announce(struct pack *pack, bool is_stage_full)
{
	if (!pack_is_packed(pack) && !is_stage_full)
		return false;
	uint64_t need = pack->given_len + (pack->stage_len - pack->stage_from);
	enum err err = ERR_OK;
	if (!pack->is_put_active && pack_is_packed(pack)) {
		err = begin_short(pack);
	} else if (!pack->is_put_active) {
		err = begin_long(pack);
	} else if (!pack->is_closed) {
		if (need > pack->put.setup.len)
			put_extend(&pack->put,
				need - pack->put.setup.len +
					(pack_is_packed(pack) ? 0 : guess_more(pack)));
		if (pack_is_packed(pack)) {
			put_close(&pack->put);
			pack->is_closed = true;
		}
	}
	if (err)
		pack_fail(pack, err);
	return err == ERR_OK;
}

/* Gives the put the stage, or padding when data is NULL, as far as it has room. Returns how many
 * bytes it took. */
static uint64_t feed(struct pack *pack, const uint8_t *data, uint64_t len)
{
	uint64_t fed_len = 0;
	while (fed_len < len) {
		uint8_t *buf;
		size_t cap;
		if (put_buffer(&pack->put, &buf, &cap) != ERR_OK)
			break; /* room() or the end of the put follows */
		size_t n = pack_at_most(cap, len - fed_len);
		if (data)
			memcpy(buf, data + fed_len, n);
		else
			memset(buf, 0, n);
		fed_len += n;
		put_filled(&pack->put, n);
	}
	pack->given_len += fed_len;
	return fed_len;
}

/* True: the stage has been emptied. */
static bool empty_stage(struct pack *pack)
{
	pack->stage_from += feed(
		pack, pack->stage + pack->stage_from, pack->stage_len - pack->stage_from);
	if (pack->stage_from < pack->stage_len)
		return false;
	pack->stage_from = pack->stage_len = 0;
	return true;
}

/* Is the put told all, and are there no frames? */
static bool is_plain(const struct pack *pack)
{
	return pack->is_closed && !pack->is_zipped && !pack->is_sealed;
}

/* What is left alone goes from the chunks to the put, once what is in the stage did. */
static void feed_chunks(struct pack *pack)
{
	struct pack_chunk *chunk;
	while ((chunk = pack_next_chunk(pack))) {
		uint32_t len = feed(pack, chunk->buf + chunk->packed_len,
			chunk->filled_len - chunk->packed_len);
		chunk->packed_len += len;
		pack->packed_len += len;
		pack->frames_len += len;
		if (chunk->packed_len < chunk->filled_len)
			return;
	}
}

/* --- deciding --------------------------------------------------------------------------------- */

static void unwind(struct pack *pack)
{
	if (pack->is_put_active && !pack->is_put_discarded) {
		pack->is_put_discarded = true;
		put_discard(&pack->put);
	}
	if (pack->is_put_active || is_with_owner(pack))
		return;
	pack_give_memory(pack);
	frame_seal_fini(&pack->seal);
	free(pack->table);
	pack->magic = 0;
	if (pack->is_discarded)
		pack->setup.discarded(pack);
	else
		pack->setup.durable(pack, pack->err);
}

static bool is_stage_full(const struct pack *pack)
{
	uint32_t need = pack_is_packed(pack) ? 0 : frame_len_at(pack->len, pack->next_frame);
	return pack->stage_cap - pack->stage_len < need + FRAME_TAG_LEN;
}

static bool has_room(const struct pack *pack)
{
	return !pack->chunks[pack->filling].is_full || !pack->chunks[!pack->filling].is_full;
}

static void advance(struct pack *pack)
{
	if (pack->is_posted)
		return; /* that one sees this fact too, and nothing is posted when the pack ends */
	if (pack->err || pack->is_discarded) {
		unwind(pack);
		return;
	}
	if (pack->is_durable || !pack->stage)
		return;
	if (!is_plain(pack))
		pack_make_frames(pack);
	/* Who knows the length need not wait for the stage to be full. */
	while (pack->stage_len > 0 && !pack->err) {
		bool is_due = is_stage_full(pack) || pack->is_len_known;
		if (!announce(pack, is_due) || !empty_stage(pack))
			break;
		if (!is_plain(pack))
			pack_make_frames(pack);
	}
	if (is_plain(pack) && pack->stage_len == 0 && !pack->err)
		feed_chunks(pack);
	if (!pack->err && pack_is_packed(pack) && pack->stage_len == 0 && pack->is_put_active)
		feed(pack, NULL, pack->put.setup.len - pack->given_len);
	settle_chunks(pack);
	if (!pack->wants_room || pack->err || pack->is_posted || !has_room(pack))
		return;
	pack->wants_room = false;
	pack->setup.room(pack);
}

/* --- public ----------------------------------------------------------------------------------- */

static enum err start_frames(struct pack *pack)
{
	pack_plan_memory(pack);
	pack->task.run = run_advance;
	if (pack->is_zipped) {
		pack->table = malloc(frame_table_len(pack->len));
		if (!pack->table)
			return ERR_NO_MEMORY;
	}
	enum err err = ERR_OK;
	if (pack->is_sealed)
		err = frame_seal_init(&pack->seal, pack->setup.key, false);
	pack->setup.key = NULL;
	if (err == ERR_OK && pack->is_len_known)
		err = begin_put(pack, plain_len(pack), false);
	return err;
}

enum err pack_start(struct pack *pack, const struct pack_setup *setup)
{
	assert(pack->magic != PACK_MAGIC);
	assert(setup->room && setup->frame && setup->durable && setup->discarded);
	memset(pack, 0, offsetof(struct pack, hint));
	pack->put.magic = 0;
	pack->setup = *setup;
	pack->len = setup->put.len;
	pack->is_open = setup->put.is_open;
	pack->is_zipped = setup->is_zipped && pack->len > 0 &&
		pack->len <= FRAME_ZIPPED_LEN_MAX - (pack->is_open ? OPEN_LEN_MAX : 0);
	pack->is_sealed = setup->key && pack->len > 0;
	pack->has_frames = pack->is_zipped || pack->is_sealed;
	pack->is_len_known = !pack->is_zipped && !pack->is_open;
	size_t hint_len = pack_at_most(setup->put.hint.len, sizeof pack->hint);
	memcpy(pack->hint, setup->put.hint.data, hint_len);
	pack->setup.put.hint = bytes_make(pack->hint, hint_len);
	pack->magic = PACK_MAGIC;
	enum err err = pack->has_frames ? start_frames(pack)
					: begin_put(pack, pack->len, pack->is_open);
	if (err) {
		frame_seal_fini(&pack->seal);
		free(pack->table);
		pack->magic = 0;
	}
	return err;
}

void pack_frame_done(struct pack *pack, struct put_frame *frame)
{
	assert(pack->magic == PACK_MAGIC);
	if (!pack->has_frames) {
		put_frame_done(&pack->put, frame);
		return;
	}
	struct pack_chunk *chunk = CONTAINER_OF(frame, struct pack_chunk, frame);
	assert(chunk->is_with_owner);
	chunk->is_with_owner = false;
	if (!pack->is_durable || pack->is_discarded)
		pack_advance_soon(pack);
}

void pack_discard(struct pack *pack)
{
	assert(pack->magic == PACK_MAGIC);
	assert(!pack->is_discarded);
	pack->is_discarded = true;
	if (!pack->has_frames) {
		put_discard(&pack->put);
		return;
	}
	pack_advance_soon(pack);
}

void pack_body(const struct pack *pack, struct command_body *body)
{
	put_body(&pack->put, body);
	if (!pack->has_frames)
		return;
	body->len = pack->len;
	body->stored_len = pack->put.setup.len;
	if (!pack->is_zipped)
		return;
	body->compression = FRAME_ZSTD;
	if (!pack->has_table_inside)
		body->frame_lens = bytes_make(pack->table, frame_table_len(pack->len));
}

void pack_fini(struct pack *pack)
{
	assert(pack->magic == PACK_MAGIC && !is_with_owner(pack));
	put_fini(&pack->put);
	if (pack->has_frames)
		pack_give_memory(pack);
	frame_seal_fini(&pack->seal);
	free(pack->table);
	pack->magic = 0;
}

bool pack_waits_for_room(const struct pack *pack)
{
	return pack->has_frames ? pack->wants_room : pack->put.wants_room;
}

bool pack_keeps_others_waiting(const struct pack *pack)
{
	const struct put *put = &pack->put;
	bool has_memory = put->magic &&
		(put->inline_buf || put->stripes[0].is_used || put->stripes[1].is_used);
	return (has_memory && pack_store(pack)->put_pool.first) ||
		(pack->stage && pack_store(pack)->pack_pool.first);
}
