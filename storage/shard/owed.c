/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shard/owed.h"

#include <stdlib.h>

#include "storage/object/store.h"

static void end(struct owed_entry *entry)
{
	struct owed *owed = entry->owed;
	entry->next = owed->unused;
	owed->unused = entry;
	owed->count--;
	if (owed->is_stopping)
		owed->ended(owed);
}

static void freed(struct site_free *op, enum err err)
{
	struct owed_entry *entry = CONTAINER_OF(op, struct owed_entry, op);
	struct owed *owed = entry->owed;
	if (err != ERR_TIMEOUT || owed->is_stopping) {
		if (err != ERR_OK)
			reach_missed(owed->store, entry->drive); /* (W1); here a census finds it */
		end(entry);
		return;
	}
	entry->next = owed->again;
	owed->again = entry;
	if (!owed->timer.is_set)
		timer_set(owed->store->loop, &owed->timer, OWED_AGAIN_MS);
}

static void ask(struct owed_entry *entry, const struct site *site)
{
	entry->op.loop = entry->owed->store->loop;
	entry->op.done = freed;
	site_free_start(&entry->op, site, entry->extent, entry->index);
}

static void ask_again(struct timer *timer)
{
	struct owed *owed = CONTAINER_OF(timer, struct owed, timer);
	struct owed_entry *entry = owed->again;
	owed->again = NULL;
	while (entry) {
		struct owed_entry *next = entry->next;
		struct site site;
		reach_find(owed->store, entry->drive, &site);
		if (site_is_there(&site))
			ask(entry, &site);
		else
			freed(&entry->op, ERR_UNAVAILABLE);
		entry = next;
	}
}

bool owed_take(struct owed *owed, const struct site *site, struct extent_id extent, uint8_t index)
{
	assert(site_is_there(site) && loop_is_current(owed->store->loop));
	struct owed_entry *entry = owed->unused;
	if (!entry || owed->is_stopping)
		return false;
	owed->unused = entry->next;
	owed->count++;
	entry->drive = site->number;
	entry->extent = extent;
	entry->index = index;
	ask(entry, site);
	return true;
}

enum err owed_open(struct owed *owed, struct store_loop *store)
{
	*owed = (struct owed){.store = store};
	owed->entries = calloc(OWED_MAX, sizeof *owed->entries);
	if (!owed->entries)
		return ERR_NO_MEMORY;
	for (unsigned i = 0; i < OWED_MAX; i++) {
		owed->entries[i].owed = owed;
		owed->entries[i].next = owed->unused;
		owed->unused = &owed->entries[i];
	}
	owed->timer.fire = ask_again;
	return ERR_OK;
}

void owed_stop(struct owed *owed, void (*ended)(struct owed *owed))
{
	owed->is_stopping = true;
	owed->ended = ended;
	timer_cancel(owed->store->loop, &owed->timer);
	while (owed->again) {
		struct owed_entry *entry = owed->again;
		owed->again = entry->next;
		end(entry);
	}
}

void owed_close(struct owed *owed)
{
	assert(owed->count == 0);
	free(owed->entries);
}
