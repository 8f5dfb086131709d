/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/accounting.h"

#include "storage/meta/apply_priv.h"

static void add(struct row_bucket_counts *counts, const struct row_bucket_counts *change)
{
	counts->objects += change->objects;
	counts->versions += change->versions;
	counts->len += change->len;
	counts->uploads += change->uploads;
	counts->parts_len += change->parts_len;
}

void accounting_add(struct apply *apply, uint64_t bucket, const struct row_bucket_counts *change)
{
	struct accounting *accounting = &apply->accounting;
	if (accounting->bucket != bucket)
		accounting_flush(apply);
	accounting->bucket = bucket;
	add(&accounting->change, change);
}

void accounting_get(struct apply *apply, uint64_t bucket, struct row_bucket_counts *ret_counts)
{
	struct row_key key;
	row_key_id(&key, TABLE_BUCKET_COUNTS, bucket);
	*ret_counts = (struct row_bucket_counts){0};
	if (!apply_get_bucket_counts(apply, &key, ret_counts))
		apply_fail(apply, ERR_CORRUPT);
	if (apply->accounting.bucket == bucket)
		add(ret_counts, &apply->accounting.change);
}

/* --- users ------------------------------------------------------------------------------------ */

static bool find_usage(struct apply *apply, struct bytes owner, struct row_key *key,
	struct row_user_usage *ret_usage)
{
	if (!apply->has_users || owner.len == 0)
		return false;
	row_key_name(key, TABLE_USER_USAGE, owner);
	return apply_get_user_usage(apply, key, ret_usage);
}

static void change_usage(struct apply *apply, struct bytes owner,
	const struct row_bucket_counts *change, uint64_t buckets)
{
	struct row_key key;
	struct row_user_usage usage;
	if (!find_usage(apply, owner, &key, &usage))
		return;
	add(&usage.counts, change);
	usage.buckets += buckets;
	apply_put_user_usage(apply, &key, &usage);
}

void accounting_give(struct apply *apply, uint64_t bucket, struct bytes from, struct bytes to)
{
	struct row_bucket_counts counts;
	if (!apply->has_users)
		return;
	accounting_get(apply, bucket, &counts);
	change_usage(apply, to, &counts, 1);
	counts = (struct row_bucket_counts){
		-counts.objects, -counts.versions, -counts.len, -counts.uploads, -counts.parts_len};
	change_usage(apply, from, &counts, -UINT64_C(1));
}

bool accounting_get_usage(
	struct apply *apply, const struct row_bucket *bucket, struct row_user_usage *ret_usage)
{
	struct row_key key;
	if (!find_usage(apply, bucket->owner, &key, ret_usage))
		return false;
	if (apply->accounting.bucket == bucket->id)
		add(&ret_usage->counts, &apply->accounting.change);
	return true;
}

void accounting_sum(struct apply *apply, struct bytes owner, struct row_user_usage *usage)
{
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_BUCKET);
	bool is_there = apply_seek(apply, &key, 1, &found, &value);
	while (is_there) {
		struct row_bucket row;
		struct row_bucket_counts counts;
		if (!APPLY_DECODE(apply, bucket, value, &row))
			return;
		if (bytes_is_equal(row.owner, owner)) {
			accounting_get(apply, row.id, &counts);
			add(&usage->counts, &counts);
			usage->buckets++;
		}
		row_key_id(&key, TABLE_BUCKET, row.id + 1);
		is_there = apply_seek(apply, &key, 1, &found, &value);
	}
}

static void flush_usage(struct apply *apply, const struct accounting *accounting)
{
	struct row_key key;
	struct row_bucket row;
	if (!apply->has_users)
		return;
	row_key_id(&key, TABLE_BUCKET, accounting->bucket);
	if (apply_get_bucket(apply, &key, &row))
		change_usage(apply, row.owner, &accounting->change, 0);
}

/* --- the end of a command --------------------------------------------------------------------- */

void accounting_flush(struct apply *apply)
{
	uint64_t bucket = apply->accounting.bucket;
	if (bucket == 0)
		return;
	struct row_bucket_counts counts;
	accounting_get(apply, bucket, &counts);
	flush_usage(apply, &apply->accounting);
	apply->accounting = (struct accounting){0};
	struct row_key key;
	row_key_id(&key, TABLE_BUCKET_COUNTS, bucket);
	apply_put_bucket_counts(apply, &key, &counts);
}

void accounting_remove(struct apply *apply, uint64_t bucket)
{
	accounting_flush(apply);
	struct row_key key;
	row_key_id(&key, TABLE_BUCKET_COUNTS, bucket);
	apply_remove(apply, &key);
}
