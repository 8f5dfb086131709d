/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/chunked_model.h"

#include "gateway/digest/digest.h"
#include "gateway/digest/digest_stream.h"
#include "gateway/digest/hex.h"

#define SCOPE "20260101/rubus/s3/aws4_request"
#define AMZ_DATE "20260101T000000Z"
#define SEED_SIGNATURE "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static uint64_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

void chunked_model_auth(enum sigv4_payload payload, struct sigv4 *ret_auth)
{
	memset(ret_auth, 0, sizeof *ret_auth);
	ret_auth->is_verified = true;
	ret_auth->payload = payload;
	ret_auth->scope = bytes_of(SCOPE);
	memcpy(ret_auth->amz_date, AMZ_DATE, SIGV4_AMZ_DATE_LEN);
	memcpy(ret_auth->signature, SEED_SIGNATURE, SIGV4_SIGNATURE_LEN);
	hmac_key_init(&ret_auth->signing_key, "key", 3);
}

/* Signs the text of a link of the chain; previous becomes the signature, a C string. */
static void sign(const struct sigv4 *auth, const char *algorithm, const char *middle,
	struct bytes signed_text, char previous[SIGV4_SIGNATURE_LEN + 1])
{
	uint8_t message[512], sha256[SHA256_LEN], mac[SHA256_LEN];
	struct text_out out;
	digest_sha256(signed_text.data, signed_text.len, sha256);
	text_out_init(&out, message, sizeof message);
	text_put_text(&out, algorithm);
	text_put_text(&out, "\n" AMZ_DATE "\n" SCOPE "\n");
	text_put_text(&out, previous);
	text_put_text(&out, middle);
	text_put_hex(&out, bytes_make(sha256, sizeof sha256));
	hmac_sign(&auth->signing_key, message, out.len, mac);
	hex_encode(mac, sizeof mac, previous);
}

static void put_hex_size(struct text_out *out, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	for (int shift = 28; shift >= 0; shift -= 4) {
		if (len >> shift > 0 || shift == 0)
			text_put_char(out, digits[len >> shift & 15]);
	}
}

static void put_head(struct text_out *out, const struct sigv4 *auth, struct bytes chunk,
	char previous[SIGV4_SIGNATURE_LEN + 1])
{
	put_hex_size(out, chunk.len);
	if (auth->payload != SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER) {
		sign(auth, "AWS4-HMAC-SHA256-PAYLOAD", "\n" EMPTY_SHA256 "\n", chunk, previous);
		text_put_text(out, ";chunk-signature=");
		text_put_text(out, previous);
	}
	text_put_text(out, "\r\n");
}

static void put_trailer(struct text_out *out, const struct sigv4 *auth, const char *value,
	char previous[SIGV4_SIGNATURE_LEN + 1])
{
	size_t start = out->len;
	text_put_text(out, CHUNKED_MODEL_TRAILER ":");
	text_put_text(out, value);
	text_put_text(out, "\n");
	struct bytes signed_text = {out->buf + start, out->len - start};
	if (auth->payload == SIGV4_PAYLOAD_SIGNED_CHUNKS_TRAILER) {
		sign(auth, "AWS4-HMAC-SHA256-TRAILER", "\n", signed_text, previous);
		text_put_text(out, "\r\nx-amz-trailer-signature:");
		text_put_text(out, previous);
	} else {
		out->len--;
	}
	text_put_text(out, "\r\n");
}

struct bytes chunked_model_encode(const struct sigv4 *auth, struct bytes payload,
	const size_t *chunk_lens, size_t chunk_count, const char *trailer_value, uint8_t *wire)
{
	char previous[SIGV4_SIGNATURE_LEN + 1] = SEED_SIGNATURE;
	struct text_out out;
	text_out_init(&out, wire, CHUNKED_MODEL_WIRE_MAX);
	for (size_t i = 0; payload.len > 0; i++) {
		size_t len = i < chunk_count && chunk_lens[i] > 0 ? chunk_lens[i] : payload.len;
		struct bytes chunk = {payload.data, len < payload.len ? len : payload.len};
		put_head(&out, auth, chunk, previous);
		text_put_bytes(&out, chunk);
		text_put_text(&out, "\r\n");
		payload = bytes_from(payload, chunk.len);
	}
	put_head(&out, auth, payload, previous);
	if (trailer_value)
		put_trailer(&out, auth, trailer_value, previous);
	text_put_text(&out, "\r\n");
	assert(!out.overflowed);
	return text_out_bytes(&out);
}

static void take(
	struct chunked_model_result *result, struct digest_stream *stream, struct bytes payload)
{
	assert(result->payload_len + payload.len <= sizeof result->payload);
	if (payload.len > 0)
		memcpy(result->payload + result->payload_len, payload.data, payload.len);
	result->payload_len += payload.len;
	digest_stream_update(stream, payload.data, payload.len);
}

static void verify(struct chunked *decoder, struct digest_stream *stream)
{
	struct digest_values values;
	digest_stream_final(stream, &values);
	digest_stream_init(stream, DIGEST_SHA256);
	enum s3_code code = chunked_verify(decoder, values.sha256);
	assert((code == S3_OK) != (decoder->state == CHUNKED_FAILED));
}

static void finish(
	struct chunked *decoder, enum chunked_event event, struct chunked_model_result *result)
{
	if (event == CHUNKED_ERROR) {
		result->code = decoder->code;
	} else if (event == CHUNKED_END) {
		struct bytes value = chunked_trailer_value(decoder);
		result->code = S3_OK;
		if (value.len > 0)
			memcpy(result->trailer, value.data, value.len);
	} else {
		result->code = chunked_cut(decoder);
	}
	assert((result->code == S3_OK) == (event == CHUNKED_END));
}

void chunked_model_decode(const struct sigv4 *auth, struct bytes wire, uint64_t decoded_len,
	const char *trailer_name, size_t piece_len, uint64_t *seed,
	struct chunked_model_result *ret_result)
{
	struct chunked decoder;
	struct s3_error_detail detail;
	struct digest_stream stream;
	memset(ret_result, 0, sizeof *ret_result);
	s3_error_detail_init(&detail);
	ret_result->code = chunked_init(
		&decoder, auth, decoded_len, bytes_of(trailer_name), &detail);
	if (ret_result->code != S3_OK)
		return;
	digest_stream_init(&stream, DIGEST_SHA256);
	bool takes_directly = piece_len == 0 && random_next(seed) % 2 == 0;

	enum chunked_event event = CHUNKED_MORE;
	size_t steps_max = wire.len * 3 + 10; /* (C3) */
	while (event != CHUNKED_END && event != CHUNKED_ERROR) {
		assert(steps_max-- > 0);
		struct bytes rest = bytes_from(wire, ret_result->wire_used);
		size_t len = piece_len > 0 ? piece_len : random_next(seed) % 200;
		len = len < rest.len ? len : rest.len;
		if (takes_directly && chunked_payload_left(&decoder) > 0 && len > 0) {
			if (len > chunked_payload_left(&decoder))
				len = chunked_payload_left(&decoder);
			take(ret_result, &stream, bytes_make(rest.data, len));
			chunked_take(&decoder, len);
			ret_result->wire_used += len;
			continue;
		}
		size_t used;
		struct bytes payload;
		event = chunked_feed(&decoder, rest.data, len, &used, &payload);
		assert(used <= len && (event == CHUNKED_PAYLOAD) == (payload.len > 0));
		take(ret_result, &stream, payload);
		ret_result->wire_used += used;
		if (event == CHUNKED_SEALED)
			verify(&decoder, &stream);
		if (event == CHUNKED_MORE && ret_result->wire_used == wire.len)
			break;
		steps_max += event == CHUNKED_MORE && len == 0; /* a random piece of nothing */
	}
	finish(&decoder, event, ret_result);
	chunked_fini(&decoder);
}
