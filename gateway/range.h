/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_RANGE_H
#define GATEWAY_RANGE_H

#include "gateway/s3_error.h"

/* Ranges of bytes. */
enum range_kind {
	RANGE_WHOLE, /* no range, or one that is to be ignored: answer 200 */
	RANGE_PART, /* answer 206 */
	RANGE_OUTSIDE, /* nothing of it exists: answer 416 */
};

struct range {
	uint64_t offset;
	uint64_t len; /* at least 1 for RANGE_PART */
};

/* What a Range header means for an object of object_len bytes. What is not well-formed, inverted,
 * or several ranges is ignored, as AWS does. For RANGE_WHOLE the range is the object. For
 * RANGE_OUTSIDE the detail gets RangeRequested and ActualObjectSize; the code is S3_INVALID_RANGE
 * and the answer needs "Content-Range: bytes * / object_len" (without the blanks). */
enum range_kind range_parse(struct bytes header, uint64_t object_len, struct range *ret_range,
	struct s3_error_detail *ret_detail) MUST_USE;

/* x-amz-copy-source-range: "bytes=first-last", both there and inside the source. S3_OK,
 * or S3_INVALID_ARGUMENT with its detail. */
enum s3_code range_parse_copy(struct bytes header, uint64_t source_len, struct range *ret_range,
	struct s3_error_detail *ret_detail) MUST_USE;

#endif
