/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/sim.h"
#include "tests/lib/test.h"

void store_model_init(struct store_model *model, uint64_t seed)
{
	memset(model, 0, sizeof *model);
	model->seed = seed;
	model->content_count = 1;
}

/* --- contents --------------------------------------------------------------------------------- */

static struct store_content *add_content(struct store_model *model)
{
	ck_assert_uint_lt(model->content_count, STORE_MODEL_CONTENTS);
	return &model->contents[model->content_count++];
}

uint32_t store_content_new(struct store_model *model, uint64_t len)
{
	struct store_content *content = add_content(model);
	content->len = len;
	return content - model->contents;
}

uint32_t store_content_join(
	struct store_model *model, const struct store_slice *slices, unsigned count)
{
	assert(count > 0 && count <= STORE_MODEL_SLICES);
	struct store_content *content = add_content(model);
	content->slice_count = count;
	memcpy(content->slices, slices, count * sizeof *slices);
	for (unsigned i = 0; i < count; i++)
		content->len += slices[i].len;
	return content - model->contents;
}

uint64_t store_content_len(const struct store_model *model, uint32_t content)
{
	assert(content > 0 && content < model->content_count);
	return model->contents[content].len;
}

/* Eight bytes of a content that has its own, by their place. */
static uint64_t word_at(const struct store_model *model, uint32_t content, uint64_t word)
{
	uint64_t z = (model->seed << 40 ^ (uint64_t)content << 28 ^ word) * 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 32) * 0xbf58476d1ce4e5b9u;
	return z ^ z >> 29;
}

static void fill_own(const struct store_model *model, uint32_t content, uint64_t offset,
	uint8_t *buf, size_t len)
{
	while (len > 0) {
		uint8_t bytes[8];
		put_le64(bytes, word_at(model, content, offset / 8));
		size_t skip = offset % 8;
		size_t n = 8 - skip < len ? 8 - skip : len;
		memcpy(buf, bytes + skip, n);
		buf += n;
		offset += n;
		len -= n;
	}
}

void store_content_fill(const struct store_model *model, uint32_t content, uint64_t offset,
	uint8_t *buf, size_t len)
{
	const struct store_content *own = &model->contents[content];
	assert(content > 0 && content < model->content_count && offset + len <= own->len);
	if (own->slice_count == 0) {
		fill_own(model, content, offset, buf, len);
		return;
	}
	for (unsigned i = 0; i < own->slice_count && len > 0; i++) {
		const struct store_slice *slice = &own->slices[i];
		if (offset >= slice->len) {
			offset -= slice->len;
			continue;
		}
		size_t n = slice->len - offset < len ? slice->len - offset : len;
		store_content_fill(model, slice->content, slice->offset + offset, buf, n);
		buf += n;
		len -= n;
		offset = 0;
	}
}

bool store_content_matches(const struct store_model *model, uint32_t content, uint64_t offset,
	const uint8_t *data, size_t len)
{
	uint8_t expected[4096];
	while (len > 0) {
		size_t n = len < sizeof expected ? len : sizeof expected;
		store_content_fill(model, content, offset, expected, n);
		if (memcmp(expected, data, n) != 0)
			return false;
		offset += n;
		data += n;
		len -= n;
	}
	return true;
}

struct etag store_content_etag(const struct store_model *model, uint32_t content)
{
	struct etag etag = {.part_count = 0};
	put_le64(etag.md5, model->seed);
	put_le64(etag.md5 + 8, content);
	return etag;
}

uint32_t store_content_of(const struct store_model *model, const struct etag *etag)
{
	uint64_t content = get_le64(etag->md5 + 8);
	if (get_le64(etag->md5) != model->seed || content >= model->content_count)
		return 0;
	return content;
}

/* --- histories -------------------------------------------------------------------------------- */

bool store_model_has_room(const struct store_model *model, unsigned key)
{
	return model->keys[key].count + 24 < STORE_MODEL_EVENTS;
}

static struct store_event *add_event(struct store_model *model, unsigned key)
{
	struct store_history *history = &model->keys[key];
	ck_assert_uint_lt(history->count, STORE_MODEL_EVENTS);
	return &history->events[history->count++];
}

unsigned store_model_begin(
	struct store_model *model, unsigned key, enum store_event_kind kind, uint32_t value)
{
	struct store_event *event = add_event(model, key);
	*event = (struct store_event){
		.kind = kind, .value = value, .from = ++model->clock, .to = UINT64_MAX};
	return event - model->keys[key].events;
}

static struct store_event *open_event(struct store_model *model, unsigned key, unsigned number)
{
	assert(number < model->keys[key].count);
	struct store_event *event = &model->keys[key].events[number];
	assert(event->to == UINT64_MAX && !event->is_void);
	return event;
}

void store_model_happened(struct store_model *model, unsigned key, unsigned number)
{
	struct store_event *event = open_event(model, key, number);
	event->to = ++model->clock;
	event->is_certain = true;
}

void store_model_refused(struct store_model *model, unsigned key, unsigned number)
{
	struct store_event *event = open_event(model, key, number);
	assert(event->kind == STORE_CREATE);
	event->kind = STORE_REFUSED;
	store_model_happened(model, key, number);
}

void store_model_did_not(struct store_model *model, unsigned key, unsigned number)
{
	open_event(model, key, number)->is_void = true;
}

uint64_t store_model_now(struct store_model *model)
{
	return ++model->clock;
}

void store_model_read_since(struct store_model *model, unsigned key, uint64_t since, uint32_t value)
{
	struct store_event *event = add_event(model, key);
	*event = (struct store_event){.kind = STORE_READ,
		.value = value,
		.from = since,
		.to = ++model->clock,
		.is_certain = true};
}

void store_model_read(struct store_model *model, unsigned key, uint32_t value)
{
	store_model_read_since(model, key, model->clock + 1, value);
}

void store_model_restart(struct store_model *model)
{
	uint64_t now = ++model->clock;
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++) {
		struct store_history *history = &model->keys[key];
		for (unsigned i = 0; i < history->count; i++)
			if (history->events[i].to == UINT64_MAX)
				history->events[i].to = now;
	}
}

/* --- the search for an order ------------------------------------------------------------------ */

typedef unsigned __int128 event_set;

enum { VISITED = 1 << 14 };

struct search {
	const struct store_history *history;
	struct {
		event_set done;
		uint32_t value;
		bool is_used;
	} visited[VISITED];
	unsigned visited_count;
};

/* Notes a state of the search; false: it was there before. */
static bool visit(struct search *search, event_set done, uint32_t value)
{
	uint64_t parts[3] = {done, done >> 64, value};
	uint64_t at = sim_hash_bytes(parts, sizeof parts) % VISITED;
	while (search->visited[at].is_used) {
		if (search->visited[at].done == done && search->visited[at].value == value)
			return false;
		at = (at + 1) % VISITED;
	}
	ck_assert_uint_lt(++search->visited_count, VISITED / 2);
	search->visited[at].done = done;
	search->visited[at].value = value;
	search->visited[at].is_used = true;
	return true;
}

/* May the event be the next, in a state where the key has that value? */
static bool can_happen(const struct store_event *event, uint32_t value)
{
	switch (event->kind) {
	case STORE_READ:
		return event->value == value;
	case STORE_CREATE:
		return value == 0;
	case STORE_REFUSED:
		return value != 0;
	case STORE_WRITE:
		return true;
	}
	return false;
}

static bool find_order(struct search *search, event_set done, uint32_t value)
{
	if (!visit(search, done, value))
		return false;
	const struct store_history *history = search->history;
	uint64_t first_end = UINT64_MAX, last_begin = 0;
	for (unsigned i = 0; i < history->count; i++) {
		const struct store_event *event = &history->events[i];
		bool is_done = done >> i & 1;
		if (is_done && event->from > last_begin)
			last_begin = event->from;
		if (!is_done && event->is_certain && event->to < first_end)
			first_end = event->to;
	}
	if (first_end == UINT64_MAX)
		return true; /* what is left need not have happened */
	for (unsigned i = 0; i < history->count; i++) {
		const struct store_event *event = &history->events[i];
		if (done >> i & 1 || event->is_void || event->from > first_end ||
			event->to < last_begin || !can_happen(event, value))
			continue;
		bool is_write = event->kind == STORE_WRITE || event->kind == STORE_CREATE;
		if (find_order(search, done | (event_set)1 << i, is_write ? event->value : value))
			return true;
	}
	return false;
}

bool store_model_is_linearizable(const struct store_model *model, unsigned key)
{
	struct search *search = sim_must(calloc(1, sizeof *search));
	search->history = &model->keys[key];
	bool is_found = find_order(search, 0, 0);
	free(search);
	return is_found;
}

void store_model_print(const struct store_model *model, unsigned key)
{
	static const char *const kinds[] = {"read", "write", "create", "refused"};
	const struct store_history *history = &model->keys[key];
	for (unsigned i = 0; i < history->count; i++) {
		const struct store_event *event = &history->events[i];
		if (event->is_void)
			continue;
		fprintf(stderr, "key %u: %6lu..%-6ld %s %u%s\n", key, (unsigned long)event->from,
			(long)event->to, kinds[event->kind], event->value,
			event->is_certain ? "" : " (perhaps)");
	}
}
