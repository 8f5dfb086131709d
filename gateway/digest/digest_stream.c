/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest_stream.h"

#include <assert.h>
#include <string.h>

#include "gateway/digest/crc.h"
#include "gateway/digest/digest_stream_priv.h"
#include "gateway/digest/hash_lanes.h"

static size_t carry_len(const struct digest_stream *stream)
{
	return stream->total_len % HASH_BLOCK_LEN;
}

static void take_crcs(struct digest_stream *stream, const uint8_t *buf, size_t len)
{
	if (stream->kinds & DIGEST_CRC32)
		stream->crc32 = (uint32_t)crc_update(CRC_32, stream->crc32, buf, len);
	if (stream->kinds & DIGEST_CRC32C)
		stream->crc32c = (uint32_t)crc_update(CRC_32C, stream->crc32c, buf, len);
	if (stream->kinds & DIGEST_CRC64NVME)
		stream->crc64nvme = crc_update(CRC_64NVME, stream->crc64nvme, buf, len);
}

/* Whole blocks, for what the lanes do too. */
static void take_blocks(struct digest_stream *stream, struct bytes blocks)
{
	const unsigned both = DIGEST_MD5 | DIGEST_SHA256;
	const struct hash_twin_kernel *twins = hash_lanes_choose_twins();
	if (twins && (stream->kinds & both) == both) {
		struct hash_twin_run run = {
			stream->md5, stream->sha256, blocks.data, blocks.len / HASH_BLOCK_LEN};
		hash_lanes_run_twins(twins, &run, 1);
		return;
	}
	if (stream->kinds & DIGEST_MD5)
		blocks_md5(stream->md5, blocks.data, blocks.len / HASH_BLOCK_LEN);
	if (stream->kinds & DIGEST_SHA256)
		blocks_sha256(stream->sha256, blocks.data, blocks.len / HASH_BLOCK_LEN);
}

static void take_sha1_blocks(struct digest_stream *stream, struct bytes blocks)
{
	if (stream->kinds & DIGEST_SHA1)
		blocks_sha1(stream->sha1, blocks.data, blocks.len / HASH_BLOCK_LEN);
}

/* Fills the carry, and takes it when it is full. Returns how many bytes went in. */
static size_t take_into_carry(struct digest_stream *stream, const uint8_t *buf, size_t len)
{
	size_t filled = carry_len(stream);
	if (filled == 0)
		return 0;
	size_t n = len < HASH_BLOCK_LEN - filled ? len : HASH_BLOCK_LEN - filled;
	memcpy(stream->carry + filled, buf, n);
	if (filled + n == HASH_BLOCK_LEN) {
		struct bytes block = {stream->carry, HASH_BLOCK_LEN};
		take_blocks(stream, block);
		take_sha1_blocks(stream, block);
	}
	return n;
}

size_t digest_stream_slice_len(const struct digest_stream *stream, size_t len)
{
	size_t slice_len = DIGEST_SLICE_LEN + (HASH_BLOCK_LEN - carry_len(stream)) % HASH_BLOCK_LEN;
	return len < slice_len ? len : slice_len;
}

void digest_stream_take_slice(
	struct digest_stream *stream, const uint8_t *buf, size_t len, struct bytes *ret_blocks)
{
	assert(len > 0);
	take_crcs(stream, buf, len);
	size_t n = take_into_carry(stream, buf, len);
	size_t tail_len = (len - n) % HASH_BLOCK_LEN;
	struct bytes blocks = {buf + n, len - n - tail_len};
	if (blocks.len > 0)
		take_sha1_blocks(stream, blocks);
	stream->total_len += len;
	if (tail_len > 0) {
		assert(tail_len == carry_len(stream));
		memcpy(stream->carry, blocks.data + blocks.len, tail_len);
	}
	*ret_blocks = blocks;
}

void digest_stream_update_job(struct digest_stream *stream, const uint8_t *buf, size_t len)
{
	while (len > 0) {
		struct bytes blocks;
		size_t slice_len = digest_stream_slice_len(stream, len);
		digest_stream_take_slice(stream, buf, slice_len, &blocks);
		if (blocks.len > 0)
			take_blocks(stream, blocks);
		buf += slice_len;
		len -= slice_len;
	}
}

void digest_stream_init(struct digest_stream *stream, unsigned kinds)
{
	assert((kinds & ~(unsigned)DIGEST_ALL) == 0);
	*stream = (struct digest_stream){.kinds = kinds};
	blocks_init_md5(stream->md5);
	blocks_init_sha256(stream->sha256);
	blocks_init_sha1(stream->sha1);
}

void digest_stream_update(struct digest_stream *stream, const void *buf, size_t len)
{
	assert(!stream->is_busy);
	digest_stream_update_job(stream, buf, len);
}

void digest_stream_final(struct digest_stream *stream, struct digest_values *ret_values)
{
	assert(!stream->is_busy);
	size_t tail_len = carry_len(stream);
	*ret_values = (struct digest_values){.kinds = stream->kinds};
	if (stream->kinds & DIGEST_MD5)
		blocks_final_md5(
			stream->md5, stream->carry, tail_len, stream->total_len, ret_values->md5);
	if (stream->kinds & DIGEST_SHA256)
		blocks_final_sha256(stream->sha256, stream->carry, tail_len, stream->total_len,
			ret_values->sha256);
	if (stream->kinds & DIGEST_SHA1)
		blocks_final_sha1(
			stream->sha1, stream->carry, tail_len, stream->total_len, ret_values->sha1);
	if (stream->kinds & DIGEST_CRC32)
		put_be32(ret_values->crc32, stream->crc32);
	if (stream->kinds & DIGEST_CRC32C)
		put_be32(ret_values->crc32c, stream->crc32c);
	if (stream->kinds & DIGEST_CRC64NVME)
		put_be64(ret_values->crc64nvme, stream->crc64nvme);
}
