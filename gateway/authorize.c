/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/authorize.h"

#include "gateway/acl.h"
#include "gateway/authorize_values.h"
#include "gateway/grants.h"
#include "gateway/op_acl.h"
#include "gateway/op_get_plan.h"

/* --- one right -------------------------------------------------------------------------------- */

static bool is_about_policy(const char *action)
{
	return strcmp(action, "s3:PutBucketPolicy") == 0 ||
		strcmp(action, "s3:GetBucketPolicy") == 0 ||
		strcmp(action, "s3:DeleteBucketPolicy") == 0;
}

static enum policy_effect ask_policy(struct request *request, const struct authorize_target *target,
	const char *action, const struct policy *policy)
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
	return policy_evaluate(policy, &values.policy);
}

static enum policy_effect ask_kept(struct request *request, const struct authorize_target *target,
	const char *action, const struct policy_kept *kept)
{
	return kept->policy ? ask_policy(request, target, action, kept->policy) : POLICY_DENY;
}

/* What comes with the principal (Z7). */
static enum policy_effect ask_principal(
	struct request *request, const struct authorize_target *target, const char *action)
{
	const struct auth_principal *principal = &request->principal;
	for (size_t i = 0; i < AUTH_LIMITS_MAX; i++)
		if (principal->limits[i] &&
			ask_kept(request, target, action, principal->limits[i]) != POLICY_ALLOW)
			return POLICY_DENY;
	return principal->user_policy ? ask_kept(request, target, action, principal->user_policy)
				      : POLICY_NEUTRAL;
}

static uint8_t granted_rights(const struct request *request, const struct bucket_rules *rules)
{
	const struct auth_principal *principal = &request->principal;
	if (!rules || rules->grants_len == 0 || principal->is_anonymous)
		return 0;
	return grants_rights(
		bucket_rules_grants(rules), auth_key_id(principal), auth_owner(principal));
}

/* What they may without the bucket's policy, if it does not deny it: as owner, by a grant, by the
 * policy of the user. */
static enum policy_effect ask_rest(
	struct request *request, const struct authorize_target *target, const char *action)
{
	enum policy_effect effect = ask_principal(request, target, action);
	if (effect != POLICY_NEUTRAL)
		return effect;
	if (auth_may(&request->principal, target->bucket->owner))
		return POLICY_ALLOW;
	uint8_t rights = granted_rights(request, target->rules);
	return rights && (rights & grants_right(action)) ? POLICY_ALLOW : POLICY_NEUTRAL;
}

/* The permission of a bucket's ACL, or of an object's, that an action needs; 0: none gives it. */
static uint8_t permission_of(const char *action, bool is_object)
{
	static const struct {
		const char *action;
		bool is_object;
		enum acl_permission permission;
	} permissions[] = {
		{"s3:ListBucket", false, ACL_READ},
		{"s3:ListBucketVersions", false, ACL_READ},
		{"s3:ListBucketMultipartUploads", false, ACL_READ},
		{"s3:PutObject", false, ACL_WRITE},
		{"s3:DeleteObject", false, ACL_WRITE},
		{"s3:AbortMultipartUpload", false, ACL_WRITE},
		{"s3:ListMultipartUploadParts", false, ACL_WRITE},
		{"s3:GetBucketAcl", false, ACL_READ_ACP},
		{"s3:PutBucketAcl", false, ACL_WRITE_ACP},
		{"s3:GetObject", true, ACL_READ},
		{"s3:GetObjectVersion", true, ACL_READ},
		{"s3:GetObjectAcl", true, ACL_READ_ACP},
		{"s3:GetObjectVersionAcl", true, ACL_READ_ACP},
		{"s3:PutObjectAcl", true, ACL_WRITE_ACP},
		{"s3:PutObjectVersionAcl", true, ACL_WRITE_ACP},
	};
	for (size_t i = 0; i < ARRAY_COUNT(permissions); i++)
		if (permissions[i].is_object == is_object &&
			strcmp(action, permissions[i].action) == 0)
			return permissions[i].permission;
	return 0;
}

/* Is it known that there is no such object, or not any more? */
static bool is_absent(enum s3_code code, const struct object_info *object)
{
	return code == S3_NO_SUCH_KEY || code == S3_NO_SUCH_VERSION ||
		(code == S3_OK && object->row.is_delete_marker);
}

/* Is it allowed by the ACL of the bucket or object (Z8)? An object that is not there is read by who
 * may list: that it is not there is what they are told. Nothing can be done to it. */
static bool is_listed(
	struct request *request, const struct authorize_target *target, const char *action)
{
	const struct bucket_rules *rules = target->rules;
	struct bytes user = auth_owner(&request->principal), acl = bucket_rules_acl(rules);
	struct object_info object;

	if (!bucket_rules_has_acls(rules))
		return false;
	bool ignores_public = rules->public_access & BUCKET_IGNORE_PUBLIC_ACLS;
	uint8_t permission = permission_of(action, false);
	if (permission != 0)
		return acl_allows(acl, user, permission, ignores_public);
	permission = permission_of(action, true);
	if (permission == 0 || target->key.len == 0)
		return false;
	struct s3_error_detail error = request->error;
	enum s3_code code = op_get_find_version(request, target->bucket->id, target->key,
		target->has_version, target->version, &object);
	request->error = error; /* what is not there is no reason to tell of */
	if (is_absent(code, &object))
		return permission != ACL_WRITE_ACP &&
			acl_allows(acl, user, ACL_READ, ignores_public);
	if (code != S3_OK)
		return false;
	bool is_own = user.len > 0 && bytes_is_equal(user, object.row.owner);
	return is_own || acl_allows(object.row.acl, user, permission, ignores_public);
}

/* All but ACLs: they give, where nobody has said anything. */
static enum policy_effect weigh(
	struct request *request, const struct authorize_target *target, const char *action)
{
	const struct bucket_rules *rules = target->rules;
	enum policy_effect rest = ask_rest(request, target, action);

	if (rest == POLICY_DENY || !rules || (rest == POLICY_ALLOW && is_about_policy(action)))
		return rest;
	if (rules->is_policy_unreadable)
		return POLICY_DENY; /* (Z4) */
	if (!rules->policy)
		return rest;
	enum policy_effect effect = ask_policy(request, target, action, rules->policy);
	if (effect == POLICY_DENY || rest == POLICY_ALLOW)
		return effect == POLICY_DENY ? effect : rest; /* (Z1) */
	bool is_restricted = rules->public_access & BUCKET_RESTRICT_PUBLIC_BUCKETS &&
		policy_is_public(rules->policy); /* (Z3) */
	return is_restricted ? POLICY_NEUTRAL : effect;
}

bool authorize(struct request *request, const struct authorize_target *target, const char *action)
{
	enum policy_effect effect = weigh(request, target, action);
	return effect == POLICY_ALLOW ||
		(effect == POLICY_NEUTRAL && is_listed(request, target, action));
}

static bool may_service(struct request *request, const char *action)
{
	static const struct row_bucket none = {.id = 0};
	struct authorize_target target = {.bucket = &none, .name = request->resource.bucket};
	return ask_principal(request, &target, action) != POLICY_DENY;
}

/* What is set with a new bucket needs the rights to set it later (Z5). */
static bool may_create_with_headers(struct request *request)
{
	struct bytes canned;
	bool gives = op_acl_has_grants(request) ||
		(request_header(request, "x-amz-acl", &canned) &&
			!bytes_is_text(canned, "private"));
	return (!gives || may_service(request, "s3:PutBucketAcl")) &&
		(!request_header(request, "x-amz-object-ownership", NULL) ||
			may_service(request, "s3:PutBucketOwnershipControls"));
}

bool authorize_service(struct request *request)
{
	const char *action = request->route->action;
	return may_service(request, action) &&
		(strcmp(action, "s3:CreateBucket") != 0 || may_create_with_headers(request));
}

enum err authorize_sees(struct request *request, const struct row_bucket *bucket, bool *ret_sees)
{
	const struct auth_principal *principal = &request->principal;
	struct authorize_target target = {.bucket = bucket, .name = bucket->name};
	struct bytes blob, rest;

	*ret_sees = auth_may(principal, bucket->owner) ||
		(principal->user_policy &&
			ask_kept(request, &target, "s3:ListBucket", principal->user_policy) ==
				POLICY_ALLOW);
	if (*ret_sees || bucket->change_count <= 1)
		return ERR_OK;
	enum err err = index_bucket_config(
		request_reader(request), bucket->id, BUCKET_CONFIG_GRANTS, &blob);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	if (err == ERR_OK && bucket_config_open(blob, &rest) == ERR_OK)
		*ret_sees = grants_rights(rest, auth_key_id(principal), auth_owner(principal)) != 0;
	return err;
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

/* To make what is not private. Who may write may give what is made to its owner, or to that of the
 * bucket. */
static bool may_set_acl(struct request *request, const struct authorize_target *target)
{
	struct bytes canned;
	if (!bucket_rules_has_acls(target->rules) ||
		!request_header(request, "x-amz-acl", &canned) ||
		bytes_is_text(canned, "private") ||
		bytes_is_text(canned, "bucket-owner-full-control"))
		return true;
	enum policy_effect effect = weigh(request, target, "s3:PutObjectAcl");
	if (effect != POLICY_NEUTRAL)
		return effect == POLICY_ALLOW;
	/* Whom the bucket's list lets write owns what is written. */
	bool is_own = !request->principal.is_anonymous &&
		is_listed(request, target, "s3:PutObject");
	return is_own || is_listed(request, target, "s3:PutObjectAcl");
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
		{"x-amz-grant-write", "s3:PutObjectAcl"},
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
	if (strcmp(action, "s3:PutObject") == 0 && !may_set_acl(request, target))
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
static enum s3_code may_some(const struct request *request)
{
	const struct bucket_rules *rules = request->rules;
	return (rules && (rules->policy || granted_rights(request, rules))) ||
			bucket_rules_has_acls(rules) || request->principal.user_policy ||
			auth_may(&request->principal, request->bucket.owner)
		? S3_OK
		: S3_ACCESS_DENIED;
}

enum s3_code authorize_request(struct request *request)
{
	struct authorize_target target = authorize_target_of(request);
	const struct route *route = request->route;

	if (route->scope == ROUTE_BUCKET && strcmp(route->action, "s3:DeleteObject") == 0)
		return may_some(request);
	const char *action = target.has_version ? authorize_version_action(route->action)
						: route->action;
	if (!authorize(request, &target, action) || !may_headers(request, &target))
		return S3_ACCESS_DENIED;
	/* Nobody can give away whose policy it is. */
	return is_about_policy(action) && ask_rest(request, &target, action) != POLICY_ALLOW
		? S3_METHOD_NOT_ALLOWED
		: S3_OK;
}

static bool asks_object(const struct policy_kept *kept)
{
	return kept && kept->policy && policy_asks_object(kept->policy);
}

bool authorize_object(struct request *request)
{
	const struct auth_principal *principal = &request->principal;
	const struct bucket_rules *rules = request->rules;
	const char *action = request->route->action;
	bool asks = asks_object(principal->user_policy) || bucket_rules_has_acls(rules) ||
		(rules && rules->policy && policy_asks_object(rules->policy));
	for (size_t i = 0; i < AUTH_LIMITS_MAX; i++)
		asks |= asks_object(principal->limits[i]);
	if (!asks)
		return true;
	struct authorize_target target = authorize_target_of(request);
	return authorize(
		request, &target, target.has_version ? authorize_version_action(action) : action);
}

bool authorize_deletes_all(const struct request *request)
{
	const struct auth_principal *principal = &request->principal;
	for (size_t i = 0; i < AUTH_LIMITS_MAX; i++)
		if (principal->limits[i])
			return false;
	return !request->rules && !principal->user_policy &&
		auth_may(principal, request->bucket.owner);
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
