/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_TRACE_H
#define STORAGE_TRACE_H

#include <stdint.h>

/* Events: how storage and gateway tell what they did. They never print. The server turns events
 * into log lines and counters; a test keeps them as the transcript it compares. */
enum trace_level {
	TRACE_DEBUG, /* steps of operations; off unless asked for */
	TRACE_INFO, /* what an owner of the machine wants to know */
	TRACE_WARNING, /* something was lost and made good */
	TRACE_ERROR, /* something needs the owner */
};

struct trace;

struct trace_ops {
	void (*event)(
		struct trace *trace, enum trace_level level, uint64_t request_id, const char *text);
};

struct trace {
	const struct trace_ops *ops;
	enum trace_level level; /* less is not formatted */
};

/* Formats one event of up to 500 bytes. request_id is 0 where no request is the cause. Any thread.
 * Does not block on anything but the log's own lock. */
__attribute__((format(printf, 4, 5))) void trace_event(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *format, ...);

#endif
