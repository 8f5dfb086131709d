/* SPDX-License-Identifier: Apache-2.0 */
/* Views and holds.
 *
 * A node promises with each report that no GET of its reads a state from before read_low, and that
 * nothing will be proposed with an extent below open_low. Readers tell their lows through one
 * number each, which a report reads without stopping them:
 *
 * (H1) A reader stores a low that is not above what it is about to read (or to make) before it
 * does, and a report takes its upper bound before it looks at the readers' numbers. So a report
 * that does not see the number was bounded by a state that the reader's view, begun later, has.
 * (H2) Numbers of holds on one thread never fall, so the first hold has the lowest.
 */
#include <stdlib.h>

#include "storage/meta/index_priv.h"

enum err index_reader_open(struct index *index, struct index_reader **ret_reader)
{
	assert(index->magic == INDEX_MAGIC);
	struct index_reader *reader = calloc(1, sizeof *reader);
	if (!reader)
		return ERR_NO_MEMORY;
	enum err err = buffer_view_open(index->buffer, &reader->view);
	if (err != ERR_OK) {
		free(reader);
		return err;
	}
	reader->magic = READER_MAGIC;
	reader->index = index;
	atomic_store(&reader->read_low, HOLD_NONE);
	atomic_store(&reader->write_low, HOLD_NONE);
	pthread_mutex_lock(&index->lock);
	reader->next = index->readers;
	index->readers = reader;
	pthread_mutex_unlock(&index->lock);
	*ret_reader = reader;
	return ERR_OK;
}

void index_reader_close(struct index_reader *reader)
{
	if (!reader)
		return;
	assert(reader->magic == READER_MAGIC && !reader->has_begun);
	assert(!reader->read_first && !reader->write_first);
	struct index *index = reader->index;
	pthread_mutex_lock(&index->lock);
	struct index_reader **at = &index->readers;
	while (*at != reader)
		at = &(*at)->next;
	*at = reader->next;
	pthread_mutex_unlock(&index->lock);
	buffer_view_close(&reader->view);
	reader->magic = 0;
	free(reader);
}

/* --- views ------------------------------------------------------------------------------------ */

static void settle_read_low(struct index_reader *reader)
{
	atomic_store(&reader->read_low, reader->read_first ? reader->read_first->low : HOLD_NONE);
}

enum err index_view_begin(struct index_reader *reader)
{
	assert(reader->magic == READER_MAGIC && !reader->has_begun);
	struct index *index = reader->index;
	if (index_err(index) != ERR_OK)
		return ERR_UNAVAILABLE;
	if (!reader->read_first) /* (H1) */
		atomic_store(&reader->read_low, place_complete(buffer_published(index->buffer)));
	enum err err = buffer_view_begin(&reader->view);
	if (err != ERR_OK) {
		settle_read_low(reader);
		return err;
	}
	reader->has_begun = true;
	return ERR_OK;
}

void index_view_end(struct index_reader *reader)
{
	assert(reader->magic == READER_MAGIC && reader->has_begun);
	buffer_view_end(&reader->view);
	reader->has_begun = false;
	settle_read_low(reader);
}

bool index_view_has_begun(const struct index_reader *reader)
{
	assert(reader->magic == READER_MAGIC);
	return reader->has_begun;
}

uint64_t index_view_index(const struct index_reader *reader)
{
	assert(reader->has_begun);
	return place_complete(reader->view.snapshot);
}

/* --- holds ------------------------------------------------------------------------------------ */

static void append_hold(
	struct index_hold **first, struct index_hold **last, struct index_hold *hold, uint64_t low)
{
	assert(!*last || (*last)->low <= low); /* (H2) */
	hold->low = low;
	hold->next = NULL;
	hold->prev = *last;
	if (*last)
		(*last)->next = hold;
	else
		*first = hold;
	*last = hold;
}

static void remove_hold(
	struct index_hold **first, struct index_hold **last, struct index_hold *hold)
{
	if (hold->prev)
		hold->prev->next = hold->next;
	else
		*first = hold->next;
	if (hold->next)
		hold->next->prev = hold->prev;
	else
		*last = hold->prev;
	hold->next = NULL;
	hold->prev = NULL;
}

void index_hold_read(struct index_reader *reader, struct index_hold *hold)
{
	append_hold(&reader->read_first, &reader->read_last, hold, index_view_index(reader));
}

void index_release_read(struct index_reader *reader, struct index_hold *hold)
{
	remove_hold(&reader->read_first, &reader->read_last, hold);
	if (!reader->has_begun)
		settle_read_low(reader);
}

void index_hold_write(struct index_reader *reader, struct index_hold *hold)
{
	/* A new session goes on counting where the one before was, so this never falls (H2). */
	uint64_t low = atomic_load(&reader->index->next_extent);
	append_hold(&reader->write_first, &reader->write_last, hold, low);
	atomic_store(&reader->write_low, reader->write_first->low);
}

void index_release_write(struct index_reader *reader, struct index_hold *hold)
{
	remove_hold(&reader->write_first, &reader->write_last, hold);
	atomic_store(
		&reader->write_low, reader->write_first ? reader->write_first->low : HOLD_NONE);
}

struct extent_id index_extent_id_make(struct index_reader *reader)
{
	struct index *index = reader->index;
	assert(reader->write_first);
	return (struct extent_id){
		.session = atomic_load(&index->session),
		.counter = atomic_fetch_add(&index->next_extent, 1),
	};
}

void index_lows(struct index *index, uint64_t *ret_open_low, uint64_t *ret_read_low)
{
	uint64_t open_low = atomic_load(&index->next_extent);
	uint64_t read_low = place_complete(buffer_published(index->buffer));
	pthread_mutex_lock(&index->lock);
	for (struct index_reader *reader = index->readers; reader; reader = reader->next) {
		uint64_t read = atomic_load(&reader->read_low);
		uint64_t write = atomic_load(&reader->write_low);
		if (read < read_low)
			read_low = read;
		if (write < open_low)
			open_low = write;
	}
	pthread_mutex_unlock(&index->lock);
	*ret_open_low = open_low;
	*ret_read_low = read_low;
}
