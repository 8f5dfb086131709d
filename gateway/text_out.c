/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/text_out.h"

void text_out_flush(struct text_out *out)
{
	assert(out->flush);
	if (out->len > 0 && !out->overflowed)
		out->flush(out);
	out->len = 0;
}

void text_put_long(struct text_out *out, struct bytes bytes)
{
	if (!out->flush && out->cap - out->len < bytes.len)
		out->overflowed = true;
	while (bytes.len > 0 && !out->overflowed) {
		if (out->len == out->cap)
			text_out_flush(out);
		size_t room = out->cap - out->len;
		size_t len = bytes.len < room ? bytes.len : room;
		memcpy(out->buf + out->len, bytes.data, len);
		out->len += len;
		bytes = bytes_from(bytes, len);
	}
}

void text_put_uint(struct text_out *out, uint64_t value)
{
	char digits[20];
	size_t first = sizeof digits;
	do {
		digits[--first] = '0' + value % 10;
		value /= 10;
	} while (value > 0);
	text_put(out, digits + first, sizeof digits - first);
}

void text_put_hex(struct text_out *out, struct bytes bytes)
{
	static const char digits[16] = "0123456789abcdef";
	char text[128];
	size_t len = 0;
	for (size_t i = 0; i < bytes.len; i++) {
		text[len++] = digits[bytes.data[i] >> 4];
		text[len++] = digits[bytes.data[i] & 15];
		if (len == sizeof text || i + 1 == bytes.len) {
			text_put(out, text, len);
			len = 0;
		}
	}
}
