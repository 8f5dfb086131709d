/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_ACCOUNTING_H
#define STORAGE_META_ACCOUNTING_H

#include "storage/meta/rows.h"

/* Counts of buckets, and of users: of those owners who have a row_user, the sum of their buckets. A
 * command's changes are collected and written once, at its end; all numbers are modulo 2^64, so
 * that a change may be negative. */
struct accounting {
	uint64_t bucket; /* 0: nothing is collected */
	struct row_bucket_counts change;
};

struct apply;

/* Adds to the counts of a bucket. */
void accounting_add(struct apply *apply, uint64_t bucket, const struct row_bucket_counts *change);

/* The counts as they are with what was collected. */
void accounting_get(struct apply *apply, uint64_t bucket, struct row_bucket_counts *ret_counts);

/* Writes what was collected. */
void accounting_flush(struct apply *apply);

/* The bucket with all that it has goes from one owner to another; nobody has no name. */
void accounting_give(struct apply *apply, uint64_t bucket, struct bytes from, struct bytes to);

/* What the owner of a bucket uses, and may use, with what was collected. False: the owner is no
 * user whose usage is counted. */
bool accounting_get_usage(
	struct apply *apply, const struct row_bucket *bucket, struct row_user_usage *ret_usage);

/* Adds up what an owner has: for one who becomes a user. */
void accounting_sum(struct apply *apply, struct bytes owner, struct row_user_usage *usage);

/* The bucket is gone, and its counts. */
void accounting_remove(struct apply *apply, uint64_t bucket);

#endif
