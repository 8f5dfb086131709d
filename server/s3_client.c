/* SPDX-License-Identifier: Apache-2.0 */
#include "server/s3_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"
#include "gateway/s3_time.h"
#include "gateway/uri.h"
#include "gateway/xml_in.h"
#include "server/version.h"

#define CALL_LEN_MAX (48u << 10) /* of a head of ours */
#define OWN_HEADERS_MAX 6

void s3_client_init(struct s3_client *client, const struct s3_client_options *options)
{
	memset(client, 0, offsetof(struct s3_client, head));
	client->options = options;
}

static void disconnect(struct s3_client *client)
{
	s3_wire_close(client->wire);
	client->wire = NULL;
	client->in_pos = client->in_len = 0;
	client->framing = S3_BODY_NONE;
}

void s3_client_fini(struct s3_client *client)
{
	disconnect(client);
}

static enum err fail(struct s3_client *client, enum err err, const char *text)
{
	snprintf(client->message, sizeof client->message, "%.100s: %s", client->options->place.host,
		text ? text : err_text(err));
	disconnect(client);
	return err;
}

/* --- sending ---------------------------------------------------------------------------------- */

static int compare_headers(const void *a, const void *b)
{
	const struct http_header *left = a, *right = b;
	return bytes_compare(left->name, right->name);
}

static enum err connect_it(struct s3_client *client)
{
	char why[S3_WIRE_MESSAGE_LEN];
	if (client->wire && client->framing == S3_BODY_NONE && client->keeps)
		return ERR_OK;
	disconnect(client);
	enum err err = s3_wire_open(&client->options->place, why, &client->wire);
	if (err)
		snprintf(client->message, sizeof client->message, "%s",
			why[0] ? why : err_text(err));
	return err;
}

/* What goes into a head, with the texts that it borrows. */
struct draft {
	struct http_header headers[S3_CLIENT_CALL_HEADERS_MAX + OWN_HEADERS_MAX];
	size_t count;
	char host[300], len[24], payload[2 * SHA256_LEN + 1];
	uint8_t date[S3_TIME_AMZ_LEN];
	uint64_t now_s;
	uint8_t target[S3_CLIENT_TARGET_LEN_MAX];
	struct bytes path, query_text;
	struct query query;
	uint8_t query_buf[S3_CLIENT_TARGET_LEN_MAX];
	uint8_t authorization[2048];
	uint8_t head[CALL_LEN_MAX];
};

static void add(struct draft *draft, const char *name, struct bytes value)
{
	draft->headers[draft->count++] = (struct http_header){bytes_of(name), value};
}

static bool draft_target(struct draft *draft, const struct s3_call *call)
{
	struct text_out out;
	text_out_init(&out, draft->target, sizeof draft->target);
	text_put_char(&out, '/');
	text_put_bytes(&out, call->bucket);
	if (call->key.len > 0) {
		text_put_char(&out, '/');
		uri_encode(&out, call->key, true);
	}
	draft->path = text_out_bytes(&out);
	size_t path_len = out.len;
	if (call->query) {
		text_put_char(&out, '?');
		text_put_text(&out, call->query);
		draft->query_text = bytes_from(text_out_bytes(&out), path_len + 1);
	}
	draft->path.len = path_len;
	return !out.overflowed &&
		query_parse(draft->query_text, draft->query_buf, sizeof draft->query_buf,
			&draft->query) == ERR_OK;
}

static void draft_headers(
	struct draft *draft, const struct s3_client_options *options, const struct s3_call *call)
{
	const struct s3_wire_place *place = &options->place;
	bool is_usual = place->port == (place->is_tls ? 443 : 80), is_v6 = strchr(place->host, ':');
	snprintf(draft->host, sizeof draft->host, "%s%.255s%s", is_v6 ? "[" : "", place->host,
		is_v6 ? "]" : "");
	if (!is_usual) {
		size_t len = strlen(draft->host);
		snprintf(draft->host + len, sizeof draft->host - len, ":%u", (unsigned)place->port);
	}
	if (call->is_streamed) {
		snprintf(draft->payload, sizeof draft->payload, "UNSIGNED-PAYLOAD");
	} else {
		uint8_t sha256[SHA256_LEN];
		digest_sha256(call->body.data, call->body.len, sha256);
		hex_encode(sha256, sizeof sha256, draft->payload);
	}
	draft->now_s = (uint64_t)time(NULL);
	s3_time_format_amz(draft->now_s, draft->date);
	for (size_t i = 0; i < call->header_count; i++)
		draft->headers[draft->count++] = call->headers[i];
	add(draft, "host", bytes_of(draft->host));
	add(draft, "x-amz-date", bytes_make(draft->date, sizeof draft->date));
	add(draft, "x-amz-content-sha256", bytes_of(draft->payload));
	if (options->session_token)
		add(draft, "x-amz-security-token", bytes_of(options->session_token));
	uint64_t body_len = call->is_streamed ? call->body_len : call->body.len;
	if (body_len > 0 || strcmp(call->method, "PUT") == 0 || strcmp(call->method, "POST") == 0) {
		snprintf(draft->len, sizeof draft->len, "%llu", (unsigned long long)body_len);
		add(draft, "content-length", bytes_of(draft->len));
	}
	qsort(draft->headers, draft->count, sizeof draft->headers[0], compare_headers);
}

static void put_line(struct text_out *out, const char *name, struct bytes value)
{
	text_put_text(out, name);
	text_put_text(out, ": ");
	text_put_bytes(out, value);
	text_put_text(out, "\r\n");
}

static enum err draft_head(struct draft *draft, const struct s3_client_options *options,
	const struct s3_call *call, struct bytes *ret_head)
{
	struct text_out out;
	size_t names_len = 0;
	if (call->header_count > S3_CLIENT_CALL_HEADERS_MAX || !draft_target(draft, call))
		return ERR_LIMIT;
	draft_headers(draft, options, call);
	for (size_t i = 0; i < draft->count; i++)
		names_len += draft->headers[i].name.len + 1;
	if (names_len > SIGV4_SIGN_HEADER_NAMES_LEN_MAX)
		return ERR_LIMIT;
	struct sigv4_signer signer = {bytes_of(options->access_key_id), bytes_of(options->secret),
		bytes_of(options->region)};
	struct sigv4_request request = {.method = bytes_of(call->method),
		.path = draft->path,
		.query = &draft->query,
		.headers = draft->headers,
		.header_count = draft->count};
	text_out_init(&out, draft->authorization, sizeof draft->authorization);
	sigv4_sign(&signer, &request, draft->now_s, &out);
	struct bytes authorization = text_out_bytes(&out);
	bool is_short = out.overflowed;

	text_out_init(&out, draft->head, sizeof draft->head);
	text_put_text(&out, call->method);
	text_put_char(&out, ' ');
	text_put(&out, draft->target,
		draft->path.len + (call->query ? 1 + draft->query_text.len : 0));
	text_put_text(&out, " HTTP/1.1\r\n");
	put_line(&out, "user-agent", bytes_of("rubus/" RUBUS_VERSION));
	put_line(&out, "authorization", authorization);
	for (size_t i = 0; i < draft->count; i++) {
		text_put_bytes(&out, draft->headers[i].name);
		put_line(&out, "", draft->headers[i].value);
	}
	text_put_text(&out, "\r\n");
	*ret_head = text_out_bytes(&out);
	return out.overflowed || is_short ? ERR_LIMIT : ERR_OK;
}

enum err s3_client_send(struct s3_client *client, const struct s3_call *call)
{
	client->message[0] = client->code[0] = '\0';
	client->status = 0;
	struct draft *draft = malloc(sizeof *draft);
	if (!draft)
		return fail(client, ERR_NO_MEMORY, NULL);
	memset(draft, 0, offsetof(struct draft, query_buf));
	struct bytes head;
	enum err err = draft_head(draft, client->options, call, &head);
	if (err) {
		err = fail(client, err, "the request would be too long");
		goto out;
	}
	err = connect_it(client);
	if (err)
		goto out;
	client->keeps = false; /* until the answer says so */
	client->is_head = strcmp(call->method, "HEAD") == 0;
	err = s3_wire_write(client->wire, head.data, head.len);
	if (!err && !call->is_streamed && call->body.len > 0)
		err = s3_wire_write(client->wire, call->body.data, call->body.len);
	if (err)
		err = fail(client, err, NULL);
out:
	free(draft);
	return err;
}

/* --- what is answered ------------------------------------------------------------------------- */

/* Reads more behind what is there. */
static enum err fill(struct s3_client *client)
{
	if (client->in_pos == client->in_len)
		client->in_pos = client->in_len = 0;
	if (client->in_len == sizeof client->in && client->in_pos > 0) {
		memmove(client->in, client->in + client->in_pos, client->in_len - client->in_pos);
		client->in_len -= client->in_pos;
		client->in_pos = 0;
	}
	if (client->in_len == sizeof client->in)
		return ERR_LIMIT;
	size_t len;
	enum err err = s3_wire_read(client->wire, client->in + client->in_len,
		sizeof client->in - client->in_len, &len);
	if (!err)
		client->in_len += len;
	return err == ERR_END ? ERR_CLOSED : err;
}

/* Takes a line without its end off what is read. */
static enum err take_line(struct s3_client *client, struct bytes *ret_line)
{
	for (;;) {
		uint8_t *from = client->in + client->in_pos;
		size_t len = client->in_len - client->in_pos;
		uint8_t *end = memchr(from, '\n', len);
		if (end) {
			client->in_pos += end - from + 1;
			*ret_line = bytes_trim(bytes_make(from, end - from), "\r");
			return ERR_OK;
		}
		enum err err = fill(client);
		if (err)
			return err;
	}
}

static bool parse_number(struct bytes text, unsigned base, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i] | 0x20;
		unsigned digit = c >= '0' && c <= '9' ? c - '0'
			: c >= 'a' && c <= 'f'        ? c - 'a' + 10
						      : 99;
		if (digit >= base || value >> 58)
			return false;
		value = value * base + digit;
	}
	*ret_value = value;
	return text.len > 0;
}

static enum err parse_status(struct s3_client *client, struct bytes line)
{
	uint64_t status;
	if (!bytes_has_prefix(line, bytes_of("HTTP/1.")) || line.len < 12 ||
		!parse_number(bytes_make(line.data + 9, 3), 10, &status) || status < 100)
		return ERR_INVALID;
	client->status = status;
	client->keeps = line.data[7] == '1';
	return ERR_OK;
}

/* Keeps a header in head; *used is what is taken of it. */
static enum err keep_header(struct s3_client *client, struct bytes line, size_t *used)
{
	const uint8_t *colon = memchr(line.data, ':', line.len);
	if (!colon || colon == line.data)
		return ERR_INVALID;
	if (client->header_count == S3_CLIENT_HEADERS_MAX || sizeof client->head - *used < line.len)
		return ERR_LIMIT;
	uint8_t *to = client->head + *used;
	memcpy(to, line.data, line.len);
	*used += line.len;
	size_t name_len = colon - line.data;
	for (size_t i = 0; i < name_len; i++)
		to[i] = to[i] >= 'A' && to[i] <= 'Z' ? to[i] | 0x20 : to[i];
	client->headers[client->header_count++] = (struct http_header){bytes_make(to, name_len),
		bytes_trim(bytes_make(to + name_len + 1, line.len - name_len - 1), " \t")};
	return ERR_OK;
}

struct bytes s3_client_header(const struct s3_client *client, const char *name)
{
	for (size_t i = 0; i < client->header_count; i++)
		if (bytes_is_text(client->headers[i].name, name))
			return client->headers[i].value;
	return bytes_make(NULL, 0);
}

uint64_t s3_client_body_len(const struct s3_client *client)
{
	uint64_t len;
	return parse_number(s3_client_header(client, "content-length"), 10, &len) ? len
										  : UINT64_MAX;
}

static void find_framing(struct s3_client *client)
{
	if (bytes_is_text(s3_client_header(client, "connection"), "close"))
		client->keeps = false;
	client->is_chunk_begun = false;
	client->left = s3_client_body_len(client);
	if (client->is_head || client->status == 204 || client->status == 304)
		client->framing = S3_BODY_NONE;
	else if (bytes_is_text(s3_client_header(client, "transfer-encoding"), "chunked"))
		client->framing = S3_BODY_CHUNKS;
	else if (client->left != UINT64_MAX)
		client->framing = client->left > 0 ? S3_BODY_LEN : S3_BODY_NONE;
	else
		client->framing = S3_BODY_CLOSE;
}

static enum err read_head(struct s3_client *client)
{
	size_t used = 0;
	struct bytes line;
	client->header_count = 0;
	enum err err = take_line(client, &line);
	if (!err)
		err = parse_status(client, line);
	while (!err) {
		err = take_line(client, &line);
		if (err || line.len == 0)
			break;
		err = keep_header(client, line, &used);
	}
	return err;
}

/* The head that counts, behind 100 Continue and the like (K4). */
static enum err await_head(struct s3_client *client)
{
	unsigned count = 0;
	enum err err;
	s3_wire_limit_reads(client->wire, S3_WIRE_HEAD_MS_MAX);
	do
		err = count++ > S3_WIRE_INTERIMS_MAX ? ERR_LIMIT : read_head(client);
	while (!err && client->status < 200);
	s3_wire_limit_reads(client->wire, 0);
	return err;
}

enum err s3_client_answer(struct s3_client *client)
{
	enum err err = await_head(client);
	if (err)
		return fail(client, err, NULL);
	find_framing(client);
	return ERR_OK;
}

/* To the first byte of a chunk. ERR_END behind the last. */
static enum err begin_chunk(struct s3_client *client)
{
	struct bytes line;
	enum err err = ERR_OK;
	if (client->is_chunk_begun)
		err = take_line(client, &line); /* the end of the one before */
	if (!err)
		err = take_line(client, &line);
	if (err)
		return err;
	const uint8_t *extension = memchr(line.data, ';', line.len);
	if (extension)
		line.len = extension - line.data;
	if (!parse_number(bytes_trim(line, " \t"), 16, &client->left))
		return ERR_INVALID;
	client->is_chunk_begun = true;
	while (client->left == 0) {
		err = take_line(client, &line); /* trailers, and the empty line */
		if (err)
			return err;
		if (line.len == 0)
			return ERR_END;
	}
	return ERR_OK;
}

/* Some of the body that is framed by its length, or by the end of the connection. */
static enum err read_some(struct s3_client *client, void *buf, size_t cap, size_t *ret_len)
{
	size_t len = client->in_len - client->in_pos;
	if (cap > client->left)
		cap = client->left;
	if (len == 0)
		return s3_wire_read(client->wire, buf, cap, ret_len);
	if (len > cap)
		len = cap;
	memcpy(buf, client->in + client->in_pos, len);
	client->in_pos += len;
	*ret_len = len;
	return ERR_OK;
}

enum err s3_client_read(struct s3_client *client, void *buf, size_t cap, size_t *ret_len)
{
	enum err err = ERR_OK;
	if (client->framing == S3_BODY_CHUNKS && (client->left == 0 || !client->is_chunk_begun))
		err = begin_chunk(client);
	else if (client->framing == S3_BODY_NONE ||
		(client->framing == S3_BODY_LEN && client->left == 0))
		err = ERR_END;
	if (!err) {
		err = read_some(client, buf, cap, ret_len);
		if (err == ERR_END && client->framing != S3_BODY_CLOSE)
			err = ERR_CLOSED;
		if (!err && client->framing != S3_BODY_CLOSE)
			client->left -= *ret_len;
	}
	if (err && err != ERR_END)
		return fail(client, err, NULL);
	if (err == ERR_END) {
		client->keeps &= client->framing != S3_BODY_CLOSE;
		client->framing = S3_BODY_NONE;
	}
	return err;
}

enum err s3_client_drop(struct s3_client *client)
{
	uint8_t buf[4096];
	size_t len, total = 0;
	enum err err = ERR_OK;
	while (!err && total < S3_CLIENT_ERROR_LEN_MAX) {
		err = s3_client_read(client, buf, sizeof buf, &len);
		total += err ? 0 : len;
	}
	if (!err)
		disconnect(client); /* it is longer than it is worth */
	return err == ERR_END ? ERR_OK : err;
}

/* --- what is wrong ---------------------------------------------------------------------------- */

struct error_body {
	struct xml_in in;
	struct s3_client *client;
	char text[256];
};

static void on_open(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	(void)in, (void)depth, (void)name, (void)attributes;
}

static void on_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct error_body *body = CONTAINER_OF(in, struct error_body, in);
	if (depth == 2 && bytes_is_text(name, "Code"))
		snprintf(body->client->code, sizeof body->client->code, "%.*s", (int)text.len,
			(const char *)text.data);
	else if (depth == 2 && bytes_is_text(name, "Message"))
		snprintf(body->text, sizeof body->text, "%.*s", (int)text.len,
			(const char *)text.data);
}

static enum err read_error(struct s3_client *client, struct error_body *body)
{
	uint8_t buf[4096];
	size_t len;
	enum err err = xml_in_init(&body->in, on_open, on_close);
	if (err)
		return fail(client, err, NULL);
	do {
		err = s3_client_read(client, buf, sizeof buf, &len);
		/* What is no XML says nothing; the status does. */
		if (!err && xml_in_feed(&body->in, bytes_make(buf, len)) != S3_OK)
			err = s3_client_drop(client) ? ERR_CLOSED : ERR_END;
	} while (!err);
	xml_in_fini(&body->in);
	return err == ERR_END ? ERR_OK : err;
}

static enum err err_of_status(unsigned status)
{
	switch (status) {
	case 404:
		return ERR_NOT_FOUND;
	case 401:
	case 403:
		return ERR_DENIED;
	case 409:
		return ERR_CONFLICT;
	case 412:
		return ERR_PRECONDITION;
	case 501:
		return ERR_UNSUPPORTED;
	default:
		return status == 429 || status >= 500 ? ERR_UNAVAILABLE : ERR_REFUSED;
	}
}

enum err s3_client_refuse(struct s3_client *client)
{
	struct error_body *body = calloc(1, sizeof *body);
	if (!body)
		return fail(client, ERR_NO_MEMORY, NULL);
	body->client = client;
	struct bytes region = s3_client_header(client, "x-amz-bucket-region");
	enum err err = read_error(client, body);
	if (!err) {
		err = err_of_status(client->status);
		bool is_elsewhere = region.len > 0 &&
			!bytes_is_text(region, client->options->region) && client->status < 500;
		snprintf(client->message, sizeof client->message, "%.100s: %u %s%s%s%s%.*s",
			client->options->place.host, client->status, client->code,
			body->text[0] ? ": " : "", body->text,
			is_elsewhere ? "; its region is " : "", is_elsewhere ? (int)region.len : 0,
			(const char *)region.data);
	}
	free(body);
	return err;
}

/* Who refuses a body need not read it to its end. */
enum err s3_client_write(struct s3_client *client, const void *data, size_t len)
{
	enum err err = s3_wire_write(client->wire, data, len);
	if (err == ERR_CLOSED && await_head(client) == ERR_OK && client->status >= 300) {
		find_framing(client);
		client->keeps = false;
		return s3_client_refuse(client);
	}
	return err ? fail(client, err, NULL) : ERR_OK;
}

enum err s3_client_call(struct s3_client *client, const struct s3_call *call)
{
	assert(!call->is_streamed);
	enum err err = s3_client_send(client, call);
	if (!err)
		err = s3_client_answer(client);
	if (!err && (client->status < 200 || client->status > 299))
		err = s3_client_refuse(client);
	return err;
}
