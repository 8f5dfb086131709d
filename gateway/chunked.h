/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CHUNKED_H
#define GATEWAY_CHUNKED_H

#include "gateway/s3_error.h"
#include "gateway/sigv4_chain.h"

/* The aws-chunked bodies: payload in chunks, perhaps signed, perhaps with a checksum behind it.
 * chunked.c has the format and the invariants. Nothing is copied: payload is spans of the input.
 *
 *	while (len > 0 || event != CHUNKED_MORE) {
 *		event = chunked_feed(&decoder, in, len, &used, &payload);
 *		in += used, len -= used;
 *		CHUNKED_PAYLOAD: take payload, feed it to the SHA-256 of this chunk
 *		CHUNKED_SEALED:  chunked_verify(&decoder, sha256 of this chunk)
 *		CHUNKED_END:     all payload has been seen; look at the trailer, commit
 *		CHUNKED_ERROR:   answer decoder.code, drop what was taken
 *	}
 *	...and when the body ends before CHUNKED_END: chunked_cut() is the answer.
 *
 * Instead of feeding payload through here, a caller may receive chunked_payload_left() bytes
 * straight into a buffer of its own and tell so with chunked_take(). */
enum chunked_event {
	CHUNKED_MORE, /* all input is used; more is needed */
	CHUNKED_PAYLOAD, /* ret_payload is the next payload, part of `used` */
	CHUNKED_SEALED, /* a signed chunk is complete: chunked_verify() must be next */
	CHUNKED_END, /* the body is complete; what may come behind `used` is not part of it */
	CHUNKED_ERROR, /* and ever after */
};

enum { CHUNKED_TRAILER_NAME_MAX = 64, CHUNKED_TRAILER_LINE_MAX = 256, CHUNKED_LEAST_LEN = 8192 };

enum chunked_state {
	CHUNKED_SIZE,
	CHUNKED_EXTENSION,
	CHUNKED_SIGNATURE,
	CHUNKED_HEAD_CR,
	CHUNKED_HEAD_LF,
	CHUNKED_DATA,
	CHUNKED_SEAL,
	CHUNKED_DATA_CR,
	CHUNKED_DATA_LF,
	CHUNKED_TRAILER,
	CHUNKED_TRAILER_CR,
	CHUNKED_TRAILER_LF,
	CHUNKED_LAST_LF,
	CHUNKED_DONE,
	CHUNKED_FAILED,
};

struct chunked {
	enum chunked_state state;
	bool is_signed;
	bool has_trailer;
	enum s3_code code; /* of CHUNKED_ERROR */
	struct s3_error_detail *detail; /* borrowed from init on */
	struct sigv4_chain chain; /* signed forms */

	uint64_t payload_left; /* of the whole body */
	uint64_t chunk_len;
	uint64_t chunk_left;
	uint64_t chunk_index;
	uint64_t short_len; /* of a signed chunk under 8 KiB, after which only the end may come */
	unsigned digit_count;
	size_t matched; /* of ";chunk-signature=", or of the signature */
	uint8_t signature[SIGV4_SIGNATURE_LEN];

	size_t name_len;
	uint8_t name[CHUNKED_TRAILER_NAME_MAX]; /* announced by x-amz-trailer, lower case */
	size_t line_len;
	uint8_t line[CHUNKED_TRAILER_LINE_MAX];
	bool has_trailer_signature;
	bool has_value;
	size_t value_len;
	uint8_t value[CHUNKED_TRAILER_LINE_MAX];
};

/* Starts a body of decoded_len bytes (x-amz-decoded-content-length). auth says the form, which is
 * one of the three chunked ones; its signature must be verified if it is signed. trailer_name is
 * the x-amz-trailer header (empty: none). detail is borrowed until the end.
 *
 * Returns S3_OK, or S3_MALFORMED_TRAILER: the form wants exactly one trailer and another number is
 * announced, or the form has none. */
enum s3_code chunked_init(struct chunked *decoder, const struct sigv4 *auth, uint64_t decoded_len,
	struct bytes trailer_name, struct s3_error_detail *detail) MUST_USE;

/* Wipes the signing key. */
void chunked_fini(struct chunked *decoder);

/* Goes on with the body up to the next event; in is borrowed for the call. len may be 0. */
enum chunked_event chunked_feed(struct chunked *decoder, const uint8_t *in, size_t len,
	size_t *ret_used, struct bytes *ret_payload) MUST_USE;

/* How many bytes of payload come next on the wire before anything else. */
uint64_t chunked_payload_left(const struct chunked *decoder);

/* len (at most chunked_payload_left()) bytes of payload were received elsewhere. The next event may
 * be CHUNKED_SEALED. */
void chunked_take(struct chunked *decoder, uint64_t len);

/* Answers CHUNKED_SEALED with the digest of the chunk's payload. Returns S3_OK or
 * S3_SIGNATURE_DOES_NOT_MATCH, and then the decoder has failed. */
enum s3_code chunked_verify(struct chunked *decoder, const uint8_t sha256[SHA256_LEN]) MUST_USE;

/* The trailer, such as "x-amz-checksum-crc32c" and its value. Only after CHUNKED_END; both are
 * empty if none was announced. Borrowed from the decoder. */
struct bytes chunked_trailer_name(const struct chunked *decoder);
struct bytes chunked_trailer_value(const struct chunked *decoder);

/* The body ended although CHUNKED_END was not there: the code to answer. */
enum s3_code chunked_cut(struct chunked *decoder);

#endif
