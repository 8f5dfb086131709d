/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cors.h"

#include "gateway/request_priv.h"

/* --- rules ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned method;
} methods[] = {
	{"GET", CORS_GET},
	{"PUT", CORS_PUT},
	{"HEAD", CORS_HEAD},
	{"POST", CORS_POST},
	{"DELETE", CORS_DELETE},
};

static unsigned method_of(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
		if (bytes_is_text(name, methods[i].name))
			return methods[i].method;
	return 0;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool is_same(struct bytes a, struct bytes b, bool ignores_case)
{
	if (!ignores_case)
		return bytes_is_equal(a, b);
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.data[i]) != lower(b.data[i]))
			return false;
	return true;
}

/* A pattern with at most one star. */
static bool is_match(struct bytes pattern, struct bytes text, bool ignores_case)
{
	const uint8_t *star = pattern.len > 0 ? memchr(pattern.data, '*', pattern.len) : NULL;
	if (!star)
		return is_same(pattern, text, ignores_case);
	struct bytes head = bytes_make(pattern.data, star - pattern.data);
	struct bytes tail = bytes_from(pattern, head.len + 1);
	return text.len >= head.len + tail.len &&
		is_same(head, bytes_make(text.data, head.len), ignores_case) &&
		is_same(tail, bytes_from(text, text.len - tail.len), ignores_case);
}

/* Takes a name off a list with commas. */
static bool next_name(struct bytes *rest, struct bytes *ret_name)
{
	if (rest->len == 0)
		return false;
	const uint8_t *comma = memchr(rest->data, ',', rest->len);
	struct bytes name = bytes_make(
		rest->data, comma ? (size_t)(comma - rest->data) : rest->len);
	*rest = bytes_from(*rest, name.len + (comma != NULL));
	*ret_name = bytes_trim(name, " \t");
	return true;
}

static bool allows_header(struct bytes items, struct bytes name)
{
	enum bucket_cors_tag tag;
	struct bytes value;
	while (bucket_config_cors_next(&items, &tag, &value) == ERR_OK)
		if (tag == BUCKET_CORS_HEADER && is_match(value, name, true))
			return true;
	return false;
}

static bool allows_headers(struct bytes items, struct bytes headers)
{
	struct bytes name;
	while (next_name(&headers, &name))
		if (name.len > 0 && !allows_header(items, name))
			return false;
	return true;
}

/* The items of the first rule, off what is left. */
static bool next_rule(struct bytes *rest, struct bytes *ret_items)
{
	enum bucket_cors_tag tag;
	struct bytes value, before;

	if (bucket_config_cors_next(rest, &tag, &value) != ERR_OK)
		return false;
	*ret_items = *rest;
	for (;;) {
		before = *rest;
		if (bucket_config_cors_next(rest, &tag, &value) != ERR_OK)
			break;
		if (tag == BUCKET_CORS_RULE)
			break;
	}
	*rest = before;
	ret_items->len = before.data - ret_items->data;
	return true;
}

bool cors_find(struct bytes cors, struct bytes origin, struct bytes method, struct bytes headers,
	struct cors_match *ret_match)
{
	unsigned wanted = method_of(method);
	struct bytes items, rest, value;
	enum bucket_cors_tag tag;

	while (wanted && next_rule(&cors, &items)) {
		struct cors_match match = {.items = items};
		bool has_origin = false;
		rest = items;
		while (bucket_config_cors_next(&rest, &tag, &value) == ERR_OK) {
			if (tag == BUCKET_CORS_METHOD)
				match.methods |= method_of(value);
			if (tag != BUCKET_CORS_ORIGIN || !is_match(value, origin, false))
				continue;
			has_origin = true;
			match.is_any_origin |= bytes_is_text(value, "*");
		}
		if (!has_origin || !(match.methods & wanted) || !allows_headers(items, headers))
			continue;
		*ret_match = match;
		return true;
	}
	return false;
}

/* --- headers ---------------------------------------------------------------------------------- */

/* A text behind what is in out; empty if it does not fit. */
static struct bytes end_text(struct text_out *out, size_t from)
{
	if (!out->overflowed)
		return bytes_make(out->buf + from, out->len - from);
	text_out_rewind(out, from);
	return (struct bytes){0};
}

static struct bytes put_methods(struct text_out *out, unsigned set)
{
	size_t from = out->len;
	for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
		if (!(set & methods[i].method))
			continue;
		text_put_text(out, out->len > from ? ", " : "");
		text_put_text(out, methods[i].name);
	}
	return end_text(out, from);
}

static struct bytes put_exposed(struct text_out *out, struct bytes items)
{
	size_t from = out->len;
	enum bucket_cors_tag tag;
	struct bytes value;
	while (bucket_config_cors_next(&items, &tag, &value) == ERR_OK) {
		if (tag != BUCKET_CORS_EXPOSE)
			continue;
		text_put_text(out, out->len > from ? ", " : "");
		text_put_bytes(out, value);
	}
	return end_text(out, from);
}

static struct bytes find_max_age(struct bytes items)
{
	enum bucket_cors_tag tag;
	struct bytes value;
	while (bucket_config_cors_next(&items, &tag, &value) == ERR_OK)
		if (tag == BUCKET_CORS_MAX_AGE)
			return value;
	return (struct bytes){0};
}

static void add(struct http_header *headers, size_t *count, const char *name, struct bytes value)
{
	if (value.len > 0)
		headers[(*count)++] = (struct http_header){bytes_of(name), value};
}

static void add_match(const struct cors_match *match, struct bytes origin, struct text_out *out,
	struct http_header *headers, size_t *count)
{
	add(headers, count, "access-control-allow-origin",
		match->is_any_origin ? bytes_of("*") : origin);
	add(headers, count, "access-control-allow-methods", put_methods(out, match->methods));
	add(headers, count, "access-control-expose-headers", put_exposed(out, match->items));
	add(headers, count, "access-control-max-age", find_max_age(match->items));
	if (!match->is_any_origin)
		add(headers, count, "access-control-allow-credentials", bytes_of("true"));
}

static void add_vary(struct http_header *headers, size_t *count)
{
	add(headers, count, "vary",
		bytes_of("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"));
}

void cors_add_headers(
	const struct request *request, uint8_t *buf, struct http_header *headers, size_t *count)
{
	struct bytes cors = bucket_rules_cors(request->rules), origin;
	struct cors_match match;
	struct text_out out;

	if (cors.len == 0)
		return;
	text_out_init(&out, buf, CORS_TEXT_LEN);
	add_vary(headers, count); /* (K2) */
	if (request_header(request, "origin", &origin) &&
		cors_find(cors, origin, request->exchange->method_name, (struct bytes){0}, &match))
		add_match(&match, origin, &out, headers, count);
}

/* --- preflight -------------------------------------------------------------------------------- */

void cors_prepare(struct request *request)
{
	struct index_reader *reader = request_reader(request);
	struct bytes name = request->resource.bucket;
	struct row_bucket bucket;

	if (request->rules || name.len == 0 || name.len > ROW_BUCKET_NAME_LEN_MAX ||
		!request_header(request, "origin", NULL))
		return;
	/* An error tells without them what it has to tell. */
	if (index_bucket_find(reader, name, &bucket) == ERR_OK)
		err_ignore(
			bucket_rules_take(&request->loop->rules, reader, &bucket, &request->rules));
}

static void refuse(struct request *request, enum s3_code code, const char *message)
{
	request->error.message = message;
	request->loop->counters.unrouted++;
	s3_error_add(&request->error, "Method", request->exchange->method_name);
	s3_error_add(&request->error, "ResourceType",
		bytes_of(request->resource.key.len > 0 ? "OBJECT" : "BUCKET"));
	request_fail_gate(request, code);
}

/* The names that were asked for, in lower case. */
static struct bytes put_names(struct text_out *out, struct bytes names)
{
	size_t from = out->len;
	struct bytes name;
	while (next_name(&names, &name)) {
		text_put_text(out, out->len > from && name.len > 0 ? ", " : "");
		for (size_t i = 0; i < name.len; i++)
			text_put_char(out, (char)lower(name.data[i]));
	}
	return end_text(out, from);
}

void cors_answer_preflight(struct request *request)
{
	struct bytes cors = bucket_rules_cors(request->rules), origin, method, names = {0}, allowed;
	struct http_header headers[CORS_HEADERS_MAX + 2];
	uint8_t buf[CORS_TEXT_LEN], name_buf[CORS_TEXT_LEN];
	struct text_out out, name_out;
	struct cors_match match;
	size_t count = 0;

	if (!request_header(request, "origin", &origin)) {
		refuse(request, S3_BAD_REQUEST,
			"Insufficient information. Origin request header needed.");
		return;
	}
	if (!request_header(request, "access-control-request-method", &method) ||
		!method_of(method)) {
		refuse(request, S3_BAD_REQUEST, "Invalid Access-Control-Request-Method.");
		return;
	}
	if (cors.len == 0) {
		refuse(request, S3_ACCESS_FORBIDDEN,
			"CORSResponse: CORS is not enabled for this bucket.");
		return;
	}
	request_header(request, "access-control-request-headers", &names);
	text_out_init(&out, buf, sizeof buf);
	text_out_init(&name_out, name_buf, sizeof name_buf);
	allowed = put_names(&name_out, names);
	if ((names.len > 0 && allowed.len == 0) ||
		!cors_find(cors, origin, method, names, &match)) {
		refuse(request, S3_ACCESS_FORBIDDEN, NULL);
		return;
	}
	add_match(&match, origin, &out, headers, &count);
	add(headers, &count, "access-control-allow-headers", allowed);
	request_answer(request, 200, headers, count);
}
