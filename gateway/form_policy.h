/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_FORM_POLICY_H
#define GATEWAY_FORM_POLICY_H

#include "gateway/form.h"

/* The policy of a form: a document that was signed, and says what may be sent with it.
 *
 * (P1) Every field of the form is the subject of a condition, but for those that carry the policy
 *      and its signature, the file, and those that begin with x-ignore-.
 * (P2) Every condition holds.
 * (P3) The bucket is the one that the request is for, whatever a field of that name says.
 */
struct form_policy {
	const struct form *form;
	struct bytes bucket;
	struct bytes key; /* as it will be, with the name of the file in it */
	uint64_t now_ms;

	/* What it comes to: */
	uint64_t len_min, len_max; /* of the file */
	size_t message_len;
	char message[512]; /* why not; for people */
};

/* Weighs the policy, JSON. S3_OK; S3_ACCESS_DENIED or S3_INVALID_POLICY_DOCUMENT with `message`. */
enum s3_code form_policy_check(struct form_policy *policy, struct bytes json) MUST_USE;

#endif
