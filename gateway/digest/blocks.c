/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/blocks.h"

/* The one-shot and EVP interfaces fetch and allocate at each call, which costs more than hashing a
 * short message; these are the functions beneath them. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <assert.h>
#include <string.h>

#include "storage/bytes.h"

static_assert(MD5_LEN == MD5_DIGEST_LENGTH && SHA256_LEN == SHA256_DIGEST_LENGTH, "lengths");
static_assert(SHA1_LEN == SHA_DIGEST_LENGTH && HASH_BLOCK_LEN == MD5_CBLOCK, "lengths");
static_assert(HASH_BLOCK_LEN == SHA_CBLOCK && HASH_BLOCK_LEN == SHA256_CBLOCK, "lengths");

void blocks_init_md5(uint32_t state[MD5_WORDS])
{
	static const uint32_t start[MD5_WORDS] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
	memcpy(state, start, sizeof start);
}

void blocks_init_sha1(uint32_t state[SHA1_WORDS])
{
	static const uint32_t start[SHA1_WORDS] = {
		0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	memcpy(state, start, sizeof start);
}

void blocks_init_sha256(uint32_t state[SHA256_WORDS])
{
	static const uint32_t start[SHA256_WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	memcpy(state, start, sizeof start);
}

/* In the three functions below the context lives for one call. With an empty carry (num == 0) and
 * whole blocks OpenSSL reads and writes the chaining words and the length only, so its 64 bytes of
 * carry stay untouched. They cannot fail. */

void blocks_md5(uint32_t *state, const uint8_t *data, size_t block_count)
{
	MD5_CTX ctx;
	ctx.A = state[0];
	ctx.B = state[1];
	ctx.C = state[2];
	ctx.D = state[3];
	ctx.Nl = ctx.Nh = ctx.num = 0;
	(void)MD5_Update(&ctx, data, block_count * HASH_BLOCK_LEN);
	assert(ctx.num == 0);
	state[0] = ctx.A;
	state[1] = ctx.B;
	state[2] = ctx.C;
	state[3] = ctx.D;
}

void blocks_sha1(uint32_t *state, const uint8_t *data, size_t block_count)
{
	SHA_CTX ctx;
	ctx.h0 = state[0];
	ctx.h1 = state[1];
	ctx.h2 = state[2];
	ctx.h3 = state[3];
	ctx.h4 = state[4];
	ctx.Nl = ctx.Nh = ctx.num = 0;
	(void)SHA1_Update(&ctx, data, block_count * HASH_BLOCK_LEN);
	assert(ctx.num == 0);
	state[0] = ctx.h0;
	state[1] = ctx.h1;
	state[2] = ctx.h2;
	state[3] = ctx.h3;
	state[4] = ctx.h4;
}

void blocks_sha256(uint32_t *state, const uint8_t *data, size_t block_count)
{
	SHA256_CTX ctx;
	memcpy(ctx.h, state, sizeof ctx.h);
	ctx.Nl = ctx.Nh = ctx.num = 0;
	ctx.md_len = SHA256_LEN;
	(void)SHA256_Update(&ctx, data, block_count * HASH_BLOCK_LEN);
	assert(ctx.num == 0);
	memcpy(state, ctx.h, sizeof ctx.h);
}

/* The last one or two blocks, but for the length in their last 8 bytes. Returns how many. */
static size_t pad(const uint8_t *tail, size_t tail_len, uint8_t ret_pad[2 * HASH_BLOCK_LEN])
{
	assert(tail_len < HASH_BLOCK_LEN);
	size_t block_count = tail_len + 1 + sizeof(uint64_t) <= HASH_BLOCK_LEN ? 1 : 2;
	if (tail_len > 0)
		memcpy(ret_pad, tail, tail_len);
	ret_pad[tail_len] = 0x80;
	memset(ret_pad + tail_len + 1, 0, block_count * HASH_BLOCK_LEN - tail_len - 1);
	return block_count;
}

void blocks_final_md5(uint32_t state[MD5_WORDS], const uint8_t *tail, size_t tail_len,
	uint64_t total_len, uint8_t ret_digest[MD5_LEN])
{
	uint8_t last[2 * HASH_BLOCK_LEN];
	size_t block_count = pad(tail, tail_len, last);
	put_le64(last + block_count * HASH_BLOCK_LEN - sizeof(uint64_t), total_len * 8);
	blocks_md5(state, last, block_count);
	for (size_t i = 0; i < MD5_WORDS; i++)
		put_le32(ret_digest + 4 * i, state[i]);
}

void blocks_final_sha1(uint32_t state[SHA1_WORDS], const uint8_t *tail, size_t tail_len,
	uint64_t total_len, uint8_t ret_digest[SHA1_LEN])
{
	uint8_t last[2 * HASH_BLOCK_LEN];
	size_t block_count = pad(tail, tail_len, last);
	put_be64(last + block_count * HASH_BLOCK_LEN - sizeof(uint64_t), total_len * 8);
	blocks_sha1(state, last, block_count);
	for (size_t i = 0; i < SHA1_WORDS; i++)
		put_be32(ret_digest + 4 * i, state[i]);
}

void blocks_final_sha256(uint32_t state[SHA256_WORDS], const uint8_t *tail, size_t tail_len,
	uint64_t total_len, uint8_t ret_digest[SHA256_LEN])
{
	uint8_t last[2 * HASH_BLOCK_LEN];
	size_t block_count = pad(tail, tail_len, last);
	put_be64(last + block_count * HASH_BLOCK_LEN - sizeof(uint64_t), total_len * 8);
	blocks_sha256(state, last, block_count);
	for (size_t i = 0; i < SHA256_WORDS; i++)
		put_be32(ret_digest + 4 * i, state[i]);
}
