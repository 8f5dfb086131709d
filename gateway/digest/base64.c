/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, char *ret_text)
{
	const uint8_t *bytes = data;
	for (; len >= 3; bytes += 3, len -= 3) {
		uint32_t v = (uint32_t)bytes[0] << 16 | bytes[1] << 8 | bytes[2];
		*ret_text++ = letters[v >> 18];
		*ret_text++ = letters[v >> 12 & 63];
		*ret_text++ = letters[v >> 6 & 63];
		*ret_text++ = letters[v & 63];
	}
	if (len > 0) {
		uint32_t v = (uint32_t)bytes[0] << 16 | (len > 1 ? bytes[1] << 8 : 0);
		*ret_text++ = letters[v >> 18];
		*ret_text++ = letters[v >> 12 & 63];
		*ret_text++ = len > 1 ? letters[v >> 6 & 63] : '=';
		*ret_text++ = '=';
	}
	*ret_text = '\0';
}

/* The value of a letter, or 64. */
static unsigned letter_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

static size_t padding_len(struct bytes text)
{
	if (text.len == 0 || text.data[text.len - 1] != '=')
		return 0;
	return text.data[text.len - 2] == '=' ? 2 : 1;
}

static bool is_canonical(struct bytes text, size_t padding)
{
	size_t letter_count = text.len - padding;
	for (size_t i = 0; i < letter_count; i++)
		if (letter_value(text.data[i]) > 63)
			return false;
	unsigned unused_bits = padding == 2 ? 0x0f : padding == 1 ? 0x03 : 0;
	return unused_bits == 0 || (letter_value(text.data[letter_count - 1]) & unused_bits) == 0;
}

enum err base64_decode(struct bytes text, uint8_t *ret_data, size_t data_cap, size_t *ret_len)
{
	if (text.len % 4 != 0)
		return ERR_INVALID;
	size_t padding = padding_len(text);
	if (!is_canonical(text, padding))
		return ERR_INVALID;
	size_t len = text.len / 4 * 3 - padding;
	if (len > data_cap)
		return ERR_LIMIT;

	for (size_t i = 0; i < len; i++) {
		const uint8_t *letter = text.data + i / 3 * 4 + i % 3;
		unsigned both = letter_value(letter[0]) << 6 | letter_value(letter[1]);
		ret_data[i] = (uint8_t)(both >> (4 - 2 * (i % 3)));
	}
	*ret_len = len;
	return ERR_OK;
}
