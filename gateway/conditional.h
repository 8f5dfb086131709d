/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CONDITIONAL_H
#define GATEWAY_CONDITIONAL_H

#include "gateway/http_header.h"
#include "gateway/s3_error.h"

/* Conditional requests, as decisions about an ETag and a time.
 *
 * A missing object is not decided here: it is 404 before any condition of a read is looked at, and
 * rights are checked before either. */
struct conditional_read {
	bool has_match, has_none_match, has_modified, has_unmodified;
	struct bytes match, none_match; /* lists of ETags, borrowed from the headers */
	uint64_t modified_s, unmodified_s;
};

/* Reads If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since, or with copy_source
 * their x-amz-copy-source-* forms. Dates that are none are ignored. */
void conditional_parse_read(const struct http_header *headers, size_t header_count,
	bool copy_source, struct conditional_read *ret_conditions);

/* etag is without quotes; mtime_s in whole seconds. S3_OK, S3_NOT_MODIFIED, or
 * S3_PRECONDITION_FAILED with its detail. If-Match beats If-Unmodified-Since and If-None-Match
 * beats If-Modified-Since. */
enum s3_code conditional_check_read(const struct conditional_read *conditions, struct bytes etag,
	uint64_t mtime_s, struct s3_error_detail *ret_detail) MUST_USE;

/* The same for the source of a copy, where nothing can be "not modified": 412 instead. */
enum s3_code conditional_check_copy_source(const struct conditional_read *conditions,
	struct bytes etag, uint64_t mtime_s, struct s3_error_detail *ret_detail) MUST_USE;

/* What a write wants of the key's current version. It travels in the command and is decided when
 * that is applied. */
enum conditional_want {
	CONDITIONAL_NONE,
	CONDITIONAL_ABSENT, /* If-None-Match: * */
	CONDITIONAL_PRESENT, /* If-Match: * */
	CONDITIONAL_ETAG, /* If-Match: etag */
};

struct conditional_write {
	enum conditional_want want;
	struct bytes etag; /* without quotes; borrowed from the headers */
};

/* Reads If-Match and If-None-Match of PUT, Complete, CopyObject's destination or DELETE. What we
 * cannot promise is refused, never ignored: S3_NOT_IMPLEMENTED naming the header. */
enum s3_code conditional_parse_write(const struct http_header *headers, size_t header_count,
	struct conditional_write *ret_condition, struct s3_error_detail *ret_detail) MUST_USE;

/* S3_OK, S3_PRECONDITION_FAILED with its detail, or S3_NO_SUCH_KEY. A delete marker counts as
 * absent. */
enum s3_code conditional_check_write(const struct conditional_write *condition, bool is_present,
	struct bytes etag, struct s3_error_detail *ret_detail) MUST_USE;

/* Adds what a PreconditionFailed for this condition says, when storage decided it. */
void conditional_explain_write(
	const struct conditional_write *condition, struct s3_error_detail *detail);

/* An ETag as clients send it, without its quotes, white space and weak prefix. */
struct bytes conditional_bare_etag(struct bytes text);

#endif
