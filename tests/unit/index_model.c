/* SPDX-License-Identifier: Apache-2.0 */
/* Random commands against a model of what buckets, keys and versions are; after each few of them
 * all rows are counted anew. INDEX_MODEL_SEEDS says how many seeds are run. */
#include <stdlib.h>

#include "tests/lib/index_audit.h"
#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

#define BUCKETS 3
#define KEYS 4
#define VERSIONS_MAX 64
#define UPLOADS_MAX 8
#define PARTS_MAX 6

/* Rounds: to count all rows takes long. */
#define COMPARE_EVERY 5

struct model_version {
	struct version_id id;
	bool is_null, is_marker;
	bool is_held;
	uint64_t len;
	struct etag etag;
	uint64_t invocation;
};

struct model_key {
	struct model_version versions[VERSIONS_MAX]; /* oldest first */
	size_t count;
};

struct model_upload {
	uint64_t id;
	int bucket, key;
	uint64_t lens[PARTS_MAX]; /* one more than that of the part; 0: there is none */
	uint64_t change_count;
};

static struct {
	uint64_t seed;
	uint64_t buckets[BUCKETS];
	enum bucket_versioning versioning[BUCKETS];
	bool has_lock[BUCKETS];
	struct model_key keys[BUCKETS][KEYS];
	struct model_upload uploads[UPLOADS_MAX];
	size_t upload_count;
	unsigned commands, refusals;
} m;

static unsigned kept_count; /* deletes that a legal hold refused, in all seeds */

static const char *const key_names[KEYS] = {"a", "a/b", "a/c", "b"};

static uint64_t below(uint64_t n)
{
	return test_random(&m.seed) % n;
}

/* --- the model -------------------------------------------------------------------------------- */

static struct model_version *newest(struct model_key *key)
{
	return key->count > 0 ? &key->versions[key->count - 1] : NULL;
}

static bool is_current(struct model_key *key)
{
	return key->count > 0 && !newest(key)->is_marker;
}

static void remove_at(struct model_key *key, size_t at)
{
	key->count--;
	for (size_t i = at; i < key->count; i++)
		key->versions[i] = key->versions[i + 1];
}

static void remove_null(struct model_key *key)
{
	for (size_t i = 0; i < key->count; i++) {
		if (key->versions[i].is_null) {
			remove_at(key, i);
			return;
		}
	}
}

static void add(int b, struct model_key *key, struct model_version version)
{
	version.is_null = m.versioning[b] != BUCKET_ENABLED;
	if (version.is_null)
		remove_null(key);
	ck_assert_uint_lt(key->count, VERSIONS_MAX);
	key->versions[key->count++] = version;
}

/* What the conditions come to: a code, or EXISTS for an earlier success. */
static enum command_code judge(struct model_key *key, const struct command_conditions *conditions,
	struct etag etag, uint64_t invocation)
{
	bool fails = conditions->if_none_match_any && is_current(key);
	if (conditions->has_if_match) {
		if (!is_current(key))
			return COMMAND_NO_KEY;
		fails |= !etag_is_equal(&conditions->if_match, &newest(key)->etag);
	}
	if (!fails)
		return COMMAND_OK;
	return invocation != 0 && newest(key)->invocation == invocation &&
			etag_is_equal(&newest(key)->etag, &etag)
		? COMMAND_EXISTS
		: COMMAND_PRECONDITION;
}

static struct command_conditions random_conditions(void)
{
	struct command_conditions conditions = {0};
	conditions.if_none_match_any = below(4) == 0;
	conditions.has_if_match = below(4) == 0;
	conditions.if_match = etag_of(below(4));
	return conditions;
}

static void check_result(
	const struct command_result *result, enum command_code wanted, const char *what)
{
	m.commands++;
	m.refusals += wanted != COMMAND_OK;
	if (wanted == COMMAND_EXISTS) {
		ck_assert(result->is_earlier);
		wanted = COMMAND_OK;
	}
	ck_assert_msg(result->code == wanted, "%s: %s, not %s", what,
		command_code_name(result->code), command_code_name(wanted));
}

/* --- random commands -------------------------------------------------------------------------- */

static struct command_body random_body(uint8_t etag)
{
	static const char text[] = "0123456789";
	if (below(3) == 0)
		return extents_body(1 + below(3) + (below(20) == 0) * 200, 4096 << below(3), etag);
	size_t len = below(sizeof text);
	return (struct command_body){
		.len = len, .etag = etag_of(etag), .inline_data = bytes_make(text, len)};
}

static struct command_attributes random_attributes(void)
{
	static uint8_t metadata[3000];
	static char value[2000];
	size_t len = 0;
	if (below(4) != 0)
		return (struct command_attributes){0};
	ck_assert_ok(metadata_append(metadata, sizeof metadata, &len, bytes_of("name"),
		bytes_make(value, below(sizeof value))));
	return (struct command_attributes){.metadata = bytes_make(metadata, len)};
}

static void do_put(int b, int k)
{
	struct model_key *key = &m.keys[b][k];
	uint8_t etag = below(4);
	struct command command = {.type = COMMAND_OBJECT_PUT};
	command.object_put.bucket = m.buckets[b];
	command.object_put.key = bytes_of(key_names[k]);
	command.object_put.conditions = random_conditions();
	command.object_put.attributes = random_attributes();
	command.object_put.body = random_body(etag);
	command.object_put.invocation = below(3);
	enum command_code wanted = judge(
		key, &command.object_put.conditions, etag_of(etag), command.object_put.invocation);
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, wanted, "put");
	if (wanted == COMMAND_OK)
		add(b, key,
			(struct model_version){.id = result.version,
				.len = command.object_put.body.len,
				.etag = etag_of(etag),
				.invocation = command.object_put.invocation});
}

/* Any version of a key that has one; one that is held, if there is any, as often as not. */
static size_t pick_version(const struct model_key *key)
{
	if (below(2) == 0) {
		for (size_t i = 0; i < key->count; i++)
			if (key->versions[i].is_held)
				return i;
	}
	return below(key->count);
}

static void do_delete(int b, int k, bool names_version)
{
	struct model_key *key = &m.keys[b][k];
	static uint8_t list[200];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command_delete item = {.key = bytes_of(key_names[k])};
	size_t at = 0;
	bool has_version = key->count > 0 && names_version;
	item.conditions.has_if_match = below(4) == 0;
	item.conditions.if_match = etag_of(below(4));
	if (has_version) {
		at = pick_version(key);
		if (key->versions[at].is_null)
			item.is_null = true;
		else
			item.version = key->versions[at].id;
	}
	command_delete_append(&out, &item);
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command.object_delete.bucket = m.buckets[b];
	command.object_delete.deletes = bytes_make(list, out.len);
	/* Conditions are about the version that is named. */
	struct model_key one = {.count = 1};
	if (has_version)
		one.versions[0] = key->versions[at];
	enum command_code wanted = judge(
		has_version ? &one : key, &item.conditions, (struct etag){0}, 0);
	if (wanted == COMMAND_OK && has_version && one.versions[0].is_held)
		wanted = COMMAND_LOCKED;
	kept_count += wanted == COMMAND_LOCKED;
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, wanted, "delete");
	if (wanted != COMMAND_OK)
		return;
	if (has_version)
		remove_at(key, at);
	else if (m.versioning[b] == BUCKET_UNVERSIONED)
		key->count = 0;
	else
		add(b, key, (struct model_version){.id = result.version, .is_marker = true});
}

/* A version to copy from; false: there is none. */
static bool pick_source(int *b, int *k, struct object_info *source)
{
	*b = below(BUCKETS);
	*k = below(KEYS);
	struct model_key *key = &m.keys[*b][*k];
	size_t at = key->count > 0 ? below(key->count) : 0;
	if (key->count == 0 || key->versions[at].is_marker)
		return false;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_get(
		rig.reader, m.buckets[*b], bytes_of(key_names[*k]), key->versions[at].id, source));
	index_view_end(rig.reader);
	return true;
}

static void do_copy(int b, int k)
{
	int from_b, from_k;
	struct object_info source;
	if (!pick_source(&from_b, &from_k, &source))
		return;
	struct model_key *key = &m.keys[b][k];
	struct command command = {.type = COMMAND_OBJECT_COPY};
	struct command_object_copy *copy = &command.object_copy;
	copy->source_bucket = m.buckets[from_b];
	copy->source_key = bytes_of(key_names[from_k]);
	copy->source_version = source.version;
	copy->source_body = source.row.body + (below(10) == 0);
	copy->bucket = m.buckets[b];
	copy->key = bytes_of(key_names[k]);
	copy->conditions = random_conditions();
	enum command_code wanted = copy->source_body != source.row.body
		? COMMAND_NO_VERSION
		: judge(key, &copy->conditions, source.row.etag, 0);
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, wanted, "copy");
	if (wanted == COMMAND_OK)
		add(b, key,
			(struct model_version){.id = result.version,
				.len = source.row.len,
				.etag = source.row.etag});
}

static void do_create(int b, int k)
{
	if (m.upload_count == UPLOADS_MAX)
		return;
	struct command command = {.type = COMMAND_UPLOAD_CREATE};
	command.upload_create.bucket = m.buckets[b];
	command.upload_create.key = bytes_of(key_names[k]);
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, COMMAND_OK, "create");
	m.uploads[m.upload_count++] = (struct model_upload){
		.id = result.id, .bucket = b, .key = k, .change_count = result.count};
}

static void do_part(struct model_upload *upload)
{
	uint16_t part = below(PARTS_MAX);
	int from_b, from_k;
	struct object_info source;
	struct command command = {.type = COMMAND_UPLOAD_PART};
	uint64_t len;
	if (below(2) == 0 && pick_source(&from_b, &from_k, &source)) {
		struct command_upload_part_copy *copy = &command.upload_part_copy;
		command.type = COMMAND_UPLOAD_PART_COPY;
		copy->source_bucket = m.buckets[from_b];
		copy->source_key = bytes_of(key_names[from_k]);
		copy->source_version = source.version;
		copy->source_body = source.row.body;
		copy->offset = below(source.row.len + 1);
		copy->len = len = below(source.row.len - copy->offset + 1);
		copy->bucket = m.buckets[upload->bucket];
		copy->key = bytes_of(key_names[upload->key]);
		copy->upload = upload->id;
		copy->part = part + 1;
		copy->is_counted = below(4) > 0; /* as from before that */
	} else {
		command.upload_part.bucket = m.buckets[upload->bucket];
		command.upload_part.key = bytes_of(key_names[upload->key]);
		command.upload_part.upload = upload->id;
		command.upload_part.part = part + 1;
		command.upload_part.is_counted = below(4) > 0;
		command.upload_part.body = random_body(9);
		len = command.upload_part.body.len;
	}
	struct command_result result = rig_propose(&rig, &command);
	if (result.code == COMMAND_LIMIT)
		return; /* too deep; how deep is not the model's to know */
	check_result(&result, COMMAND_OK, "part");
	upload->lens[part] = len + 1;
	ck_assert_uint_eq(result.count, upload->change_count + 1);
	upload->change_count = result.count;
}

static void do_complete(struct model_upload *upload)
{
	struct model_key *key = &m.keys[upload->bucket][upload->key];
	static uint8_t list[2 * PARTS_MAX];
	size_t count = 0;
	uint64_t len = 0;
	for (unsigned i = 0; i < PARTS_MAX; i++) {
		if (upload->lens[i] == 0 || below(3) == 0)
			continue;
		put_le16(list + 2 * count++, i + 1);
		len += upload->lens[i] - 1;
	}
	if (count == 0)
		return;
	struct command command = {.type = COMMAND_UPLOAD_COMPLETE};
	struct command_upload_complete *complete = &command.upload_complete;
	complete->bucket = m.buckets[upload->bucket];
	complete->key = bytes_of(key_names[upload->key]);
	complete->upload = upload->id;
	complete->change_count = upload->change_count - (below(4) == 0);
	complete->parts = bytes_make(list, 2 * count);
	complete->etag = etag_of(below(4));
	complete->conditions = random_conditions();
	enum command_code wanted = complete->change_count != upload->change_count
		? COMMAND_STALE
		: judge(key, &complete->conditions, complete->etag, 0);
	struct command_result result = rig_propose(&rig, &command);
	if (result.code == COMMAND_LIMIT)
		return;
	check_result(&result, wanted, "complete");
	if (wanted != COMMAND_OK)
		return;
	ck_assert_uint_eq(result.len, len);
	add(upload->bucket, key,
		(struct model_version){.id = result.version, .len = len, .etag = complete->etag});
	*upload = m.uploads[--m.upload_count];
}

static void do_abort(struct model_upload *upload)
{
	struct command command = {.type = COMMAND_UPLOAD_ABORT};
	command.upload_abort.bucket = m.buckets[upload->bucket];
	command.upload_abort.key = bytes_of(key_names[upload->key]);
	command.upload_abort.upload = upload->id;
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, COMMAND_OK, "abort");
	*upload = m.uploads[--m.upload_count];
}

static void do_versioning(int b)
{
	static const enum bucket_versioning next[] = {BUCKET_ENABLED, BUCKET_SUSPENDED};
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = m.buckets[b];
	command.bucket_update.set = BUCKET_SET_VERSIONING;
	command.bucket_update.versioning = next[below(2)];
	bool is_suspended = command.bucket_update.versioning == BUCKET_SUSPENDED;
	enum command_code wanted = m.has_lock[b] && is_suspended ? COMMAND_LOCKED : COMMAND_OK;
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, wanted, "versioning");
	if (wanted == COMMAND_OK)
		m.versioning[b] = command.bucket_update.versioning;
}

/* A bucket that has versions gets lock. */
static void do_lock(int b)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = m.buckets[b];
	command.bucket_update.set = BUCKET_SET_LOCK;
	bool may_have = m.versioning[b] == BUCKET_ENABLED;
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, may_have ? COMMAND_OK : COMMAND_LOCKED, "lock");
	m.has_lock[b] |= may_have;
}

/* Sets or lifts the legal hold of a version. */
static void do_hold(int b, int k, bool is_on)
{
	struct model_key *key = &m.keys[b][k];
	if (key->count == 0)
		return;
	struct model_version *version = &key->versions[pick_version(key)];
	struct command command = {.type = COMMAND_OBJECT_UPDATE};
	command.object_update.bucket = m.buckets[b];
	command.object_update.key = bytes_of(key_names[k]);
	command.object_update.version = version->id;
	command.object_update.set = OBJECT_SET_LEGAL_HOLD;
	command.object_update.has_legal_hold = is_on;
	enum command_code wanted = version->is_marker ? COMMAND_NO_VERSION
		: m.has_lock[b]                       ? COMMAND_OK
						      : COMMAND_REFUSED;
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, wanted, "hold");
	if (wanted == COMMAND_OK)
		version->is_held = is_on;
}

static void do_swap(int b, int k)
{
	struct object_info object;
	struct row_body body;
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_version_find(
		rig.reader, m.buckets[b], bytes_of(key_names[k]), &object);
	if (err == ERR_OK && !object.row.is_delete_marker)
		ck_assert_ok(index_body_get(rig.reader, object.row.body, &body));
	index_view_end(rig.reader);
	if (err != ERR_OK || object.row.is_delete_marker || body.kind != BODY_EXTENTS)
		return;
	struct command command = {.type = COMMAND_BODY_SWAP};
	command.body_swap.body = object.row.body;
	command.body_swap.generation = body.generation;
	command.body_swap.stored_len = body.stored_len;
	command.body_swap.extents = extents_body(1, body.stored_len, 0).extents;
	struct command_result result = rig_propose(&rig, &command);
	check_result(&result, COMMAND_OK, "swap");
}

static void do_something(void)
{
	int b = below(BUCKETS), k = below(KEYS);
	struct model_upload *upload = m.upload_count ? &m.uploads[below(m.upload_count)] : NULL;
	switch (below(13)) {
	case 0:
	case 1:
	case 2:
		do_put(b, k);
		return;
	case 3:
	case 4:
	case 5:
		do_delete(b, k, below(2) == 0);
		return;
	case 6:
		do_copy(b, k);
		return;
	case 7:
		do_create(b, k);
		return;
	case 8:
		if (upload)
			do_complete(upload);
		return;
	case 9:
		if (below(3) == 0)
			do_swap(b, k);
		else if (upload && below(4) == 0)
			do_abort(upload);
		else if (below(10) == 0 && b > 0)
			do_versioning(b);
		return;
	case 10:
		if (below(8) == 0 && b > 0)
			do_lock(b);
		else
			do_hold(b, k, below(2) == 0);
		return;
	default:
		if (upload)
			do_part(upload);
	}
}

/* --- comparing -------------------------------------------------------------------------------- */

static void compare_bucket(int b)
{
	struct index_version_cursor cursor;
	ck_assert_ok(index_view_begin(rig.reader));
	index_versions_init(&cursor, rig.reader, m.buckets[b]);
	enum err err = index_versions_seek(&cursor, bytes_of(""));
	for (int k = 0; k < KEYS; k++) {
		struct model_key *key = &m.keys[b][k];
		for (size_t i = key->count; i-- > 0; err = index_versions_next(&cursor)) {
			const struct model_version *want = &key->versions[i];
			ck_assert_ok(err);
			ck_assert(bytes_is_text(cursor.key, key_names[k]));
			ck_assert(version_id_is_equal(cursor.object.version, want->id));
			ck_assert_uint_eq(cursor.object.is_latest, i + 1 == key->count);
			ck_assert_uint_eq(cursor.object.row.is_null, want->is_null);
			ck_assert_uint_eq(cursor.object.row.is_delete_marker, want->is_marker);
			ck_assert_uint_eq(cursor.object.row.has_legal_hold, want->is_held);
			ck_assert_uint_eq(cursor.object.row.len, want->len);
			ck_assert(etag_is_equal(&cursor.object.row.etag, &want->etag));
		}
	}
	ck_assert_err(err, ERR_NOT_FOUND);
	index_view_end(rig.reader);
}

static void compare(void)
{
	for (int b = 0; b < BUCKETS; b++)
		compare_bucket(b);
	index_audit(rig.index, rig.reader);
}

/* Keeps stacks of versions below what the model has room for. */
static void trim(void)
{
	for (int b = 0; b < BUCKETS; b++) {
		for (int k = 0; k < KEYS; k++) {
			while (m.keys[b][k].count > VERSIONS_MAX / 2) {
				do_hold(b, k, false);
				do_delete(b, k, true);
			}
		}
	}
}

static void run_seed(uint64_t seed)
{
	memset(&m, 0, sizeof m);
	m.seed = seed;
	rig_setup();
	m.buckets[0] = bucket;
	for (int b = 1; b < BUCKETS; b++) {
		struct command command = create_command(b == 1 ? "one" : "two", "owner");
		if (b == 2) {
			m.versioning[b] = command.bucket_create.versioning = BUCKET_ENABLED;
			m.has_lock[b] = command.bucket_create.has_lock = true;
		}
		m.buckets[b] = rig_propose(&rig, &command).id;
	}
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 25; i++)
			do_something();
		trim();
		if (below(4) == 0)
			rig_collect(&rig);
		if (below(10) == 0) {
			rig_reopen(&rig, below(2) == 0);
			next_counter = 1; /* of a new session */
		}
		if (round % COMPARE_EVERY == COMPARE_EVERY - 1)
			compare();
	}
	rig_collect(&rig);
	index_audit_is_clean(rig.reader);
	compare();
	ck_assert_uint_gt(m.commands, 200);
	ck_assert_uint_gt(m.refusals, 30);
	rig_teardown();
}

START_TEST(any_commands_do_what_the_model_says)
{
	const char *text = getenv("INDEX_MODEL_SEEDS");
	uint64_t seeds = text ? strtoull(text, NULL, 10) : 1;
	for (uint64_t seed = 1; seed <= seeds; seed++)
		run_seed(seed);
	ck_assert_uint_gt(kept_count, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_model");
	TCase *tc = tcase_create("index_model");
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, any_commands_do_what_the_model_says);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
