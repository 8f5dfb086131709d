/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_CRC_H
#define GATEWAY_DIGEST_CRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The CRCs that S3 knows. All three are reflected, begin with all ones and end inverted, so the
 * CRC of nothing is 0. */
enum crc_kind {
	CRC_32, /* zlib's */
	CRC_32C, /* Castagnoli */
	CRC_64NVME, /* "Rocksoft" */
	CRC_KIND_COUNT,
};

/* x^n modulo the polynomial, reflected in 64 bits, for folding. A 128-bit remainder is moved D bits
 * on by multiplying its first 64 bits in memory by [0] = x^(D + 63), the others by [1] = x^(D - 1),
 * without carry. */
struct crc_constants {
	uint64_t by_2048[2];
	uint64_t by_512[2];
	uint64_t by_128[2];
};

/* One way to fold. Lists as in hash_lanes.h. */
struct crc_kernel {
	const char *name;
	bool (*is_available)(void);
	size_t len_min; /* shorter buffers are for the tables */

	/* Reduces len bytes (a multiple of 16, at least len_min) to 16 that have the same
	 * remainder; crc is the inner, not inverted one. NULL: the tables do all. */
	void (*fold)(const struct crc_constants *constants, uint64_t crc, const uint8_t *data,
		size_t len, uint8_t ret_rest[16]);
};

const struct crc_kernel *crc_list(size_t *ret_count);

/* The CRC of what had the CRC crc, followed by buf. Any alignment and length. */
uint64_t crc_update(enum crc_kind kind, uint64_t crc, const void *buf, size_t len);

/* The same by a kernel of the caller's choice that this machine has. */
uint64_t crc_update_with(const struct crc_kernel *kernel, enum crc_kind kind, uint64_t crc,
	const void *buf, size_t len);

/* The CRC of A followed by B, from the CRCs of both and the length of B in bytes. */
uint64_t crc_combine(enum crc_kind kind, uint64_t crc_a, uint64_t crc_b, uint64_t b_len);

#endif
