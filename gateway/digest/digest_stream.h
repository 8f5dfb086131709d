/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_DIGEST_STREAM_H
#define GATEWAY_DIGEST_DIGEST_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/digest/digest.h"

/* The digests of one body, fed piece by piece: by digest_stream_update() at once, or by
 * digest_lanes_submit() together with the streams of others. Of a fixed size, made to be embedded;
 * holds no resource. May move or be dropped whenever no job of it is in flight. */
struct digest_stream {
	unsigned kinds; /* set of enum digest_kind */
	bool is_busy; /* a job of the lanes is in flight */
	uint64_t total_len;
	uint32_t md5[MD5_WORDS];
	uint32_t sha256[SHA256_WORDS];
	uint32_t sha1[SHA1_WORDS];
	uint32_t crc32;
	uint32_t crc32c;
	uint64_t crc64nvme;
	uint8_t carry[HASH_BLOCK_LEN]; /* the last total_len % HASH_BLOCK_LEN bytes */
};

/* Begins with nothing. kinds may be 0: then only the length is counted. */
void digest_stream_init(struct digest_stream *stream, unsigned kinds);

/* Takes the next piece, of any length. Runs as long as it takes: bodies on a loop use the lanes. */
void digest_stream_update(struct digest_stream *stream, const void *buf, size_t len);

/* Ends the stream, which may only be initialized again. */
void digest_stream_final(struct digest_stream *stream, struct digest_values *ret_values);

#endif
