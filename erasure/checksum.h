/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ERASURE_CHECKSUM_H
#define ERASURE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Checksums of what is stored: XXH3, 64 bits, with a seed.
 *
 * (I1) The checksum of the same bytes with the same seed is the same on every machine, whatever
 *      instructions computed it. It goes to disk as a number, in the byte order of the record.
 * (I2) A shard is checked in blocks of BLOCK_LEN bytes; only its last block may be shorter. Block n
 *      of a shard is checksummed with the seed (seed of the shard + n), so a block that is intact
 *      but at another place of the shard does not verify.
 * (I3) The seed of a shard is itself a checksum, of whatever tells this shard from all others (the
 *      ids of its extent and its index). Seeds made by counting would make block n + 1 of one
 *      extent verify as block n of the next.
 *
 * It finds accidents, not forgeries: whoever can write the block can write its checksum. */

enum { BLOCK_LEN = 16384 };

/* The checksum of len bytes, which may be none. buf is borrowed for the call, of any alignment. */
uint64_t checksum(const void *buf, size_t len, uint64_t seed);

/* How many blocks len bytes make: the last one may be short. */
static inline size_t checksum_block_count(size_t len)
{
	return len / BLOCK_LEN + (len % BLOCK_LEN != 0);
}

/* Checksums the blocks of buf, which begins with block first_block of a shard whose seed is given,
 * and is len bytes. ret_sums has room for checksum_block_count(len) numbers. */
void checksum_blocks(
	const void *buf, size_t len, uint64_t seed, uint64_t first_block, uint64_t *ret_sums);

/* Verifies the blocks of buf against the numbers that checksum_blocks() gave for it. Returns the
 * position in sums of the first one that differs, and checksum_block_count(len) if none does. */
size_t checksum_blocks_verify(
	const void *buf, size_t len, uint64_t seed, uint64_t first_block, const uint64_t *sums);

#endif
