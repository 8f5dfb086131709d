/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sigv4_sample.h"

#include "gateway/uri.h"

const char *sigv4_sample_secret(struct bytes key_id)
{
	if (bytes_is_text(key_id, "AKIDEXAMPLE"))
		return "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
	return bytes_is_text(key_id, "rubus/with/slashes") ? "short" : NULL;
}

static struct bytes take_until(struct bytes *text, char end)
{
	const uint8_t *found = memchr(text->data, end, text->len);
	struct bytes taken = {text->data, found ? (size_t)(found - text->data) : text->len};
	*text = bytes_from(*text, found ? taken.len + 1 : taken.len);
	return taken;
}

bool sigv4_sample_take(struct bytes *text, struct sigv4_sample *sample)
{
	struct uri uri;
	struct bytes line = take_until(text, '\n');
	memset(&sample->request, 0, sizeof sample->request);
	sample->now_s = 0;
	sample->request.method = take_until(&line, ' ');
	sample->target = take_until(&line, ' ');
	for (size_t i = 0; i < line.len; i++)
		sample->now_s = sample->now_s * 10 + line.data[i] - '0';
	if (uri_split(sample->target, &uri) != ERR_OK || uri.query.len > sizeof sample->query_buf ||
		query_parse(uri.query, sample->query_buf, sizeof sample->query_buf, &sample->query))
		return false;
	sample->request.path = uri.path;
	sample->request.query = &sample->query;
	sample->request.headers = sample->headers;
	while (text->len > 0) {
		line = take_until(text, '\n');
		if (line.len == 0)
			break;
		if (sample->request.header_count == SIGV4_SAMPLE_HEADERS_MAX)
			return false;
		struct http_header *header = &sample->headers[sample->request.header_count++];
		header->name = take_until(&line, ':');
		header->value = line;
	}
	return true;
}
