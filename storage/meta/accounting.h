/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_ACCOUNTING_H
#define STORAGE_META_ACCOUNTING_H

#include "storage/meta/rows.h"

/* Counts of buckets. A command's changes are collected and written once, at its end; all numbers
 * are modulo 2^64, so that a change may be negative. */
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

/* The bucket is gone, and its counts. */
void accounting_remove(struct apply *apply, uint64_t bucket);

#endif
