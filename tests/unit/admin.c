/* SPDX-License-Identifier: Apache-2.0 */
#include "server/admin.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/metrics.h"
#include "tests/lib/test.h"

/* An exchange in memory: keeps what the handler answers. */
struct fake {
	struct exchange x;
	unsigned status;
	uint64_t len;
	char type[64], body[4096];
	size_t body_len;
	bool is_ended;
};

static struct fake *fake_of(struct exchange *x)
{
	return CONTAINER_OF(x, struct fake, x);
}

static void fake_respond(struct exchange *x, const struct http_response *response)
{
	struct fake *fake = fake_of(x);
	fake->status = response->status;
	fake->len = response->len;
	for (size_t i = 0; i < response->header_count; i++) {
		struct http_header header = response->headers[i];
		if (bytes_is_text(header.name, "Content-Type"))
			snprintf(fake->type, sizeof fake->type, "%.*s", (int)header.value.len,
				(const char *)header.value.data);
	}
}

static void fake_send(struct exchange *x, const struct iovec *pieces, size_t count, bool is_last)
{
	struct fake *fake = fake_of(x);
	ck_assert(is_last && count == 1 && pieces->iov_len < sizeof fake->body);
	memcpy(fake->body, pieces->iov_base, pieces->iov_len);
	fake->body_len = pieces->iov_len;
}

static void fake_end(struct exchange *x)
{
	fake_of(x)->is_ended = true;
}

static const struct exchange_ops fake_ops = {
	.respond = fake_respond, .send = fake_send, .end = fake_end};

static struct fake ask(
	struct exchange_handler *handler, enum http_method method, const char *target)
{
	struct fake fake = {.x = {.ops = &fake_ops, .method = method, .target = bytes_of(target)}};
	handler->start(handler, &fake.x);
	if (!fake.is_ended)
		fake.x.sent(&fake.x, ERR_OK);
	ck_assert(fake.is_ended);
	ck_assert(method == HTTP_HEAD ? fake.body_len == 0 : fake.len == fake.body_len);
	return fake;
}

struct fixture {
	struct metrics *metrics;
	struct admin *admin;
	bool is_ready;
};

static bool is_ready(void *arg, char *reason)
{
	struct fixture *f = arg;
	snprintf(reason, ADMIN_REASON_LEN, "no drive is there");
	return f->is_ready;
}

static void next_start(struct exchange_handler *handler, struct exchange *x)
{
	struct http_response response = {.status = 299};
	(void)handler;
	exchange_respond(x, &response);
	exchange_end(x);
}

static struct exchange_handler *set_up(struct fixture *f, struct exchange_handler *next)
{
	ck_assert_ok(metrics_new(1, &f->metrics));
	struct admin_options options = {
		.metrics = f->metrics, .ready = {.is_ok = is_ready, .arg = f}, .next = next};
	ck_assert_ok(admin_new(&options, &f->admin));
	return admin_handler(f->admin);
}

static void tear_down(struct fixture *f)
{
	admin_free(f->admin);
	metrics_free(f->metrics);
}

START_TEST(health_says_why_a_node_is_not_ready)
{
	struct fixture f = {0};
	struct exchange_handler *handler = set_up(&f, NULL);

	ck_assert_uint_eq(ask(handler, HTTP_GET, "/health/live").status, 200);
	struct fake fake = ask(handler, HTTP_GET, "/health/ready");
	ck_assert_uint_eq(fake.status, 503);
	ck_assert_str_eq(fake.body, "no drive is there\n");
	f.is_ready = true;
	ck_assert_uint_eq(ask(handler, HTTP_GET, "/health/ready?x=1").status, 200);
	ck_assert_uint_eq(ask(handler, HTTP_HEAD, "/health/ready").status, 200);
	tear_down(&f);
}
END_TEST

START_TEST(the_names_of_another_store_ask_for_health_too)
{
	struct fixture f = {0};
	struct exchange_handler next = {.start = next_start};
	struct http_header authorization = {bytes_of("authorization"), bytes_of("x")};
	struct admin_aliases aliases;
	set_up(&f, NULL);
	admin_aliases_init(&aliases, f.admin, &next);

	ck_assert_uint_eq(ask(&aliases.handler, HTTP_GET, "/minio/health/live").status, 200);
	ck_assert_uint_eq(ask(&aliases.handler, HTTP_HEAD, "/minio/health/ready").status, 503);
	ck_assert_uint_eq(ask(&aliases.handler, HTTP_GET, "/minio/health/cluster").status, 200);
	ck_assert_uint_eq(ask(&aliases.handler, HTTP_GET, "/minio/health/x").status, 404);
	ck_assert_uint_eq(ask(&aliases.handler, HTTP_PUT, "/minio/health/live").status, 299);
	ck_assert_uint_eq(ask(&aliases.handler, HTTP_GET, "/minio/health/live?x").status, 299);
	ck_assert_uint_eq(ask(&aliases.handler, HTTP_GET, "/health/live").status, 299);
	struct fake fake = {.x = {.ops = &fake_ops,
				    .target = bytes_of("/minio/health/live"),
				    .headers = &authorization,
				    .header_count = 1}};
	aliases.handler.start(&aliases.handler, &fake.x);
	ck_assert_uint_eq(fake.status, 299);
	tear_down(&f);
}
END_TEST

START_TEST(metrics_are_in_the_format_of_prometheus)
{
	struct fixture f = {0};
	unsigned metric;
	struct metrics_description description = {
		.name = "rubus_x", .help = "X.", .kind = METRICS_GAUGE};
	struct exchange_handler *handler = set_up(&f, NULL);

	ck_assert_ok(metrics_register(f.metrics, &description, &metric));
	struct fake fake = ask(handler, HTTP_GET, "/metrics");
	ck_assert_uint_eq(fake.status, 200);
	ck_assert_str_eq(fake.type, "text/plain; version=0.0.4; charset=utf-8");
	ck_assert_ptr_nonnull(strstr(fake.body, "rubus_x 0\n"));
	tear_down(&f);
}
END_TEST

START_TEST(other_methods_and_paths_are_refused_or_passed_on)
{
	struct fixture f = {0};
	struct exchange_handler next = {.start = next_start};
	struct exchange_handler *handler = set_up(&f, NULL);

	ck_assert_uint_eq(ask(handler, HTTP_PUT, "/metrics").status, 405);
	ck_assert_uint_eq(ask(handler, HTTP_GET, "/health/other").status, 404);
	ck_assert_uint_eq(ask(handler, HTTP_GET, "/metrics/").status, 404);
	tear_down(&f);
	handler = set_up(&f, &next);
	ck_assert_uint_eq(ask(handler, HTTP_PUT, "/api/v1").status, 299);
	ck_assert_uint_eq(ask(handler, HTTP_PUT, "/metrics").status, 405);
	tear_down(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("admin");
	TCase *tests = tcase_create("admin");
	tcase_add_test(tests, health_says_why_a_node_is_not_ready);
	tcase_add_test(tests, metrics_are_in_the_format_of_prometheus);
	tcase_add_test(tests, the_names_of_another_store_ask_for_health_too);
	tcase_add_test(tests, other_methods_and_paths_are_refused_or_passed_on);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
