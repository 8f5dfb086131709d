/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/range.h"

#include <strings.h>

/* One "first-last" with either side optional; numbers beyond 64 bits are as good as the largest. */
struct spec {
	bool has_first, has_last;
	uint64_t first, last;
};

static bool take_number(struct bytes *text, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t len = 0;
	while (len < text->len && text->data[len] >= '0' && text->data[len] <= '9') {
		unsigned digit = text->data[len++] - '0';
		value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
	}
	*text = bytes_from(*text, len);
	*ret_value = value;
	return len > 0;
}

static bool parse_spec(struct bytes text, struct spec *spec)
{
	static const char unit[] = "bytes=";
	if (text.len < strlen(unit) ||
		strncasecmp((const char *)text.data, unit, strlen(unit)) != 0)
		return false;
	text = bytes_from(text, strlen(unit));
	spec->has_first = take_number(&text, &spec->first);
	if (text.len == 0 || text.data[0] != '-')
		return false;
	text = bytes_from(text, 1);
	spec->has_last = take_number(&text, &spec->last);
	return text.len == 0 && (spec->has_first || spec->has_last);
}

enum range_kind range_parse(struct bytes header, uint64_t object_len, struct range *ret_range,
	struct s3_error_detail *ret_detail)
{
	struct spec spec;
	*ret_range = (struct range){0, object_len};
	if (header.len == 0 || !parse_spec(header, &spec))
		return RANGE_WHOLE;
	if (spec.has_first && spec.has_last && spec.first > spec.last)
		return RANGE_WHOLE;
	bool is_outside = spec.has_first ? spec.first >= object_len
					 : spec.last == 0 || object_len == 0;
	if (is_outside) {
		s3_error_add(ret_detail, "RangeRequested", header);
		s3_error_add_uint(ret_detail, "ActualObjectSize", object_len);
		return RANGE_OUTSIDE;
	}

	if (!spec.has_first) {
		ret_range->len = spec.last < object_len ? spec.last : object_len;
		ret_range->offset = object_len - ret_range->len;
	} else {
		uint64_t last = spec.has_last && spec.last < object_len ? spec.last
									: object_len - 1;
		ret_range->offset = spec.first;
		ret_range->len = last - spec.first + 1;
	}
	assert(ret_range->len > 0 && ret_range->offset + ret_range->len <= object_len);
	return RANGE_PART;
}

enum s3_code range_parse_copy(struct bytes header, uint64_t source_len, struct range *ret_range,
	struct s3_error_detail *ret_detail)
{
	struct spec spec;
	if (!parse_spec(header, &spec) || !spec.has_first || !spec.has_last ||
		spec.first > spec.last) {
		s3_error_add(ret_detail, "ArgumentName", bytes_of("x-amz-copy-source-range"));
		s3_error_add(ret_detail, "ArgumentValue", header);
		ret_detail->message =
			"The x-amz-copy-source-range value must be of the form "
			"bytes=first-last where first and last are the zero-based offsets "
			"of the first and last bytes to copy";
		return S3_INVALID_ARGUMENT;
	}
	if (spec.last >= source_len) {
		s3_error_add(ret_detail, "ArgumentName", bytes_of("x-amz-copy-source-range"));
		s3_error_add(ret_detail, "ArgumentValue", header);
		ret_detail->message = "Range specified is not valid for the source object";
		return S3_INVALID_ARGUMENT;
	}
	*ret_range = (struct range){spec.first, spec.last - spec.first + 1};
	return S3_OK;
}
