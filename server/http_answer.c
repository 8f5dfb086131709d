/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_answer.h"

#include <stdio.h>

const char *http_answer_reason(unsigned status)
{
	static const struct {
		unsigned status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{206, "Partial Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{422, "Unprocessable Content"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Unknown";
}

bool http_answer_has_body(unsigned status, enum http_method method)
{
	return method != HTTP_HEAD && status != 204 && status != 304;
}

static const char *date_line(struct http_date *date)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = time(NULL);
	struct tm tm;

	if (date->second == now && date->line[0])
		return date->line;
	date->second = now;
	gmtime_r(&now, &tm);
	snprintf(date->line, sizeof date->line, "Date: %s, %02u %s %04u %02u:%02u:%02u GMT\r\n",
		days[tm.tm_wday % 7], tm.tm_mday % 100u, months[tm.tm_mon % 12],
		(tm.tm_year + 1900) % 10000u, tm.tm_hour % 100u, tm.tm_min % 100u,
		tm.tm_sec % 100u);
	return date->line;
}

/* A buffer that is written from front to back and notes when something did not fit. */
struct writer {
	char *at, *end;
	bool is_full;
};

static void write_bytes(struct writer *w, struct bytes text)
{
	if (text.len > (size_t)(w->end - w->at)) {
		w->is_full = true;
		return;
	}
	if (text.len > 0)
		memcpy(w->at, text.data, text.len);
	w->at += text.len;
}

static void write_text(struct writer *w, const char *text)
{
	write_bytes(w, bytes_of(text));
}

static void write_number(struct writer *w, uint64_t number)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = '0' + number % 10;
		number /= 10;
	} while (number > 0);
	write_bytes(w, bytes_make(digits + i, sizeof digits - i));
}

static bool is_name(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] <= ' ' || name.data[i] >= 0x7f || name.data[i] == ':')
			return false;
	}
	return name.len > 0;
}

static bool is_value(struct bytes value)
{
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static void write_status(struct writer *w, unsigned status)
{
	write_text(w, "HTTP/1.1 ");
	write_number(w, status);
	write_text(w, " ");
	write_text(w, http_answer_reason(status));
	write_text(w, "\r\n");
}

enum err http_answer_format(
	const struct http_answer *answer, char *buf, size_t cap, size_t *ret_len)
{
	const struct http_response *response = answer->response;
	struct writer w = {buf, buf + cap, false};

	write_status(&w, response->status);
	write_text(&w, date_line(answer->date));
	write_text(&w, "Server: Rubus\r\n");
	for (size_t i = 0; i < response->header_count; i++) {
		const struct http_header *header = &response->headers[i];
		if (!is_name(header->name) || !is_value(header->value))
			return ERR_INVALID;
		write_bytes(&w, header->name);
		write_text(&w, ": ");
		write_bytes(&w, header->value);
		write_text(&w, "\r\n");
	}
	if (answer->is_chunked) {
		write_text(&w, "Transfer-Encoding: chunked\r\n");
	} else if (response->has_len && response->status != 204) {
		write_text(&w, "Content-Length: ");
		write_number(&w, response->len);
		write_text(&w, "\r\n");
	}
	if (answer->close)
		write_text(&w, "Connection: close\r\n");
	write_text(&w, "\r\n");
	if (w.is_full)
		return ERR_LIMIT;
	*ret_len = w.at - buf;
	return ERR_OK;
}

size_t http_answer_refuse(
	struct http_date *date, unsigned status, const char *text, char *buf, size_t cap)
{
	struct writer w = {buf, buf + cap, false};

	write_status(&w, status);
	write_text(&w, date_line(date));
	write_text(&w, "Server: Rubus\r\nContent-Type: text/plain\r\nContent-Length: ");
	write_number(&w, strlen(text) + 1);
	write_text(&w, "\r\nConnection: close\r\n\r\n");
	write_text(&w, text);
	write_text(&w, "\n");
	assert(!w.is_full);
	return w.at - buf;
}
