/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_kv.h"

#include <stdlib.h>

#include "storage/bytes.h"
#include "tests/lib/sim_tree.h"

enum { COMMIT_NS_MAX = 4 * 1000 * 1000, ROW_OVERHEAD = 32 };

/* One version of the map. */
struct version {
	struct sim_tree *tree;
	uint64_t count, used;
};

struct sim_kv {
	struct kv base;
	struct sim *sim;
	struct sim_node *node;
	struct sim_hook hook;
	struct version committed; /* what readers see */
	struct version durable; /* what a restart finds; not the same after a failed commit */
	struct version writing;
	bool is_writing, is_open;
	enum err write_err; /* the first failure of the transaction */
	uint64_t capacity;
	struct reader *readers;
	unsigned per_mille[SIM_KV_FAULTS];
	uint64_t nth[SIM_KV_FAULTS];
	struct sim_kv_stats stats;
};

/* Memory that is lent. */
struct loan {
	struct loan *next;
	uint8_t data[];
};

struct reader {
	struct kv_reader base;
	struct version version;
	struct loan *got; /* until the end */
	struct loan *at_key, *at_value; /* until the cursor moves */
	size_t at_key_len;
	bool has_begun, is_dead;
	struct reader *next;
};

static struct sim_kv *kv_of(struct kv *base)
{
	struct sim_kv *kv = CONTAINER_OF(base, struct sim_kv, base);
	assert(kv->is_open);
	return kv;
}

static struct reader *reader_of(struct kv_reader *base)
{
	struct reader *reader = CONTAINER_OF(base, struct reader, base);
	assert(!reader->is_dead);
	return reader;
}

static void version_set(struct version *version, const struct version *to)
{
	struct sim_tree *before = version->tree;
	*version = *to;
	sim_tree_ref(version->tree);
	sim_tree_unref(before);
}

static void version_fini(struct version *version)
{
	version_set(version, &(struct version){0});
}

static bool meets(struct sim_kv *kv, enum sim_kv_fault fault)
{
	bool is_met = kv->nth[fault] > 0 && --kv->nth[fault] == 0;
	if (!is_met && !sim_chance(kv->sim, kv->per_mille[fault]))
		return false;
	kv->stats.faults[fault]++;
	sim_note(kv->sim, "kv_fault", fault, 0, 0);
	return true;
}

/* --- reading ------------------------------------------------------------------------------ */

static struct bytes lend(struct loan **loan, struct bytes bytes)
{
	*loan = sim_must(malloc(sizeof **loan + bytes.len));
	(*loan)->next = NULL;
	if (bytes.len > 0)
		memcpy((*loan)->data, bytes.data, bytes.len);
	return bytes_make((*loan)->data, bytes.len);
}

static void take_back(struct reader *reader)
{
	while (reader->got) {
		struct loan *loan = reader->got;
		reader->got = loan->next;
		free(loan);
	}
	free(reader->at_key);
	free(reader->at_value);
	reader->at_key = reader->at_value = NULL;
}

static enum err reader_open(struct kv *base, struct kv_reader **ret_reader)
{
	struct sim_kv *kv = kv_of(base);
	struct reader *reader = sim_must(calloc(1, sizeof *reader));
	reader->base.kv = base;
	reader->next = kv->readers;
	kv->readers = reader;
	*ret_reader = &reader->base;
	return ERR_OK;
}

static void reader_stop(struct reader *reader)
{
	take_back(reader);
	version_fini(&reader->version);
	reader->has_begun = false;
}

static void reader_close(struct kv_reader *base)
{
	struct reader *reader = CONTAINER_OF(base, struct reader, base);
	struct sim_kv *kv = CONTAINER_OF(base->kv, struct sim_kv, base);
	struct reader **link = &kv->readers;
	while (*link != reader)
		link = &(*link)->next;
	*link = reader->next;
	reader_stop(reader);
	free(reader);
}

static enum err reader_begin(struct kv_reader *base)
{
	struct reader *reader = reader_of(base);
	struct sim_kv *kv = kv_of(base->kv);
	assert(!reader->has_begun);
	if (meets(kv, SIM_KV_BEGIN_IO))
		return ERR_IO;
	version_set(&reader->version, &kv->committed);
	reader->has_begun = true;
	return ERR_OK;
}

static void reader_end(struct kv_reader *base)
{
	struct reader *reader = reader_of(base);
	assert(reader->has_begun);
	reader_stop(reader);
}

static enum err read_fault(struct sim_kv *kv)
{
	if (meets(kv, SIM_KV_READ_IO))
		return ERR_IO;
	return meets(kv, SIM_KV_CORRUPT) ? ERR_CORRUPT : ERR_OK;
}

static enum err get(struct kv_reader *base, struct bytes key, struct bytes *ret_value)
{
	struct reader *reader = reader_of(base);
	struct sim_kv *kv = kv_of(base->kv);
	assert(reader->has_begun);
	assert(key.len > 0 && key.len <= KV_KEY_LEN_MAX);
	kv->stats.gets++;
	enum err err = read_fault(kv);
	if (err != ERR_OK)
		return err;
	struct bytes found, value;
	if (!sim_tree_seek(reader->version.tree, key, false, &found, &value) ||
		!bytes_is_equal(found, key))
		return ERR_NOT_FOUND;
	struct loan *loan;
	*ret_value = lend(&loan, value);
	loan->next = reader->got;
	reader->got = loan;
	return ERR_OK;
}

static enum err move(struct reader *reader, struct bytes key, bool is_after, struct bytes *ret_key,
	struct bytes *ret_value)
{
	enum err err = read_fault(kv_of(reader->base.kv));
	struct bytes found, value;
	bool is_there = err == ERR_OK &&
		sim_tree_seek(reader->version.tree, key, is_after, &found, &value);
	struct loan *old_key = reader->at_key, *old_value = reader->at_value;
	reader->at_key = reader->at_value = NULL;
	if (is_there) {
		*ret_key = lend(&reader->at_key, found);
		*ret_value = lend(&reader->at_value, value);
		reader->at_key_len = found.len;
	}
	free(old_key);
	free(old_value);
	return err == ERR_OK && !is_there ? ERR_NOT_FOUND : err;
}

static enum err seek(
	struct kv_reader *base, struct bytes key, struct bytes *ret_key, struct bytes *ret_value)
{
	struct reader *reader = reader_of(base);
	assert(reader->has_begun);
	kv_of(base->kv)->stats.seeks++;
	return move(reader, key, false, ret_key, ret_value);
}

static enum err next(struct kv_reader *base, struct bytes *ret_key, struct bytes *ret_value)
{
	struct reader *reader = reader_of(base);
	assert(reader->has_begun && reader->at_key);
	kv_of(base->kv)->stats.nexts++;
	struct bytes at = bytes_make(reader->at_key->data, reader->at_key_len);
	return move(reader, at, true, ret_key, ret_value);
}

/* --- writing ------------------------------------------------------------------------------ */

static enum err write_begin(struct kv *base)
{
	struct sim_kv *kv = kv_of(base);
	assert(!kv->is_writing);
	if (meets(kv, SIM_KV_BEGIN_IO))
		return ERR_IO;
	version_set(&kv->writing, &kv->committed);
	kv->is_writing = true;
	kv->write_err = ERR_OK;
	return ERR_OK;
}

static void write_end(struct sim_kv *kv)
{
	version_fini(&kv->writing);
	kv->is_writing = false;
}

static uint64_t row_len(struct bytes key, struct bytes value)
{
	return key.len + value.len + ROW_OVERHEAD;
}

/* Takes the key's row, if it has one, out of the counts. */
static void uncount(struct version *version, struct bytes key)
{
	struct bytes found, value;
	if (!sim_tree_seek(version->tree, key, false, &found, &value) ||
		!bytes_is_equal(found, key))
		return;
	version->count--;
	version->used -= row_len(found, value);
}

static enum err put(struct kv *base, struct bytes key, struct bytes value)
{
	struct sim_kv *kv = kv_of(base);
	assert(kv->is_writing);
	assert(key.len > 0 && key.len <= KV_KEY_LEN_MAX && value.len <= KV_VALUE_LEN_MAX);
	kv->stats.puts++;
	if (kv->write_err != ERR_OK)
		return kv->write_err;
	if (meets(kv, SIM_KV_WRITE_IO))
		return kv->write_err = ERR_IO;
	if (meets(kv, SIM_KV_FULL))
		return kv->write_err = ERR_NO_SPACE;
	struct version *writing = &kv->writing;
	uncount(writing, key);
	writing->count++;
	writing->used += row_len(key, value);
	if (kv->capacity > 0 && writing->used > kv->capacity)
		return kv->write_err = ERR_NO_SPACE;
	writing->tree = sim_tree_put(writing->tree, key, value);
	return ERR_OK;
}

static enum err remove_key(struct kv *base, struct bytes key)
{
	struct sim_kv *kv = kv_of(base);
	assert(kv->is_writing);
	assert(key.len > 0 && key.len <= KV_KEY_LEN_MAX);
	kv->stats.removes++;
	if (kv->write_err != ERR_OK)
		return kv->write_err;
	if (meets(kv, SIM_KV_WRITE_IO))
		return kv->write_err = ERR_IO;
	uncount(&kv->writing, key);
	kv->writing.tree = sim_tree_remove(kv->writing.tree, key);
	return ERR_OK;
}

static enum err commit(struct kv *base)
{
	struct sim_kv *kv = kv_of(base);
	assert(kv->is_writing);
	sim_spend(kv->sim, sim_random_below(kv->sim, COMMIT_NS_MAX));
	enum err err = kv->write_err;
	if (err == ERR_OK && meets(kv, SIM_KV_FULL))
		err = ERR_NO_SPACE;
	if (err == ERR_OK && meets(kv, SIM_KV_COMMIT_IO)) {
		err = ERR_IO;
		if (sim_random(kv->sim) % 2)
			version_set(&kv->durable, &kv->writing);
	}
	if (err == ERR_OK) {
		version_set(&kv->committed, &kv->writing);
		version_set(&kv->durable, &kv->writing);
		kv->stats.commits++;
	}
	write_end(kv);
	sim_note(kv->sim, "kv_commit", kv->committed.count, kv->committed.used, err);
	return err;
}

static void abort_write(struct kv *base)
{
	struct sim_kv *kv = kv_of(base);
	assert(kv->is_writing);
	write_end(kv);
}

static uint64_t used(struct kv *base)
{
	return kv_of(base)->committed.used;
}

static void close_kv(struct kv *base)
{
	struct sim_kv *kv = kv_of(base);
	assert(!kv->is_writing);
	kv->is_open = false;
}

/* Its bytes are on no disk. */
static uint64_t spare(struct kv *base)
{
	(void)base;
	return 0;
}

static const struct kv_ops ops = {
	.reader_open = reader_open,
	.reader_close = reader_close,
	.reader_begin = reader_begin,
	.reader_end = reader_end,
	.get = get,
	.seek = seek,
	.next = next,
	.write_begin = write_begin,
	.put = put,
	.remove = remove_key,
	.commit = commit,
	.abort = abort_write,
	.used = used,
	.spare = spare,
	.close = close_kv,
};

/* --- the test's side ---------------------------------------------------------------------- */

static void node_killed(struct sim_hook *hook)
{
	struct sim_kv *kv = CONTAINER_OF(hook, struct sim_kv, hook);
	if (kv->is_writing)
		write_end(kv);
	for (struct reader *reader = kv->readers; reader; reader = reader->next) {
		reader_stop(reader);
		reader->is_dead = true;
	}
	kv->is_open = false;
}

struct sim_kv *sim_kv_new(struct sim_node *node, uint64_t capacity)
{
	struct sim_kv *kv = sim_must(calloc(1, sizeof *kv));
	kv->base.ops = &ops;
	kv->sim = sim_node_sim(node);
	kv->node = node;
	kv->capacity = capacity;
	kv->hook.killed = node_killed;
	sim_node_hook(node, &kv->hook);
	return kv;
}

void sim_kv_free(struct sim_kv *kv)
{
	if (!kv)
		return;
	sim_node_unhook(kv->node, &kv->hook);
	while (kv->readers) {
		assert(kv->readers->is_dead);
		reader_close(&kv->readers->base);
	}
	version_fini(&kv->writing);
	version_fini(&kv->committed);
	version_fini(&kv->durable);
	free(kv);
}

struct kv *sim_kv_open(struct sim_kv *kv)
{
	assert(!kv->is_open);
	kv->is_open = true;
	version_set(&kv->committed, &kv->durable);
	return &kv->base;
}

void sim_kv_set_odds(struct sim_kv *kv, enum sim_kv_fault fault, unsigned per_mille)
{
	kv->per_mille[fault] = per_mille;
}

void sim_kv_fail_nth(struct sim_kv *kv, enum sim_kv_fault fault, uint64_t n)
{
	assert(n > 0);
	kv->nth[fault] = n;
}

void sim_kv_heal(struct sim_kv *kv)
{
	memset(kv->per_mille, 0, sizeof kv->per_mille);
	memset(kv->nth, 0, sizeof kv->nth);
}

void sim_kv_set_capacity(struct sim_kv *kv, uint64_t capacity)
{
	kv->capacity = capacity;
}

const struct sim_kv_stats *sim_kv_stats(const struct sim_kv *kv)
{
	return &kv->stats;
}

uint64_t sim_kv_count(const struct sim_kv *kv)
{
	return kv->committed.count;
}

uint64_t sim_kv_hash(const struct sim_kv *kv)
{
	uint64_t hash = 0;
	struct bytes key = {0}, value;
	for (bool is_after = false; sim_tree_seek(kv->committed.tree, key, is_after, &key, &value);
		is_after = true)
		hash = hash * 31 +
			(sim_hash_bytes(key.data, key.len) ^
				sim_hash_bytes(value.data, value.len) * 3);
	return hash;
}
