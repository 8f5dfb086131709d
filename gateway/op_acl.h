/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_ACL_H
#define GATEWAY_OP_ACL_H

#include "gateway/acl.h"
#include "gateway/request.h"

/* ACLs of buckets and objects; where the bucket has none, op_stub.h answers. Of routes. */
void op_acl_get_bucket(struct request *request);
void op_acl_put_bucket(struct request *request);
void op_acl_get_object(struct request *request);
void op_acl_put_object(struct request *request);

/* The list that the headers of a request ask for, x-amz-acl or x-amz-grant-*, for what will belong
 * to `owner`; bucket_owner is empty for a bucket itself. S3_OK, also if there is none (private);
 * S3_INVALID_ARGUMENT, S3_INVALID_REQUEST, S3_UNRESOLVABLE_GRANT; S3_ACCESS_DENIED, it is public
 * and that is blocked; S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED, the bucket has no ACLs. */
enum s3_code op_acl_read_headers(struct request *request, struct bytes owner,
	struct bytes bucket_owner, struct acl *ret_acl) MUST_USE;

/* The same where nothing is known of the bucket yet. */
enum s3_code op_acl_parse_headers(struct request *request, struct bytes owner,
	struct bytes bucket_owner, struct acl *ret_acl) MUST_USE;

/* Does it ask for one at all? */
bool op_acl_has_headers(const struct request *request);

/* By x-amz-grant-*? */
bool op_acl_has_grants(const struct request *request);

/* Who owns what the request makes, by the bucket's ownership setting. */
struct bytes op_acl_object_owner(const struct request *request);

#endif
