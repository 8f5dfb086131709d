/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/conditional.h"

#include "gateway/s3_time.h"

static bool find(
	const struct http_header *headers, size_t count, const char *name, struct bytes *ret_value)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes_is_text(headers[i].name, name)) {
			*ret_value = headers[i].value;
			return true;
		}
	}
	return false;
}

static bool find_date(
	const struct http_header *headers, size_t count, const char *name, uint64_t *ret_s)
{
	struct bytes value;
	return find(headers, count, name, &value) && s3_time_parse_http(value, ret_s) == ERR_OK;
}

void conditional_parse_read(const struct http_header *headers, size_t header_count,
	bool copy_source, struct conditional_read *ret_conditions)
{
	struct conditional_read *c = ret_conditions;
	size_t n = header_count;
	*c = (struct conditional_read){.has_match = false};
	if (copy_source) {
		c->has_match = find(headers, n, "x-amz-copy-source-if-match", &c->match);
		c->has_none_match = find(
			headers, n, "x-amz-copy-source-if-none-match", &c->none_match);
		c->has_modified = find_date(
			headers, n, "x-amz-copy-source-if-modified-since", &c->modified_s);
		c->has_unmodified = find_date(
			headers, n, "x-amz-copy-source-if-unmodified-since", &c->unmodified_s);
	} else {
		c->has_match = find(headers, n, "if-match", &c->match);
		c->has_none_match = find(headers, n, "if-none-match", &c->none_match);
		c->has_modified = find_date(headers, n, "if-modified-since", &c->modified_s);
		c->has_unmodified = find_date(headers, n, "if-unmodified-since", &c->unmodified_s);
	}
}

struct bytes conditional_bare_etag(struct bytes text)
{
	text = bytes_trim(text, " \t");
	if (bytes_has_prefix(text, bytes_of("W/")))
		text = bytes_from(text, 2);
	if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"')
		text = bytes_make(text.data + 1, text.len - 2);
	return text;
}

/* "*", or a list of ETags with or without quotes. Our ETags have no commas. */
static bool has_etag(struct bytes list, struct bytes etag)
{
	while (list.len > 0) {
		const uint8_t *comma = memchr(list.data, ',', list.len);
		struct bytes item = {list.data, comma ? (size_t)(comma - list.data) : list.len};
		list = bytes_from(list, comma ? item.len + 1 : item.len);
		item = conditional_bare_etag(item);
		if (bytes_is_text(item, "*") || bytes_is_equal(item, etag))
			return true;
	}
	return false;
}

static enum s3_code refuse(const char *condition, struct s3_error_detail *detail)
{
	s3_error_add(detail, "Condition", bytes_of(condition));
	return S3_PRECONDITION_FAILED;
}

enum s3_code conditional_check_read(const struct conditional_read *conditions, struct bytes etag,
	uint64_t mtime_s, struct s3_error_detail *ret_detail)
{
	if (conditions->has_match) {
		if (!has_etag(conditions->match, etag))
			return refuse("If-Match", ret_detail);
	} else if (conditions->has_unmodified && mtime_s > conditions->unmodified_s) {
		return refuse("If-Unmodified-Since", ret_detail);
	}
	if (conditions->has_none_match)
		return has_etag(conditions->none_match, etag) ? S3_NOT_MODIFIED : S3_OK;
	if (conditions->has_modified && mtime_s <= conditions->modified_s)
		return S3_NOT_MODIFIED;
	return S3_OK;
}

enum s3_code conditional_check_copy_source(const struct conditional_read *conditions,
	struct bytes etag, uint64_t mtime_s, struct s3_error_detail *ret_detail)
{
	enum s3_code code = conditional_check_read(conditions, etag, mtime_s, ret_detail);
	if (code == S3_PRECONDITION_FAILED) {
		bool is_match = conditions->has_match;
		s3_error_detail_init(ret_detail);
		return refuse(is_match ? "x-amz-copy-source-If-Match"
				       : "x-amz-copy-source-If-Unmodified-Since",
			ret_detail);
	}
	if (code == S3_NOT_MODIFIED)
		return refuse(conditions->has_none_match ? "x-amz-copy-source-If-None-Match"
							 : "x-amz-copy-source-If-Modified-Since",
			ret_detail);
	return code;
}

static enum s3_code refuse_header(const char *name, struct s3_error_detail *detail)
{
	s3_error_add(detail, "Header", bytes_of(name));
	return S3_NOT_IMPLEMENTED;
}

enum s3_code conditional_parse_write(const struct http_header *headers, size_t header_count,
	struct conditional_write *ret_condition, struct s3_error_detail *ret_detail)
{
	static const char *const unsupported[] = {"if-modified-since", "if-unmodified-since",
		"x-amz-if-match-last-modified-time", "x-amz-if-match-size",
		"x-amz-if-match-initiated-time"};
	struct conditional_write condition = {.want = CONDITIONAL_NONE};
	size_t match_count = 0, none_match_count = 0;
	for (size_t i = 0; i < header_count; i++) {
		struct bytes name = headers[i].name;
		struct bytes etag = conditional_bare_etag(headers[i].value);
		for (size_t j = 0; j < ARRAY_COUNT(unsupported); j++) {
			if (bytes_is_text(name, unsupported[j]))
				return refuse_header(unsupported[j], ret_detail);
		}
		if (bytes_is_text(name, "if-none-match")) {
			if (!bytes_is_text(etag, "*") || none_match_count++ > 0)
				return refuse_header("If-None-Match", ret_detail);
			condition.want = CONDITIONAL_ABSENT;
		} else if (bytes_is_text(name, "if-match")) {
			bool is_list = etag.len == 0 || memchr(etag.data, ',', etag.len);
			if (is_list || match_count++ > 0)
				return refuse_header("If-Match", ret_detail);
			bool is_any = bytes_is_text(etag, "*");
			condition.want = is_any ? CONDITIONAL_PRESENT : CONDITIONAL_ETAG;
			condition.etag = etag;
		}
	}
	if (match_count > 0 && none_match_count > 0)
		return refuse_header("If-None-Match", ret_detail);
	*ret_condition = condition;
	return S3_OK;
}

void conditional_explain_write(
	const struct conditional_write *condition, struct s3_error_detail *detail)
{
	assert(condition->want != CONDITIONAL_NONE);
	bool is_absent = condition->want == CONDITIONAL_ABSENT;
	s3_error_add(detail, "Condition", bytes_of(is_absent ? "If-None-Match" : "If-Match"));
}

enum s3_code conditional_check_write(const struct conditional_write *condition, bool is_present,
	struct bytes etag, struct s3_error_detail *ret_detail)
{
	bool holds = true;
	switch (condition->want) {
	case CONDITIONAL_NONE:
		return S3_OK;
	case CONDITIONAL_ABSENT:
		holds = !is_present;
		break;
	case CONDITIONAL_PRESENT:
	case CONDITIONAL_ETAG:
		if (!is_present)
			return S3_NO_SUCH_KEY;
		holds = condition->want == CONDITIONAL_PRESENT ||
			bytes_is_equal(condition->etag, etag);
		break;
	}
	if (holds)
		return S3_OK;
	conditional_explain_write(condition, ret_detail);
	return S3_PRECONDITION_FAILED;
}
