/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SIGV4_CANONICAL_H
#define GATEWAY_SIGV4_CANONICAL_H

#include "gateway/sigv4.h"

/* The forms of a request that Signature Version 4 signs, for those who verify and those who sign.
 * sigv4.c says what they are made of. */
#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"

enum { SIGV4_STRING_TO_SIGN_LEN_MAX = 320 };

/* Takes the next name off a list like "host;x-amz-date". */
struct bytes sigv4_take_name(struct bytes *list);

/* Writes the canonical request. Of auth is used: is_query, signed_headers, payload_text. */
void sigv4_put_canonical(
	struct text_out *out, const struct sigv4 *auth, const struct sigv4_request *request);

/* The string to sign, in a buffer of SIGV4_STRING_TO_SIGN_LEN_MAX bytes. Of auth is used, besides:
 * amz_date, scope. */
struct bytes sigv4_string_to_sign(
	const struct sigv4 *auth, const struct sigv4_request *request, uint8_t *buf);

/* A field of a form that must be there: S3_OK, or S3_INVALID_ARGUMENT with the message. */
enum s3_code sigv4_need_field(struct bytes field, const char *name, const char *message,
	struct s3_error_detail *detail) MUST_USE;

#define SIGV4_FORM_MISSING(name) \
	"Bucket POST must contain a field named '" name "'.  If it is specified, please check " \
	"the order of the fields."

#endif
