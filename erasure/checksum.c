/* SPDX-License-Identifier: Apache-2.0 */
#include "erasure/checksum.h"

#include <assert.h>

#include "erasure/checksum_priv.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t checksum_baseline(const void *buf, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(buf, len, seed);
}

/* XXH3 goes over to its vector loop beyond 240 bytes, and only there the wider registers pay. */
enum { SCALAR_LEN_MAX = 240 };

#if defined(__x86_64__)

static uint64_t checksum_long(const void *buf, size_t len, uint64_t seed)
{
	if (__builtin_cpu_supports("avx512f"))
		return checksum_avx512(buf, len, seed);
	if (__builtin_cpu_supports("avx2"))
		return checksum_avx2(buf, len, seed);
	return checksum_baseline(buf, len, seed);
}

#else

static uint64_t checksum_long(const void *buf, size_t len, uint64_t seed)
{
	return checksum_baseline(buf, len, seed);
}

#endif

uint64_t checksum(const void *buf, size_t len, uint64_t seed)
{
	assert(buf || len == 0);
	if (len <= SCALAR_LEN_MAX)
		return XXH3_64bits_withSeed(buf, len, seed);
	return checksum_long(buf, len, seed);
}

static size_t block_len(size_t len, size_t offset)
{
	return len - offset < BLOCK_LEN ? len - offset : BLOCK_LEN;
}

void checksum_blocks(
	const void *buf, size_t len, uint64_t seed, uint64_t first_block, uint64_t *ret_sums)
{
	assert(ret_sums || len == 0);
	const uint8_t *bytes = buf;
	seed += first_block;
	for (size_t offset = 0; offset < len; offset += BLOCK_LEN)
		*ret_sums++ = checksum(bytes + offset, block_len(len, offset), seed++);
}

size_t checksum_blocks_verify(
	const void *buf, size_t len, uint64_t seed, uint64_t first_block, const uint64_t *sums)
{
	assert(sums || len == 0);
	const uint8_t *bytes = buf;
	size_t count = checksum_block_count(len);
	seed += first_block;
	for (size_t i = 0; i < count; i++) {
		size_t offset = i * BLOCK_LEN;
		if (checksum(bytes + offset, block_len(len, offset), seed + i) != sums[i])
			return i;
	}
	return count;
}
