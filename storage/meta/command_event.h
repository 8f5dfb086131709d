/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_EVENT_H
#define STORAGE_META_COMMAND_EVENT_H

#include "storage/meta/fields.h"
#include "storage/meta/rows.h"

/* Commands of lifecycle rules; who proposes them is storage/repair/expire.h.
 *
 * All name the rules they are for, by lifecycle_watch_of() of the bucket's
 * configuration; STALE if the bucket's are others. */

/* Events are kept for these rules from now on; what was there before gets its own by EVENT_FILL,
 * until is_filled is said. watched 0: no events are kept. NO_BUCKET. */
struct command_bucket_watch {
	uint64_t bucket;
	uint64_t watched;
	bool is_filled;
};

/* The place of a version or upload that was there before, and when that was. */
struct command_event {
	struct version_id place;
	uint64_t time_ms;
	struct bytes key;
};

struct command_event_fill {
	uint64_t bucket;
	uint64_t watched;
	struct bytes events; /* list of command_event */
};

/* Events up to and with that place have been seen to; watched 0: of a bucket that is gone or has no
 * rules. Done in steps: result.count is 1 while there are more. */
#define COMMAND_EVENT_STEP 500
struct command_event_done {
	uint64_t bucket;
	uint64_t watched;
	struct event_place place;
};

enum command_expire_kind { /* kept on disk */
	EXPIRE_CURRENT = 1, /* the current version, as a delete of its key */
	EXPIRE_OLD = 2, /* a version that is not the newest */
	EXPIRE_MARKER = 3, /* a delete marker that is all that is left of a key */
	EXPIRE_UPLOAD = 4,
};

struct command_expire_item {
	uint8_t kind;
	struct bytes key;
	struct version_id version; /* of an upload: its id is the index */
	uint64_t due_ms; /* not before, in cluster time */
};

/* Does of a list what is still so: what is no more as the item says, is not due, or is locked stays
 * as it is. result.count: how many were done. */
#define COMMAND_EXPIRE_MAX 100
struct command_expire {
	uint64_t bucket;
	uint64_t watched;
	struct bytes items; /* list of command_expire_item, at most COMMAND_EXPIRE_MAX */
};

/* Lists inside them, as in command.h. */
void command_event_append(struct fields_out *out, const struct command_event *event);
MUST_USE enum err command_event_next(struct bytes *list, struct command_event *ret_event);
void command_expire_append(struct fields_out *out, const struct command_expire_item *item);
MUST_USE enum err command_expire_next(struct bytes *list, struct command_expire_item *ret_item);

#endif
