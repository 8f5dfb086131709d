/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_OBJECT_LOCK_H
#define GATEWAY_OP_OBJECT_LOCK_H

#include "gateway/response.h"
#include "storage/meta/command.h"

/* Object lock of single versions. What it keeps is decided at apply
 * (storage/meta/apply_lock.c). */

/* Of routes. */
void op_object_lock_get_retention(struct request *request);
void op_object_lock_put_retention(struct request *request);
void op_object_lock_get_legal_hold(struct request *request);
void op_object_lock_put_legal_hold(struct request *request);

/* Why a version was not deleted. */
#define OP_OBJECT_LOCK_MESSAGE "Access Denied because object protected by object lock."

/* Does the request want to end a retention in GOVERNANCE mode? Whether its sender may was weighed
 * before (authorize.h). */
bool op_object_lock_is_bypassed(const struct request *request);

/* Retention and legal hold of a version in the headers of an answer, if there is any. */
void op_object_lock_add_headers(
	struct request *request, struct response_headers *headers, const struct row_version *row);

/* x-amz-object-lock-* of a request that makes an object. */
struct op_object_lock {
	uint8_t retention; /* enum retention_mode */
	uint64_t until_ms;
	bool has_legal_hold;
};

/* What will be kept comes with an MD5 or a checksum: by what the request says itself (has_own), or
 * by the default of its bucket. S3_OK or S3_INVALID_REQUEST. */
enum s3_code op_object_lock_check_body(struct request *request, bool has_own) MUST_USE;

/* Reads them. S3_OK; S3_INVALID_REQUEST, the bucket has no lock, or a body of the request's comes
 * without an MD5 or checksum; S3_INVALID_ARGUMENT. */
enum s3_code op_object_lock_read_headers(
	struct request *request, struct op_object_lock *lock) MUST_USE;

/* Into the command. */
static inline void op_object_lock_describe(
	const struct op_object_lock *lock, struct command_attributes *attributes)
{
	attributes->retention = lock->retention;
	attributes->retain_until_ms = lock->until_ms;
	attributes->has_legal_hold = lock->has_legal_hold;
}

#endif
