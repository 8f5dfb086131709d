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

/* The value of a digit, plus one; 0: not a digit. No branches: the digits of a digest are as random
 * as its bits, and each would be mispredicted every other time. */
static const uint8_t digit_values[256] = {
	['0'] = 1,
	['1'] = 2,
	['2'] = 3,
	['3'] = 4,
	['4'] = 5,
	['5'] = 6,
	['6'] = 7,
	['7'] = 8,
	['8'] = 9,
	['9'] = 10,
	['a'] = 11,
	['b'] = 12,
	['c'] = 13,
	['d'] = 14,
	['e'] = 15,
	['f'] = 16,
	['A'] = 11,
	['B'] = 12,
	['C'] = 13,
	['D'] = 14,
	['E'] = 15,
	['F'] = 16,
};

enum err hex_decode(struct bytes text, uint8_t *ret_data, size_t ret_len)
{
	unsigned seen = 0; /* what is no digit is above all values */
	if (text.len != 2 * ret_len)
		return ERR_INVALID;
	for (size_t i = 0; i < ret_len; i++) {
		unsigned high = digit_values[text.data[2 * i]] - 1u;
		unsigned low = digit_values[text.data[2 * i + 1]] - 1u;
		seen |= high | low;
		ret_data[i] = (uint8_t)(high << 4 | low);
	}
	return seen <= 15 ? ERR_OK : ERR_INVALID;
}
