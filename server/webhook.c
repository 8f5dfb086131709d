/* SPDX-License-Identifier: Apache-2.0 */
#include "server/webhook.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/s3_wire.h"
#include "server/worker_threads.h"

#define WEBHOOK_MAGIC 0x57454248

struct webhook {
	uint32_t magic;
	struct notifier_door door;
	struct webhook_url url;
	const char *token_file, *certificate; /* NULL: none */
	struct worker_threads *thread;
	atomic_bool is_stopping;
	struct work work;
	struct notifier_post *post; /* in flight */
	enum err err;

	/* Of the thread. */
	struct s3_wire *wire; /* kept; NULL: none */
	char head[WEBHOOK_HEAD_LEN_MAX];
	size_t head_len; /* bytes that were read, and may go beyond the head */
	char request[WEBHOOK_PATH_LEN_MAX + WEBHOOK_TOKEN_LEN_MAX + 1024 + NOTICE_JSON_LEN_MAX];
};

/* --- the address ------------------------------------------------------------------------------ */

static bool parse_port(const char *text, size_t len, uint16_t *ret_port)
{
	unsigned port = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || port > UINT16_MAX)
			return false;
		port = port * 10 + (text[i] - '0');
	}
	*ret_port = port;
	return len > 0 && port > 0 && port <= UINT16_MAX;
}

static bool is_clean(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '#' || text[i] == '@')
			return false;
	return true;
}

bool webhook_parse_url(const char *text, struct webhook_url *ret_url)
{
	struct webhook_url url = {.is_tls = strncmp(text, "https://", 8) == 0};
	if (!url.is_tls && strncmp(text, "http://", 7) != 0)
		return false;
	text += url.is_tls ? 8 : 7;
	size_t len = strcspn(text, "/?");
	const char *path = text + len;
	const char *host = text, *colon = memrchr(text, ':', len);
	if (*host == '[') { /* an address of IPv6, which has colons of its own */
		const char *end = memchr(host, ']', len);
		if (!end)
			return false;
		colon = end + 1 < text + len ? end + 1 : NULL;
		if (colon && *colon != ':')
			return false;
		host++;
		len = end - host;
	} else if (colon) {
		len = colon - host;
	}
	url.port = url.is_tls ? 443 : 80;
	if (colon && !parse_port(colon + 1, path - colon - 1, &url.port))
		return false;
	if (len == 0 || len > WEBHOOK_HOST_LEN_MAX || !is_clean(host, len) ||
		strlen(path) + 1 > WEBHOOK_PATH_LEN_MAX || !is_clean(path, strlen(path)))
		return false;
	memcpy(url.host, host, len);
	snprintf(url.path, sizeof url.path, "%s%.1000s", *path == '/' ? "" : "/", path);
	*ret_url = url;
	return true;
}

/* --- the request ------------------------------------------------------------------------------ */

/* Reads the token's file: its first line. Errors: ERR_INVALID, and those of files. */
static enum err read_token(const char *path, char *token)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return ERR_DENIED;
	size_t len = fread(token, 1, WEBHOOK_TOKEN_LEN_MAX, file);
	bool is_whole = !ferror(file) && feof(file);
	fclose(file);
	token[len] = '\0';
	token[strcspn(token, "\r\n")] = '\0';
	if (!is_whole || token[0] == '\0')
		return ERR_INVALID;
	for (const char *p = token; *p; p++)
		if (*p < ' ' || *p >= 0x7f)
			return ERR_INVALID;
	return ERR_OK;
}

/* Head and body, to be written at once. */
static enum err make_request(struct webhook *webhook, struct bytes body, size_t *ret_len)
{
	const struct webhook_url *url = &webhook->url;
	char token[WEBHOOK_TOKEN_LEN_MAX + 1] = "";
	enum err err = webhook->token_file ? read_token(webhook->token_file, token) : ERR_OK;
	if (err)
		return err;
	bool is_v6 = strchr(url->host, ':');
	bool is_bare = token[0] && !strchr(token, ' ');
	int len = snprintf(webhook->request, sizeof webhook->request,
		"POST %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUser-Agent: rubus\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n%s%s%s%s\r\n",
		url->path, is_v6 ? "[" : "", url->host, is_v6 ? "]" : "", (unsigned)url->port,
		body.len, token[0] ? "Authorization: " : "", is_bare ? "Bearer " : "", token,
		token[0] ? "\r\n" : "");
	explicit_bzero(token, sizeof token);
	assert(len > 0 && len + body.len < sizeof webhook->request);
	memcpy(webhook->request + len, body.data, body.len);
	*ret_len = len + body.len;
	return ERR_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

/* What an answer's head says. */
struct answer {
	unsigned status;
	bool is_kept; /* the connection may be used again */
	bool has_len;
	size_t len;
};

static bool take_header(const char *line, const char *name, const char **ret_value)
{
	size_t len = strlen(name);
	if (strncasecmp(line, name, len) != 0 || line[len] != ':')
		return false;
	*ret_value = line + len + 1 + strspn(line + len + 1, " \t");
	return true;
}

static bool parse_head(char *head, struct answer *ret_answer)
{
	char *rest = NULL;
	char *line = strtok_r(head, "\r\n", &rest);
	struct answer answer = {.is_kept = true};
	unsigned minor;
	if (!line || sscanf(line, "HTTP/1.%1u %3u", &minor, &answer.status) != 2 ||
		answer.status < 100 || answer.status > 599)
		return false;
	answer.is_kept = minor == 1;
	while ((line = strtok_r(NULL, "\r\n", &rest))) {
		const char *value;
		char *end;
		if (take_header(line, "connection", &value)) {
			answer.is_kept &= strcasestr(value, "close") == NULL;
		} else if (take_header(line, "transfer-encoding", &value)) {
			answer.is_kept = false;
		} else if (take_header(line, "content-length", &value)) {
			answer.len = strtoul(value, &end, 10);
			answer.has_len = isdigit((unsigned char)*value) && *end == '\0';
			answer.is_kept &= answer.has_len;
		}
	}
	*ret_answer = answer;
	return true;
}

/* Reads up to the end of a head; what is behind it stays in webhook->head. */
static enum err read_head(struct webhook *webhook, struct answer *ret_answer)
{
	for (;;) {
		char *end = memmem(webhook->head, webhook->head_len, "\r\n\r\n", 4);
		if (end) {
			size_t len = end + 4 - webhook->head;
			bool has_nul = memchr(webhook->head, '\0', len) != NULL;
			end[2] = '\0';
			if (has_nul || !parse_head(webhook->head, ret_answer))
				return ERR_INVALID;
			webhook->head_len -= len;
			memmove(webhook->head, webhook->head + len, webhook->head_len);
			return ERR_OK;
		}
		size_t len;
		if (webhook->head_len == sizeof webhook->head)
			return ERR_LIMIT;
		enum err err = s3_wire_read(webhook->wire, webhook->head + webhook->head_len,
			sizeof webhook->head - webhook->head_len, &len);
		if (err)
			return err;
		webhook->head_len += len;
	}
}

/* Reads over the body, so that the connection can be used again. */
static bool skip_body(struct webhook *webhook, const struct answer *answer)
{
	bool has_none = answer->status == 204 || answer->status == 304;
	size_t left = has_none ? 0 : answer->len;
	if (!answer->is_kept || (!has_none && !answer->has_len) || left > WEBHOOK_ANSWER_LEN_MAX ||
		webhook->head_len > left)
		return false;
	left -= webhook->head_len;
	while (left > 0) {
		size_t len, cap = left < sizeof webhook->head ? left : sizeof webhook->head;
		if (s3_wire_read(webhook->wire, webhook->head, cap, &len) != ERR_OK)
			return false;
		left -= len;
	}
	return true;
}

static void hang_up(struct webhook *webhook)
{
	s3_wire_close(webhook->wire);
	webhook->wire = NULL;
}

/* Errors: of the connection before anything was answered, *ret_is_silent. */
static enum err exchange(struct webhook *webhook, struct bytes body, bool *ret_is_silent)
{
	struct answer answer = {.status = 0};
	size_t len;
	*ret_is_silent = false;
	enum err err = make_request(webhook, body, &len);
	if (err)
		return err;
	webhook->head_len = 0;
	err = s3_wire_write(webhook->wire, webhook->request, len);
	explicit_bzero(webhook->request, len); /* (W3) */
	s3_wire_limit_reads(webhook->wire, S3_WIRE_HEAD_MS_MAX);
	for (unsigned count = 0; !err && answer.status < 200; count++)
		err = count > S3_WIRE_INTERIMS_MAX ? ERR_LIMIT : read_head(webhook, &answer);
	*ret_is_silent = err && webhook->head_len == 0 && answer.status == 0;
	if (err)
		return err == ERR_END ? ERR_CLOSED : err;
	bool is_skipped = skip_body(webhook, &answer);
	s3_wire_limit_reads(webhook->wire, 0);
	if (!is_skipped)
		hang_up(webhook);
	return answer.status < 300 ? ERR_OK : ERR_DENIED;
}

static enum err connect_to(struct webhook *webhook)
{
	char message[S3_WIRE_MESSAGE_LEN];
	return s3_wire_open(&(struct s3_wire_place){.host = webhook->url.host,
				    .port = webhook->url.port,
				    .is_tls = webhook->url.is_tls,
				    .certificate = webhook->certificate,
				    .stop = &webhook->is_stopping},
		message, &webhook->wire);
}

static enum err post_once(struct webhook *webhook, struct bytes body)
{
	bool was_kept = webhook->wire != NULL, is_silent = false;
	enum err err = was_kept ? ERR_OK : connect_to(webhook);
	if (!err)
		err = exchange(webhook, body, &is_silent);
	if (err && err != ERR_DENIED && webhook->wire)
		hang_up(webhook);
	if (!err || !was_kept || !is_silent)
		return err;
	err = connect_to(webhook); /* (W2) */
	if (!err)
		err = exchange(webhook, body, &is_silent);
	if (err && err != ERR_DENIED && webhook->wire)
		hang_up(webhook);
	return err;
}

/* --- the seam --------------------------------------------------------------------------------- */

static void run(struct work *work)
{
	struct webhook *webhook = CONTAINER_OF(work, struct webhook, work);
	webhook->err = post_once(webhook, webhook->post->body);
}

static void done(struct work *work)
{
	struct webhook *webhook = CONTAINER_OF(work, struct webhook, work);
	struct notifier_post *post = webhook->post;
	webhook->post = NULL;
	post->err = webhook->err;
	post->done(post);
}

static void post(struct notifier_door *door, struct notifier_post *post)
{
	struct webhook *webhook = CONTAINER_OF(door, struct webhook, door);
	assert(webhook->magic == WEBHOOK_MAGIC && !webhook->post);
	webhook->post = post;
	webhook->work = (struct work){.run = run, .done = done, .loop = post->loop};
	worker_submit(worker_threads_worker(webhook->thread), &webhook->work);
}

static const char *set_or_null(const char *text)
{
	return text && text[0] ? text : NULL;
}

enum err webhook_new(const struct webhook_setup *setup, struct webhook **ret_webhook)
{
	struct webhook *webhook = calloc(1, sizeof *webhook);
	if (!webhook)
		return ERR_NO_MEMORY;
	webhook->magic = WEBHOOK_MAGIC;
	webhook->door.post = post;
	webhook->token_file = set_or_null(setup->token_file);
	webhook->certificate = set_or_null(setup->certificate);
	bool is_url = webhook_parse_url(setup->url, &webhook->url);
	assert(is_url);
	enum err err = worker_threads_new("webhook", 1, &webhook->thread);
	if (err) {
		free(webhook);
		return err;
	}
	*ret_webhook = webhook;
	return ERR_OK;
}

struct notifier_door *webhook_door(struct webhook *webhook)
{
	return &webhook->door;
}

void webhook_stop(struct webhook *webhook)
{
	atomic_store(&webhook->is_stopping, true);
}

void webhook_free(struct webhook *webhook)
{
	if (!webhook)
		return;
	assert(webhook->magic == WEBHOOK_MAGIC && !webhook->post);
	worker_threads_free(webhook->thread);
	s3_wire_close(webhook->wire);
	webhook->magic = 0;
	free(webhook);
}
