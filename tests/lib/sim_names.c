/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Names sorted by bytes. */
struct table {
	struct sim_name *list;
	size_t count, cap;
};

enum change_kind { ADD, RENAME, REMOVE };

struct change {
	enum change_kind kind;
	char *from, *to;
	struct sim_file *file;
	struct change *next;
};

struct sim_names {
	struct table visible, stable;
	struct change *first;
	struct change **tail;
};

/* --- tables ------------------------------------------------------------------------------- */

/* The index of the name, or of the place where it belongs. */
static size_t table_place(const struct table *table, const char *text)
{
	size_t low = 0, high = table->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (strcmp(table->list[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct sim_name *table_find(const struct table *table, const char *text)
{
	size_t i = table_place(table, text);
	if (i == table->count || strcmp(table->list[i].text, text) != 0)
		return NULL;
	return &table->list[i];
}

static void table_insert(struct table *table, const char *text, struct sim_file *file)
{
	if (table->count == table->cap) {
		table->cap = table->cap ? 2 * table->cap : 16;
		table->list = sim_must(reallocarray(table->list, table->cap, sizeof *table->list));
	}
	size_t i = table_place(table, text);
	memmove(table->list + i + 1, table->list + i, (table->count - i) * sizeof *table->list);
	table->count++;
	table->list[i] = (struct sim_name){sim_must(strdup(text)), file};
	if (file)
		sim_file_ref(file);
}

static void table_delete(struct table *table, struct sim_name *name)
{
	free(name->text);
	sim_file_unref(name->file);
	size_t i = name - table->list;
	table->count--;
	memmove(name, name + 1, (table->count - i) * sizeof *name);
}

static void table_fini(struct table *table)
{
	while (table->count > 0)
		table_delete(table, &table->list[table->count - 1]);
	free(table->list);
	*table = (struct table){0};
}

static void table_copy(struct table *to, const struct table *from)
{
	table_fini(to);
	for (size_t i = 0; i < from->count; i++)
		table_insert(to, from->list[i].text, from->list[i].file);
}

static bool has_parent(const struct table *table, const char *text)
{
	const char *slash = strchr(text, '/');
	if (!slash)
		return true;
	char *dir = sim_must(strndup(text, slash - text));
	const struct sim_name *name = table_find(table, dir);
	free(dir);
	return name && !name->file;
}

static bool has_children(const struct table *table, const char *dir)
{
	size_t len = strlen(dir);
	for (size_t i = table_place(table, dir); i < table->count; i++)
		if (strncmp(table->list[i].text, dir, len) == 0 && table->list[i].text[len] == '/')
			return true;
	return false;
}

static enum err add(struct table *table, const struct change *change)
{
	if (!has_parent(table, change->to))
		return ERR_NOT_FOUND;
	if (table_find(table, change->to))
		return ERR_EXISTS;
	table_insert(table, change->to, change->file);
	return ERR_OK;
}

static enum err rename_name(struct table *table, const struct change *change)
{
	struct sim_name *from = table_find(table, change->from);
	if (!from || !has_parent(table, change->to))
		return ERR_NOT_FOUND;
	struct sim_name *to = table_find(table, change->to);
	if (!from->file || (to && !to->file))
		return ERR_INVALID;
	if (from == to)
		return ERR_OK;
	struct sim_file *file = from->file;
	sim_file_ref(file);
	table_delete(table, from);
	to = table_find(table, change->to);
	if (to)
		table_delete(table, to);
	table_insert(table, change->to, file);
	sim_file_unref(file);
	return ERR_OK;
}

static enum err remove_name(struct table *table, const struct change *change)
{
	struct sim_name *name = table_find(table, change->from);
	if (!name)
		return ERR_NOT_FOUND;
	if (!name->file && has_children(table, change->from))
		return ERR_NOT_EMPTY;
	table_delete(table, name);
	return ERR_OK;
}

static enum err apply(struct table *table, const struct change *change)
{
	switch (change->kind) {
	case ADD:
		return add(table, change);
	case RENAME:
		return rename_name(table, change);
	default:
		return remove_name(table, change);
	}
}

/* --- the names of a disk ------------------------------------------------------------------ */

static void change_free(struct change *change)
{
	free(change->from);
	free(change->to);
	sim_file_unref(change->file);
	free(change);
}

static enum err change_names(struct sim_names *names, struct change change)
{
	enum err err = apply(&names->visible, &change);
	if (err != ERR_OK)
		return err;
	struct change *kept = sim_must(malloc(sizeof *kept));
	*kept = change;
	kept->from = change.from ? sim_must(strdup(change.from)) : NULL;
	kept->to = change.to ? sim_must(strdup(change.to)) : NULL;
	kept->next = NULL;
	if (kept->file)
		sim_file_ref(kept->file);
	*names->tail = kept;
	names->tail = &kept->next;
	return ERR_OK;
}

enum err sim_names_add(struct sim_names *names, const char *text, struct sim_file *file)
{
	return change_names(names, (struct change){.kind = ADD, .to = (char *)text, .file = file});
}

enum err sim_names_rename(struct sim_names *names, const char *from, const char *to)
{
	return change_names(
		names, (struct change){.kind = RENAME, .from = (char *)from, .to = (char *)to});
}

enum err sim_names_remove(struct sim_names *names, const char *text)
{
	return change_names(names, (struct change){.kind = REMOVE, .from = (char *)text});
}

/* Brings changes to the stable table: all of them, or those that chance takes. */
static void bring(struct sim_names *names, struct sim *sim)
{
	enum { LOSE_ALL, KEEP_ALL, PREFIX, EACH } mode = sim ? sim_random_below(sim, 4) : KEEP_ALL;
	bool is_kept = mode != LOSE_ALL;
	while (names->first) {
		struct change *change = names->first;
		names->first = change->next;
		if (mode == PREFIX && is_kept)
			is_kept = sim_random_below(sim, 4) != 0;
		if (mode == EACH)
			is_kept = sim_random(sim) % 2;
		/* A change whose beginning was lost comes to nothing. */
		if (is_kept)
			err_ignore(apply(&names->stable, change));
		change_free(change);
	}
	names->tail = &names->first;
}

void sim_names_flush(struct sim_names *names)
{
	bring(names, NULL);
	/* Changes lost by nobody: what is seen is what is stable. */
	assert(names->stable.count == names->visible.count);
}

void sim_names_crash(struct sim_names *names, struct sim *sim)
{
	bring(names, sim);
	table_copy(&names->visible, &names->stable);
}

static bool is_plain(const char *text, size_t len)
{
	return len > 0 && len <= 255 && !(len == 1 && text[0] == '.') &&
		!(len == 2 && memcmp(text, "..", 2) == 0);
}

bool sim_names_is_valid(const char *text)
{
	const char *slash = strchr(text, '/');
	if (!slash)
		return is_plain(text, strlen(text));
	return is_plain(text, slash - text) && !strchr(slash + 1, '/') &&
		is_plain(slash + 1, strlen(slash + 1));
}

const struct sim_name *sim_names_find(const struct sim_names *names, const char *text)
{
	return table_find(&names->visible, text);
}

const struct sim_name *sim_names_at(const struct sim_names *names, size_t index)
{
	return index < names->visible.count ? &names->visible.list[index] : NULL;
}

struct sim_names *sim_names_new(void)
{
	struct sim_names *names = sim_must(calloc(1, sizeof *names));
	names->tail = &names->first;
	return names;
}

void sim_names_free(struct sim_names *names)
{
	while (names->first) {
		struct change *change = names->first;
		names->first = change->next;
		change_free(change);
	}
	table_fini(&names->visible);
	table_fini(&names->stable);
	free(names);
}
