/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_EXPIRE_PRIV_H
#define STORAGE_REPAIR_EXPIRE_PRIV_H

#include "storage/meta/command.h"
#include "storage/meta/lifecycle.h"
#include "storage/repair/expire.h"

/* One way in which events become due. */
struct expire_age {
	bool is_date; /* from date_ms on all of them; else when they are so many days old */
	uint64_t date_ms;
	uint32_t days; /* 0: at once */
	struct event_place passed;
};

struct expire_bucket {
	struct expire_bucket *next;
	uint64_t id;
	uint64_t watched;
	/* Filling: the version, then the upload, that was filed last. */
	bool is_in_uploads;
	size_t key_len;
	uint8_t key[ROW_KEY_LEN_MAX];
	struct version_id version;
	uint64_t upload;
	/* Watching. */
	struct event_place done; /* events up to there are removed */
	unsigned age_count;
	struct expire_age ages[];
};

/* What is known of a bucket with these rules; made of the rules when it is not known yet. NULL: no
 * memory, or the rules cannot be read. */
struct expire_bucket *expire_bucket_of(
	struct expirer *expirer, const struct row_bucket *row, struct bytes rules);
struct expire_bucket *expire_bucket_find(const struct expirer *expirer, uint64_t id);
void expire_forget(struct expirer *expirer, struct expire_bucket *bucket); /* NULL is fine */

#define EXPIRE_ITEM_LEN_MAX (ROW_KEY_LEN_MAX + 64) /* of an item or event in a list */

/* Is there room for one more in the list that is being made? */
static inline bool expire_has_room(const struct expirer *expirer, const struct fields_out *out)
{
	return expirer->item_count < COMMAND_EXPIRE_MAX &&
		out->len + EXPIRE_ITEM_LEN_MAX <= out->cap;
}

/* Has a rule a prefix of this key? If not, *ret_next is the least prefix behind it, of which a key
 * may come next; empty if there is none. */
bool expire_is_for(struct bytes rules, struct bytes key, struct bytes *ret_next);

/* Appends what is due of a key, under a view. Sets expirer->is_cut if there was no room for all.
 * Errors: those of lookups. */
MUST_USE enum err expire_judge(struct expirer *expirer, uint64_t bucket, struct bytes rules,
	struct bytes key, struct fields_out *out);

#endif
