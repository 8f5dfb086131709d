/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_COUNT_MAX 64
#define CACHE_LINE_LEN 64

/* The cells of one thread. A histogram has one for each bound, one above them, and the sum. */
struct metrics_shard {
	struct metrics *metrics;
	_Alignas(CACHE_LINE_LEN) _Atomic uint64_t cells[METRICS_CELL_COUNT_MAX];
};

struct metric {
	struct metrics_description description;
	size_t cell_index;
};

struct source {
	void (*collect)(void *arg, struct metrics_text *text);
	void *arg;
};

struct metrics {
	size_t shard_count;
	size_t metric_count;
	size_t cell_count;
	size_t source_count;
	struct metric metrics[METRICS_COUNT_MAX];
	struct source sources[SOURCE_COUNT_MAX];
	struct metrics_shard shards[];
};

struct metrics_text {
	char *data;
	size_t len, cap;
	enum err err;
	const char *family;
};

/* --- counting --------------------------------------------------------------------------------- */

enum err metrics_new(size_t shard_count, struct metrics **ret_metrics)
{
	assert(shard_count > 0 && shard_count <= METRICS_SHARD_COUNT_MAX);
	size_t len = sizeof(struct metrics) + shard_count * sizeof(struct metrics_shard);
	struct metrics *metrics = aligned_alloc(
		CACHE_LINE_LEN, (len + CACHE_LINE_LEN - 1) / CACHE_LINE_LEN * CACHE_LINE_LEN);
	if (!metrics)
		return ERR_NO_MEMORY;
	memset(metrics, 0, len);
	metrics->shard_count = shard_count;
	for (size_t i = 0; i < shard_count; i++)
		metrics->shards[i].metrics = metrics;
	*ret_metrics = metrics;
	return ERR_OK;
}

void metrics_free(struct metrics *metrics)
{
	free(metrics);
}

struct metrics_shard *metrics_shard_at(struct metrics *metrics, size_t index)
{
	assert(index < metrics->shard_count);
	return &metrics->shards[index];
}

enum err metrics_register(struct metrics *metrics, const struct metrics_description *description,
	unsigned *ret_metric)
{
	bool is_histogram = description->kind == METRICS_HISTOGRAM;
	size_t cell_count = is_histogram ? description->bound_count + 2 : 1;

	if (metrics->metric_count == METRICS_COUNT_MAX ||
		metrics->cell_count + cell_count > METRICS_CELL_COUNT_MAX)
		return ERR_LIMIT;
	struct metric *metric = &metrics->metrics[metrics->metric_count];
	metric->description = *description;
	metric->cell_index = metrics->cell_count;
	metrics->cell_count += cell_count;
	*ret_metric = metrics->metric_count++;
	return ERR_OK;
}

enum err metrics_register_source(
	struct metrics *metrics, void (*collect)(void *arg, struct metrics_text *text), void *arg)
{
	if (metrics->source_count == SOURCE_COUNT_MAX)
		return ERR_LIMIT;
	metrics->sources[metrics->source_count++] = (struct source){collect, arg};
	return ERR_OK;
}

static const struct metric *metric_at(const struct metrics *metrics, unsigned metric)
{
	assert(metric < metrics->metric_count);
	return &metrics->metrics[metric];
}

/* Only one thread writes to a cell, so a load and a store are an addition. */
static void add(_Atomic uint64_t *cell, uint64_t by)
{
	uint64_t value = atomic_load_explicit(cell, memory_order_relaxed);
	atomic_store_explicit(cell, value + by, memory_order_relaxed);
}

void metrics_count(struct metrics_shard *shard, unsigned metric, uint64_t by)
{
	add(&shard->cells[metric_at(shard->metrics, metric)->cell_index], by);
}

void metrics_set(struct metrics_shard *shard, unsigned metric, uint64_t value)
{
	const struct metric *m = metric_at(shard->metrics, metric);
	assert(m->description.kind == METRICS_GAUGE);
	atomic_store_explicit(&shard->cells[m->cell_index], value, memory_order_relaxed);
}

void metrics_observe(struct metrics_shard *shard, unsigned metric, uint64_t value)
{
	const struct metric *m = metric_at(shard->metrics, metric);
	size_t bound_count = m->description.bound_count, i = 0;

	assert(m->description.kind == METRICS_HISTOGRAM);
	while (i < bound_count && value > m->description.bounds[i])
		i++;
	add(&shard->cells[m->cell_index + i], 1);
	add(&shard->cells[m->cell_index + bound_count + 1], value);
}

/* --- text ------------------------------------------------------------------------------------- */

static bool make_room(struct metrics_text *text, size_t len)
{
	if (text->err != ERR_OK)
		return false;
	if (text->len + len < text->cap)
		return true;
	size_t cap = text->cap > 0 ? text->cap : 16384;
	while (cap <= text->len + len)
		cap *= 2;
	char *data = cap <= METRICS_TEXT_LEN_MAX ? realloc(text->data, cap) : NULL;
	if (!data) {
		text->err = cap <= METRICS_TEXT_LEN_MAX ? ERR_NO_MEMORY : ERR_LIMIT;
		return false;
	}
	text->data = data;
	text->cap = cap;
	return true;
}

__attribute__((format(printf, 2, 3))) static void print(
	struct metrics_text *text, const char *format, ...)
{
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	if (len > 0 && make_room(text, len + 1))
		text->len += vsnprintf(
			text->data + text->len, text->cap - text->len, format, again);
	va_end(again);
	va_end(args);
}

void metrics_text_family(
	struct metrics_text *text, const char *name, const char *help, enum metrics_kind kind)
{
	static const char *const kinds[] = {
		[METRICS_COUNTER] = "counter",
		[METRICS_GAUGE] = "gauge",
		[METRICS_HISTOGRAM] = "histogram",
	};
	text->family = name;
	print(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

void metrics_text_value(struct metrics_text *text, const char *labels, double value)
{
	assert(text->family);
	bool has_labels = labels && labels[0];
	print(text, "%s%s%s%s %.17g\n", text->family, has_labels ? "{" : "",
		has_labels ? labels : "", has_labels ? "}" : "", value);
}

size_t metrics_text_label(char *buf, size_t cap, const char *name, const char *value)
{
	assert(cap > strlen(name) + 4);
	size_t len = snprintf(buf, cap, "%s=\"", name);
	for (const char *c = value; *c && len + 4 < cap; c++) {
		if (*c == '"' || *c == '\\' || *c == '\n')
			buf[len++] = '\\';
		buf[len++] = *c == '\n' ? 'n' : *c;
	}
	buf[len++] = '"';
	buf[len] = 0;
	return len;
}

static uint64_t sum_of(const struct metrics *metrics, size_t cell_index)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < metrics->shard_count; i++)
		sum += atomic_load_explicit(
			&metrics->shards[i].cells[cell_index], memory_order_relaxed);
	return sum;
}

static void print_histogram(
	struct metrics_text *text, const struct metrics *metrics, const struct metric *metric)
{
	const struct metrics_description *d = &metric->description;
	const char *labels = d->labels ? d->labels : "", *comma = labels[0] ? "," : "";
	uint64_t count = 0;

	for (size_t i = 0; i < d->bound_count; i++) {
		count += sum_of(metrics, metric->cell_index + i);
		print(text, "%s_bucket{%s%sle=\"%.12g\"} %llu\n", d->name, labels, comma,
			d->bounds[i] * d->unit, (unsigned long long)count);
	}
	count += sum_of(metrics, metric->cell_index + d->bound_count);
	print(text, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", d->name, labels, comma,
		(unsigned long long)count);
	const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
	print(text, "%s_sum%s%s%s %.15g\n", d->name, open, labels, close,
		sum_of(metrics, metric->cell_index + d->bound_count + 1) * d->unit);
	print(text, "%s_count%s%s%s %llu\n", d->name, open, labels, close,
		(unsigned long long)count);
}

enum err metrics_format(struct metrics *metrics, char **ret_text, size_t *ret_len)
{
	struct metrics_text text = {0};

	for (size_t i = 0; i < metrics->metric_count; i++) {
		const struct metric *metric = &metrics->metrics[i];
		const struct metrics_description *d = &metric->description;
		if (i == 0 || strcmp(d->name, metrics->metrics[i - 1].description.name) != 0)
			metrics_text_family(&text, d->name, d->help, d->kind);
		if (d->kind == METRICS_HISTOGRAM)
			print_histogram(&text, metrics, metric);
		else
			metrics_text_value(&text, d->labels, sum_of(metrics, metric->cell_index));
	}
	for (size_t i = 0; i < metrics->source_count; i++)
		metrics->sources[i].collect(metrics->sources[i].arg, &text);
	if (!make_room(&text, 1)) {
		free(text.data);
		return text.err;
	}
	text.data[text.len] = 0;
	*ret_text = text.data;
	*ret_len = text.len;
	return ERR_OK;
}
