/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_POLICY_H
#define GATEWAY_POLICY_H

#include "gateway/text_out.h"
#include "storage/err.h"

/* Policies: who may do what to which bucket or object, and on which conditions. JSON is compiled
 * once into one block of memory, and evaluated as often as requests come, without allocating.
 * Nothing here knows requests, buckets or the index; gateway/authorize.h does.
 *
 * (P1) What is not understood is refused when the policy is set, never passed over when it is
 *      evaluated: fields, actions that there are not, principals, operators, keys, values that do
 *      not fit their operator.
 * (P2) A statement that denies outweighs all that allow. What no statement speaks of is not allowed
 *      by the policy; the caller knows who needs no policy.
 * (P3) Both parse and evaluation are bounded by the length of the policy, whatever it says.
 * (P4) Where the answer depends on a variable that the request has no value for, a statement that
 *      allows does not apply. One that denies does not either if the pattern was to be matched, and
 *      does if it was not to be.
 */
#define POLICY_LEN_MAX (20u << 10) /* of the JSON */
#define POLICY_VALUE_LEN_MAX 192 /* of a value that is formatted for a condition */
#define POLICY_RESOURCE_LEN_MAX 1100 /* bucket, slash and key */
#define POLICY_PATTERN_LEN_MAX 2048

enum policy_kind {
	POLICY_OF_BUCKET, /* has principals; resources are of that bucket */
	POLICY_OF_KEY, /* of an access key: has none */
};

enum policy_effect {
	POLICY_NEUTRAL,
	POLICY_ALLOW,
	POLICY_DENY,
};

/* What conditions may ask about, by the name that policies have for it. The third column is the
 * header of the request that it is, if it is one. policy_names.c has the rest. */
#define POLICY_KEY_TABLE(X) \
	X(CURRENT_TIME, "aws:CurrentTime", NULL) \
	X(EPOCH_TIME, "aws:EpochTime", NULL) \
	X(PRINCIPAL_ACCOUNT, "aws:PrincipalAccount", NULL) \
	X(PRINCIPAL_ARN, "aws:PrincipalArn", NULL) \
	X(PRINCIPAL_TYPE, "aws:PrincipalType", NULL) \
	X(REFERER, "aws:Referer", "referer") \
	X(SECURE_TRANSPORT, "aws:SecureTransport", NULL) \
	X(SOURCE_IP, "aws:SourceIp", NULL) \
	X(USER_AGENT, "aws:UserAgent", "user-agent") \
	X(USER_ID, "aws:userid", NULL) \
	X(USERNAME, "aws:username", NULL) \
	X(AUTH_TYPE, "s3:authType", NULL) \
	X(DELIMITER, "s3:delimiter", NULL) \
	X(EXISTING_TAG, "s3:ExistingObjectTag/", NULL) \
	X(IF_MATCH, "s3:if-match", "if-match") \
	X(IF_NONE_MATCH, "s3:if-none-match", "if-none-match") \
	X(MAX_KEYS, "s3:max-keys", NULL) \
	X(PREFIX, "s3:prefix", NULL) \
	X(SIGNATURE_AGE, "s3:signatureAge", NULL) \
	X(SIGNATURE_VERSION, "s3:signatureversion", NULL) \
	X(VERSION_ID, "s3:VersionId", NULL) \
	X(ACL, "s3:x-amz-acl", "x-amz-acl") \
	X(CONTENT_SHA256, "s3:x-amz-content-sha256", "x-amz-content-sha256") \
	X(COPY_SOURCE, "s3:x-amz-copy-source", "x-amz-copy-source") \
	X(GRANT_FULL_CONTROL, "s3:x-amz-grant-full-control", "x-amz-grant-full-control") \
	X(GRANT_READ, "s3:x-amz-grant-read", "x-amz-grant-read") \
	X(GRANT_READ_ACP, "s3:x-amz-grant-read-acp", "x-amz-grant-read-acp") \
	X(GRANT_WRITE, "s3:x-amz-grant-write", "x-amz-grant-write") \
	X(GRANT_WRITE_ACP, "s3:x-amz-grant-write-acp", "x-amz-grant-write-acp") \
	X(METADATA_DIRECTIVE, "s3:x-amz-metadata-directive", "x-amz-metadata-directive") \
	X(ENCRYPTION, "s3:x-amz-server-side-encryption", "x-amz-server-side-encryption") \
	X(KMS_KEY, "s3:x-amz-server-side-encryption-aws-kms-key-id", \
		"x-amz-server-side-encryption-aws-kms-key-id") \
	X(CUSTOMER_ALGORITHM, "s3:x-amz-server-side-encryption-customer-algorithm", \
		"x-amz-server-side-encryption-customer-algorithm") \
	X(STORAGE_CLASS, "s3:x-amz-storage-class", "x-amz-storage-class") \
	X(WEBSITE_REDIRECT, "s3:x-amz-website-redirect-location", "x-amz-website-redirect-location")

enum policy_key {
#define X(name, text, header) POLICY_KEY_##name,
	POLICY_KEY_TABLE(X)
#undef X
		POLICY_KEY_COUNT
};

struct policy;

/* Somebody who wants to do something. All borrowed. */
struct policy_request {
	bool is_anonymous;
	struct bytes owner; /* who it is */
	const char *action; /* one that policy_is_action() knows */
	struct bytes bucket, key; /* an empty key: the bucket itself */
	/* The value of a key; `name` is what stood behind its slash. False: there is none. The
	 * value may be made in buf, of POLICY_VALUE_LEN_MAX bytes. */
	bool (*value)(const struct policy_request *request, enum policy_key key, struct bytes name,
		uint8_t *buf, struct bytes *ret_value);
};

/* Compiles a policy. `bucket` is the name of the bucket that it is for. Errors: ERR_INVALID, with a
 * literal that says why; ERR_LIMIT, longer than POLICY_LEN_MAX; ERR_NO_MEMORY. */
MUST_USE enum err policy_parse(enum policy_kind kind, struct bytes json, struct bytes bucket,
	struct policy **ret_policy, const char **ret_why);

/* What policy_parse() gave, or NULL. */
void policy_free(struct policy *policy);

size_t policy_memory(const struct policy *policy); /* bytes of its block */

/* What the policy says to a request: P2. */
enum policy_effect policy_evaluate(
	const struct policy *policy, const struct policy_request *request);

/* Does it allow something to everybody, with no condition that narrows who that is? */
bool policy_is_public(const struct policy *policy);

/* Does a condition ask for something that needs the object: POLICY_KEY_EXISTING_TAG? */
bool policy_asks_object(const struct policy *policy);

/* Is this an action of S3 ("s3:GetObject")? */
bool policy_is_action(const char *action);

/* The header of the request whose value a key is; NULL: it is none. */
const char *policy_key_header(enum policy_key key);

#endif
