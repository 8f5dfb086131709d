/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_out.h"

#include "gateway/uri.h"

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* What a byte of text becomes; NULL: itself. Tab and newline are legal and stay. */
static const char *const references[256] = {
	[0x00] = "&#x0;",
	[0x01] = "&#x1;",
	[0x02] = "&#x2;",
	[0x03] = "&#x3;",
	[0x04] = "&#x4;",
	[0x05] = "&#x5;",
	[0x06] = "&#x6;",
	[0x07] = "&#x7;",
	[0x08] = "&#x8;",
	[0x0b] = "&#xB;",
	[0x0c] = "&#xC;",
	['\r'] = "&#13;",
	[0x0e] = "&#xE;",
	[0x0f] = "&#xF;",
	[0x10] = "&#x10;",
	[0x11] = "&#x11;",
	[0x12] = "&#x12;",
	[0x13] = "&#x13;",
	[0x14] = "&#x14;",
	[0x15] = "&#x15;",
	[0x16] = "&#x16;",
	[0x17] = "&#x17;",
	[0x18] = "&#x18;",
	[0x19] = "&#x19;",
	[0x1a] = "&#x1A;",
	[0x1b] = "&#x1B;",
	[0x1c] = "&#x1C;",
	[0x1d] = "&#x1D;",
	[0x1e] = "&#x1E;",
	[0x1f] = "&#x1F;",
	['&'] = "&amp;",
	['<'] = "&lt;",
	['>'] = "&gt;",
};

/* How many bytes from the start need nothing done, found 16 at a time. Stops early only at a byte
 * that looks special, which includes tab and newline. */
static size_t plain_len(const uint8_t *p, size_t len)
{
	size_t i = 0;
	for (; i + 16 <= len; i += 16) {
		bytes16 v;
		memcpy(&v, p + i, 16);
		bytes16 special = (bytes16)((v < 0x20) | (v == '&') | (v == '<') | (v == '>'));
		uint64_t halves[2];
		memcpy(halves, &special, 16);
		if (halves[0] | halves[1])
			break;
	}
	while (i < len && !references[p[i]])
		i++;
	return i;
}

void xml_open(struct text_out *out, const char *name)
{
	text_put_char(out, '<');
	text_put_text(out, name);
	text_put_char(out, '>');
}

void xml_close(struct text_out *out, const char *name)
{
	text_put(out, "</", 2);
	text_put_text(out, name);
	text_put_char(out, '>');
}

void xml_put(struct text_out *out, struct bytes text)
{
	for (;;) {
		size_t len = plain_len(text.data, text.len);
		text_put(out, text.data, len);
		if (len == text.len)
			return;
		text_put_text(out, references[text.data[len]]);
		text = bytes_from(text, len + 1);
	}
}

void xml_put_any(struct text_out *out, struct bytes text)
{
	while (text.len > 0) {
		size_t len = uri_utf8_len(text);
		xml_put(out, bytes_make(text.data, len));
		text = bytes_from(text, len);
		if (text.len > 0) {
			text_put(out, "\xef\xbf\xbd", 3);
			text = bytes_from(text, 1);
		}
	}
}

void xml_put_url(struct text_out *out, struct bytes text)
{
	uri_encode(out, text, true);
}

void xml_element(struct text_out *out, const char *name, struct bytes value)
{
	xml_open(out, name);
	xml_put(out, value);
	xml_close(out, name);
}

void xml_element_uint(struct text_out *out, const char *name, uint64_t value)
{
	xml_open(out, name);
	text_put_uint(out, value);
	xml_close(out, name);
}

void xml_element_bool(struct text_out *out, const char *name, bool value)
{
	xml_element(out, name, bytes_of(value ? "true" : "false"));
}
