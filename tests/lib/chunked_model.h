/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CHUNKED_MODEL_H
#define TESTS_LIB_CHUNKED_MODEL_H

#include "gateway/chunked.h"

/* The other end of gateway/chunked.c: writes bodies as SDKs do, and runs the decoder over bytes in
 * pieces. Used by its unit test and its fuzz target. */
enum { CHUNKED_MODEL_PAYLOAD_MAX = 64 * 1024, CHUNKED_MODEL_WIRE_MAX = 128 * 1024 };

#define CHUNKED_MODEL_TRAILER "x-amz-checksum-crc32c"

/* A verified request with this payload mode, with a fixed key. */
void chunked_model_auth(enum sigv4_payload payload, struct sigv4 *ret_auth);

/* Writes payload as a body in chunks of those lengths (the last takes the rest; count may be 0).
 * trailer_value is NULL for none. */
struct bytes chunked_model_encode(const struct sigv4 *auth, struct bytes payload,
	const size_t *chunk_lens, size_t chunk_count, const char *trailer_value, uint8_t *wire);

/* What came out of a body. */
struct chunked_model_result {
	enum s3_code code; /* S3_OK: accepted */
	size_t payload_len;
	uint8_t payload[CHUNKED_MODEL_PAYLOAD_MAX];
	size_t wire_used;
	char trailer[CHUNKED_TRAILER_LINE_MAX + 1];
};

/* Decodes wire in pieces: piece_len bytes at a time, or random ones if it is 0. Half of the random
 * runs receive payload elsewhere (chunked_take()). */
void chunked_model_decode(const struct sigv4 *auth, struct bytes wire, uint64_t decoded_len,
	const char *trailer_name, size_t piece_len, uint64_t *seed,
	struct chunked_model_result *ret_result);

#endif
