/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/hex.h"

void hex_encode(const void *data, size_t len, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	for (size_t i = 0; i < len; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * len] = '\0';
}

/* The value of a digit, or 16. */
static unsigned digit_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

enum err hex_decode(struct bytes text, uint8_t *ret_data, size_t ret_len)
{
	if (text.len != 2 * ret_len)
		return ERR_INVALID;
	for (size_t i = 0; i < text.len; i++)
		if (digit_value(text.data[i]) > 15)
			return ERR_INVALID;
	for (size_t i = 0; i < ret_len; i++)
		ret_data[i] = (uint8_t)(digit_value(text.data[2 * i]) << 4 |
			digit_value(text.data[2 * i + 1]));
	return ERR_OK;
}
