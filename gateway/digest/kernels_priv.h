/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_KERNELS_PRIV_H
#define GATEWAY_DIGEST_KERNELS_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/digest/crc.h"

/* The kernels of all architectures. kernels_x86.c, kernels_arm.c or kernels_other.c lists those
 * that are there and knows what each needs; whole files vanish on the other architectures. */
void md5_run_avx512(uint32_t *const *states, const uint8_t *const *data, size_t block_count);
void md5_run_avx2(uint32_t *const *states, const uint8_t *const *data, size_t block_count);
void md5_run_neon(uint32_t *const *states, const uint8_t *const *data, size_t block_count);
void md5_run_plain(uint32_t *const *states, const uint8_t *const *data, size_t block_count);

void sha256_run_avx512(uint32_t *const *states, const uint8_t *const *data, size_t block_count);
void sha256_run_ni(uint32_t *const *states, const uint8_t *const *data, size_t block_count);
void sha256_run_armv8(uint32_t *const *states, const uint8_t *const *data, size_t block_count);

void md5_sha256_run_ni(uint32_t *const *md5_states, uint32_t *const *sha256_states,
	const uint8_t *const *data, unsigned count, size_t block_count);

/* OpenSSL as a kernel of one lane; the end of each list. */
void md5_run_alone(uint32_t *const *states, const uint8_t *const *data, size_t block_count);
void sha256_run_alone(uint32_t *const *states, const uint8_t *const *data, size_t block_count);

void crc_fold_vpclmul(const struct crc_constants *constants, uint64_t crc, const uint8_t *data,
	size_t len, uint8_t ret_rest[16]);
void crc_fold_pclmul(const struct crc_constants *constants, uint64_t crc, const uint8_t *data,
	size_t len, uint8_t ret_rest[16]);
void crc_fold_pmull(const struct crc_constants *constants, uint64_t crc, const uint8_t *data,
	size_t len, uint8_t ret_rest[16]);

#endif
