/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/quota.h"

/* How long the body is, without the frames that it may come in. False: it is not said. */
static bool find_len(const struct request *request, uint64_t *ret_len)
{
	const struct exchange *x = request->exchange;
	struct bytes text;
	uint64_t len = 0;

	if (!request_header(request, "x-amz-decoded-content-length", &text)) {
		*ret_len = x->body_len;
		return x->has_body_len;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		len = len * 10 + (text.data[i] - '0');
	}
	*ret_len = len;
	return text.len > 0 && text.len <= 18;
}

static bool has_quota(const struct row_quota *quota)
{
	return quota->len > 0 || quota->versions > 0;
}

static bool is_over(
	const struct row_quota *quota, const struct row_bucket_counts *counts, uint64_t len)
{
	if (quota->len > 0 && (counts->len > quota->len || len > quota->len - counts->len))
		return true;
	return quota->versions > 0 && counts->versions >= quota->versions;
}

static bool replaces_nothing(struct request *request)
{
	struct object_info object;
	if (request->bucket.versioning == BUCKET_ENABLED)
		return true;
	return index_version_find(request_reader(request), request->bucket.id,
		       request->resource.key, &object) == ERR_NOT_FOUND;
}

bool quota_is_exceeded(struct request *request)
{
	struct index_reader *reader = request_reader(request);
	const struct row_bucket *bucket = &request->bucket;
	struct row_bucket_counts counts;
	struct row_user_usage usage = {.buckets = 0};
	uint64_t len;

	if (request->route->body != ROUTE_BODY_PAYLOAD)
		return false;
	if (request->principal.is_user &&
		index_user_usage_get(reader, bucket->owner, &usage) != ERR_OK)
		usage = (struct row_user_usage){.buckets = 0};
	if ((!has_quota(&bucket->quota) && !has_quota(&usage.quota)) || !find_len(request, &len) ||
		!replaces_nothing(request) ||
		index_bucket_counts(reader, bucket->id, &counts) != ERR_OK)
		return false;
	return is_over(&bucket->quota, &counts, len) || is_over(&usage.quota, &usage.counts, len);
}
