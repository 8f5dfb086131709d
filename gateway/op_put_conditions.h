/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_PUT_CONDITIONS_H
#define GATEWAY_OP_PUT_CONDITIONS_H

#include "gateway/conditional.h"
#include "gateway/request.h"

/* The conditions under which a write is to happen, between headers and commands. They are decided
 * at apply; what is found to fail earlier only spares the client its body. */

/* Reads an ETag: bare, quoted or weak. What cannot be one of ours becomes one that equals none. */
void op_put_conditions_parse_etag(struct bytes text, struct etag *ret_etag);

/* What a command is told. */
void op_put_conditions_command(
	const struct conditional_write *condition, struct command_conditions *ret_conditions);

/* Reads what a deletion has beside If-Match: x-amz-if-match-last-modified-time and
 * x-amz-if-match-size. Returns S3_OK or S3_INVALID_ARGUMENT with its detail. */
enum s3_code op_put_conditions_read_delete(
	struct request *request, struct command_conditions *conditions) MUST_USE;

/* Looks whether the condition fails by what the index says now; begins and ends a view. S3_OK;
 * S3_PRECONDITION_FAILED with its detail; S3_NO_SUCH_KEY; or what reading the index came to. */
enum s3_code op_put_conditions_check_early(struct request *request,
	const struct conditional_write *condition, uint64_t invocation) MUST_USE;

/* Hash of amz-sdk-invocation-id, by which a repeated request is known; 0: there is none. */
uint64_t op_put_conditions_invocation(const struct request *request);

#endif
