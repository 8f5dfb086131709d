/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request_document.h"

#define PIECE_LEN 4096

enum s3_code request_document_init(struct request_document *document, struct request *request,
	uint64_t len_max,
	enum s3_code (*feed)(struct request_document *document, struct bytes piece))
{
	document->feed = feed;
	enum s3_code code = request_body_init(&document->body, request, 0, len_max);
	if (code == S3_ENTITY_TOO_LARGE)
		code = S3_MAX_MESSAGE_LENGTH_EXCEEDED;
	digest_stream_init(&document->digest, document->body.kinds);
	if (code == S3_OK && request->route->flags & ROUTE_CHECKSUM &&
		!request_body_is_protected(&document->body)) {
		request->error.message =
			"Missing required header: Content-MD5 or x-amz-checksum-*.";
		return S3_INVALID_REQUEST;
	}
	return code;
}

void request_document_fini(struct request_document *document)
{
	request_body_fini(&document->body);
}

static enum s3_code end(struct request_document *document)
{
	struct digest_values values;
	digest_stream_final(&document->digest, &values);
	return request_body_check(&document->body, &values);
}

enum err request_document_read(struct request_document *document, enum s3_code *ret_code)
{
	uint8_t piece[PIECE_LEN];
	size_t len;

	for (;;) {
		enum err err = request_body_read(
			&document->body, piece, sizeof piece, &len, ret_code);
		if (err == ERR_END) {
			*ret_code = end(document);
			return *ret_code == S3_OK ? ERR_OK : ERR_CHECKSUM;
		}
		if (err == ERR_LIMIT)
			*ret_code = S3_MAX_MESSAGE_LENGTH_EXCEEDED;
		if (err != ERR_OK)
			return err;
		digest_stream_update(&document->digest, piece, len);
		*ret_code = document->feed(document, bytes_make(piece, len));
		if (*ret_code != S3_OK)
			return ERR_INVALID;
	}
}
