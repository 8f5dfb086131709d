/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/authorize.h"

#include "gateway/authorize_values.h"

/* --- one right -------------------------------------------------------------------------------- */

static bool is_about_policy(const char *action)
{
	return strcmp(action, "s3:PutBucketPolicy") == 0 ||
		strcmp(action, "s3:GetBucketPolicy") == 0 ||
		strcmp(action, "s3:DeleteBucketPolicy") == 0;
}

static enum policy_effect ask_policy(
	struct request *request, const struct authorize_target *target, const char *action)
{
	struct authorize_values values = {
		.request = request,
		.target = target,
		.policy =
			{
				.is_anonymous = request->principal.is_anonymous,
				.owner = auth_owner(&request->principal),
				.action = action,
				.bucket = target->name,
				.key = target->key,
				.value = authorize_value,
			},
	};
	return policy_evaluate(target->rules->policy, &values.policy);
}

bool authorize(struct request *request, const struct authorize_target *target, const char *action)
{
	const struct bucket_rules *rules = target->rules;
	bool is_owner = auth_may(&request->principal, target->bucket->owner);

	if (!rules || (is_owner && is_about_policy(action)))
		return is_owner;
	if (rules->is_policy_unreadable)
		return false; /* (Z4) */
	if (!rules->policy)
		return is_owner;
	enum policy_effect effect = ask_policy(request, target, action);
	if (effect == POLICY_DENY)
		return false; /* (Z1) */
	if (is_owner)
		return true;
	if (rules->public_access & BUCKET_RESTRICT_PUBLIC_BUCKETS &&
		policy_is_public(rules->policy))
		return false; /* (Z3) */
	return effect == POLICY_ALLOW;
}

const char *authorize_version_action(const char *action)
{
	static const char *const pairs[][2] = {
		{"s3:GetObject", "s3:GetObjectVersion"},
		{"s3:GetObjectAcl", "s3:GetObjectVersionAcl"},
		{"s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"},
		{"s3:GetObjectTagging", "s3:GetObjectVersionTagging"},
		{"s3:GetObjectTorrent", "s3:GetObjectVersionTorrent"},
		{"s3:PutObjectAcl", "s3:PutObjectVersionAcl"},
		{"s3:PutObjectTagging", "s3:PutObjectVersionTagging"},
		{"s3:DeleteObject", "s3:DeleteObjectVersion"},
		{"s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(pairs); i++)
		if (strcmp(action, pairs[i][0]) == 0)
			return pairs[i][1];
	return action;
}

/* --- all that a request needs ----------------------------------------------------------------- */

struct authorize_target authorize_target_of(const struct request *request)
{
	struct authorize_target target = {
		.bucket = &request->bucket,
		.rules = request->rules,
		.name = request->resource.bucket,
		.key = request->resource.key,
	};
	target.has_version = target.key.len > 0 &&
		query_find(&request->query, "versionId", &target.version);
	return target;
}

static bool is_true(struct bytes text)
{
	return text.len == 4 && strncasecmp((const char *)text.data, "true", 4) == 0;
}

/* Rights that headers ask for, beside that of the route (Z5). */
static bool may_headers(struct request *request, const struct authorize_target *target)
{
	static const struct {
		const char *header, *action;
	} needs[] = {
		{"x-amz-tagging", "s3:PutObjectTagging"},
		{"x-amz-object-lock-mode", "s3:PutObjectRetention"},
		{"x-amz-object-lock-retain-until-date", "s3:PutObjectRetention"},
		{"x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"},
		{"x-amz-grant-full-control", "s3:PutObjectAcl"},
		{"x-amz-grant-read", "s3:PutObjectAcl"},
		{"x-amz-grant-read-acp", "s3:PutObjectAcl"},
		{"x-amz-grant-write-acp", "s3:PutObjectAcl"},
	};
	const char *action = request->route->action;
	struct bytes text;

	if (strcmp(action, "s3:PutObject") == 0)
		for (size_t i = 0; i < ARRAY_COUNT(needs); i++)
			if (request_header(request, needs[i].header, NULL) &&
				!authorize(request, target, needs[i].action))
				return false;
	if ((strcmp(action, "s3:DeleteObject") == 0 ||
		    strcmp(action, "s3:PutObjectRetention") == 0) &&
		request_header(request, "x-amz-bypass-governance-retention", &text) &&
		is_true(text))
		return authorize(request, target, "s3:BypassGovernanceRetention");
	return true;
}

/* DeleteObjects is weighed key by key, when they are known; who can have no right to any is told
 * before the list is read. */
static enum s3_code may_some(const struct request *request, bool is_owner)
{
	return is_owner || (request->rules && request->rules->policy) ? S3_OK : S3_ACCESS_DENIED;
}

enum s3_code authorize_request(struct request *request)
{
	struct authorize_target target = authorize_target_of(request);
	const struct route *route = request->route;
	bool is_owner = auth_may(&request->principal, request->bucket.owner);

	if (!request->rules)
		return is_owner ? S3_OK : S3_ACCESS_DENIED;
	if (route->scope == ROUTE_BUCKET && strcmp(route->action, "s3:DeleteObject") == 0)
		return may_some(request, is_owner);
	const char *action = target.has_version ? authorize_version_action(route->action)
						: route->action;
	if (!authorize(request, &target, action) || !may_headers(request, &target))
		return S3_ACCESS_DENIED;
	/* Nobody can give away whose policy it is. */
	return !is_owner && is_about_policy(action) ? S3_METHOD_NOT_ALLOWED : S3_OK;
}

bool authorize_delete(struct request *request, struct bytes key, bool has_version,
	struct bytes version, bool bypasses_governance)
{
	struct authorize_target target = authorize_target_of(request);

	target.key = key;
	target.has_version = has_version;
	target.version = version;
	return authorize(request, &target,
		       has_version ? "s3:DeleteObjectVersion" : "s3:DeleteObject") &&
		(!bypasses_governance ||
			authorize(request, &target, "s3:BypassGovernanceRetention"));
}

bool authorize_tells_absence(struct request *request)
{
	struct authorize_target target = authorize_target_of(request);
	target.key = (struct bytes){0};
	target.has_version = false;
	return authorize(request, &target, "s3:ListBucket");
}
