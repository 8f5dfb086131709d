/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SIGV2_H
#define GATEWAY_SIGV2_H

#include "gateway/sigv4.h"

/* Who sent a request: AWS Signature Version 2, for those who cannot do better. sigv2.c has the
 * rules. The steps are those of sigv4.h, and what they fill in is a struct sigv4 with is_v2. */

/* Does the request name this mechanism, in its query or its Authorization header? */
bool sigv2_is_meant(const struct sigv4_request *request);

/* As sigv4_parse(), for a request of which sigv2_is_meant(). Returns S3_OK, S3_ACCESS_DENIED,
 * S3_INVALID_ARGUMENT, S3_INVALID_REQUEST (the setting does not allow it, too), S3_NOT_IMPLEMENTED
 * or S3_REQUEST_TIME_TOO_SKEWED. */
enum s3_code sigv2_parse(const struct sigv4_request *request, const struct sigv4_settings *settings,
	uint64_t now_s, struct sigv4 *ret_auth, struct s3_error_detail *ret_detail) MUST_USE;

/* The same for a form with a policy (sigv4_parse_form()). Besides: S3_SIGNATURE_DOES_NOT_MATCH. */
enum s3_code sigv2_parse_form(const struct sigv4_form *form, const struct sigv4_settings *settings,
	struct sigv4 *auth, struct s3_error_detail *detail) MUST_USE;

/* As sigv4_verify(). */
enum s3_code sigv2_verify(struct sigv4 *auth, const struct sigv4_request *request,
	const struct bytes *secret, struct s3_error_detail *ret_detail) MUST_USE;

/* As sigv4_explain(): StringToSign and its bytes. */
void sigv2_explain(const struct sigv4 *auth, const struct sigv4_request *request, uint8_t *buf,
	size_t cap, struct s3_error_detail *detail);

/* Is a query parameter of that name, which may be "name=value", under the signature? */
bool sigv2_covers(const char *selector);

#endif
