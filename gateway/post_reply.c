/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/post_reply.h"

#include "gateway/response.h"
#include "gateway/xml_out.h"

void post_reply_put_location(const struct request *request, struct text_out *out)
{
	struct bytes host = {0};
	request_header(request, "host", &host);
	text_put_text(out, request->exchange->is_tls ? "https://" : "http://");
	text_put_bytes(out, host);
	if (!request->resource.is_virtual_host) {
		text_put_char(out, '/');
		text_put_bytes(out, request->bucket.name);
	}
	text_put_char(out, '/');
	uri_encode(out, request->resource.key, true);
}

void post_reply_put_redirect(const struct request *request, struct bytes page,
	const struct etag *etag, struct text_out *out)
{
	uint8_t buf[64];
	struct text_out quoted;
	text_out_init(&quoted, buf, sizeof buf);
	response_put_etag(&quoted, etag);
	text_put_bytes(out, page);
	text_put_char(out, memchr(page.data, '?', page.len) ? '&' : '?');
	text_put_text(out, "bucket=");
	uri_encode(out, request->bucket.name, false);
	text_put_text(out, "&key=");
	uri_encode(out, request->resource.key, false);
	text_put_text(out, "&etag=");
	uri_encode(out, text_out_bytes(&quoted), false);
}

void post_reply_put_document(
	struct request *request, const struct etag *etag, struct bytes location)
{
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<PostResponse><Location>");
	xml_put_any(out, location);
	text_put_text(out, "</Location><Bucket>");
	xml_put_any(out, request->bucket.name);
	text_put_text(out, "</Bucket><Key>");
	xml_put_any(out, request->resource.key);
	text_put_text(out, "</Key><ETag>");
	uint8_t buf[64];
	struct text_out quoted;
	text_out_init(&quoted, buf, sizeof buf);
	response_put_etag(&quoted, etag);
	xml_put_any(out, text_out_bytes(&quoted));
	text_put_text(out, "</ETag></PostResponse>");
}
