/* SPDX-License-Identifier: Apache-2.0 */
/* What the rules of a bucket say about one key. */
#include <assert.h>
#include <stdlib.h>

#include "storage/repair/expire_priv.h"

/* --- ages of a bucket ------------------------------------------------------------------------- */

#define AGES_PER_RULE 5

static bool is_same_age(const struct expire_age *a, const struct expire_age *b)
{
	return a->is_date == b->is_date && a->date_ms == b->date_ms && a->days == b->days;
}

static void add_age(struct expire_bucket *bucket, struct expire_age age)
{
	for (unsigned i = 0; i < bucket->age_count; i++)
		if (is_same_age(&bucket->ages[i], &age))
			return;
	bucket->ages[bucket->age_count++] = age;
}

static void add_rule(struct expire_bucket *bucket, const struct lifecycle_rule *rule)
{
	if (!rule->is_enabled)
		return;
	/* What an event of now may have made due, however old the version is. */
	if (rule->removes_markers || rule->old_keep > 0 || rule->tags.len > 0)
		add_age(bucket, (struct expire_age){.days = 0});
	if (rule->date_ms > 0)
		add_age(bucket, (struct expire_age){.is_date = true, .date_ms = rule->date_ms});
	if (rule->days > 0)
		add_age(bucket, (struct expire_age){.days = rule->days});
	if (rule->old_days > 0)
		add_age(bucket, (struct expire_age){.days = rule->old_days});
	if (rule->abort_days > 0)
		add_age(bucket, (struct expire_age){.days = rule->abort_days});
}

static struct expire_bucket *make(const struct row_bucket *row, struct bytes rules)
{
	struct bytes list;
	struct lifecycle_rule rule;
	size_t count;
	if (lifecycle_open(rules, &list) != ERR_OK || fields_list_count(list, &count) != ERR_OK)
		return NULL;
	struct expire_bucket *bucket = calloc(
		1, sizeof *bucket + AGES_PER_RULE * count * sizeof *bucket->ages);
	enum err err = bucket ? ERR_OK : ERR_NO_MEMORY;
	while (err == ERR_OK && (err = lifecycle_next(&list, &rule)) == ERR_OK)
		add_rule(bucket, &rule);
	if (err != ERR_END) {
		free(bucket);
		return NULL;
	}
	bucket->id = row->id;
	bucket->watched = row->watched;
	return bucket;
}

struct expire_bucket *expire_bucket_find(const struct expirer *expirer, uint64_t id)
{
	struct expire_bucket *bucket = expirer->buckets;
	while (bucket && bucket->id != id)
		bucket = bucket->next;
	return bucket;
}

void expire_forget(struct expirer *expirer, struct expire_bucket *bucket)
{
	struct expire_bucket **at = &expirer->buckets;
	while (*at && *at != bucket)
		at = &(*at)->next;
	if (*at)
		*at = bucket->next;
	free(bucket);
}

struct expire_bucket *expire_bucket_of(
	struct expirer *expirer, const struct row_bucket *row, struct bytes rules)
{
	struct expire_bucket *bucket = expire_bucket_find(expirer, row->id);
	if (bucket && bucket->watched == row->watched)
		return bucket;
	expire_forget(expirer, bucket);
	bucket = make(row, rules);
	if (!bucket)
		return NULL;
	bucket->next = expirer->buckets;
	expirer->buckets = bucket;
	return bucket;
}

/* --- keys that rules are for ------------------------------------------------------------------ */

bool expire_is_for(struct bytes rules, struct bytes key, struct bytes *ret_next)
{
	struct bytes list;
	struct lifecycle_rule rule;
	bool has_next = false;
	*ret_next = bytes_make(NULL, 0);
	if (lifecycle_open(rules, &list) != ERR_OK)
		return false;
	while (lifecycle_next(&list, &rule) == ERR_OK) {
		if (!rule.is_enabled)
			continue;
		if (bytes_has_prefix(key, rule.prefix))
			return true;
		if (bytes_compare(rule.prefix, key) > 0 &&
			(!has_next || bytes_compare(rule.prefix, *ret_next) < 0)) {
			*ret_next = rule.prefix;
			has_next = true;
		}
	}
	return false;
}

/* --- judging ---------------------------------------------------------------------------------- */

/* A key being judged. */
struct judge {
	struct expirer *expirer;
	uint64_t bucket;
	struct bytes rules; /* a list */
	struct bytes key;
	uint64_t now_ms;
	struct fields_out *out;
	unsigned seen; /* versions, from the newest on */
	uint64_t since_ms; /* the time of the one seen last: from then on the next was old */
	unsigned left; /* versions that stay */
	bool is_marker; /* the newest one is: */
	struct version_id marker;
	uint64_t marker_ms;
};

static void take(struct judge *judge, enum command_expire_kind kind, struct version_id version,
	uint64_t due_ms)
{
	if (!expire_has_room(judge->expirer, judge->out)) {
		judge->expirer->is_cut = true;
		return;
	}
	command_expire_append(judge->out,
		&(struct command_expire_item){
			.kind = kind, .key = judge->key, .version = version, .due_ms = due_ms});
	assert(!judge->out->is_full);
	judge->expirer->item_count++;
}

static bool is_due(const struct judge *judge, uint64_t time_ms, uint32_t days, uint64_t *ret_due_ms)
{
	*ret_due_ms = lifecycle_due_ms(time_ms, days, judge->expirer->day_ms);
	return days > 0 && *ret_due_ms <= judge->now_ms;
}

static bool expires_current(const struct judge *judge, const struct lifecycle_rule *rule,
	const struct row_version *row, uint64_t *ret_due_ms)
{
	if (is_due(judge, row->time_ms, rule->days, ret_due_ms))
		return true;
	*ret_due_ms = rule->date_ms;
	return rule->date_ms > 0 && rule->date_ms <= judge->now_ms;
}

static bool is_locked(const struct judge *judge, const struct row_version *row)
{
	return row->has_legal_hold ||
		(row->retention != RETENTION_NONE && row->retain_until_ms > judge->now_ms);
}

static void judge_version(struct judge *judge, const struct object_info *object)
{
	const struct row_version *row = &object->row;
	struct bytes list = judge->rules;
	struct lifecycle_rule rule;
	uint64_t due_ms;
	bool is_newest = judge->seen == 0;
	judge->left++;
	if (is_newest && row->is_delete_marker) {
		judge->is_marker = true;
		judge->marker = object->version;
		judge->marker_ms = row->time_ms;
		return;
	}
	while (lifecycle_next(&list, &rule) == ERR_OK) {
		if (row->is_delete_marker ? !lifecycle_fits_key(&rule, judge->key)
					  : !lifecycle_fits(&rule, judge->key, row->tags, row->len))
			continue;
		if (is_newest && expires_current(judge, &rule, row, &due_ms)) {
			take(judge, EXPIRE_CURRENT, object->version, due_ms);
			return;
		}
		if (!is_newest && judge->seen > rule.old_keep && !is_locked(judge, row) &&
			is_due(judge, judge->since_ms, rule.old_days, &due_ms)) {
			take(judge, EXPIRE_OLD, object->version, due_ms);
			judge->left--;
			return;
		}
	}
}

/* A marker that will be alone once the rest is done. */
static void judge_marker(struct judge *judge)
{
	struct bytes list = judge->rules;
	struct lifecycle_rule rule;
	uint64_t due_ms;
	while (judge->is_marker && judge->left == 1 && lifecycle_next(&list, &rule) == ERR_OK) {
		if (!lifecycle_fits_key(&rule, judge->key))
			continue;
		if (rule.removes_markers || is_due(judge, judge->marker_ms, rule.days, &due_ms)) {
			take(judge, EXPIRE_MARKER, judge->marker, 0);
			return;
		}
	}
}

/* Tags may be elsewhere; then the cursor has to find its place again. */
static enum err read_tags(struct judge *judge, struct index_version_cursor *cursor,
	struct object_info *object, bool *ret_is_moved)
{
	*ret_is_moved = object->row.has_overflow;
	if (!object->row.has_overflow)
		return ERR_OK;
	bool is_latest = object->is_latest;
	enum err err = index_version_get(
		cursor->reader, judge->bucket, judge->key, object->version, object);
	object->is_latest = is_latest;
	return err;
}

static enum err judge_versions(struct judge *judge, struct index_reader *reader)
{
	struct index_version_cursor cursor;
	index_versions_init(&cursor, reader, judge->bucket);
	enum err err = index_versions_seek(&cursor, judge->key);
	while (err == ERR_OK && bytes_is_equal(cursor.key, judge->key) && !judge->expirer->is_cut) {
		struct object_info object = cursor.object;
		bool is_moved;
		err = read_tags(judge, &cursor, &object, &is_moved);
		if (err)
			return err;
		judge_version(judge, &object);
		judge->seen++;
		judge->since_ms = object.row.time_ms;
		err = is_moved
			? index_versions_seek_after_version(&cursor, judge->key, object.version)
			: index_versions_next(&cursor);
	}
	if (!judge->expirer->is_cut)
		judge_marker(judge);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void judge_upload(struct judge *judge, const struct index_upload *upload)
{
	struct bytes list = judge->rules;
	struct lifecycle_rule rule;
	uint64_t due_ms;
	while (lifecycle_next(&list, &rule) == ERR_OK)
		if (lifecycle_fits_key(&rule, judge->key) &&
			is_due(judge, upload->row.initiated_ms, rule.abort_days, &due_ms)) {
			take(judge, EXPIRE_UPLOAD, (struct version_id){.index = upload->upload},
				due_ms);
			return;
		}
}

static enum err judge_uploads(struct judge *judge, struct index_reader *reader)
{
	struct index_upload upload = {0};
	enum err err = index_upload_next(
		reader, judge->bucket, judge->key, judge->key, upload.upload, &upload);
	while (err == ERR_OK && bytes_is_equal(upload.key, judge->key) && !judge->expirer->is_cut) {
		judge_upload(judge, &upload);
		err = index_upload_next(
			reader, judge->bucket, judge->key, judge->key, upload.upload, &upload);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err expire_judge(struct expirer *expirer, uint64_t bucket, struct bytes rules,
	struct bytes key, struct fields_out *out)
{
	struct judge judge = {
		.expirer = expirer,
		.bucket = bucket,
		.key = key,
		.now_ms = (uint64_t)clock_wall_ms(expirer->store->store->clock),
		.out = out,
	};
	struct bytes next;
	if (!expire_is_for(rules, key, &next))
		return ERR_OK;
	enum err err = lifecycle_open(rules, &judge.rules);
	if (err == ERR_OK)
		err = judge_versions(&judge, expirer->store->reader);
	if (err == ERR_OK)
		err = judge_uploads(&judge, expirer->store->reader);
	return err;
}
