/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REQUEST_STREAM_H
#define GATEWAY_REQUEST_STREAM_H

#include "gateway/request.h"

/* An XML answer that is longer than the text buffer: made and sent one buffer at a time. What fits
 * into one has a length, what does not is sent chunked.
 *
 * fill() is called with an empty request->out, under no view of the index, and writes what comes
 * next. It stops between two rows when there is no room for one more, or when it has looked at
 * enough; *ret_is_done says that the answer is complete. Nothing is sent while it runs (Q6). */
struct request_stream {
	enum err (*fill)(struct request *request, bool *ret_is_done);
	const struct http_header
		*headers; /* more of them for the head; borrowed until it is sent */
	size_t header_count;
	bool is_done;
};

/* Begins the answer; the stream is borrowed until the request ends, and it is the handler from here
 * on. Errors of fill() are answered as long as nothing was sent; after that the connection is cut.
 */
void request_stream_start(struct request *request, struct request_stream *stream,
	enum err (*fill)(struct request *request, bool *ret_is_done));

/* The same with headers, fewer than REQUEST_HEADERS_MAX. */
void request_stream_start_with(struct request *request, struct request_stream *stream,
	enum err (*fill)(struct request *request, bool *ret_is_done),
	const struct http_header *headers, size_t header_count);

#endif
