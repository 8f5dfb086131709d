/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_DIGEST_STREAM_PRIV_H
#define GATEWAY_DIGEST_DIGEST_STREAM_PRIV_H

#include "gateway/digest/digest_stream.h"

/* What is worked on before the next algorithm has its turn, so that it is still in cache: a
 * multiple of HASH_BLOCK_LEN that fits L1 or, times the streams of a batch, L2. */
enum { DIGEST_SLICE_LEN = 16 * 1024 };

/* The length of the next slice out of len bytes: up to where the stream is at a block's end again,
 * so that the carry is used once per piece and not once per slice. */
size_t digest_stream_slice_len(const struct digest_stream *stream, size_t len);

/* Takes a slice into everything but the MD5 and SHA-256 of its whole blocks, which the caller must
 * take from ret_blocks into those of the two states that are asked for. */
void digest_stream_take_slice(
	struct digest_stream *stream, const uint8_t *buf, size_t len, struct bytes *ret_blocks);

/* digest_stream_update() of a stream whose job the caller has in hand. */
void digest_stream_update_job(struct digest_stream *stream, const uint8_t *buf, size_t len);

#endif
