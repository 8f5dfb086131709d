/* SPDX-License-Identifier: Apache-2.0 */
#include "erasure/checksum_priv.h"

/* Compiled with -mavx2 on x86-64, and empty elsewhere: configure has the flag. */
#if defined(__AVX2__)

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t checksum_avx2(const void *buf, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(buf, len, seed);
}

#endif
