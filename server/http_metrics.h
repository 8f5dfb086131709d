/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_METRICS_H
#define SERVER_HTTP_METRICS_H

#include <stddef.h>

#include "storage/err.h"

struct http_hub;
struct metrics;

/* What the hubs of one listener have counted, as metrics with the label listener="name". Lives as
 * long as the metrics; the members are the module's own. */
struct http_metrics {
	const char *name;
	struct http_hub *const *hubs;
	size_t hub_count;
};

/* Registers a source for several groups of hubs: rubus_http_connections, .._requests_total and so
 * on. groups is borrowed, and ends with one whose name is NULL. Errors: ERR_LIMIT. */
enum err http_metrics_register(struct metrics *metrics, const struct http_metrics *groups) MUST_USE;

#endif
