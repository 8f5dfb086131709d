/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_NOTICE_H
#define STORAGE_META_NOTICE_H

#include "storage/meta/fields.h"
#include "storage/meta/rows.h"

/* What a bucket tells others of: its rules, as its configuration keeps them
 * (BUCKET_CONFIG_NOTIFICATION): one byte, the version of the format, and a list of rules. What they
 * mean is of the S3 User Guide, "Amazon S3 Event Notifications"; the gateway has them as XML.
 */
#define NOTICE_FORMAT 1
#define NOTICE_RULES_MAX 100
#define NOTICE_ID_LEN_MAX 255
#define NOTICE_TARGET_LEN_MAX 64 /* name of a webhook */
#define NOTICE_ARN_LEN_MAX 256
#define NOTICE_FILTER_LEN_MAX 1024
#define NOTICE_QUEUE_MAX 100000 /* notices that wait for one webhook; more are dropped, counted */
#define NOTICE_ORIGIN_LEN_MAX 160

enum notice_event { /* kept on disk */
	NOTICE_CREATED_PUT = 0,
	NOTICE_CREATED_POST = 1,
	NOTICE_CREATED_COPY = 2,
	NOTICE_CREATED_COMPLETE = 3,
	NOTICE_REMOVED_DELETE = 4,
	NOTICE_REMOVED_MARKER = 5,
	NOTICE_EXPIRED_DELETE = 6,
	NOTICE_EXPIRED_MARKER = 7,
	NOTICE_TAGS_PUT = 8,
	NOTICE_TAGS_DELETE = 9,
	NOTICE_EVENT_COUNT
};

enum notice_group { /* kept on disk: bits of notice_rule.groups */
	NOTICE_GROUP_CREATED = 1 << 0,
	NOTICE_GROUP_REMOVED = 1 << 1,
	NOTICE_GROUP_EXPIRED = 1 << 2,
	NOTICE_GROUP_TAGS = 1 << 3,
};

enum notice_form { /* how a rule was written; kept on disk */
	NOTICE_QUEUE = 1,
	NOTICE_TOPIC = 2,
};

struct notice_rule {
	struct bytes id;
	uint8_t form; /* enum notice_form */
	struct bytes target; /* name of the webhook */
	struct bytes arn; /* as it was written */
	uint32_t events; /* set of 1 << enum notice_event, those of the groups too */
	uint32_t singles; /* those that were named themselves */
	uint32_t groups; /* those that were named by "s3:ObjectCreated:*" and the like */
	bool has_prefix, has_suffix;
	struct bytes prefix, suffix;
};

/* Begins a list, and appends to it; out->is_full is set when there is no room. */
void notice_begin(struct fields_out *out);
void notice_append(struct fields_out *out, const struct notice_rule *rule);

/* Takes the format off a configuration, and then rule after rule. Errors: ERR_VERSION, ERR_CORRUPT;
 * of the latter ERR_END. */
MUST_USE enum err notice_open(struct bytes config, struct bytes *ret_list);
MUST_USE enum err notice_next(struct bytes *list, struct notice_rule *ret_rule);

/* Events that any rule of a configuration is for. 0: none, or it cannot be read. */
uint32_t notice_events_of(struct bytes config);

/* The rule of a configuration that is for this: false, there is none. */
bool notice_find(struct bytes config, enum notice_event event, struct bytes key,
	struct notice_rule *ret_rule);

/* Names a configuration. */
uint64_t notice_hash_of(struct bytes config);

/* Do two rules share an event, and may both be for one key? S3 takes no such rules. */
bool notice_overlaps(const struct notice_rule *a, const struct notice_rule *b);

#endif
