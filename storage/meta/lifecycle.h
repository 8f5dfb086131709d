/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_LIFECYCLE_H
#define STORAGE_META_LIFECYCLE_H

#include "storage/bytes.h"
#include "storage/err.h"
#include "storage/meta/fields.h"

/* Lifecycle rules, as a bucket's configuration keeps them (BUCKET_CONFIG_LIFECYCLE): one byte, the
 * version of the format, and a list of rules. What they mean is of the S3 User Guide, "Managing the
 * lifecycle of objects"; the gateway has them as XML.
 */
#define LIFECYCLE_FORMAT 1
#define LIFECYCLE_RULES_MAX 1000
#define LIFECYCLE_ID_LEN_MAX 255
#define LIFECYCLE_TAGS_LEN_MAX 4096 /* of 10 tags, as rows keep them */
#define LIFECYCLE_DAYS_MAX 36500 /* ours, so that no sum of times overflows; S3 names none */
#define LIFECYCLE_KEEP_MAX 100 /* NewerNoncurrentVersions */
#define LIFECYCLE_DAY_MS UINT64_C(86400000)

enum lifecycle_form { /* how the filter was written; kept on disk */
	LIFECYCLE_PREFIX = 0, /* an element Prefix of the rule, or nothing */
	LIFECYCLE_FILTER = 1, /* one condition at most */
	LIFECYCLE_AND = 2,
};

struct lifecycle_rule {
	struct bytes id;
	bool is_enabled;
	uint8_t form; /* enum lifecycle_form */
	/* What it is for: all of these. */
	bool has_prefix;
	struct bytes prefix;
	struct bytes tags; /* metadata_next(); empty: any */
	bool has_above, has_below;
	uint64_t above, below; /* sizes strictly between */
	/* What is done; 0: not that. */
	uint32_t days; /* to the current version */
	uint64_t date_ms; /* likewise, from that time on */
	bool removes_markers; /* that are alone */
	uint32_t old_days; /* to versions that have not been the newest for so long */
	uint32_t old_keep; /* but for the newest so many of them */
	uint32_t abort_days; /* to uploads */
};

/* Begins a list, and appends to it; out->is_full is set when there is no room. */
void lifecycle_begin(struct fields_out *out);
void lifecycle_append(struct fields_out *out, const struct lifecycle_rule *rule);

/* Takes the format off a configuration, and then rule after rule. Errors: ERR_VERSION, ERR_CORRUPT;
 * of the latter ERR_END. */
MUST_USE enum err lifecycle_open(struct bytes config, struct bytes *ret_list);
MUST_USE enum err lifecycle_next(struct bytes *list, struct lifecycle_rule *ret_rule);

/* Names a configuration, so that what was found by other rules is known as such. 0: none. */
uint64_t lifecycle_watch_of(struct bytes config);

/* When something of that time is so many days old: at the end of the day, which is how S3 counts.
 * day_ms is LIFECYCLE_DAY_MS but in tests. */
uint64_t lifecycle_due_ms(uint64_t time_ms, uint32_t days, uint64_t day_ms);

/* Is the rule, if it is enabled, for such a version? A marker and an upload have no tags and no
 * size: a rule that asks for them is not for them. */
bool lifecycle_fits(
	const struct lifecycle_rule *rule, struct bytes key, struct bytes tags, uint64_t len);
bool lifecycle_fits_key(const struct lifecycle_rule *rule, struct bytes key);

#endif
