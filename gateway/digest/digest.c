/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest.h"

#include <assert.h>

#include "gateway/digest/crc.h"

size_t digest_len(enum digest_kind kind)
{
	switch (kind) {
	case DIGEST_MD5:
		return MD5_LEN;
	case DIGEST_SHA256:
		return SHA256_LEN;
	case DIGEST_SHA1:
		return SHA1_LEN;
	case DIGEST_CRC32:
	case DIGEST_CRC32C:
		return CRC32_LEN;
	case DIGEST_CRC64NVME:
		return CRC64_LEN;
	default:
		assert(!"one kind");
		return 0;
	}
}

struct bytes digest_value(const struct digest_values *values, enum digest_kind kind)
{
	assert(values->kinds & kind);
	size_t len = digest_len(kind);
	switch (kind) {
	case DIGEST_MD5:
		return bytes_make(values->md5, len);
	case DIGEST_SHA256:
		return bytes_make(values->sha256, len);
	case DIGEST_SHA1:
		return bytes_make(values->sha1, len);
	case DIGEST_CRC32:
		return bytes_make(values->crc32, len);
	case DIGEST_CRC32C:
		return bytes_make(values->crc32c, len);
	default:
		return bytes_make(values->crc64nvme, len);
	}
}

void digest_combine(
	enum digest_kind kind, const uint8_t *a, const uint8_t *b, uint64_t b_len, uint8_t *ret_crc)
{
	assert(kind & DIGEST_CRCS);
	if (kind == DIGEST_CRC64NVME) {
		put_be64(ret_crc, crc_combine(CRC_64NVME, get_be64(a), get_be64(b), b_len));
		return;
	}
	enum crc_kind crc_kind = kind == DIGEST_CRC32 ? CRC_32 : CRC_32C;
	put_be32(ret_crc, (uint32_t)crc_combine(crc_kind, get_be32(a), get_be32(b), b_len));
}

void digest_md5(const void *buf, size_t len, uint8_t ret_digest[MD5_LEN])
{
	uint32_t state[MD5_WORDS];
	size_t tail_len = len % HASH_BLOCK_LEN;
	const uint8_t *tail = len > 0 ? (const uint8_t *)buf + len - tail_len : NULL;
	blocks_init_md5(state);
	blocks_md5(state, buf, len / HASH_BLOCK_LEN);
	blocks_final_md5(state, tail, tail_len, len, ret_digest);
}

void digest_sha1(const void *buf, size_t len, uint8_t ret_digest[SHA1_LEN])
{
	uint32_t state[SHA1_WORDS];
	size_t tail_len = len % HASH_BLOCK_LEN;
	const uint8_t *tail = len > 0 ? (const uint8_t *)buf + len - tail_len : NULL;
	blocks_init_sha1(state);
	blocks_sha1(state, buf, len / HASH_BLOCK_LEN);
	blocks_final_sha1(state, tail, tail_len, len, ret_digest);
}

void digest_sha256(const void *buf, size_t len, uint8_t ret_digest[SHA256_LEN])
{
	uint32_t state[SHA256_WORDS];
	size_t tail_len = len % HASH_BLOCK_LEN;
	const uint8_t *tail = len > 0 ? (const uint8_t *)buf + len - tail_len : NULL;
	blocks_init_sha256(state);
	blocks_sha256(state, buf, len / HASH_BLOCK_LEN);
	blocks_final_sha256(state, tail, tail_len, len, ret_digest);
}

bool digest_is_equal(const void *a, const void *b, size_t len)
{
	const uint8_t *pa = a, *pb = b;
	volatile uint64_t difference = 0; /* volatile: nobody stops at the first one */
	for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t)) {
		difference |= get_le64(pa) ^ get_le64(pb);
		pa += sizeof(uint64_t);
		pb += sizeof(uint64_t);
	}
	for (; len > 0; len--)
		difference |= *pa++ ^ *pb++;
	return difference == 0;
}
