/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LOGGER_H
#define SERVER_LOGGER_H

#include "storage/err.h"
#include <stdbool.h>
#include <stddef.h>

#include "storage/trace.h"

/* Turns trace events into lines, of text or JSON, on one descriptor.
 *
 * Events are put into a ring under a lock and written by a thread of the log's own, so that nobody
 * waits for a terminal or a pipe. When the ring is full, lines are dropped and counted; the next
 * line that fits says how many. Control characters are escaped, and what signs a request or proves
 * an identity is blanked out, whoever put it there.
 */
struct logger;

#define LOGGER_RING_LEN (256 * 1024)
#define LOGGER_LINE_LEN_MAX 4096

struct logger_options {
	int fd; /* borrowed; usually 2 */
	bool is_json;
	enum trace_level level;
};

/* Starts the log's thread. Errors: ERR_NO_MEMORY, ERR_LIMIT. */
enum err logger_open(const struct logger_options *options, struct logger **ret_logger) MUST_USE;

/* Writes what is in the ring and ends. NULL is fine. */
void logger_close(struct logger *logger);

/* The seam; borrowed until logger_close(). Its level may be changed at any time. */
struct trace *logger_trace(struct logger *logger);

/* Formats one event as a line with its end; for tests. Gives the length, less than cap. */
size_t logger_format_line(bool is_json, enum trace_level level, uint64_t request_id,
	int64_t wall_ms, const char *text, char *buf, size_t cap);

#endif
