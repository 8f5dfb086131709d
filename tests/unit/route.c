/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/route.h"

#include "tests/lib/test.h"

/* A request made of names. */
struct asked {
	struct query query;
	struct http_header headers[2];
	size_t header_count;
};

static void ask_param(struct asked *asked, const char *selector)
{
	struct query_param *param = &asked->query.params[asked->query.param_count++];
	const char *equals = strchr(selector, '=');
	size_t len = equals ? (size_t)(equals - selector) : strlen(selector);
	param->name = bytes_make(selector, len);
	param->value = bytes_of(equals ? equals + 1 : "");
}

static void ask_header(struct asked *asked, const char *name)
{
	asked->headers[asked->header_count++] = (struct http_header){
		bytes_of(name), bytes_of("value")};
}

/* The least request of a route. */
static struct asked least(const struct route *route)
{
	struct asked asked = {.query = {.param_count = 0}};
	for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i]; i++)
		ask_param(&asked, route->params[i]);
	if (route->header)
		ask_header(&asked, route->header);
	return asked;
}

static const struct route *find(
	enum http_method method, enum route_scope scope, const struct asked *asked)
{
	const struct route *route = NULL;
	enum s3_code code = route_find(
		method, scope, &asked->query, asked->headers, asked->header_count, &route);
	return code == S3_OK ? route : NULL;
}

static enum s3_code code_of(enum http_method method, enum route_scope scope, const char *param)
{
	const struct route *route = NULL;
	struct asked asked = {.query = {.param_count = 0}};
	for (const char *p = param; p; p = strchr(p, '&')) {
		p += *p == '&';
		ask_param(&asked, p);
		size_t len = strcspn(p, "&=");
		asked.query.params[asked.query.param_count - 1].name.len = len;
	}
	return route_find(method, scope, &asked.query, NULL, 0, &route);
}

START_TEST(every_route_is_reached_by_its_least_request)
{
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &route_table[i];
		struct asked asked = least(route);
		ck_assert_msg(
			find(route->method, route->scope, &asked) == route, "%s", route->operation);
	}
}
END_TEST

START_TEST(what_is_optional_does_not_choose_another_route)
{
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &route_table[i];
		struct asked asked = least(route);
		if (!route->optional)
			continue;
		ask_param(&asked, route->optional);
		ck_assert_msg(
			find(route->method, route->scope, &asked) == route, "%s", route->operation);
	}
}
END_TEST

static bool names_param(const struct route *route, const char *name)
{
	for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i]; i++)
		if (strcmp(route->params[i], name) == 0)
			return true;
	return route->optional && strcmp(route->optional, name) == 0;
}

/* Rows of one method and scope differ in what they need, or in a header that one must have and the
 * other must not. */
START_TEST(two_rows_always_exclude_each_other)
{
	for (size_t i = 0; i < route_count; i++) {
		for (size_t j = 0; j < route_count; j++) {
			const struct route *a = &route_table[i], *b = &route_table[j];
			bool excludes = i == j || a->method != b->method || a->scope != b->scope;
			for (size_t k = 0; k < ROUTE_PARAMS_MAX && a->params[k]; k++)
				excludes |= !names_param(b, a->params[k]);
			for (size_t k = 0; k < ROUTE_PARAMS_MAX && b->params[k]; k++)
				excludes |= !names_param(a, b->params[k]);
			excludes |= a->header && b->without_header &&
				strcmp(a->header, b->without_header) == 0;
			excludes |= b->header && a->without_header &&
				strcmp(b->header, a->without_header) == 0;
			ck_assert_msg(excludes, "%s and %s", a->operation, b->operation);
		}
	}
}
END_TEST

START_TEST(all_operations_of_the_model_are_there_once)
{
	size_t count = 0;
	for (size_t i = 0; i < route_count; i++) {
		count += 1 + (route_table[i].legacy != NULL);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(route_table[i].operation, route_table[j].operation);
	}
	/* 116 operations and PostObject. */
	ck_assert_uint_eq(count, 117);
}
END_TEST

START_TEST(a_sub_resource_that_is_not_served_is_not_the_plain_operation)
{
	ck_assert_int_eq(code_of(HTTP_PUT, ROUTE_OBJECT, "torrent"), S3_METHOD_NOT_ALLOWED);
	ck_assert_int_eq(code_of(HTTP_PUT, ROUTE_OBJECT, "partNumber=1"), S3_METHOD_NOT_ALLOWED);
	ck_assert_int_eq(code_of(HTTP_DELETE, ROUTE_BUCKET, "acl"), S3_METHOD_NOT_ALLOWED);
	ck_assert_int_eq(code_of(HTTP_OPTIONS, ROUTE_OBJECT, NULL), S3_METHOD_NOT_ALLOWED);
}
END_TEST

START_TEST(sub_resources_that_exclude_each_other_are_refused)
{
	ck_assert_int_eq(code_of(HTTP_GET, ROUTE_BUCKET, "acl&policy"), S3_INVALID_REQUEST);
	ck_assert_int_eq(code_of(HTTP_PUT, ROUTE_OBJECT, "acl&uploadId=1"), S3_INVALID_REQUEST);
}
END_TEST

START_TEST(a_list_type_other_than_2_is_an_invalid_argument)
{
	struct asked asked = {.query = {.param_count = 0}};
	const struct route *route;
	ask_param(&asked, "list-type=3");
	ck_assert_int_eq(route_find(HTTP_GET, ROUTE_BUCKET, &asked.query, NULL, 0, &route),
		S3_INVALID_ARGUMENT);
}
END_TEST

START_TEST(other_parameters_choose_nothing)
{
	struct asked asked = {.query = {.param_count = 0}};
	ask_param(&asked, "prefix=a");
	ask_param(&asked, "x-id=ListObjects");
	ask_param(&asked, "X-Amz-Signature=00");
	ask_param(&asked, "versionId=null");
	const struct route *route = find(HTTP_GET, ROUTE_BUCKET, &asked);
	ck_assert_ptr_nonnull(route);
	ck_assert_str_eq(route->operation, "ListObjects");
}
END_TEST

START_TEST(every_row_says_what_becomes_of_it)
{
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &route_table[i];
		bool is_write = route->method != HTTP_GET && route->method != HTTP_HEAD;
		ck_assert_msg((route->start != NULL) != (route->refusal != S3_OK), "%s",
			route->operation);
		if (route->support == ROUTE_YES)
			ck_assert_msg(route->start, "%s", route->operation);
		if (route->support == ROUTE_NO)
			ck_assert_msg(!route->start && route->refusal == S3_NOT_IMPLEMENTED, "%s",
				route->operation);
		ck_assert_msg(!!(route->flags & ROUTE_WRITE) == is_write ||
				!(route->flags & ROUTE_WRITE) || route->support == ROUTE_NO,
			"%s", route->operation);
		if (route->support != ROUTE_NO && is_write)
			ck_assert_msg(route->flags & ROUTE_WRITE, "%s", route->operation);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("route");
	TCase *table = tcase_create("table");
	tcase_add_test(table, every_route_is_reached_by_its_least_request);
	tcase_add_test(table, what_is_optional_does_not_choose_another_route);
	tcase_add_test(table, two_rows_always_exclude_each_other);
	tcase_add_test(table, all_operations_of_the_model_are_there_once);
	tcase_add_test(table, every_row_says_what_becomes_of_it);
	suite_add_tcase(suite, table);
	TCase *find_case = tcase_create("find");
	tcase_add_test(find_case, a_sub_resource_that_is_not_served_is_not_the_plain_operation);
	tcase_add_test(find_case, sub_resources_that_exclude_each_other_are_refused);
	tcase_add_test(find_case, a_list_type_other_than_2_is_an_invalid_argument);
	tcase_add_test(find_case, other_parameters_choose_nothing);
	suite_add_tcase(suite, find_case);
	return test_run(suite);
}
