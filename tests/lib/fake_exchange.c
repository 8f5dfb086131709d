/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fake_exchange.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

static struct fake_exchange *fake_of(struct exchange *x)
{
	return CONTAINER_OF(x, struct fake_exchange, x);
}

static void run(struct task *task)
{
	struct fake_exchange *fake = CONTAINER_OF(task, struct fake_exchange, task);
	fake->is_posted = false;
	if (fake->owes_sent) {
		fake->owes_sent = false;
		fake->is_sending = false;
		fake->x.sent(&fake->x, fake->sent_err);
	}
	if (fake->owes_readable && !fake->is_ended) {
		fake->owes_readable = false;
		fake->x.readable(&fake->x);
	}
	if (fake->owes_gone && !fake->is_ended) {
		fake->owes_gone = false;
		fake->x.gone(&fake->x);
	}
}

static void post(struct fake_exchange *fake)
{
	if (fake->is_posted)
		return;
	fake->is_posted = true;
	fake->task.run = run;
	loop_post(fake->x.loop, &fake->task);
}

static enum err fake_read(struct exchange *x, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct fake_exchange *fake = fake_of(x);
	size_t len = fake->body.len - fake->body_offset;

	ck_assert(!fake->is_ended && cap > 0);
	if (fake->is_gone)
		return ERR_CLOSED;
	fake->reads++;
	if (fake->is_slow && !fake->was_busy) {
		fake->was_busy = true;
		fake->owes_readable = true;
		post(fake);
		return ERR_BUSY;
	}
	fake->was_busy = false;
	if (len == 0)
		return fake->body_err != ERR_OK ? fake->body_err : ERR_END;
	if (len > cap)
		len = cap;
	if (fake->piece_len > 0 && len > fake->piece_len)
		len = fake->piece_len;
	memcpy(buf, fake->body.data + fake->body_offset, len);
	fake->body_offset += len;
	*ret_len = len;
	return ERR_OK;
}

static struct bytes keep(struct fake_exchange *fake, struct bytes bytes)
{
	ck_assert_uint_lt(fake->answer_text_len + bytes.len, sizeof fake->answer_text);
	char *p = fake->answer_text + fake->answer_text_len;
	if (bytes.len > 0)
		memcpy(p, bytes.data, bytes.len);
	p[bytes.len] = '\0';
	fake->answer_text_len += bytes.len + 1;
	return bytes_make(p, bytes.len);
}

static void fake_respond(struct exchange *x, const struct http_response *response)
{
	struct fake_exchange *fake = fake_of(x);
	ck_assert(!fake->is_answered && !fake->is_ended);
	ck_assert_uint_le(response->header_count, FAKE_HEADERS_MAX);
	fake->is_answered = true;
	fake->response = *response;
	for (size_t i = 0; i < response->header_count; i++)
		fake->answer_headers[i] = (struct http_header){
			keep(fake, response->headers[i].name),
			keep(fake, response->headers[i].value)};
	fake->response.headers = fake->answer_headers;
	bool is_bodiless = fake->x.method == HTTP_HEAD || response->status == 204 ||
		response->status == 304;
	fake->is_whole = is_bodiless || (response->has_len && response->len == 0);
}

static void append(struct fake_exchange *fake, const void *data, size_t len)
{
	if (fake->answer_len + len + 1 > fake->answer_cap) {
		fake->answer_cap = 2 * (fake->answer_len + len + 1);
		fake->answer = realloc(fake->answer, fake->answer_cap);
		ck_assert_ptr_nonnull(fake->answer);
	}
	memcpy(fake->answer + fake->answer_len, data, len);
	fake->answer_len += len;
	fake->answer[fake->answer_len] = '\0';
}

static void fake_send(struct exchange *x, const struct iovec *pieces, size_t count, bool is_last)
{
	struct fake_exchange *fake = fake_of(x);
	ck_assert(fake->is_answered && !fake->is_ended && !fake->is_sending && !fake->is_whole);
	ck_assert(count > 0 && count <= 16);
	for (size_t i = 0; i < count && !fake->is_gone; i++)
		append(fake, pieces[i].iov_base, pieces[i].iov_len);
	fake->sends++;
	if (fake->response.has_len)
		ck_assert_uint_le(fake->answer_len, fake->response.len);
	if (fake->gone_after > 0 && fake->answer_len >= fake->gone_after && !fake->is_gone) {
		fake->is_gone = true;
		fake->owes_gone = true;
	}
	if (is_last && !fake->is_gone) {
		if (fake->response.has_len)
			ck_assert_uint_eq(fake->answer_len, fake->response.len);
		fake->is_whole = true;
	}
	fake->is_sending = true;
	fake->sent_err = fake->is_gone ? ERR_CLOSED : ERR_OK;
	fake->owes_sent = true;
	post(fake);
}

static void fake_end(struct exchange *x)
{
	struct fake_exchange *fake = fake_of(x);
	ck_assert(!fake->is_ended && !fake->is_sending);
	fake->is_ended = true;
}

static const struct exchange_ops fake_ops = {fake_read, fake_respond, fake_send, fake_end};

void fake_exchange_init(
	struct fake_exchange *fake, struct loop *loop, const char *method, const char *target)
{
	static const char *const names[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"};
	static uint64_t last_id;

	memset(fake, 0, sizeof *fake);
	fake->x.ops = &fake_ops;
	fake->x.loop = loop;
	fake->x.method = HTTP_OTHER;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		if (strcmp(method, names[i]) == 0)
			fake->x.method = (enum http_method)i;
	fake->x.method_name = bytes_of(method);
	fake->x.target = bytes_of(target);
	fake->x.headers = fake->headers;
	fake->x.peer = "127.0.0.1";
	fake->x.request_id = ++last_id;
}

void fake_exchange_fini(struct fake_exchange *fake)
{
	ck_assert_msg(fake->is_ended, "the exchange was not ended");
	free(fake->answer);
	fake->answer = NULL;
}

static struct bytes keep_text(struct fake_exchange *fake, const char *text)
{
	size_t len = strlen(text);
	ck_assert_uint_lt(fake->text_len + len, sizeof fake->text);
	char *p = fake->text + fake->text_len;
	memcpy(p, text, len + 1);
	fake->text_len += len + 1;
	return bytes_make(p, len);
}

void fake_exchange_header(struct fake_exchange *fake, const char *name, const char *value)
{
	ck_assert_uint_lt(fake->x.header_count, FAKE_HEADERS_MAX);
	fake->headers[fake->x.header_count++] = (struct http_header){
		keep_text(fake, name), keep_text(fake, value)};
}

void fake_exchange_body(struct fake_exchange *fake, const void *data, size_t len)
{
	fake->body = bytes_make(data, len);
	fake->x.has_body = len > 0;
	fake->x.has_body_len = true;
	fake->x.body_len = len;
}

void fake_exchange_start(struct fake_exchange *fake, struct exchange_handler *handler)
{
	handler->start(handler, &fake->x);
}

const char *fake_exchange_answer_header(const struct fake_exchange *fake, const char *name)
{
	for (size_t i = 0; i < fake->response.header_count; i++)
		if (bytes_is_text(fake->answer_headers[i].name, name))
			return (const char *)fake->answer_headers[i].value.data;
	return NULL;
}

const char *fake_exchange_element(const struct fake_exchange *fake, const char *name)
{
	static char text[4096];
	char open[128], close[128];

	if (!fake->answer)
		return NULL;
	snprintf(open, sizeof open, "<%s>", name);
	snprintf(close, sizeof close, "</%s>", name);
	const char *from = strstr((const char *)fake->answer, open);
	const char *to = from ? strstr(from, close) : NULL;
	if (!to)
		return NULL;
	from += strlen(open);
	ck_assert_uint_lt(to - from, sizeof text);
	memcpy(text, from, to - from);
	text[to - from] = '\0';
	return text;
}
