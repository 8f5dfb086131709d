/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/query.h"

#include "gateway/uri.h"

/* A raw plus means a space. It is looked for before %XX is decoded, in buf, where the text was
 * copied. */
static struct bytes copy_without_plus(struct bytes text, uint8_t *buf)
{
	for (size_t i = 0; i < text.len; i++)
		buf[i] = text.data[i] == '+' ? ' ' : text.data[i];
	return bytes_make(buf, text.len);
}

enum err query_parse(struct bytes text, uint8_t *buf, size_t cap, struct query *ret_query)
{
	assert(cap >= text.len);
	text = copy_without_plus(text, buf);
	ret_query->param_count = 0;
	while (text.len > 0) {
		const uint8_t *end = memchr(text.data, '&', text.len);
		struct bytes pair = {text.data, end ? (size_t)(end - text.data) : text.len};
		text = bytes_from(text, end ? pair.len + 1 : pair.len);
		if (pair.len == 0)
			continue;
		if (ret_query->param_count == QUERY_PARAMS_MAX)
			return ERR_LIMIT;

		const uint8_t *equals = memchr(pair.data, '=', pair.len);
		struct bytes name = {pair.data, equals ? (size_t)(equals - pair.data) : pair.len};
		struct bytes value = bytes_from(pair, equals ? name.len + 1 : name.len);
		struct query_param *param = &ret_query->params[ret_query->param_count];
		/* In place: what is decoded is never longer than what it came from. */
		enum err err = uri_decode(name, buf + (name.data - buf), name.len, &param->name);
		if (err == ERR_OK)
			err = uri_decode(value, buf + (value.data - buf), value.len, &param->value);
		if (err != ERR_OK)
			return err;
		ret_query->param_count++;
	}
	return ERR_OK;
}

bool query_find(const struct query *query, const char *name, struct bytes *ret_value)
{
	assert(query->param_count <= QUERY_PARAMS_MAX);
	for (size_t i = 0; i < query->param_count; i++) {
		if (!bytes_is_text(query->params[i].name, name))
			continue;
		if (ret_value)
			*ret_value = query->params[i].value;
		return true;
	}
	return false;
}

/* The order of the encoded forms: every escape sorts before every plain character, because the
 * percent sign does, and escapes among themselves sort as their bytes do. */
static int compare_encoded(struct bytes a, struct bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	for (size_t i = 0; i < len; i++) {
		int rank_a = a.data[i] + (uri_is_unreserved(a.data[i]) ? 256 : 0);
		int rank_b = b.data[i] + (uri_is_unreserved(b.data[i]) ? 256 : 0);
		if (rank_a != rank_b)
			return rank_a - rank_b;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_before(const struct query_param *a, const struct query_param *b)
{
	int order = compare_encoded(a->name, b->name);
	return (order != 0 ? order : compare_encoded(a->value, b->value)) < 0;
}

void query_put_canonical(struct text_out *out, const struct query *query, const char *without)
{
	assert(query->param_count <= QUERY_PARAMS_MAX);
	const struct query_param *sorted[QUERY_PARAMS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < query->param_count; i++) {
		const struct query_param *param = &query->params[i];
		if (without && bytes_is_text(param->name, without))
			continue;
		size_t at = count++;
		for (; at > 0 && is_before(param, sorted[at - 1]); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = param;
	}
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			text_put_char(out, '&');
		uri_encode(out, sorted[i]->name, false);
		text_put_char(out, '=');
		uri_encode(out, sorted[i]->value, false);
	}
}
