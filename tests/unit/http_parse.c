/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_parse.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

static const struct http_limits limits = {
	.head_len_max = 16384, .target_len_max = 8192, .header_count_max = 100};

/* What became of a head: its status is 0 when it was accepted, 1 when it is not complete. */
struct outcome {
	unsigned status;
	size_t len;
	struct http_head head;
};

/* Scans data step bytes at a time, as if it came so, and parses it. The buffer ends where the data
 * does, so that a read behind it is seen. */
static struct outcome parse(
	const uint8_t *data, size_t len, size_t step, struct http_header *headers, uint8_t *buffer)
{
	struct outcome outcome = {.status = 1};
	struct http_refusal refusal = {0};
	size_t line_offset = 0;
	enum err err = ERR_BUSY;

	for (size_t have = 0; have < len && err == ERR_BUSY;) {
		have = have + step < len ? have + step : len;
		memcpy(buffer, data, have);
		err = http_parse_scan(
			buffer, have, limits.head_len_max, &line_offset, &outcome.len, &refusal);
	}
	if (err == ERR_OK)
		err = http_parse_head(
			buffer, outcome.len, &limits, headers, &outcome.head, &refusal);
	if (err != ERR_BUSY)
		outcome.status = err == ERR_OK ? 0 : refusal.status;
	return outcome;
}

static unsigned status_of(const char *text)
{
	struct http_header headers[100];
	size_t len = strlen(text);
	uint8_t *buffer = malloc(len);
	unsigned status = parse((const uint8_t *)text, len, len, headers, buffer).status;

	for (size_t step = 1; step < 8; step++) {
		memset(buffer, 0, len);
		unsigned other = parse((const uint8_t *)text, len, step, headers, buffer).status;
		ck_assert_uint_eq(status, other);
	}
	free(buffer);
	return status;
}

#define HEAD(line, rest) line " HTTP/1.1\r\nHost: a\r\n" rest "\r\n"

START_TEST(a_head_says_what_it_said)
{
	char text[] =
		"PUT /b/k%20x?uploads HTTP/1.1\r\nHOST: s3.example:9000\r\nX-Amz-Date: \t 2026 \r\n"
		"content-LENGTH: 42\r\nExpect: 100-Continue\r\nx-empty:\r\n\r\nbody";
	struct http_header headers[100];
	struct http_head head;
	struct http_refusal refusal;
	size_t line_offset = 0, len = 0;

	ck_assert_ok(http_parse_scan(
		(uint8_t *)text, sizeof text - 1, 16384, &line_offset, &len, &refusal));
	ck_assert_uint_eq(len, sizeof text - 1 - 4);
	ck_assert_ok(http_parse_head((uint8_t *)text, len, &limits, headers, &head, &refusal));
	ck_assert_int_eq(head.method, HTTP_PUT);
	ck_assert(bytes_is_text(head.target, "/b/k%20x?uploads"));
	ck_assert_uint_eq(head.header_count, 5);
	ck_assert(bytes_is_text(headers[0].name, "host"));
	ck_assert(bytes_is_text(headers[0].value, "s3.example:9000"));
	ck_assert(bytes_is_text(headers[1].value, "2026"));
	ck_assert(bytes_is_text(headers[2].name, "content-length"));
	ck_assert_uint_eq(headers[4].value.len, 0);
	ck_assert(head.has_len && head.body_len == 42 && !head.is_chunked);
	ck_assert(head.expects_continue && !head.close && !head.is_1_0);
}
END_TEST

START_TEST(methods_are_known_and_others_pass)
{
	static const struct {
		const char *text;
		enum http_method method;
	} rows[] = {
		{HEAD("GET /", ""), HTTP_GET},
		{HEAD("HEAD /", ""), HTTP_HEAD},
		{HEAD("POST /", ""), HTTP_POST},
		{HEAD("DELETE /", ""), HTTP_DELETE},
		{HEAD("OPTIONS *", ""), HTTP_OPTIONS},
		{HEAD("get /", ""), HTTP_OTHER},
		{HEAD("PATCH /", ""), HTTP_OTHER},
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct http_header headers[100];
		uint8_t buffer[128];
		size_t len = strlen(rows[i].text);
		struct outcome outcome = parse(
			(const uint8_t *)rows[i].text, len, len, headers, buffer);
		ck_assert_uint_eq(outcome.status, 0);
		ck_assert_int_eq(outcome.head.method, rows[i].method);
	}
}
END_TEST

START_TEST(what_could_be_read_in_two_ways_is_refused)
{
	static const struct {
		unsigned status;
		const char *text;
	} rows[] = {
		{400, "GET / HTTP/1.1\nHost: a\n\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\n\n"},
		{400, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
		{400, "GET /\r\nHost: a\r\n\r\n"},
		{400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
		{400, HEAD("GET /", "Host: a\r\n")},
		{400, HEAD("GET /", " folded\r\n")},
		{400, HEAD("GET /", "x: a\r\n folded\r\n")},
		{400, HEAD("GET /", "x : a\r\n")},
		{400, HEAD("GET /", ": a\r\n")},
		{400, HEAD("GET /", "x\r\n")},
		{400, HEAD("GET /", "x(y): a\r\n")},
		{400, HEAD("GET /", "x: a\rb\r\n")},
		{400, HEAD("GET /", "x: a\x01\r\n")},
		{400, HEAD("PUT /", "Content-Length: 5\r\nContent-Length: 5\r\n")},
		{400, HEAD("PUT /", "Content-Length: 5, 5\r\n")},
		{400, HEAD("PUT /", "Content-Length: +5\r\n")},
		{400, HEAD("PUT /", "Content-Length: -5\r\n")},
		{400, HEAD("PUT /", "Content-Length: 0x5\r\n")},
		{400, HEAD("PUT /", "Content-Length: 5 5\r\n")},
		{400, HEAD("PUT /", "Content-Length:\r\n")},
		{400, HEAD("PUT /", "Content-Length: 1000000000000000000\r\n")},
		{400, HEAD("PUT /", "Transfer-Encoding: gzip, chunked\r\n")},
		{400, HEAD("PUT /", "Transfer-Encoding: chunked, chunked\r\n")},
		{400,
			HEAD("PUT /",
				"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
		{400, HEAD("PUT /", "Transfer-Encoding: Chunked\r\n")},
		{400, HEAD("PUT /", "Transfer-Encoding: identity\r\n")},
		{400, HEAD("PUT /", "Transfer-Encoding:\r\n")},
		{400, HEAD("PUT /", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
		{400, HEAD("PUT /", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
		{400, "PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{505, "GET / HTTP/1.9\r\nHost: a\r\n\r\n"},
		{417, HEAD("PUT /", "Expect: 200-ok\r\n")},
		{417, HEAD("PUT /", "Expect: 100-continue\r\nExpect: 100-continue\r\n")},
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		unsigned status = status_of(rows[i].text);
		ck_assert_msg(status == rows[i].status, "%u for %s", status, rows[i].text);
	}
}
END_TEST

START_TEST(a_nul_anywhere_is_refused)
{
	static const char text[] = "GET /abc HTTP/1.1\r\nHost: a\r\nx-name: value\r\n\r\n";
	struct http_header headers[100];
	uint8_t data[sizeof text - 1], buffer[sizeof text - 1];

	for (size_t i = 0; i < sizeof data; i++) {
		memcpy(data, text, sizeof data);
		data[i] = 0;
		unsigned status = parse(data, sizeof data, sizeof data, headers, buffer).status;
		/* Without one of its last line feeds the head is not complete yet. */
		ck_assert_uint_ne(status, 0);
		ck_assert(status >= 400 || i >= sizeof data - 3);
	}
}
END_TEST

START_TEST(the_double_length_of_old_sdks_is_chunked_and_closes)
{
	static const char text[] = HEAD("PUT /",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
		"x-amz-decoded-content-length: 5\r\n");
	struct http_header headers[100];
	uint8_t buffer[sizeof text];
	struct outcome outcome = parse(
		(const uint8_t *)text, sizeof text - 1, sizeof text, headers, buffer);

	ck_assert_uint_eq(outcome.status, 0);
	ck_assert(outcome.head.is_chunked && !outcome.head.has_len && outcome.head.close);
}
END_TEST

START_TEST(close_is_heard_in_a_list_and_always_in_http_1_0)
{
	static const char *closing[] = {HEAD("GET /", "Connection: close\r\n"),
		HEAD("GET /", "Connection: keep-alive , CLOSE\r\n"),
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"};
	struct http_header headers[100];
	uint8_t buffer[128];

	for (size_t i = 0; i < ARRAY_COUNT(closing); i++) {
		size_t len = strlen(closing[i]);
		struct outcome outcome = parse(
			(const uint8_t *)closing[i], len, len, headers, buffer);
		ck_assert_uint_eq(outcome.status, 0);
		ck_assert(outcome.head.close);
	}
	ck_assert_uint_eq(status_of(HEAD("GET /", "Connection: closed\r\n")), 0);
}
END_TEST

static char *mempset(char *p, char byte, size_t len)
{
	memset(p, byte, len);
	return p + len;
}

/* A head with a target of so many bytes and so many headers besides Host. */
static unsigned status_of_size(size_t target_len, size_t header_count, size_t value_len)
{
	char *text = malloc(target_len + header_count * (value_len + 8) + 64), *p = text;

	p = stpcpy(p, "GET /");
	p = mempset(p, 'a', target_len - 1);
	p = stpcpy(p, " HTTP/1.1\r\nHost: a\r\n");
	for (size_t i = 0; i < header_count; i++) {
		p = stpcpy(p, "x: ");
		p = mempset(p, 'v', value_len);
		p = stpcpy(p, "\r\n");
	}
	stpcpy(p, "\r\n");
	unsigned status = status_of(text);
	free(text);
	return status;
}

START_TEST(limits_hold_to_the_byte)
{
	ck_assert_uint_eq(status_of_size(8192, 1, 1), 0);
	ck_assert_uint_eq(status_of_size(8193, 1, 1), 414);
	ck_assert_uint_eq(status_of_size(1, 99, 1), 0);
	ck_assert_uint_eq(status_of_size(1, 100, 1), 431);
	/* "GET / HTTP/1.1", "Host: a" and "x: " with their ends, and the empty line. */
	size_t rest = 16 + 9 + 5 + 2;
	ck_assert_uint_eq(status_of_size(1, 1, 16384 - rest), 0);
	ck_assert_uint_eq(status_of_size(1, 1, 16384 - rest + 1), 431);
}
END_TEST

/* --- chunked bodies --------------------------------------------------------------------------- */

/* Decodes with at most step bytes at a time; gives the end it came to and what it took. */
static enum err decode(const char *text, size_t step, char *body, size_t *ret_taken)
{
	struct http_chunks chunks = {0};
	size_t len = strlen(text), at = 0, body_len = 0;
	enum err err = ERR_OK;

	while (at < len && err != ERR_END && err != ERR_INVALID) {
		size_t have = at + step < len ? step : len - at, used = 0;
		err = http_chunks_decode(&chunks, (const uint8_t *)text + at, have, &used);
		at += used;
		ck_assert(err == ERR_OK ? chunks.left > 0 : chunks.left == 0);
		if (err != ERR_OK)
			continue;
		size_t run = have - used < chunks.left ? have - used : chunks.left;
		memcpy(body + body_len, text + at, run);
		if (run > 0)
			http_chunks_take(&chunks, run);
		at += run;
		body_len += run;
	}
	body[body_len] = 0;
	*ret_taken = at;
	return err;
}

START_TEST(chunks_give_the_same_body_however_they_are_cut)
{
	static const char text[] = "5\r\nhello\r\n00A\r\n0123456789\r\n1\r\n\r\r\n0\r\n\r\nGET /";
	char body[64];
	size_t taken = 0;

	for (size_t step = 1; step < sizeof text; step++) {
		ck_assert_err(decode(text, step, body, &taken), ERR_END);
		ck_assert_str_eq(body, "hello0123456789\r");
		ck_assert_uint_eq(taken, sizeof text - 1 - 5);
	}
}
END_TEST

START_TEST(broken_chunks_are_refused)
{
	static const char *rows[] = {"\r\n", "g\r\n", "5\n", "5 \r\n", " 5\r\n", "5;a=b\r\n",
		"+5\r\n", "-1\r\n", "0x5\r\n", "5\r\nhello\n", "5\r\nhelloX", "5\r\nhello\rX",
		"0\r\nX-Trailer: a\r\n\r\n", "0\r\n\n", "0\n\r\n", "0000000000000000\r\n",
		"FFFFFFFFFFFFFFFF\r\n", "5\rX"};
	char body[64];
	size_t taken = 0;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		for (size_t step = 1; step < 20; step++)
			ck_assert_err(decode(rows[i], step, body, &taken), ERR_INVALID);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_parse");
	TCase *tests = tcase_create("http_parse");
	tcase_add_test(tests, a_head_says_what_it_said);
	tcase_add_test(tests, methods_are_known_and_others_pass);
	tcase_add_test(tests, what_could_be_read_in_two_ways_is_refused);
	tcase_add_test(tests, a_nul_anywhere_is_refused);
	tcase_add_test(tests, the_double_length_of_old_sdks_is_chunked_and_closes);
	tcase_add_test(tests, close_is_heard_in_a_list_and_always_in_http_1_0);
	tcase_add_test(tests, limits_hold_to_the_byte);
	tcase_add_test(tests, chunks_give_the_same_body_however_they_are_cut);
	tcase_add_test(tests, broken_chunks_are_refused);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
