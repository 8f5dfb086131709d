/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/trace.h"

#include <stdarg.h>
#include <stdio.h>

void trace_event(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *format, ...)
{
	if (!trace || level < trace->level)
		return;
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	trace->ops->event(trace, level, request_id, text);
}
