/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ERASURE_CHECKSUM_PRIV_H
#define ERASURE_CHECKSUM_PRIV_H

#include <stddef.h>
#include <stdint.h>

/* checksum(), compiled for one set of instructions. Call only the ones this processor has; they
 * exist on x86-64 alone. All give the same numbers. */
uint64_t checksum_avx2(const void *buf, size_t len, uint64_t seed);
uint64_t checksum_avx512(const void *buf, size_t len, uint64_t seed);

/* checksum(), with what every processor of the architecture has. */
uint64_t checksum_baseline(const void *buf, size_t len, uint64_t seed);

#endif
