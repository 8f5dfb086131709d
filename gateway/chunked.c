/* SPDX-License-Identifier: Apache-2.0 */

/* aws-chunked bodies, from the wire to payload.
 *
 *	signed          chunk = size ";chunk-signature=" 64 hex CRLF payload CRLF
 *	unsigned        chunk = size CRLF payload CRLF
 *	body            chunk* of size > 0, then the head of a chunk of size 0, then the end
 *	end             CRLF
 *	end + trailer   name ":" value EOL [ "x-amz-trailer-signature:" 64 hex EOL ] CRLF
 *	EOL             CRLF, or LF CRLF as minio-go sends
 *
 * The head of a chunk is bounded: sizes have 1 to 16 digits and there is no other extension. A
 * chunk may be as long as the body.
 *
 * (C1) The events depend on the bytes only, not on how they were split, except that spans of
 *      payload end where the input ends.
 * (C2) CHUNKED_END comes only when the payload had exactly the announced length, and in the signed
 *      forms only when every byte of it, the end and the trailer were covered by a signature that
 *      held. Payload given out before is not to be believed until then.
 * (C3) Every call uses input, or gives an event that asks the caller for something, or both; so
 *      no input makes the caller loop for ever.
 * (C4) The trailer is exactly the one that x-amz-trailer announced.
 * (C5) In the signed forms only the last chunk with payload may be under 8 KiB.
 */
#include "gateway/chunked.h"

#include "gateway/digest/digest.h"
#include "gateway/text_out.h"

#define EXTENSION ";chunk-signature="
#define TRAILER_SIGNATURE "x-amz-trailer-signature"

enum { SIZE_DIGITS_MAX = 16 };

static void fail(struct chunked *decoder, enum s3_code code)
{
	assert(decoder->state != CHUNKED_DONE);
	decoder->state = CHUNKED_FAILED;
	decoder->code = code;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Only lower case, as signatures are written. */
static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum s3_code chunked_init(struct chunked *decoder, const struct sigv4 *auth, uint64_t decoded_len,
	struct bytes trailer_name, struct s3_error_detail *detail)
{
	bool is_signed = auth->payload != SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER;
	bool may_have_trailer = auth->payload != SIGV4_PAYLOAD_SIGNED_CHUNKS;
	bool must_have_trailer = auth->payload == SIGV4_PAYLOAD_SIGNED_CHUNKS_TRAILER;
	assert(auth->payload >= SIGV4_PAYLOAD_SIGNED_CHUNKS);
	assert(auth->is_verified || (auth->is_anonymous && !is_signed));

	memset(decoder, 0, sizeof *decoder);
	if (trailer_name.len > 0 ? !may_have_trailer : must_have_trailer)
		return S3_MALFORMED_TRAILER;
	if (trailer_name.len > CHUNKED_TRAILER_NAME_MAX)
		return S3_MALFORMED_TRAILER;
	for (size_t i = 0; i < trailer_name.len; i++) {
		uint8_t c = lower(trailer_name.data[i]);
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
		if (!is_plain)
			return S3_MALFORMED_TRAILER;
		decoder->name[i] = c;
	}
	decoder->name_len = trailer_name.len;
	decoder->has_trailer = trailer_name.len > 0;
	decoder->is_signed = is_signed;
	decoder->payload_left = decoded_len;
	decoder->detail = detail;
	if (is_signed)
		sigv4_chain_init(&decoder->chain, auth);
	return S3_OK;
}

void chunked_fini(struct chunked *decoder)
{
	sigv4_chain_fini(&decoder->chain);
}

/* --- heads of chunks ------------------------------------------------------------------------- */

/* (C5) The chunk before this one was too short. */
static void refuse_size(struct chunked *decoder)
{
	s3_error_add_uint(decoder->detail, "Chunk", decoder->chunk_index);
	s3_error_add_uint(decoder->detail, "BadChunkSize", decoder->short_len);
	fail(decoder, S3_INVALID_CHUNK_SIZE);
}

/* The head of a chunk is complete: is such a chunk allowed here? */
static void begin_chunk(struct chunked *decoder)
{
	decoder->chunk_left = decoder->chunk_len;
	if (decoder->chunk_len > decoder->payload_left ||
		(decoder->chunk_len == 0 && decoder->payload_left > 0)) {
		fail(decoder, S3_INCOMPLETE_BODY);
		return;
	}
	if (decoder->chunk_len > 0) {
		if (decoder->short_len > 0) {
			refuse_size(decoder);
			return;
		}
		if (decoder->is_signed && decoder->chunk_len < CHUNKED_LEAST_LEN)
			decoder->short_len = decoder->chunk_len;
		decoder->chunk_index++;
		decoder->state = CHUNKED_DATA;
		return;
	}

	uint8_t sha256[SHA256_LEN];
	digest_sha256(NULL, 0, sha256);
	if (decoder->is_signed &&
		!sigv4_chain_take_chunk(&decoder->chain, sha256, decoder->signature)) {
		fail(decoder, S3_SIGNATURE_DOES_NOT_MATCH);
		return;
	}
	decoder->state = decoder->has_trailer ? CHUNKED_TRAILER : CHUNKED_DATA_CR;
}

static void take_size(struct chunked *decoder, uint8_t c)
{
	int digit = hex_value(lower(c));
	if (digit >= 0 && decoder->digit_count < SIZE_DIGITS_MAX) {
		decoder->chunk_len = decoder->chunk_len << 4 | (unsigned)digit;
		decoder->digit_count++;
	} else if (decoder->digit_count > 0 && decoder->is_signed && c == EXTENSION[0]) {
		decoder->matched = 1;
		decoder->state = CHUNKED_EXTENSION;
	} else if (decoder->digit_count > 0 && !decoder->is_signed && c == '\r') {
		decoder->state = CHUNKED_HEAD_LF;
	} else {
		fail(decoder, S3_INVALID_REQUEST);
	}
}

static void take_extension(struct chunked *decoder, uint8_t c)
{
	if (c != (uint8_t)EXTENSION[decoder->matched++]) {
		fail(decoder, S3_INVALID_REQUEST);
	} else if (decoder->matched == strlen(EXTENSION)) {
		decoder->matched = 0;
		decoder->state = CHUNKED_SIGNATURE;
	}
}

static void take_signature(struct chunked *decoder, uint8_t c)
{
	if (hex_value(c) < 0) {
		fail(decoder, S3_INVALID_REQUEST);
		return;
	}
	decoder->signature[decoder->matched++] = c;
	if (decoder->matched == SIGV4_SIGNATURE_LEN)
		decoder->state = CHUNKED_HEAD_CR;
}

/* --- trailer --------------------------------------------------------------------------------- */

/* (C4) The value of the announced trailer; nothing else may be in its place. */
static void take_trailer_value(struct chunked *decoder, struct bytes name, struct bytes value)
{
	if (decoder->has_value || decoder->has_trailer_signature ||
		!bytes_is_equal(name, bytes_make(decoder->name, decoder->name_len)) ||
		value.len == 0) {
		fail(decoder, S3_MALFORMED_TRAILER);
		return;
	}
	memcpy(decoder->value, value.data, value.len);
	decoder->value_len = value.len;
	decoder->has_value = true;
	decoder->state = CHUNKED_TRAILER;
}

/* The signature is over "name:value\n". */
static void check_trailer_signature(struct chunked *decoder, struct bytes signature)
{
	uint8_t signed_text[CHUNKED_TRAILER_NAME_MAX + CHUNKED_TRAILER_LINE_MAX + 2];
	uint8_t sha256[SHA256_LEN];
	if (!decoder->has_value || decoder->has_trailer_signature ||
		signature.len != SIGV4_SIGNATURE_LEN) {
		fail(decoder, S3_MALFORMED_TRAILER);
		return;
	}
	struct text_out out;
	text_out_init(&out, signed_text, sizeof signed_text);
	text_put(&out, decoder->name, decoder->name_len);
	text_put_char(&out, ':');
	text_put(&out, decoder->value, decoder->value_len);
	text_put_char(&out, '\n');
	digest_sha256(signed_text, out.len, sha256);
	if (!sigv4_chain_take_trailer(&decoder->chain, sha256, signature.data)) {
		fail(decoder, S3_SIGNATURE_DOES_NOT_MATCH);
		return;
	}
	decoder->has_trailer_signature = true;
	decoder->state = CHUNKED_TRAILER;
}

/* A line of the trailer without its end. */
static void take_trailer_line(struct chunked *decoder)
{
	struct bytes line = {decoder->line, decoder->line_len};
	const uint8_t *colon = memchr(line.data, ':', line.len);
	if (!colon) {
		fail(decoder, S3_MALFORMED_TRAILER);
		return;
	}
	size_t name_len = colon - line.data;
	for (size_t i = 0; i < name_len; i++)
		decoder->line[i] = lower(decoder->line[i]);
	struct bytes name = {line.data, name_len};
	struct bytes value = bytes_trim(bytes_from(line, name_len + 1), " \t");
	decoder->line_len = 0;
	if (decoder->is_signed && bytes_is_text(name, TRAILER_SIGNATURE))
		check_trailer_signature(decoder, value);
	else
		take_trailer_value(decoder, name, value);
}

static void take_trailer(struct chunked *decoder, uint8_t c)
{
	if (c == '\r' && decoder->line_len == 0) {
		bool is_complete = decoder->has_value &&
			decoder->has_trailer_signature == decoder->is_signed;
		if (is_complete)
			decoder->state = CHUNKED_LAST_LF;
		else
			fail(decoder, S3_MALFORMED_TRAILER);
	} else if (c == '\r') {
		decoder->state = CHUNKED_TRAILER_LF;
	} else if (c == '\n' && decoder->line_len > 0) {
		decoder->state = CHUNKED_TRAILER_CR;
	} else if ((c < 0x20 && c != '\t') || c >= 0x7f ||
		decoder->line_len == CHUNKED_TRAILER_LINE_MAX) {
		fail(decoder, S3_MALFORMED_TRAILER);
	} else {
		decoder->line[decoder->line_len++] = c;
	}
}

/* --- the machine ----------------------------------------------------------------------------- */

/* Goes on if c is what the grammar wants here. */
static void expect(struct chunked *decoder, uint8_t c, uint8_t expected, enum chunked_state next)
{
	if (c == expected)
		decoder->state = next;
	else
		fail(decoder,
			decoder->state >= CHUNKED_TRAILER ? S3_MALFORMED_TRAILER
							  : S3_INVALID_REQUEST);
}

static void begin_head(struct chunked *decoder)
{
	decoder->state = CHUNKED_SIZE;
	decoder->chunk_len = 0;
	decoder->digit_count = 0;
	decoder->matched = 0;
}

/* One byte that is not payload. */
static void take_byte(struct chunked *decoder, uint8_t c)
{
	switch (decoder->state) {
	case CHUNKED_SIZE:
		take_size(decoder, c);
		return;
	case CHUNKED_EXTENSION:
		take_extension(decoder, c);
		return;
	case CHUNKED_SIGNATURE:
		take_signature(decoder, c);
		return;
	case CHUNKED_HEAD_CR:
		expect(decoder, c, '\r', CHUNKED_HEAD_LF);
		return;
	case CHUNKED_HEAD_LF:
		expect(decoder, c, '\n', CHUNKED_DATA);
		if (decoder->state == CHUNKED_DATA)
			begin_chunk(decoder);
		return;
	case CHUNKED_DATA_CR:
		expect(decoder, c, '\r', CHUNKED_DATA_LF);
		return;
	case CHUNKED_DATA_LF:
		expect(decoder, c, '\n', decoder->chunk_len == 0 ? CHUNKED_DONE : CHUNKED_SIZE);
		if (decoder->state == CHUNKED_SIZE)
			begin_head(decoder);
		return;
	case CHUNKED_TRAILER:
		take_trailer(decoder, c);
		return;
	case CHUNKED_TRAILER_CR:
		expect(decoder, c, '\r', CHUNKED_TRAILER_LF);
		return;
	case CHUNKED_TRAILER_LF:
		expect(decoder, c, '\n', CHUNKED_TRAILER);
		if (decoder->state == CHUNKED_TRAILER)
			take_trailer_line(decoder);
		return;
	case CHUNKED_LAST_LF:
		expect(decoder, c, '\n', CHUNKED_DONE);
		return;
	default:
		assert(!"a state without a byte");
	}
}

enum chunked_event chunked_feed(struct chunked *decoder, const uint8_t *in, size_t len,
	size_t *ret_used, struct bytes *ret_payload)
{
	size_t used = 0;
	*ret_payload = (struct bytes){in, 0};
	for (;;) {
		*ret_used = used;
		if (decoder->state == CHUNKED_FAILED)
			return CHUNKED_ERROR;
		if (decoder->state == CHUNKED_SEAL)
			return CHUNKED_SEALED;
		if (decoder->state == CHUNKED_DONE) {
			assert(decoder->payload_left == 0);
			return CHUNKED_END;
		}
		if (used == len)
			return CHUNKED_MORE;
		if (decoder->state == CHUNKED_DATA) {
			uint64_t left = len - used;
			size_t span = left < decoder->chunk_left ? left : decoder->chunk_left;
			*ret_payload = bytes_make(in + used, span);
			*ret_used = used + span;
			chunked_take(decoder, span);
			return CHUNKED_PAYLOAD;
		}
		take_byte(decoder, in[used++]);
	}
}

uint64_t chunked_payload_left(const struct chunked *decoder)
{
	return decoder->state == CHUNKED_DATA ? decoder->chunk_left : 0;
}

void chunked_take(struct chunked *decoder, uint64_t len)
{
	assert(len <= chunked_payload_left(decoder));
	assert(decoder->chunk_left <= decoder->payload_left);
	decoder->chunk_left -= len;
	decoder->payload_left -= len;
	if (decoder->state == CHUNKED_DATA && decoder->chunk_left == 0)
		decoder->state = decoder->is_signed ? CHUNKED_SEAL : CHUNKED_DATA_CR;
}

enum s3_code chunked_verify(struct chunked *decoder, const uint8_t sha256[SHA256_LEN])
{
	assert(decoder->state == CHUNKED_SEAL && decoder->is_signed);
	if (!sigv4_chain_take_chunk(&decoder->chain, sha256, decoder->signature)) {
		fail(decoder, S3_SIGNATURE_DOES_NOT_MATCH);
		return decoder->code;
	}
	decoder->state = CHUNKED_DATA_CR;
	return S3_OK;
}

struct bytes chunked_trailer_name(const struct chunked *decoder)
{
	assert(decoder->state == CHUNKED_DONE);
	return bytes_make(decoder->name, decoder->name_len);
}

struct bytes chunked_trailer_value(const struct chunked *decoder)
{
	assert(decoder->state == CHUNKED_DONE && decoder->has_value == decoder->has_trailer);
	return bytes_make(decoder->value, decoder->value_len);
}

enum s3_code chunked_cut(struct chunked *decoder)
{
	assert(decoder->state != CHUNKED_DONE);
	if (decoder->state != CHUNKED_FAILED)
		fail(decoder, S3_INCOMPLETE_BODY);
	return decoder->code;
}
