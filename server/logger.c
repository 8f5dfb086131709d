/* SPDX-License-Identifier: Apache-2.0 */
#include "server/logger.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "server/thread.h"
#include "storage/bytes.h"

#define WRITE_LEN_MAX 16384

struct logger {
	struct trace trace;
	int fd;
	bool is_json;
	bool is_closing;
	uint64_t dropped_count;
	size_t start, len; /* of what is in the ring */
	pthread_mutex_t lock;
	pthread_cond_t filled;
	pthread_t thread;
	char ring[LOGGER_RING_LEN];
};

/* --- lines ------------------------------------------------------------------------------------ */

static const char *const level_names[] = {
	[TRACE_DEBUG] = "debug",
	[TRACE_INFO] = "info",
	[TRACE_WARNING] = "warning",
	[TRACE_ERROR] = "error",
};

/* Words behind which a secret follows, up to the next character that ends it. */
static const char *const secrets[] = {"authorization", "signature", "x-amz-security-token",
	"x-amz-credential", "customer-key", "cookie", "secret", "password", "token"};

/* How long the secret's name at the start of text is, with what divides it from its value; 0 when
 * there is none. */
static size_t secret_name_len(const char *text)
{
	for (size_t i = 0; i < ARRAY_COUNT(secrets); i++) {
		size_t len = strlen(secrets[i]);
		if (strncasecmp(text, secrets[i], len) != 0)
			continue;
		if (text[len] != '=' && text[len] != ':')
			continue;
		len++;
		return len + strspn(text + len, " ");
	}
	return 0;
}

/* A value ends with its pair; that of a header, which may have blanks inside, with the line. */
static size_t secret_len(const char *text, char divider)
{
	return strcspn(text, divider == ':' ? "\r\n" : "&, ;\"'\r\n");
}

static size_t escape(char c, bool is_json, char out[8])
{
	uint8_t byte = c;

	if (is_json && (c == '"' || c == '\\'))
		return snprintf(out, 8, "\\%c", c);
	if (byte >= ' ' && byte != 0x7f && byte < 0x80)
		return snprintf(out, 8, "%c", c);
	return snprintf(out, 8, is_json ? "\\u%04x" : "\\x%02x", byte);
}

static size_t append_text(const char *text, bool is_json, char *buf, size_t cap)
{
	size_t len = 0;

	for (size_t i = 0; text[i] && len + 8 < cap;) {
		size_t name_len = secret_name_len(text + i);
		if (name_len > 0 && len + name_len + 8 < cap) {
			memcpy(buf + len, text + i, name_len);
			len += name_len;
			i += name_len;
			char divider = buf[len - 1];
			for (size_t at = len; divider == ' '; at--)
				divider = buf[at - 1];
			i += secret_len(text + i, divider);
			memcpy(buf + len, "***", 3);
			len += 3;
			continue;
		}
		len += escape(text[i++], is_json, buf + len);
	}
	return len;
}

size_t logger_format_line(bool is_json, enum trace_level level, uint64_t request_id,
	int64_t wall_ms, const char *text, char *buf, size_t cap)
{
	time_t second = wall_ms / 1000;
	struct tm tm;
	char date[32], id[24] = "";

	assert(cap >= 256);
	gmtime_r(&second, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	unsigned ms = wall_ms % 1000;
	size_t len;
	if (request_id != 0)
		snprintf(id, sizeof id, "%016llx", (unsigned long long)request_id);
	if (is_json)
		len = snprintf(buf, cap,
			"{\"time\":\"%s.%03uZ\",\"level\":\"%s\",%s%s%s\"text\":\"", date, ms,
			level_names[level], id[0] ? "\"request\":\"" : "", id, id[0] ? "\"," : "");
	else
		len = snprintf(buf, cap, "%s.%03uZ %-7s %s%s", date, ms, level_names[level], id,
			id[0] ? " " : "");
	len += append_text(text, is_json, buf + len, cap - len - 4);
	len += snprintf(buf + len, cap - len, is_json ? "\"}\n" : "\n");
	return len;
}

/* --- the ring --------------------------------------------------------------------------------- */

static bool push(struct logger *logger, const char *line, size_t len)
{
	if (len > LOGGER_RING_LEN - logger->len)
		return false;
	size_t end = (logger->start + logger->len) % LOGGER_RING_LEN;
	size_t first = len < LOGGER_RING_LEN - end ? len : LOGGER_RING_LEN - end;
	memcpy(logger->ring + end, line, first);
	memcpy(logger->ring, line + first, len - first);
	logger->len += len;
	return true;
}

static int64_t now_wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void push_dropped(struct logger *logger)
{
	char line[512], text[64];

	if (logger->dropped_count == 0)
		return;
	snprintf(text, sizeof text, "%llu lines were dropped",
		(unsigned long long)logger->dropped_count);
	size_t len = logger_format_line(
		logger->is_json, TRACE_WARNING, 0, now_wall_ms(), text, line, sizeof line);
	if (push(logger, line, len))
		logger->dropped_count = 0;
}

static void event(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *text)
{
	struct logger *logger = CONTAINER_OF(trace, struct logger, trace);
	char line[LOGGER_LINE_LEN_MAX];
	size_t len = logger_format_line(
		logger->is_json, level, request_id, now_wall_ms(), text, line, sizeof line);

	pthread_mutex_lock(&logger->lock);
	push_dropped(logger);
	if (logger->dropped_count > 0 || !push(logger, line, len))
		logger->dropped_count++;
	pthread_cond_signal(&logger->filled);
	pthread_mutex_unlock(&logger->lock);
}

/* Takes some bytes off the ring; 0 when the log is closing and nothing is left. */
static size_t pop(struct logger *logger, char buf[WRITE_LEN_MAX])
{
	pthread_mutex_lock(&logger->lock);
	while (logger->len == 0 && !logger->is_closing)
		pthread_cond_wait(&logger->filled, &logger->lock);
	size_t len = logger->len < WRITE_LEN_MAX ? logger->len : WRITE_LEN_MAX;
	if (len > LOGGER_RING_LEN - logger->start)
		len = LOGGER_RING_LEN - logger->start;
	memcpy(buf, logger->ring + logger->start, len);
	logger->start = (logger->start + len) % LOGGER_RING_LEN;
	logger->len -= len;
	pthread_mutex_unlock(&logger->lock);
	return len;
}

/* There is nowhere to report that the log cannot be written. */
static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
}

static void *run(void *arg)
{
	struct logger *logger = arg;
	char buf[WRITE_LEN_MAX];

	thread_set_name("logger");
	for (size_t len; (len = pop(logger, buf)) > 0;)
		write_all(logger->fd, buf, len);
	return NULL;
}

enum err logger_open(const struct logger_options *options, struct logger **ret_logger)
{
	static const struct trace_ops ops = {.event = event};
	struct logger *logger = calloc(1, sizeof *logger);

	if (!logger)
		return ERR_NO_MEMORY;
	logger->trace = (struct trace){.ops = &ops, .level = options->level};
	logger->fd = options->fd;
	logger->is_json = options->is_json;
	pthread_mutex_init(&logger->lock, NULL);
	pthread_cond_init(&logger->filled, NULL);
	enum err err = thread_start(&logger->thread, run, logger);
	if (err != ERR_OK) {
		pthread_cond_destroy(&logger->filled);
		pthread_mutex_destroy(&logger->lock);
		free(logger);
		return err;
	}
	*ret_logger = logger;
	return ERR_OK;
}

void logger_close(struct logger *logger)
{
	if (!logger)
		return;
	pthread_mutex_lock(&logger->lock);
	push_dropped(logger);
	logger->is_closing = true;
	pthread_cond_signal(&logger->filled);
	pthread_mutex_unlock(&logger->lock);
	pthread_join(logger->thread, NULL);
	pthread_cond_destroy(&logger->filled);
	pthread_mutex_destroy(&logger->lock);
	free(logger);
}

struct trace *logger_trace(struct logger *logger)
{
	return &logger->trace;
}
