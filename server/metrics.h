/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "storage/err.h"

/* Numbers about this process, in Prometheus' text format.
 *
 * (M1) Every loop counts in a shard of its own, without locks and without atomic additions; a
 * scrape adds the shards up. (M2) Metrics are registered at start, before the first is counted and
 * before the first scrape. Those of one name follow each other. (M3) What is known elsewhere is not
 * counted a second time: a source is asked at each scrape (P7).
 */
struct metrics;
struct metrics_shard;
struct metrics_text;

enum metrics_kind {
	METRICS_COUNTER,
	METRICS_GAUGE,
	METRICS_HISTOGRAM,
};

#define METRICS_SHARD_COUNT_MAX 64
#define METRICS_COUNT_MAX 256
#define METRICS_CELL_COUNT_MAX 2048 /* of one shard */
#define METRICS_TEXT_LEN_MAX (4 * 1024 * 1024)

/* A metric, described by its owner. Texts are borrowed for the life of the metrics; they come from
 * the program, not from clients. */
struct metrics_description {
	const char *name;
	const char *help;
	const char *labels; /* as in the text, code="2xx"; NULL is none */
	enum metrics_kind kind;
	/* Of a histogram: upper bounds, rising, of whole units; and what one unit is in the text.
	 */
	const uint64_t *bounds;
	size_t bound_count;
	double unit;
};

/* Errors: ERR_NO_MEMORY. */
enum err metrics_new(size_t shard_count, struct metrics **ret_metrics) MUST_USE;
void metrics_free(struct metrics *metrics);

/* The shard of one thread. */
struct metrics_shard *metrics_shard_at(struct metrics *metrics, size_t index);

/* Registers a metric and gives the number by which it is counted. Errors: ERR_LIMIT. */
enum err metrics_register(struct metrics *metrics, const struct metrics_description *description,
	unsigned *ret_metric) MUST_USE;

/* Registers what writes text of its own at each scrape. Errors: ERR_LIMIT. */
enum err metrics_register_source(struct metrics *metrics,
	void (*collect)(void *arg, struct metrics_text *text), void *arg) MUST_USE;

/* Only by the thread whose shard it is. A gauge is the sum of what the shards were set to. */
void metrics_count(struct metrics_shard *shard, unsigned metric, uint64_t by);
void metrics_set(struct metrics_shard *shard, unsigned metric, uint64_t value);
void metrics_observe(struct metrics_shard *shard, unsigned metric, uint64_t value);

/* Writes everything. Gives memory that the caller frees. Any thread; one scrape or many at once.
 * Errors: ERR_NO_MEMORY, ERR_LIMIT. */
enum err metrics_format(struct metrics *metrics, char **ret_text, size_t *ret_len) MUST_USE;

/* For sources. A family is begun once, then its values follow. Values of labels that come from
 * outside go through metrics_text_label(). */
void metrics_text_family(
	struct metrics_text *text, const char *name, const char *help, enum metrics_kind kind);
void metrics_text_value(struct metrics_text *text, const char *labels, double value);

/* Writes name="value" with the value escaped; what does not fit is cut off. Gives the length. */
size_t metrics_text_label(char *buf, size_t cap, const char *name, const char *value);

#endif
