/* SPDX-License-Identifier: Apache-2.0 */
/* What the client said. */
#include "gateway/request.h"

bool request_header(const struct request *request, const char *name, struct bytes *ret_value)
{
	const struct exchange *x = request->exchange;
	struct bytes wanted = bytes_of(name);
	for (size_t i = 0; i < x->header_count; i++) {
		if (!bytes_is_equal(x->headers[i].name, wanted))
			continue;
		if (ret_value)
			*ret_value = x->headers[i].value;
		return true;
	}
	return false;
}

struct bytes request_param(const struct request *request, const char *name)
{
	struct bytes value = {0};
	if (!query_find(&request->query, name, &value))
		return (struct bytes){0};
	return value;
}

static bool parse_uint(struct bytes text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	if (text.len == 0 || text.len > 18)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	if (value > max)
		return false;
	*ret_value = value;
	return true;
}

enum s3_code request_param_uint(struct request *request, const char *name, uint64_t fallback,
	uint64_t max, uint64_t *ret_value)
{
	struct bytes text;
	if (!query_find(&request->query, name, &text)) {
		*ret_value = fallback;
		return S3_OK;
	}
	if (parse_uint(text, max, ret_value))
		return S3_OK;
	s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	s3_error_add(&request->error, "ArgumentValue", text);
	return S3_INVALID_ARGUMENT;
}
