/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/route.h"

/* Is this parameter the one that a selector ("name" or "name=value") names? */
static bool is_named(const char *selector, struct bytes name)
{
	return strncmp(selector, (const char *)name.data, name.len) == 0 &&
		(selector[name.len] == '\0' || selector[name.len] == '=');
}

static bool is_selected(const char *selector, const struct query_param *param)
{
	if (!is_named(selector, param->name))
		return false;
	return selector[param->name.len] == '\0' ||
		bytes_is_text(param->value, selector + param->name.len + 1);
}

/* Does the route know this parameter at all? */
static bool knows(const struct route *route, struct bytes name)
{
	for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i]; i++)
		if (is_named(route->params[i], name))
			return true;
	return route->optional && is_named(route->optional, name);
}

static bool is_sub_resource(enum route_scope scope, struct bytes name)
{
	/* Most of what clients send: signatures, and names of the SDK's own. */
	if (name.len == 0 || name.len > 64 || name.data[0] == 'x' || name.data[0] == 'X')
		return false;
	if (memchr(name.data, '=', name.len) || memchr(name.data, '\0', name.len))
		return false;
	for (size_t i = 0; i < route_count; i++)
		if (route_table[i].scope == scope && knows(&route_table[i], name))
			return true;
	return false;
}

static bool has_header(const struct http_header *headers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_is_text(headers[i].name, name))
			return true;
	return false;
}

/* The sub-resources of a request: the first of each name counts. */
struct subs {
	const struct query_param *params[8];
	size_t count;
	bool is_too_many;
};

static void subs_find(enum route_scope scope, const struct query *query, struct subs *subs)
{
	for (size_t i = 0; i < query->param_count; i++) {
		const struct query_param *param = &query->params[i];
		if (!is_sub_resource(scope, param->name))
			continue;
		bool is_again = false;
		for (size_t j = 0; j < subs->count; j++)
			is_again |= bytes_is_equal(subs->params[j]->name, param->name);
		if (is_again)
			continue;
		if (subs->count == ARRAY_COUNT(subs->params)) {
			subs->is_too_many = true;
			return;
		}
		subs->params[subs->count++] = param;
	}
}

/* (R1) */
static bool is_match(const struct route *route, const struct subs *subs,
	const struct http_header *headers, size_t header_count)
{
	for (size_t i = 0; i < subs->count; i++)
		if (!knows(route, subs->params[i]->name))
			return false;
	for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i]; i++) {
		bool is_there = false;
		for (size_t j = 0; j < subs->count; j++)
			is_there |= is_selected(route->params[i], subs->params[j]);
		if (!is_there)
			return false;
	}
	if (route->header && !has_header(headers, header_count, route->header))
		return false;
	return !route->without_header || !has_header(headers, header_count, route->without_header);
}

/* No route: is it the method, a value, or the combination? */
static enum s3_code why_none(enum route_scope scope, const struct subs *subs)
{
	bool has_values = false;
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &route_table[i];
		if (route->scope != scope)
			continue;
		if (is_match(route, subs, NULL, 0))
			return S3_METHOD_NOT_ALLOWED;
		for (size_t j = 0; j < subs->count; j++)
			for (size_t k = 0; k < ROUTE_PARAMS_MAX && route->params[k]; k++)
				has_values |= is_named(route->params[k], subs->params[j]->name) &&
					!is_selected(route->params[k], subs->params[j]);
	}
	if (has_values)
		return S3_INVALID_ARGUMENT;
	return subs->count > 1 ? S3_INVALID_REQUEST : S3_METHOD_NOT_ALLOWED;
}

enum s3_code route_find(enum http_method method, enum route_scope scope, const struct query *query,
	const struct http_header *headers, size_t header_count, const struct route **ret_route)
{
	struct subs subs = {.count = 0};
	subs_find(scope, query, &subs);
	if (subs.is_too_many)
		return S3_INVALID_REQUEST;
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &route_table[i];
		if (route->method == method && route->scope == scope &&
			is_match(route, &subs, headers, header_count)) {
			*ret_route = route;
			return S3_OK;
		}
	}
	return why_none(scope, &subs);
}
