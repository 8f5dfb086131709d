/* SPDX-License-Identifier: Apache-2.0 */
#include "server/lost_bodies.h"

#include <assert.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/object/put.h"

/* --- shards ----------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_ids(const void *a, const void *b)
{
	const struct lost_extent *x = a, *y = b;
	int order = compare_numbers(x->id.session, y->id.session);
	return order ? order : compare_numbers(x->id.counter, y->id.counter);
}

static void free_extent(void *item)
{
	struct lost_extent *extent = item;
	free((uint8_t *)extent->name.data);
	free(extent);
}

static struct lost_extent *new_extent(const struct lost_shard *shard)
{
	struct lost_extent *extent = calloc(1, sizeof *extent);
	if (!extent)
		return NULL;
	extent->id = shard->key.extent;
	extent->k = shard->k;
	extent->m = shard->m;
	extent->unit_len = shard->unit_len;
	extent->len = shard->extent_len;
	return extent;
}

/* What its record says, if that is more than what others said. */
static enum err take_hint(struct lost_extent *extent, struct bytes hint)
{
	struct hint_place place;
	struct bytes name;
	bool has_place = hint_read(hint, &name, &place) && place.first > 0;
	extent->is_packed = extent->is_packed || place.is_packed;
	if (extent->has_place || name.len == 0 || (!has_place && extent->name.len > 0))
		return ERR_OK;
	uint8_t *copy = malloc(name.len);
	if (!copy)
		return ERR_NO_MEMORY;
	memcpy(copy, name.data, name.len);
	free((uint8_t *)extent->name.data);
	extent->name = bytes_make(copy, name.len);
	extent->has_place = has_place;
	extent->place = place;
	return ERR_OK;
}

enum err lost_bodies_add(struct lost_bodies *bodies, const struct lost_shard *shard)
{
	struct lost_extent key = {.id = shard->key.extent};
	void **found = tfind(&key, &bodies->tree, compare_ids);
	if (!found && bodies->extent_count == LOST_EXTENTS_MAX) {
		bodies->has_more = true;
		return ERR_OK;
	}
	struct lost_extent *extent = found ? *found : new_extent(shard);
	if (!extent)
		return ERR_NO_MEMORY;
	if (!found && !tsearch(extent, &bodies->tree, compare_ids)) {
		free(extent);
		return ERR_NO_MEMORY;
	}
	bodies->extent_count += !found;
	if (extent->k != shard->k || extent->m != shard->m || extent->len != shard->extent_len ||
		extent->unit_len != shard->unit_len)
		return ERR_OK; /* no shard of the same extent */
	extent->found += extent->drives[shard->key.index] == 0;
	extent->drives[shard->key.index] = shard->key.drive;
	return take_hint(extent, shard->hint);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static bool is_readable(const struct lost_extent *extent)
{
	return extent->found >= extent->k;
}

static uint64_t first_of(const struct lost_extent *extent)
{
	return extent->has_place ? extent->place.first : extent->id.counter;
}

/* By name; parts of one upload together, in their order; else the newest body first; in it by
 * offset, what is readable first (L3). */
static int compare_extents(const void *a, const void *b)
{
	const struct lost_extent *x = *(const struct lost_extent *const *)a;
	const struct lost_extent *y = *(const struct lost_extent *const *)b;
	int order = bytes_compare(x->name, y->name);
	if (!order)
		order = compare_numbers(y->place.upload, x->place.upload);
	if (!order)
		order = compare_numbers(x->place.part, y->place.part);
	if (!order)
		order = compare_numbers(y->id.session, x->id.session);
	if (!order)
		order = compare_numbers(first_of(y), first_of(x));
	if (!order)
		order = compare_numbers(x->place.offset, y->place.offset);
	if (!order)
		order = is_readable(y) - is_readable(x);
	return order ? order : compare_numbers(y->id.counter, x->id.counter);
}

static bool is_same_body(const struct lost_body *body, const struct lost_extent *extent)
{
	return body->session == extent->id.session && body->first == first_of(extent) &&
		body->upload == extent->place.upload && body->part == extent->place.part &&
		bytes_is_equal(body->name, extent->name);
}

static void say_missing(struct lost_body *body, uint64_t at, const struct lost_extent *extent)
{
	if (extent)
		snprintf(body->why, sizeof body->why,
			"of the extent at byte %" PRIu64 " there are %u shards, and %u are needed",
			at, extent->found, extent->k);
	else
		snprintf(body->why, sizeof body->why,
			"bytes from %" PRIu64 " on are missing, of %" PRIu64, at, body->len);
}

/* (L1). What is used of the extents comes first. */
static void judge(struct lost_body *body)
{
	size_t used = 0;
	uint64_t at = 0;
	if (body->is_packed) { /* (L4) */
		snprintf(body->why, sizeof body->why,
			"it is stored compressed or encrypted, and its row is gone");
		return;
	}
	if (!body->extents[0]->has_place && body->len == EXTENT_LEN_MAX) {
		snprintf(body->why, sizeof body->why,
			"its records do not say what else belongs to it");
		return;
	}
	for (size_t i = 0; i < body->count && at < body->len; i++) {
		const struct lost_extent *extent = body->extents[i];
		if (extent->place.offset < at)
			continue; /* another writing of what is there */
		if (extent->place.offset > at)
			break;
		if (!is_readable(extent)) {
			say_missing(body, at, extent);
			return;
		}
		body->extents[used++] = extent;
		at += extent->len;
	}
	body->is_whole = at == body->len;
	if (body->is_whole)
		body->count = used;
	else
		say_missing(body, at, NULL);
}

static void add_extent(struct lost_body *body, const struct lost_extent *extent)
{
	body->is_packed = body->is_packed || extent->is_packed;
	body->count++;
}

static void begin_body(struct lost_bodies *bodies, const struct lost_extent **extents)
{
	const struct lost_extent *extent = extents[0];
	bodies->bodies[bodies->body_count++] = (struct lost_body){
		.name = extent->name,
		.session = extent->id.session,
		.first = first_of(extent),
		.upload = extent->place.upload,
		.part = extent->place.part,
		.len = extent->has_place && !extent->is_packed ? extent->place.len : extent->len,
		.extents = extents,
	};
}

/* --- objects ---------------------------------------------------------------------------------- */

static bool is_same_upload(const struct lost_body *a, const struct lost_body *b)
{
	return a->upload != 0 && a->upload == b->upload && bytes_is_equal(a->name, b->name);
}

static void add_object(struct lost_bodies *bodies, size_t from, size_t count, bool is_part)
{
	struct lost_object *object = &bodies->objects[bodies->object_count++];
	*object = (struct lost_object){
		.bodies = &bodies->bodies[from], .count = count, .is_part = is_part};
	for (size_t i = 0; i < count; i++)
		object->len += object->bodies[i].len;
}

/* (L2) */
static void add_upload(struct lost_bodies *bodies, size_t from, size_t count)
{
	const struct lost_body *all = &bodies->bodies[from];
	bool is_row = true; /* each once, from 1 on, and whole */
	uint64_t len = 0;
	for (size_t i = 0; i < count; i++) {
		is_row = is_row && all[i].is_whole && all[i].part == i + 1;
		len += all[i].len;
	}
	if (is_row && len <= PUT_LEN_MAX) {
		add_object(bodies, from, count, false);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (all[i].is_whole)
			add_object(bodies, from + i, 1, true);
}

static void make_objects(struct lost_bodies *bodies)
{
	for (size_t i = 0, count; i < bodies->body_count; i += count) {
		const struct lost_body *body = &bodies->bodies[i];
		count = 1;
		while (i + count < bodies->body_count &&
			is_same_upload(body, &bodies->bodies[i + count]))
			count++;
		if (body->upload != 0)
			add_upload(bodies, i, count);
		else if (body->is_whole && body->len <= PUT_LEN_MAX)
			add_object(bodies, i, 1, false);
	}
}

static void collect(const void *node, VISIT which, void *arg)
{
	struct lost_bodies *bodies = arg;
	if (which == postorder || which == leaf)
		bodies->extents[bodies->extent_count++] = *(struct lost_extent *const *)node;
}

enum err lost_bodies_judge(struct lost_bodies *bodies)
{
	size_t count = bodies->extent_count;
	bodies->extents = calloc(count + 1, sizeof *bodies->extents);
	bodies->order = calloc(count + 1, sizeof *bodies->order);
	bodies->bodies = calloc(count + 1, sizeof *bodies->bodies);
	bodies->objects = calloc(count + 1, sizeof *bodies->objects);
	if (!bodies->extents || !bodies->order || !bodies->bodies || !bodies->objects)
		return ERR_NO_MEMORY;
	bodies->extent_count = 0;
	twalk_r(bodies->tree, collect, bodies);
	assert(bodies->extent_count == count);
	for (size_t i = 0; i < count; i++)
		bodies->order[i] = bodies->extents[i];
	qsort(bodies->order, count, sizeof *bodies->order, compare_extents);
	for (size_t i = 0; i < count; i++) {
		struct lost_body *last = &bodies->bodies[bodies->body_count];
		if (bodies->body_count == 0 || !is_same_body(last - 1, bodies->order[i]))
			begin_body(bodies, &bodies->order[i]);
		add_extent(&bodies->bodies[bodies->body_count - 1], bodies->order[i]);
	}
	for (size_t i = 0; i < bodies->body_count; i++)
		judge(&bodies->bodies[i]);
	make_objects(bodies);
	return ERR_OK;
}

void lost_bodies_free(struct lost_bodies *bodies)
{
	tdestroy(bodies->tree, free_extent);
	free(bodies->extents);
	free(bodies->order);
	free(bodies->bodies);
	free(bodies->objects);
	*bodies = (struct lost_bodies){0};
}
