/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request_stream.h"

static void send_piece(struct request *request, struct request_stream *stream)
{
	struct http_header list[REQUEST_HEADERS_MAX];
	struct text_out *out = &request->out;

	if (!request->has_begun) {
		size_t count = stream->header_count;
		assert(count < REQUEST_HEADERS_MAX);
		for (size_t i = 0; i < count; i++)
			list[i] = stream->headers[i];
		list[count++] = (struct http_header){
			bytes_of("content-type"), bytes_of("application/xml")};
		request_begin(
			request, 200, list, count, stream->is_done, stream->is_done ? out->len : 0);
	}
	request_send(request, out->buf, out->len, stream->is_done);
}

static void advance(struct request *request)
{
	struct request_stream *stream = request->stream;

	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	if (request->is_sending)
		return;
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK)
		err = stream->fill(request, &stream->is_done);
	if (err != ERR_OK) {
		request_fail_err(request, err, S3_NO_SUCH_BUCKET);
		return;
	}
	assert(!request->out.overflowed && (request->out.len > 0 || !stream->is_done));
	if (request->out.len == 0)
		request_advance_soon(request);
	else
		send_piece(request, stream);
}

void request_stream_start_with(struct request *request, struct request_stream *stream,
	enum err (*fill)(struct request *request, bool *ret_is_done),
	const struct http_header *headers, size_t header_count)
{
	*stream = (struct request_stream){
		.fill = fill, .headers = headers, .header_count = header_count};
	request->stream = stream;
	request->advance = advance;
	advance(request);
}

void request_stream_start(struct request *request, struct request_stream *stream,
	enum err (*fill)(struct request *request, bool *ret_is_done))
{
	request_stream_start_with(request, stream, fill, NULL, 0);
}
