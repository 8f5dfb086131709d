/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets and users that have used up what they may. */
#include <string.h>

#include "server/control_health.h"
#include "server/control_user.h"

struct search {
	struct control_buckets buckets;
	struct control_quotas *quotas;
};

/* Adds one to a text of names, as far as it goes. */
static void name_it(struct control_quota *quota, const char *what, struct bytes name)
{
	size_t len = strlen(quota->names);
	quota->count++;
	snprintf(quota->names + len, sizeof quota->names - len, "%s%s %.*s", len ? ", " : "", what,
		(int)name.len, (const char *)name.data);
}

static void judge(struct control_quotas *quotas, const char *what, struct bytes name,
	const struct row_quota *quota, const struct row_bucket_counts *counts)
{
	uint64_t len = counts->len + counts->parts_len;
	if ((quota->len > 0 && len >= quota->len) ||
		(quota->versions > 0 && counts->versions >= quota->versions))
		name_it(&quotas->full, what, name);
	else if ((quota->soft_len > 0 && len > quota->soft_len) ||
		(quota->soft_versions > 0 && counts->versions > quota->soft_versions))
		name_it(&quotas->soft, what, name);
}

static enum err judge_bucket(
	struct control_buckets *buckets, struct node *node, const struct row_bucket *row)
{
	static const struct row_quota none = {.len = 0};
	struct search *search = CONTAINER_OF(buckets, struct search, buckets);
	struct row_bucket_counts counts;
	if (memcmp(&row->quota, &none, sizeof none) == 0)
		return ERR_OK;
	enum err err = index_bucket_counts(node->reader, row->id, &counts);
	if (!err)
		judge(search->quotas, "bucket", row->name, &row->quota, &counts);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err judge_users(struct node *node, struct control_quotas *quotas)
{
	uint8_t from[ROW_OWNER_LEN_MAX + 1];
	size_t from_len = 0;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	while (!err) {
		struct bytes id;
		struct row_user row;
		struct row_user_usage usage;
		err = index_user_next(node->reader, bytes_make(from, from_len), &id, &row);
		if (err)
			break;
		from_len = id.len < sizeof from - 1 ? id.len : sizeof from - 1;
		memcpy(from, id.data, from_len);
		id = bytes_make(from, from_len);
		err = index_user_usage_get(node->reader, id, &usage);
		if (!err)
			judge(quotas, "user", id, &usage.quota, &usage.counts);
		from[from_len++] = 0;
	}
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err control_quotas(struct node *node, struct control_quotas *ret_quotas)
{
	struct search search = {.buckets.call = judge_bucket, .quotas = ret_quotas};
	*ret_quotas = (struct control_quotas){.full.count = 0};
	enum err err = control_each_bucket(node, &search.buckets);
	return err ? err : judge_users(node, ret_quotas);
}
