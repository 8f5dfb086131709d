/* SPDX-License-Identifier: Apache-2.0 */
#include "erasure/checksum_priv.h"

/* Compiled with -mavx512f on x86-64, and empty elsewhere: configure has the flag. */
#if defined(__AVX512F__)

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t checksum_avx512(const void *buf, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(buf, len, seed);
}

#endif
