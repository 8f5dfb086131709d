/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CHECKSUM_S3_H
#define GATEWAY_CHECKSUM_S3_H

#include "gateway/digest/base64.h"
#include "gateway/digest/digest_stream.h"
#include "gateway/text_out.h"
#include "storage/meta/rows.h"

/* The checksums of S3 by their names, and those of a whole made from those of its parts.
 *
 * A checksum of a body is of the whole (FULL_OBJECT), or the checksum of its parts' checksums with
 * the number of parts behind a dash (COMPOSITE). CRC64NVME is only of the first kind, SHA1 and
 * SHA256 of an upload in parts only of the second, CRC32 and CRC32C of either. */
#define CHECKSUM_S3_TEXT_LEN_MAX (BASE64_LEN(DIGEST_LEN_MAX) + 7) /* with "-10000" and a NUL */

/* The names of an algorithm that is not CHECKSUM_NONE: "CRC32C", "x-amz-checksum-crc32c",
 * "ChecksumCRC32C". */
const char *checksum_s3_name(enum checksum_algorithm algorithm);
const char *checksum_s3_header(enum checksum_algorithm algorithm);
const char *checksum_s3_element(enum checksum_algorithm algorithm);

/* The algorithm of a name in any case, of a header (lower case) or element; CHECKSUM_NONE if there
 * is none of that name. */
enum checksum_algorithm checksum_s3_from_name(struct bytes name);
enum checksum_algorithm checksum_s3_from_header(struct bytes name);
enum checksum_algorithm checksum_s3_from_element(struct bytes name);

/* The digest that computes it. */
enum digest_kind checksum_s3_digest(enum checksum_algorithm algorithm);
enum checksum_algorithm checksum_s3_from_digest(enum digest_kind kind);

/* Bytes of a value. */
size_t checksum_s3_len(enum checksum_algorithm algorithm);

/* "FULL_OBJECT" and "COMPOSITE". */
const char *checksum_s3_type_name(enum checksum_type type);

/* May an upload in parts have checksums of that type? */
bool checksum_s3_is_type_allowed(enum checksum_algorithm algorithm, enum checksum_type type);

/* The type of an upload that names none. */
enum checksum_type checksum_s3_default_type(enum checksum_algorithm algorithm);

/* Writes a value as S3 does: base64, and "-N" for a composite one of part_count parts. */
void checksum_s3_put(struct text_out *out, const struct checksum *checksum, uint32_t part_count);

/* Reads a value of that algorithm; "-N" behind it is allowed and gives *ret_part_count (else 0).
 * Errors: ERR_INVALID. */
enum err checksum_s3_parse(struct bytes text, enum checksum_algorithm algorithm,
	struct checksum *ret_checksum, uint32_t *ret_part_count) MUST_USE;

/* The checksum of a whole, part by part. */
struct checksum_s3_whole {
	struct checksum checksum; /* algorithm, type, and so far the value of the whole */
	bool is_complete; /* every part had one */
	uint32_t part_count;
	struct digest_stream stream; /* of a composite one */
};

/* algorithm may be CHECKSUM_NONE: then the whole has none. */
void checksum_s3_whole_init(struct checksum_s3_whole *whole, enum checksum_algorithm algorithm,
	enum checksum_type type);

/* The next part, with its checksum and its length in bytes. */
void checksum_s3_whole_add(
	struct checksum_s3_whole *whole, const struct checksum *part, uint64_t part_len);

/* The whole's checksum; CHECKSUM_NONE if a part had none. */
void checksum_s3_whole_final(struct checksum_s3_whole *whole, struct checksum *ret_checksum);

#endif
