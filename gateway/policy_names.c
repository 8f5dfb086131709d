/* SPDX-License-Identifier: Apache-2.0 */
/* What policies may name: actions, condition keys, operators. */
#include <stdlib.h>

#include "gateway/policy_priv.h"

const struct policy_action policy_actions[] = {
	{"AbortMultipartUpload", POLICY_OBJECT},
	{"BypassGovernanceRetention", POLICY_OBJECT},
	{"CreateBucket", POLICY_BUCKET},
	{"CreateBucketMetadataTableConfiguration", POLICY_BUCKET},
	{"CreateSession", POLICY_BUCKET},
	{"DeleteBucket", POLICY_BUCKET},
	{"DeleteBucketMetadataTableConfiguration", POLICY_BUCKET},
	{"DeleteBucketOwnershipControls", POLICY_BUCKET},
	{"DeleteBucketPolicy", POLICY_BUCKET},
	{"DeleteBucketWebsite", POLICY_BUCKET},
	{"DeleteObject", POLICY_OBJECT},
	{"DeleteObjectAnnotation", POLICY_OBJECT},
	{"DeleteObjectTagging", POLICY_OBJECT},
	{"DeleteObjectVersion", POLICY_OBJECT},
	{"DeleteObjectVersionTagging", POLICY_OBJECT},
	{"GetAccelerateConfiguration", POLICY_BUCKET},
	{"GetAnalyticsConfiguration", POLICY_BUCKET},
	{"GetBucketAbac", POLICY_BUCKET},
	{"GetBucketAcl", POLICY_BUCKET},
	{"GetBucketCORS", POLICY_BUCKET},
	{"GetBucketLocation", POLICY_BUCKET},
	{"GetBucketLogging", POLICY_BUCKET},
	{"GetBucketMetadataTableConfiguration", POLICY_BUCKET},
	{"GetBucketNotification", POLICY_BUCKET},
	{"GetBucketObjectLockConfiguration", POLICY_BUCKET},
	{"GetBucketOwnershipControls", POLICY_BUCKET},
	{"GetBucketPolicy", POLICY_BUCKET},
	{"GetBucketPolicyStatus", POLICY_BUCKET},
	{"GetBucketPublicAccessBlock", POLICY_BUCKET},
	{"GetBucketRequestPayment", POLICY_BUCKET},
	{"GetBucketTagging", POLICY_BUCKET},
	{"GetBucketVersioning", POLICY_BUCKET},
	{"GetBucketWebsite", POLICY_BUCKET},
	{"GetEncryptionConfiguration", POLICY_BUCKET},
	{"GetIntelligentTieringConfiguration", POLICY_BUCKET},
	{"GetInventoryConfiguration", POLICY_BUCKET},
	{"GetLifecycleConfiguration", POLICY_BUCKET},
	{"GetMetricsConfiguration", POLICY_BUCKET},
	{"GetObject", POLICY_OBJECT},
	{"GetObjectAcl", POLICY_OBJECT},
	{"GetObjectAnnotation", POLICY_OBJECT},
	{"GetObjectAttributes", POLICY_OBJECT},
	{"GetObjectLegalHold", POLICY_OBJECT},
	{"GetObjectRetention", POLICY_OBJECT},
	{"GetObjectTagging", POLICY_OBJECT},
	{"GetObjectTorrent", POLICY_OBJECT},
	{"GetObjectVersion", POLICY_OBJECT},
	{"GetObjectVersionAcl", POLICY_OBJECT},
	{"GetObjectVersionAttributes", POLICY_OBJECT},
	{"GetObjectVersionForReplication", POLICY_OBJECT},
	{"GetObjectVersionTagging", POLICY_OBJECT},
	{"GetObjectVersionTorrent", POLICY_OBJECT},
	{"GetReplicationConfiguration", POLICY_BUCKET},
	{"ListAllMyBuckets", POLICY_SERVICE},
	{"ListAllMyDirectoryBuckets", POLICY_SERVICE},
	{"ListBucket", POLICY_BUCKET},
	{"ListBucketMultipartUploads", POLICY_BUCKET},
	{"ListBucketVersions", POLICY_BUCKET},
	{"ListMultipartUploadParts", POLICY_OBJECT},
	{"ListObjectAnnotations", POLICY_OBJECT},
	{"ObjectOwnerOverrideToBucketOwner", POLICY_OBJECT},
	{"PutAccelerateConfiguration", POLICY_BUCKET},
	{"PutAnalyticsConfiguration", POLICY_BUCKET},
	{"PutBucketAbac", POLICY_BUCKET},
	{"PutBucketAcl", POLICY_BUCKET},
	{"PutBucketCORS", POLICY_BUCKET},
	{"PutBucketLogging", POLICY_BUCKET},
	{"PutBucketNotification", POLICY_BUCKET},
	{"PutBucketObjectLockConfiguration", POLICY_BUCKET},
	{"PutBucketOwnershipControls", POLICY_BUCKET},
	{"PutBucketPolicy", POLICY_BUCKET},
	{"PutBucketPublicAccessBlock", POLICY_BUCKET},
	{"PutBucketRequestPayment", POLICY_BUCKET},
	{"PutBucketTagging", POLICY_BUCKET},
	{"PutBucketVersioning", POLICY_BUCKET},
	{"PutBucketWebsite", POLICY_BUCKET},
	{"PutEncryptionConfiguration", POLICY_BUCKET},
	{"PutIntelligentTieringConfiguration", POLICY_BUCKET},
	{"PutInventoryConfiguration", POLICY_BUCKET},
	{"PutLifecycleConfiguration", POLICY_BUCKET},
	{"PutMetricsConfiguration", POLICY_BUCKET},
	{"PutObject", POLICY_OBJECT},
	{"PutObjectAcl", POLICY_OBJECT},
	{"PutObjectAnnotation", POLICY_OBJECT},
	{"PutObjectLegalHold", POLICY_OBJECT},
	{"PutObjectRetention", POLICY_OBJECT},
	{"PutObjectTagging", POLICY_OBJECT},
	{"PutObjectVersionAcl", POLICY_OBJECT},
	{"PutObjectVersionTagging", POLICY_OBJECT},
	{"PutReplicationConfiguration", POLICY_BUCKET},
	{"ReplicateDelete", POLICY_OBJECT},
	{"ReplicateObject", POLICY_OBJECT},
	{"ReplicateTags", POLICY_OBJECT},
	{"RestoreObject", POLICY_OBJECT},
	{"UpdateBucketMetadataAnnotationTableConfiguration", POLICY_BUCKET},
	{"UpdateBucketMetadataInventoryTableConfiguration", POLICY_BUCKET},
	{"UpdateBucketMetadataJournalTableConfiguration", POLICY_BUCKET},
	{"UpdateObjectEncryption", POLICY_OBJECT},
	{"WriteGetObjectResponse", POLICY_OBJECT},
};

const size_t policy_action_count = ARRAY_COUNT(policy_actions);

static int compare_action(const void *name, const void *action)
{
	return strcmp(name, ((const struct policy_action *)action)->name);
}

enum err policy_find_action(const char *name, size_t *ret_index)
{
	static_assert(ARRAY_COUNT(policy_actions) <= POLICY_ACTIONS_MAX, "a bit for each");
	if (strncmp(name, "s3:", 3) != 0)
		return ERR_NOT_FOUND;
	const struct policy_action *action = bsearch(
		name + 3, policy_actions, policy_action_count, sizeof *action, compare_action);
	if (!action)
		return ERR_NOT_FOUND;
	*ret_index = action - policy_actions;
	return ERR_OK;
}

bool policy_is_action(const char *action)
{
	size_t index;
	return policy_find_action(action, &index) == ERR_OK;
}

/* --- keys ------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *header;
} keys[] = {
#define X(name, text, header) [POLICY_KEY_##name] = {text, header},
	POLICY_KEY_TABLE(X)
#undef X
};

const char *policy_key_header(enum policy_key key)
{
	assert(key < POLICY_KEY_COUNT);
	return keys[key].header;
}

enum err policy_find_key(struct bytes text, enum policy_key *ret_key, struct bytes *ret_name)
{
	for (enum policy_key key = 0; key < POLICY_KEY_COUNT; key++) {
		struct bytes name = bytes_of(keys[key].name);
		bool has_name = name.data[name.len - 1] == '/';
		if (has_name ? text.len <= name.len : text.len != name.len)
			continue;
		if (!policy_is_equal_ignoring_case(bytes_make(text.data, name.len), name))
			continue;
		*ret_key = key;
		*ret_name = bytes_from(text, name.len);
		return ERR_OK;
	}
	return ERR_NOT_FOUND;
}

/* --- operators -------------------------------------------------------------------------------- */

#define EITHER(prefix, name, not_name, operator, kind) \
	{prefix name, operator, false, kind}, \
	{ \
		prefix not_name, operator, true, kind \
	}
#define ORDERED(prefix, operator, kind) \
	EITHER(prefix, "Equals", "NotEquals", operator##_EQUALS, kind), \
		{prefix "LessThan", operator##_LESS, false, kind}, \
		{prefix "LessThanEquals", operator##_LESS_EQUALS, false, kind}, \
		{prefix "GreaterThan", operator##_GREATER, false, kind}, \
	{ \
		prefix "GreaterThanEquals", operator##_GREATER_EQUALS, false, kind \
	}

static const struct policy_operator_name operators[] = {
	EITHER("String", "Equals", "NotEquals", POLICY_STRING_EQUALS, POLICY_VALUE_TEXT),
	EITHER("String", "EqualsIgnoreCase", "NotEqualsIgnoreCase",
		POLICY_STRING_EQUALS_IGNORE_CASE, POLICY_VALUE_TEXT),
	EITHER("String", "Like", "NotLike", POLICY_STRING_LIKE, POLICY_VALUE_PATTERN),
	EITHER("Arn", "Equals", "NotEquals", POLICY_STRING_LIKE, POLICY_VALUE_PATTERN),
	EITHER("Arn", "Like", "NotLike", POLICY_STRING_LIKE, POLICY_VALUE_PATTERN),
	ORDERED("Numeric", POLICY_NUMERIC, POLICY_VALUE_NUMBER),
	ORDERED("Date", POLICY_DATE, POLICY_VALUE_DATE),
	{"Bool", POLICY_BOOL, false, POLICY_VALUE_BOOL},
	EITHER("", "IpAddress", "NotIpAddress", POLICY_IP_ADDRESS, POLICY_VALUE_NETWORK),
	{"Null", POLICY_NULL, false, POLICY_VALUE_BOOL},
};

const struct policy_operator_name *policy_find_operator(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_COUNT(operators); i++)
		if (bytes_is_text(name, operators[i].name))
			return &operators[i];
	return NULL;
}
