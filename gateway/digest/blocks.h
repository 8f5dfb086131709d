/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_BLOCKS_H
#define GATEWAY_DIGEST_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

/* MD5, SHA-1 and SHA-256 of one stream, block by block: the door to OpenSSL.
 *
 * The three have blocks of 64 bytes and differ in their state only, so a stream that wants several
 * of them keeps one carry and one length for all. The state is ours, words in the order of the
 * standards; the lanes of hash_lanes.h work on the same words. */
enum {
	HASH_BLOCK_LEN = 64,
	MD5_WORDS = 4,
	SHA1_WORDS = 5,
	SHA256_WORDS = 8,
	HASH_WORDS_MAX = 8,
	MD5_LEN = 16,
	SHA1_LEN = 20,
	SHA256_LEN = 32,
};

/* The state before the first block. */
void blocks_init_md5(uint32_t state[MD5_WORDS]);
void blocks_init_sha1(uint32_t state[SHA1_WORDS]);
void blocks_init_sha256(uint32_t state[SHA256_WORDS]);

/* Takes whole blocks into the state. data borrowed for the call; any alignment. */
void blocks_md5(uint32_t *state, const uint8_t *data, size_t block_count);
void blocks_sha1(uint32_t *state, const uint8_t *data, size_t block_count);
void blocks_sha256(uint32_t *state, const uint8_t *data, size_t block_count);

/* Takes the last tail_len (0 to 63) bytes of a message of total_len bytes in all, pads, and writes
 * the digest. The state is spent. tail may be NULL when tail_len is 0. */
void blocks_final_md5(uint32_t state[MD5_WORDS], const uint8_t *tail, size_t tail_len,
	uint64_t total_len, uint8_t ret_digest[MD5_LEN]);
void blocks_final_sha1(uint32_t state[SHA1_WORDS], const uint8_t *tail, size_t tail_len,
	uint64_t total_len, uint8_t ret_digest[SHA1_LEN]);
void blocks_final_sha256(uint32_t state[SHA256_WORDS], const uint8_t *tail, size_t tail_len,
	uint64_t total_len, uint8_t ret_digest[SHA256_LEN]);

#endif
