/* SPDX-License-Identifier: Apache-2.0 */
/* A request as it comes from a client: head, and body when it is chunked. The first byte says how
 * the rest is cut. Beside the sanitizers:
 *
 * - cut anywhere or not at all, the outcome is the same, and so is the body;
 * - what is accepted is looked at again by code that knows nothing of the parser: a head that
 *   somebody else may read in another way must not have come through;
 * - nothing is read outside the bytes that are there, and slices lie inside the head.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "server/http_parse.h"

#define HEADER_COUNT_MAX 100

static const struct http_limits limits = {
	.head_len_max = 4096, .target_len_max = 1024, .header_count_max = HEADER_COUNT_MAX};

struct outcome {
	enum err head_err, body_err;
	size_t head_len, body_len, used_len;
	uint64_t body_sum;
	struct http_head head;
	struct http_refusal refusal;
	struct http_header headers[HEADER_COUNT_MAX];
};

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 16;
}

/* --- the oracle ------------------------------------------------------------------------------- */

static bool line_is(const char *line, size_t len, const char *name)
{
	size_t name_len = strlen(name);
	return len > name_len && strncasecmp(line, name, name_len) == 0 && line[name_len] == ':';
}

/* Looks at an accepted head, as it was before the parser touched it. */
static void check_accepted(const char *text, size_t len, const struct http_head *head)
{
	unsigned lens = 0, encodings = 0, hosts = 0, decoded = 0;

	for (size_t i = 0; i < len; i++) {
		CHECK(text[i] != 0);
		CHECK(text[i] != '\n' || (i > 0 && text[i - 1] == '\r'));
		CHECK(text[i] != '\r' || (i + 1 < len && text[i + 1] == '\n'));
	}
	const char *line = (const char *)memchr(text, '\n', len) + 1;
	while (line < text + len - 2) {
		const char *end = memchr(line, '\n', text + len - line);
		size_t line_len = end - line;
		CHECK(line[0] != ' ' && line[0] != '\t');
		const char *colon = memchr(line, ':', line_len);
		CHECK(colon && colon > line && colon[-1] != ' ' && colon[-1] != '\t');
		lens += line_is(line, line_len, "content-length");
		encodings += line_is(line, line_len, "transfer-encoding");
		hosts += line_is(line, line_len, "host");
		decoded += line_is(line, line_len, "x-amz-decoded-content-length");
		line = end + 1;
	}
	CHECK(lens <= 1 && encodings <= 1 && hosts <= 1);
	CHECK(hosts == 1 || head->is_1_0);
	CHECK(encodings == 0 || !head->is_1_0);
	CHECK(lens == 0 || encodings == 0 || (decoded > 0 && head->close));
	CHECK(head->is_chunked == (encodings == 1));
	CHECK(head->has_len == (lens == 1 && encodings == 0));
}

static void check_slices(const uint8_t *data, const struct outcome *outcome)
{
	const uint8_t *end = data + outcome->head_len;

	CHECK(outcome->head.header_count <= HEADER_COUNT_MAX);
	CHECK(outcome->head.target.data > data &&
		outcome->head.target.data + outcome->head.target.len < end);
	for (size_t i = 0; i < outcome->head.header_count; i++) {
		struct http_header header = outcome->headers[i];
		CHECK(header.name.data > data && header.name.len > 0);
		CHECK(header.name.data + header.name.len < header.value.data);
		CHECK(header.value.data + header.value.len < end);
	}
}

/* --- the run ---------------------------------------------------------------------------------- */

/* Takes the chunked body behind a head, as connections do. */
static void run_body(
	struct outcome *outcome, const uint8_t *data, size_t len, bool whole, uint32_t *seed)
{
	struct http_chunks chunks = {0};
	size_t at = 0;

	outcome->body_err = ERR_BUSY;
	while (at < len) {
		size_t have = whole ? len - at : 1 + next(seed) % 7, used = 0;
		if (have > len - at)
			have = len - at;
		outcome->body_err = http_chunks_decode(&chunks, data + at, have, &used);
		if (outcome->body_err == ERR_INVALID)
			return;
		CHECK(used <= have);
		at += used;
		outcome->used_len = at;
		if (outcome->body_err == ERR_END)
			return;
		size_t run = have - used < chunks.left ? have - used : chunks.left;
		CHECK(outcome->body_err == ERR_OK || (run == 0 && used == have));
		for (size_t i = 0; i < run; i++)
			outcome->body_sum = outcome->body_sum * 31 + data[at + i];
		if (run > 0)
			http_chunks_take(&chunks, run);
		outcome->body_len += run;
		at += run;
	}
	outcome->body_err = ERR_BUSY;
}

static struct outcome run(const uint8_t *data, size_t len, bool whole, uint32_t seed)
{
	struct outcome outcome = {.head_err = ERR_BUSY};
	uint8_t *buffer = malloc(len > 0 ? len : 1);
	size_t line_offset = 0, have = 0;

	CHECK(buffer);
	while (have < len && outcome.head_err == ERR_BUSY) {
		size_t step = whole ? len : 1 + next(&seed) % 11;
		have = step < len - have ? have + step : len;
		memcpy(buffer, data, have);
		outcome.head_err = http_parse_scan(buffer, have, limits.head_len_max, &line_offset,
			&outcome.head_len, &outcome.refusal);
	}
	if (outcome.head_err == ERR_OK) {
		outcome.head_err = http_parse_head(buffer, outcome.head_len, &limits,
			outcome.headers, &outcome.head, &outcome.refusal);
		if (outcome.head_err == ERR_OK) {
			check_accepted((const char *)data, outcome.head_len, &outcome.head);
			check_slices(buffer, &outcome);
			if (outcome.head.is_chunked)
				run_body(&outcome, data + outcome.head_len, len - outcome.head_len,
					whole, &seed);
		}
	}
	free(buffer);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	struct outcome whole = run(data + 1, len - 1, true, data[0]);
	struct outcome cut = run(data + 1, len - 1, false, data[0]);

	CHECK(whole.head_err == cut.head_err);
	CHECK(whole.refusal.status == cut.refusal.status && whole.refusal.text == cut.refusal.text);
	if (whole.head_err != ERR_OK)
		return 0;
	CHECK(whole.head_len == cut.head_len);
	CHECK(whole.head.header_count == cut.head.header_count);
	CHECK(whole.head.body_len == cut.head.body_len && whole.head.close == cut.head.close);
	CHECK(whole.body_err == cut.body_err);
	CHECK(whole.body_len == cut.body_len && whole.body_sum == cut.body_sum);
	CHECK(whole.body_err != ERR_END || whole.used_len == cut.used_len);
	return 0;
}
