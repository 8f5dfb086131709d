/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_DIGEST_H
#define GATEWAY_DIGEST_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/digest/blocks.h"
#include "storage/bytes.h"

/* The digests that S3 asks for: their names, their values, and those of short messages at once.
 * Bodies go through digest_stream.h, and there through the lanes of digest_lanes.h. */

/* Bits, so that a set of them is an unsigned. */
enum digest_kind {
	DIGEST_MD5 = 1 << 0,
	DIGEST_SHA256 = 1 << 1,
	DIGEST_SHA1 = 1 << 2,
	DIGEST_CRC32 = 1 << 3,
	DIGEST_CRC32C = 1 << 4,
	DIGEST_CRC64NVME = 1 << 5,
	DIGEST_ALL = (1 << 6) - 1,
	DIGEST_CRCS = DIGEST_CRC32 | DIGEST_CRC32C | DIGEST_CRC64NVME,
};

enum { CRC32_LEN = 4, CRC64_LEN = 8, DIGEST_LEN_MAX = SHA256_LEN };

/* Values of the digests in the set kinds; the others are zero. CRCs are big-endian, the form that
 * S3 encodes in base64. */
struct digest_values {
	unsigned kinds;
	uint8_t md5[MD5_LEN];
	uint8_t sha256[SHA256_LEN];
	uint8_t sha1[SHA1_LEN];
	uint8_t crc32[CRC32_LEN];
	uint8_t crc32c[CRC32_LEN];
	uint8_t crc64nvme[CRC64_LEN];
};

/* How many bytes a value of this kind has. */
size_t digest_len(enum digest_kind kind);

/* One value, which must be there. Borrowed from values. */
struct bytes digest_value(const struct digest_values *values, enum digest_kind kind);

/* The CRC (one of DIGEST_CRCS) of A followed by B, from the values of both and the length of B in
 * bytes: the FULL_OBJECT checksum of a multipart upload. ret_crc may be a or b. */
void digest_combine(enum digest_kind kind, const uint8_t *a, const uint8_t *b, uint64_t b_len,
	uint8_t *ret_crc);

/* Digests of whole messages in memory. buf may be NULL when len is 0. */
void digest_md5(const void *buf, size_t len, uint8_t ret_digest[MD5_LEN]);
void digest_sha1(const void *buf, size_t len, uint8_t ret_digest[SHA1_LEN]);
void digest_sha256(const void *buf, size_t len, uint8_t ret_digest[SHA256_LEN]);

/* Are two secrets of the same length equal? Takes as long when they are not. */
bool digest_is_equal(const void *a, const void *b, size_t len);

#endif
