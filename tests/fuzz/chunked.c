/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an aws-chunked body. A byte of flags says the form, and whether the bytes are the
 * body as they are or the recipe of a signed one with a place to change. In both cases any split
 * gives the same result; what is accepted of a changed body is what was signed. */
#include <stdlib.h>

#include "tests/lib/chunked_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct chunked_model_result first, second;
static uint8_t wire[CHUNKED_MODEL_WIRE_MAX];

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void decode_twice(
	const struct sigv4 *auth, struct bytes body, uint64_t decoded_len, const char *trailer)
{
	uint64_t seed = body.len;
	chunked_model_decode(auth, body, decoded_len, trailer, SIZE_MAX, &seed, &first);
	chunked_model_decode(auth, body, decoded_len, trailer, body.len % 2, &seed, &second);
	check(first.code == second.code);
	if (first.code != S3_OK)
		return;
	check(first.payload_len == decoded_len && second.payload_len == decoded_len);
	check(memcmp(first.payload, second.payload, first.payload_len) == 0);
	check(strcmp(first.trailer, second.trailer) == 0);
	check(first.wire_used == second.wire_used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 8 || len > CHUNKED_MODEL_PAYLOAD_MAX)
		return 0;
	enum sigv4_payload form = SIGV4_PAYLOAD_SIGNED_CHUNKS + data[0] % 3;
	bool is_recipe = data[0] & 0x10;
	uint32_t number = get_le16(data + 1);
	struct sigv4 auth;
	chunked_model_auth(form, &auth);
	const char *trailer = form != SIGV4_PAYLOAD_SIGNED_CHUNKS ? CHUNKED_MODEL_TRAILER : "";
	if (!is_recipe) {
		decode_twice(&auth, bytes_make(data + 3, len - 3), number,
			data[0] & 0x20 ? "" : trailer);
		return 0;
	}

	struct bytes payload = {data + 8, len - 8};
	size_t lens[2] = {get_le16(data + 3), get_le16(data + 5)};
	struct bytes body = chunked_model_encode(
		&auth, payload, lens, 2, trailer[0] ? "sOO8/Q==" : NULL, wire);
	wire[number % body.len] ^= data[7];
	decode_twice(&auth, body, payload.len, trailer);
	bool is_signed = form != SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER;
	if (first.code == S3_OK && is_signed)
		check(memcmp(first.payload, payload.data, payload.len) == 0);
	bool sizes_are_good = !is_signed || (lens[0] == 0 && lens[1] == 0);
	if (data[7] == 0 && sizes_are_good)
		check(first.code == S3_OK);
	return 0;
}
