/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_STUB_H
#define GATEWAY_OP_STUB_H

#include "gateway/request.h"

/* Operations that answer what S3 answers where the feature is not used: see the route table. */

/* 200 with the route's document. */
void op_stub_document(struct request *request);

/* ACLs: the owner has FULL_CONTROL and nothing can be granted. */
void op_stub_bucket_acl(struct request *request);
void op_stub_object_acl(struct request *request);
void op_stub_put_acl(struct request *request);

/* Do the ACL headers of a request ask for no more than there is: x-amz-acl is missing, private,
 * or bucket-owner-full-control, and nothing is granted? S3_OK, or
 * S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED. */
enum s3_code op_stub_check_acl(const struct request *request) MUST_USE;

#endif
