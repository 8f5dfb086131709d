/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_FORM_H
#define GATEWAY_FORM_H

#include "gateway/s3_error.h"

/* HTML forms, multipart/form-data of RFC 7578, as far as S3 reads them: fields, and then one file.
 * Only bytes in memory; form.c has the grammar.
 *
 *	code = form_init(&form, content_type);
 *	...more of the body was appended to buf...
 *	switch (form_feed(&form, buf, len)) { FORM_MORE: read on; FORM_FILE: it begins at
 *	form.file_at; FORM_END: there is none; FORM_BAD: form.code and form.message }
 */
enum {
	FORM_BOUNDARY_LEN_MAX = 70,
	FORM_FIELDS_MAX = 100,
	FORM_FIELDS_LEN_MAX = 20 << 10, /* names and values before the file */
	FORM_HEAD_LEN_MAX = 32 << 10, /* all that is before the file */
	FORM_PART_HEAD_LEN_MAX = 4 << 10, /* the headers of one part */
};

struct form_field {
	struct bytes name; /* in lower case */
	struct bytes value;
};

enum form_progress {
	FORM_MORE,
	FORM_FILE,
	FORM_END, /* the closing delimiter came, and no file */
	FORM_BAD,
};

enum form_step {
	FORM_IN_PREAMBLE,
	FORM_BEHIND_DELIMITER,
	FORM_IN_HEAD,
	FORM_IN_VALUE,
	FORM_IN_FILE,
	FORM_ENDED,
};

/* Fields and the file's name borrow the buffer that was fed. */
struct form {
	enum form_step step;
	enum s3_code code;
	const char *message;
	size_t at; /* where the step began */
	size_t searched; /* up to here its end is not */
	size_t file_at;
	struct bytes file_name; /* without its path; may be empty */
	struct bytes part_name; /* of the part that is read */
	size_t field_count;
	size_t fields_len;
	struct form_field fields[FORM_FIELDS_MAX];
	size_t delimiter_len;
	uint8_t delimiter[4 + FORM_BOUNDARY_LEN_MAX]; /* CR LF -- and the boundary */
};

/* Begins a form whose Content-Type is this. S3_OK; S3_PRECONDITION_FAILED, it is no form;
 * S3_MALFORMED_POST_REQUEST, its boundary. */
enum s3_code form_init(struct form *form, struct bytes content_type) MUST_USE;

/* buf has all of the body that has come so far; it may move by nothing but growing. Names in it are
 * turned to lower case. */
enum form_progress form_feed(struct form *form, uint8_t *buf, size_t len);

/* The value of a field (its name in lower case). ret_value may be NULL. */
bool form_find(const struct form *form, const char *name, struct bytes *ret_value);

/* Looks for the delimiter. False: it is not in there. */
bool form_find_delimiter(const struct form *form, struct bytes text, size_t *ret_at);

/* What follows the file, from its delimiter to the end of the body. S3_OK;
 * S3_MALFORMED_POST_REQUEST; S3_INCORRECT_NUMBER_OF_FILES: another one. Other fields there are
 * passed over, as S3 does. */
enum s3_code form_check_tail(const struct form *form, uint8_t *buf, size_t len) MUST_USE;

#endif
