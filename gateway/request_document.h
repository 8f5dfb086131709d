/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REQUEST_DOCUMENT_H
#define GATEWAY_REQUEST_DOCUMENT_H

#include "gateway/request_body.h"

/* The body of a request that is a document: read in small pieces, each handed to a parser as it
 * comes, and believed when its digests were checked (B1).
 *
 *	static void advance(struct request *request)
 *	{
 *		...
 *		err = request_document_read(&op->document, &code);
 *		if (err == ERR_BUSY)
 *			return;
 *		if (err != ERR_OK) {
 *			request_fail(request, code);
 *			return;
 *		}
 *		... what the parser made of it holds ...
 */
#define REQUEST_DOCUMENT_LEN_MAX (4u << 20) /* a list of 10000 parts with checksums has 2 MiB */

struct request_document {
	struct request_body body;
	struct digest_stream digest;
	/* Takes the next piece. Any code but S3_OK is the answer. */
	enum s3_code (*feed)(struct request_document *document, struct bytes piece);
};

/* Reads the headers. With ROUTE_CHECKSUM in the route's flags, a body that is protected by nothing
 * is refused. Returns what request_body_init() does. */
enum s3_code request_document_init(struct request_document *document, struct request *request,
	uint64_t len_max,
	enum s3_code (*feed)(struct request_document *document, struct bytes piece)) MUST_USE;
void request_document_fini(struct request_document *document);

/* Goes as far as the bytes that are there. ERR_OK: it is complete, and its digests are right;
 * ERR_BUSY: advance() follows; any other: the request is to fail with *ret_code. */
MUST_USE enum err request_document_read(struct request_document *document, enum s3_code *ret_code);

#endif
