/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of HTTP/1.1 as they come in: heads of requests and the framing of chunked bodies.
 *
 * Two parsers that disagree about where a request ends are how one client's bytes become another's
 * request, so everything that any parser in front of us may read in two ways is refused, and the
 * connection ends with the refusal:
 *
 * (H1) Lines end with CR LF. A bare LF or CR, NUL, and any other control character but the tab
 *      inside a value are refused.
 * (H2) A name is a token that the colon follows directly. A line that begins with white space
 *      (a folded one) is refused.
 * (H3) HTTP/1.1 has exactly one Host, HTTP/1.0 at most one. The target is a path or "*".
 * (H4) Content-Length is there at most once and is 1 to 18 digits. Transfer-Encoding is there at
 *      most once and is "chunked", in HTTP/1.1 only.
 * (H5) Both together are refused, but for one exception: some years of an SDK sent both with
 *      bodies that state x-amz-decoded-content-length. There chunked counts, and the connection is
 *      closed after the answer, so that nothing behind the body is ever taken for a request.
 * (H6) A chunk's size is 1 to 15 hexadecimal digits and CR LF; no extensions, no trailers.
 * (H7) What a parser answers does not depend on how the bytes were cut into reads. The scan goes
 *      from front to back and stops at the first line that is wrong; a head is parsed once, whole.
 */
#include "server/http_parse.h"

#define CONTENT_LEN_DIGITS_MAX 18
#define CHUNK_DIGITS_MAX 15
#define VERSION_LEN 8

/* A character of a token in lower case; 0 is none. */
static const uint8_t token_lower[256] = {
	['!'] = '!',
	['#'] = '#',
	['$'] = '$',
	['%'] = '%',
	['&'] = '&',
	['\''] = '\'',
	['*'] = '*',
	['+'] = '+',
	['-'] = '-',
	['.'] = '.',
	['^'] = '^',
	['_'] = '_',
	['`'] = '`',
	['|'] = '|',
	['~'] = '~',
	['0'] = '0',
	['1'] = '1',
	['2'] = '2',
	['3'] = '3',
	['4'] = '4',
	['5'] = '5',
	['6'] = '6',
	['7'] = '7',
	['8'] = '8',
	['9'] = '9',
#define LETTER(upper, lower) [upper] = lower, [lower] = lower
	LETTER('A', 'a'),
	LETTER('B', 'b'),
	LETTER('C', 'c'),
	LETTER('D', 'd'),
	LETTER('E', 'e'),
	LETTER('F', 'f'),
	LETTER('G', 'g'),
	LETTER('H', 'h'),
	LETTER('I', 'i'),
	LETTER('J', 'j'),
	LETTER('K', 'k'),
	LETTER('L', 'l'),
	LETTER('M', 'm'),
	LETTER('N', 'n'),
	LETTER('O', 'o'),
	LETTER('P', 'p'),
	LETTER('Q', 'q'),
	LETTER('R', 'r'),
	LETTER('S', 's'),
	LETTER('T', 't'),
	LETTER('U', 'u'),
	LETTER('V', 'v'),
	LETTER('W', 'w'),
	LETTER('X', 'x'),
	LETTER('Y', 'y'),
	LETTER('Z', 'z'),
#undef LETTER
};

static bool is_target_char(uint8_t c)
{
	return c > ' ' && c != 0x7f && c != '#';
}

static bool is_value_char(uint8_t c)
{
	return (c >= ' ' && c != 0x7f) || c == '\t';
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static enum err refuse(
	struct http_refusal *ret_refusal, enum err err, unsigned status, const char *text)
{
	*ret_refusal = (struct http_refusal){status, text};
	return err;
}

static enum err refuse_bad(struct http_refusal *ret_refusal, const char *text)
{
	return refuse(ret_refusal, ERR_INVALID, 400, text);
}

enum err http_parse_scan(const uint8_t *data, size_t len, size_t head_len_max, size_t *line_offset,
	size_t *ret_head_len, struct http_refusal *ret_refusal)
{
	size_t cap = len < head_len_max ? len : head_len_max;
	size_t line = *line_offset;

	assert(line <= cap);
	if (cap > 0 && !token_lower[data[0]])
		return refuse_bad(ret_refusal, "this is not HTTP/1.1");
	for (;;) {
		const uint8_t *lf = cap > line ? memchr(data + line, '\n', cap - line) : NULL;
		if (!lf)
			break;
		size_t end = lf - data;
		if (end == line || data[end - 1] != '\r')
			return refuse_bad(ret_refusal, "a line does not end with CR LF");
		if (end - 1 == line) {
			*ret_head_len = end + 1;
			return ERR_OK;
		}
		line = end + 1;
	}
	*line_offset = line;
	if (cap == head_len_max)
		return refuse(ret_refusal, ERR_LIMIT, 431, "the head of the request is too long");
	return ERR_BUSY;
}

static enum http_method method_of(struct bytes name)
{
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = {
		{"GET", HTTP_GET},
		{"PUT", HTTP_PUT},
		{"HEAD", HTTP_HEAD},
		{"POST", HTTP_POST},
		{"DELETE", HTTP_DELETE},
		{"OPTIONS", HTTP_OPTIONS},
	};
	for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
		if (bytes_is_text(name, methods[i].name))
			return methods[i].method;
	}
	return HTTP_OTHER;
}

static enum err parse_version(
	struct bytes text, struct http_head *head, struct http_refusal *ret_refusal)
{
	if (bytes_is_text(text, "HTTP/1.1"))
		return ERR_OK;
	if (bytes_is_text(text, "HTTP/1.0")) {
		head->is_1_0 = true;
		head->close = true;
		return ERR_OK;
	}
	if (text.len == VERSION_LEN && memcmp(text.data, "HTTP/", 5) == 0)
		return refuse(
			ret_refusal, ERR_UNSUPPORTED, 505, "only HTTP/1.1 and HTTP/1.0 are spoken");
	return refuse_bad(ret_refusal, "the request line is not well-formed");
}

/* Parses "METHOD SP target SP version"; line is without its end. */
static enum err parse_request_line(struct bytes line, const struct http_limits *limits,
	struct http_head *head, struct http_refusal *ret_refusal)
{
	const uint8_t *p = line.data, *end = line.data + line.len;

	while (p < end && token_lower[*p])
		p++;
	head->method_name = bytes_make(line.data, p - line.data);
	if (head->method_name.len == 0 || p == end || *p != ' ')
		return refuse_bad(ret_refusal, "the method is not well-formed");
	head->method = method_of(head->method_name);

	const uint8_t *target = ++p;
	while (p < end && is_target_char(*p))
		p++;
	head->target = bytes_make(target, p - target);
	if (head->target.len > limits->target_len_max)
		return refuse(ret_refusal, ERR_LIMIT, 414, "the target is too long");
	if (p == end || *p != ' ')
		return refuse_bad(ret_refusal, "the request line is not well-formed");
	bool is_star = head->method == HTTP_OPTIONS && bytes_is_text(head->target, "*");
	enum err err = parse_version(bytes_make(p + 1, end - p - 1), head, ret_refusal);
	if (err)
		return err;
	if (!is_star && (head->target.len == 0 || target[0] != '/'))
		return refuse_bad(ret_refusal, "the target is not a path");
	return ERR_OK;
}

/* Parses one header line, without its end. */
static enum err parse_header(
	uint8_t *line, size_t len, struct http_header *ret_header, struct http_refusal *ret_refusal)
{
	uint8_t *p = line, *end = line + len;

	for (uint8_t lower; p < end && (lower = token_lower[*p]) != 0; p++)
		*p = lower;
	if (p == line || p == end || *p != ':')
		return refuse_bad(ret_refusal, "a header's name is not well-formed");
	ret_header->name = bytes_make(line, p - line);

	p++;
	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	for (const uint8_t *c = p; c < end; c++) {
		if (!is_value_char(*c))
			return refuse_bad(ret_refusal, "a header's value has a control character");
	}
	ret_header->value = bytes_make(p, end - p);
	return ERR_OK;
}

static bool equals_ignoring_case(struct bytes value, const char *lower)
{
	size_t len = strlen(lower);
	if (value.len != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (token_lower[value.data[i]] != (uint8_t)lower[i])
			return false;
	}
	return true;
}

/* Is the word one of a comma-separated list? */
static bool list_has(struct bytes list, const char *lower)
{
	size_t start = 0;
	while (start <= list.len) {
		size_t end = start;
		while (end < list.len && list.data[end] != ',')
			end++;
		size_t from = start, to = end;
		while (from < to && is_blank(list.data[from]))
			from++;
		while (to > from && is_blank(list.data[to - 1]))
			to--;
		if (equals_ignoring_case(bytes_make(list.data + from, to - from), lower))
			return true;
		start = end + 1;
	}
	return false;
}

static bool is_host(struct bytes value)
{
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];
		bool is_letter_or_digit = token_lower[c] >= '0' && token_lower[c] <= 'z' &&
			c != '^' && c != '`';
		if (!is_letter_or_digit && !strchr("-._~%:[]", c))
			return false;
	}
	return value.len > 0;
}

static enum err parse_content_len(
	struct bytes value, struct http_head *head, struct http_refusal *ret_refusal)
{
	if (value.len == 0 || value.len > CONTENT_LEN_DIGITS_MAX)
		return refuse_bad(ret_refusal, "Content-Length is not a number of bytes");
	uint64_t number = 0;
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] < '0' || value.data[i] > '9')
			return refuse_bad(ret_refusal, "Content-Length is not a number of bytes");
		number = number * 10 + (value.data[i] - '0');
	}
	head->body_len = number;
	return ERR_OK;
}

/* What must be there once, or not at all, or together. */
struct seen {
	unsigned host, len, encoding, expect;
	bool decoded_len;
};

/* Notes a header that the connection has to obey. */
static enum err obey(struct http_header header, struct http_head *head, struct seen *seen,
	struct http_refusal *ret_refusal)
{
	switch (header.name.len) {
	case 4:
		if (!bytes_is_text(header.name, "host"))
			return ERR_OK;
		if (++seen->host > 1 || !is_host(header.value))
			return refuse_bad(ret_refusal, "Host has to be there once, with a name");
		return ERR_OK;
	case 6:
		if (!bytes_is_text(header.name, "expect"))
			return ERR_OK;
		if (++seen->expect > 1 || !equals_ignoring_case(header.value, "100-continue"))
			return refuse(ret_refusal, ERR_UNSUPPORTED, 417,
				"the only known expectation is 100-continue");
		head->expects_continue = true;
		return ERR_OK;
	case 10:
		if (bytes_is_text(header.name, "connection") && list_has(header.value, "close"))
			head->close = true;
		return ERR_OK;
	case 14:
		if (!bytes_is_text(header.name, "content-length"))
			return ERR_OK;
		if (++seen->len > 1)
			return refuse_bad(ret_refusal, "Content-Length is there twice");
		return parse_content_len(header.value, head, ret_refusal);
	case 17:
		if (!bytes_is_text(header.name, "transfer-encoding"))
			return ERR_OK;
		if (++seen->encoding > 1 || !bytes_is_text(header.value, "chunked"))
			return refuse_bad(
				ret_refusal, "the only known Transfer-Encoding is chunked");
		return ERR_OK;
	case 28:
		if (bytes_is_text(header.name, "x-amz-decoded-content-length"))
			seen->decoded_len = true;
		return ERR_OK;
	default:
		return ERR_OK;
	}
}

/* The framing of the body, from all headers together. */
static enum err settle(
	const struct seen *seen, struct http_head *head, struct http_refusal *ret_refusal)
{
	if (seen->host == 0 && !head->is_1_0)
		return refuse_bad(ret_refusal, "Host is missing");
	if (seen->encoding > 0 && head->is_1_0)
		return refuse_bad(ret_refusal, "HTTP/1.0 has no Transfer-Encoding");
	head->is_chunked = seen->encoding > 0;
	head->has_len = seen->len > 0 && !head->is_chunked;
	if (seen->len > 0 && head->is_chunked) {
		if (!seen->decoded_len)
			return refuse_bad(ret_refusal,
				"Content-Length and Transfer-Encoding exclude each other");
		head->close = true;
	}
	if (!head->has_len)
		head->body_len = 0;
	if (head->is_1_0)
		head->expects_continue = false;
	return ERR_OK;
}

enum err http_parse_head(uint8_t *data, size_t len, const struct http_limits *limits,
	struct http_header *headers, struct http_head *ret_head, struct http_refusal *ret_refusal)
{
	struct http_head head = {0};
	struct seen seen = {0};

	assert(len > 4 && memcmp(data + len - 4, "\r\n\r\n", 4) == 0);
	size_t line_len = (const uint8_t *)memchr(data, '\n', len) - data - 1;
	enum err err = parse_request_line(bytes_make(data, line_len), limits, &head, ret_refusal);
	for (size_t at = line_len + 2; err == ERR_OK && at < len - 2; at += line_len + 2) {
		line_len = (const uint8_t *)memchr(data + at, '\n', len - at) - data - at - 1;
		if (head.header_count == limits->header_count_max)
			return refuse(ret_refusal, ERR_LIMIT, 431, "there are too many headers");
		struct http_header *header = &headers[head.header_count++];
		err = parse_header(data + at, line_len, header, ret_refusal);
		if (err == ERR_OK)
			err = obey(*header, &head, &seen, ret_refusal);
	}
	if (err == ERR_OK)
		err = settle(&seen, &head, ret_refusal);
	if (err == ERR_OK)
		*ret_head = head;
	return err;
}

/* --- chunked bodies --------------------------------------------------------------------------- */

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_END_CR,
	CHUNK_END_LF,
	CHUNK_ENDED,
};

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	uint8_t lower = c | 0x20;
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* One byte of framing. */
static enum err take_framing(struct http_chunks *chunks, uint8_t c)
{
	static const uint8_t expected[] = {
		[CHUNK_SIZE_LF] = '\n',
		[CHUNK_DATA_CR] = '\r',
		[CHUNK_DATA_LF] = '\n',
		[CHUNK_END_CR] = '\r',
		[CHUNK_END_LF] = '\n',
	};
	if (chunks->state == CHUNK_SIZE) {
		int digit = hex_value(c);
		if (digit >= 0 && chunks->digit_count < CHUNK_DIGITS_MAX) {
			chunks->size = chunks->size << 4 | digit;
			chunks->digit_count++;
			return ERR_OK;
		}
		if (c != '\r' || chunks->digit_count == 0)
			return ERR_INVALID;
		chunks->state = CHUNK_SIZE_LF;
		return ERR_OK;
	}
	if (c != expected[chunks->state])
		return ERR_INVALID;
	if (chunks->state == CHUNK_SIZE_LF) {
		chunks->left = chunks->size;
		chunks->state = chunks->size > 0 ? CHUNK_DATA : CHUNK_END_CR;
	} else if (chunks->state == CHUNK_DATA_LF) {
		*chunks = (struct http_chunks){.state = CHUNK_SIZE};
	} else {
		chunks->state++;
	}
	return ERR_OK;
}

enum err http_chunks_decode(
	struct http_chunks *chunks, const uint8_t *data, size_t len, size_t *ret_len)
{
	size_t i = 0;

	while (chunks->state != CHUNK_DATA && chunks->state != CHUNK_ENDED) {
		if (i == len) {
			*ret_len = i;
			return ERR_BUSY;
		}
		if (take_framing(chunks, data[i]) != ERR_OK)
			return ERR_INVALID;
		i++;
	}
	*ret_len = i;
	return chunks->state == CHUNK_ENDED ? ERR_END : ERR_OK;
}

void http_chunks_take(struct http_chunks *chunks, size_t len)
{
	assert(chunks->state == CHUNK_DATA);
	assert(len <= chunks->left);
	chunks->left -= len;
	if (chunks->left == 0)
		chunks->state = CHUNK_DATA_CR;
}
