/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/names.h"

#include "gateway/uri.h"

static bool is_letter_or_digit(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Four groups of digits: what a browser would take for an address. */
static bool is_address(struct bytes name)
{
	size_t dots = 0;
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] == '.')
			dots++;
		else if (name.data[i] < '0' || name.data[i] > '9')
			return false;
	}
	return dots == 3;
}

bool names_is_bucket(struct bytes name)
{
	if (name.len < NAMES_BUCKET_LEN_MIN || name.len > NAMES_BUCKET_LEN_MAX)
		return false;
	uint8_t before = '.';
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];
		bool is_edge = before == '.' || i + 1 == name.len;
		if (c == '.'               ? before == '.' || before == '-'
				: c == '-' ? is_edge
					   : !is_letter_or_digit(c))
			return false;
		before = c;
	}
	return before != '.' && before != '-' && !is_address(name) &&
		!bytes_has_prefix(name, bytes_of("xn--"));
}

enum s3_code names_check_key(struct bytes key, struct s3_error_detail *ret_detail)
{
	if (key.len > URI_KEY_LEN_MAX) {
		s3_error_add_uint(ret_detail, "Size", key.len);
		s3_error_add_uint(ret_detail, "MaxSizeAllowed", URI_KEY_LEN_MAX);
		return S3_KEY_TOO_LONG;
	}
	if (key.len > 0 && uri_is_utf8(key))
		return S3_OK;
	s3_error_add(ret_detail, "ArgumentName", bytes_of("Key"));
	return S3_INVALID_ARGUMENT;
}

/* Of valid UTF-8. */
static size_t character_count(struct bytes text)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; i++)
		count += (text.data[i] & 0xc0) != 0x80;
	return count;
}

enum s3_code names_check_tag(struct bytes key, struct bytes value)
{
	bool is_good = key.len > 0 && uri_is_utf8(key) && uri_is_utf8(value) &&
		character_count(key) <= NAMES_TAG_KEY_CHARACTERS_MAX &&
		character_count(value) <= NAMES_TAG_VALUE_CHARACTERS_MAX &&
		!bytes_has_prefix(key, bytes_of("aws:"));
	return is_good ? S3_OK : S3_INVALID_TAG;
}
