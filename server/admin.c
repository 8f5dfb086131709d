/* SPDX-License-Identifier: Apache-2.0 */
#include "server/admin.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/metrics.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_TYPE "text/plain; charset=utf-8"

struct admin {
	struct exchange_handler handler;
	struct admin_options options;
};

/* An answer on its way; the text lies in memory of its own. */
struct answer {
	struct exchange *x;
	char *text;
};

static void finish(struct answer *answer)
{
	struct exchange *x = answer->x;

	free(answer->text);
	free(answer);
	exchange_end(x);
}

static void answer_sent(struct exchange *x, enum err err)
{
	(void)err; /* gone or done, there is nothing more to do */
	finish(x->handler_data);
}

/* Sends text, which it takes. NULL is that there was no memory for it. */
static void answer(struct exchange *x, unsigned status, const char *type, char *text, size_t len)
{
	struct http_header headers[] = {
		{bytes_of("Content-Type"), bytes_of(type)},
		{bytes_of("Cache-Control"), bytes_of("no-store")},
		{bytes_of("X-Content-Type-Options"), bytes_of("nosniff")},
		{bytes_of("Allow"), bytes_of("GET, HEAD")},
	};
	struct http_response response = {
		.status = status,
		.headers = headers,
		.header_count = status == 405 ? 4 : 3,
		.has_len = true,
		.len = len,
	};
	struct answer *answer = text ? malloc(sizeof *answer) : NULL;

	if (!answer) {
		/* Without a word the connection is cut, which says as much. */
		free(text);
		exchange_end(x);
		return;
	}
	*answer = (struct answer){.x = x, .text = text};
	x->handler_data = answer;
	x->sent = answer_sent;
	exchange_respond(x, &response);
	if (x->method == HTTP_HEAD) {
		finish(answer);
		return;
	}
	struct iovec piece = {text, len};
	exchange_send(x, &piece, 1, true);
}

static void answer_line(struct exchange *x, unsigned status, const char *line)
{
	size_t len = strlen(line) + 1;
	char *text = malloc(len + 1);

	if (text)
		snprintf(text, len + 1, "%s\n", line);
	answer(x, status, TEXT_TYPE, text, len);
}

static void answer_check(struct exchange *x, const struct admin_check *check)
{
	char reason[ADMIN_REASON_LEN] = "not ready";

	if (!check->is_ok || check->is_ok(check->arg, reason))
		answer_line(x, 200, "ok");
	else
		answer_line(x, 503, reason);
}

static void answer_metrics(struct exchange *x, struct metrics *metrics)
{
	char *text = NULL;
	size_t len = 0;

	if (metrics_format(metrics, &text, &len) != ERR_OK)
		answer_line(x, 503, "no memory for the metrics");
	else
		answer(x, 200, METRICS_TYPE, text, len);
}

/* What is "live", "ready" or "cluster". */
static void answer_health(struct exchange *x, const struct admin *admin, struct bytes what)
{
	if (bytes_is_text(what, "live"))
		answer_line(x, 200, "ok");
	else if (bytes_is_text(what, "ready"))
		answer_check(x, &admin->options.ready);
	else if (bytes_is_text(what, "cluster"))
		answer_check(x, &admin->options.cluster);
	else
		answer_line(x, 404, "there is nothing here");
}

static void start(struct exchange_handler *handler, struct exchange *x)
{
	struct admin *admin = CONTAINER_OF(handler, struct admin, handler);
	struct bytes path = x->target;
	const uint8_t *question = path.len > 0 ? memchr(path.data, '?', path.len) : NULL;

	if (question)
		path.len = question - path.data;
	bool is_metrics = bytes_is_text(path, "/metrics");
	bool is_ours = is_metrics || bytes_has_prefix(path, bytes_of("/health/"));
	if (!is_ours && admin->options.next)
		admin->options.next->start(admin->options.next, x);
	else if (is_ours && x->method != HTTP_GET && x->method != HTTP_HEAD)
		answer_line(x, 405, "only GET and HEAD");
	else if (is_metrics)
		answer_metrics(x, admin->options.metrics);
	else
		answer_health(x, admin, bytes_from(path, strlen("/health/")));
}

static bool is_signed(const struct exchange *x)
{
	for (size_t i = 0; i < x->header_count; i++)
		if (bytes_is_text(x->headers[i].name, "authorization"))
			return true;
	return memchr(x->target.data, '?', x->target.len) != NULL;
}

static void start_alias(struct exchange_handler *handler, struct exchange *x)
{
	struct admin_aliases *aliases = CONTAINER_OF(handler, struct admin_aliases, handler);
	struct bytes prefix = bytes_of("/minio/health/");

	if (bytes_has_prefix(x->target, prefix) && !is_signed(x) &&
		(x->method == HTTP_GET || x->method == HTTP_HEAD))
		answer_health(x, aliases->admin, bytes_from(x->target, prefix.len));
	else
		aliases->next->start(aliases->next, x);
}

void admin_aliases_init(
	struct admin_aliases *aliases, struct admin *admin, struct exchange_handler *next)
{
	*aliases = (struct admin_aliases){{start_alias}, admin, next};
}

enum err admin_new(const struct admin_options *options, struct admin **ret_admin)
{
	struct admin *admin = calloc(1, sizeof *admin);

	if (!admin)
		return ERR_NO_MEMORY;
	assert(options->metrics);
	admin->handler.start = start;
	admin->options = *options;
	*ret_admin = admin;
	return ERR_OK;
}

void admin_free(struct admin *admin)
{
	free(admin);
}

struct exchange_handler *admin_handler(struct admin *admin)
{
	return &admin->handler;
}
