/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/accounting.h"

#include "storage/meta/apply_priv.h"

static void add(struct row_bucket_counts *counts, const struct row_bucket_counts *change)
{
	counts->objects += change->objects;
	counts->versions += change->versions;
	counts->len += change->len;
	counts->uploads += change->uploads;
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

void accounting_flush(struct apply *apply)
{
	uint64_t bucket = apply->accounting.bucket;
	if (bucket == 0)
		return;
	struct row_bucket_counts counts;
	accounting_get(apply, bucket, &counts);
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
