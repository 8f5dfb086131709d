/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_NAMES_H
#define GATEWAY_NAMES_H

#include "gateway/s3_error.h"

/* What may be called what. */
enum {
	NAMES_BUCKET_LEN_MIN = 3,
	NAMES_BUCKET_LEN_MAX = 63,
	NAMES_TAG_KEY_CHARACTERS_MAX = 128,
	NAMES_TAG_VALUE_CHARACTERS_MAX = 256,
};

/* Is this a name for a bucket: 3 to 63 lower-case letters, digits, dots and hyphens, labels as DNS
 * has them, and not an IPv4 address? A request for a bucket whose name is none is answered with
 * S3_INVALID_BUCKET_NAME before anything is looked up. */
bool names_is_bucket(struct bytes name);

/* Is this a key: 1 to 1024 bytes of UTF-8? S3_OK, S3_INVALID_ARGUMENT, or S3_KEY_TOO_LONG with its
 * detail. For keys that do not come from a path, which uri_resolve() has checked. */
enum s3_code names_check_key(struct bytes key, struct s3_error_detail *ret_detail) MUST_USE;

/* S3_OK, or S3_INVALID_TAG: key of 1 to 128 and value of 0 to 256 characters, UTF-8, and the key
 * does not begin with "aws:". */
enum s3_code names_check_tag(struct bytes key, struct bytes value) MUST_USE;

#endif
