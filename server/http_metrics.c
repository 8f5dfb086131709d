/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_metrics.h"

#include "server/http_hub.h"
#include "server/metrics.h"

#define LABELS_LEN 128
#define GROUP_COUNT_MAX 8

struct group {
	char labels[LABELS_LEN];
	struct http_counts counts;
	unsigned connections;
};

static const struct {
	const char *name, *help;
	size_t offset;
} rows[] = {
#define ROW(member, suffix, help) \
	{ \
		"rubus_http_" suffix, help, offsetof(struct http_counts, member) \
	}
	ROW(connections, "connections_total", "Connections accepted."),
	ROW(requests, "requests_total", "Requests whose head was accepted."),
	ROW(refused, "refused_total", "Connections ended because what they sent is no request."),
	ROW(timeouts, "timeouts_total", "Exchanges in which the client was too slow."),
	ROW(cut, "cut_total", "Exchanges that ended before the answer was complete."),
	ROW(evicted, "evicted_total", "Connections closed to make room for others."),
	ROW(bytes_in, "received_bytes_total", "Bytes of requests."),
	ROW(bytes_out, "sent_bytes_total", "Bytes of answers."),
#undef ROW
};

static size_t add_up(const struct http_metrics *groups, struct group sums[GROUP_COUNT_MAX])
{
	size_t count = 0;

	for (; groups[count].name && count < GROUP_COUNT_MAX; count++) {
		struct group *sum = &sums[count];
		*sum = (struct group){0};
		metrics_text_label(sum->labels, LABELS_LEN, "listener", groups[count].name);
		for (size_t i = 0; i < groups[count].hub_count; i++) {
			http_hub_add_counts(groups[count].hubs[i], &sum->counts);
			sum->connections += http_hub_connection_count(groups[count].hubs[i]);
		}
	}
	return count;
}

static void collect_statuses(struct metrics_text *text, const struct group *sums, size_t count)
{
	metrics_text_family(text, "rubus_http_responses_total",
		"Answers, by the class of their status.", METRICS_COUNTER);
	for (size_t i = 0; i < count; i++) {
		for (unsigned class = 2; class < ARRAY_COUNT(sums[i].counts.statuses); class ++) {
			char labels[2 * LABELS_LEN], code[] = "0xx";
			code[0] += class;
			size_t len = strlen(sums[i].labels);
			memcpy(labels, sums[i].labels, len);
			labels[len++] = ',';
			metrics_text_label(labels + len, sizeof labels - len, "code", code);
			metrics_text_value(text, labels, sums[i].counts.statuses[class]);
		}
	}
}

static void collect(void *arg, struct metrics_text *text)
{
	struct group sums[GROUP_COUNT_MAX];
	size_t count = add_up(arg, sums);

	metrics_text_family(
		text, "rubus_http_connections", "Connections that are open.", METRICS_GAUGE);
	for (size_t i = 0; i < count; i++)
		metrics_text_value(text, sums[i].labels, sums[i].connections);
	for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
		metrics_text_family(text, rows[row].name, rows[row].help, METRICS_COUNTER);
		for (size_t i = 0; i < count; i++) {
			uint64_t value;
			memcpy(&value, (const char *)&sums[i].counts + rows[row].offset,
				sizeof value);
			metrics_text_value(text, sums[i].labels, value);
		}
	}
	collect_statuses(text, sums, count);
}

enum err http_metrics_register(struct metrics *metrics, const struct http_metrics *groups)
{
	return metrics_register_source(metrics, collect, (void *)groups);
}
