/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_webhooks.h"

#include "server/config.h"
#include "server/metrics.h"

enum err node_webhooks_start(
	struct node_webhooks *webhooks, const struct config *config, struct store_loop *store)
{
	struct notifier_door *doors[NOTIFIER_WEBHOOKS_MAX];
	assert(config->notify_count <= NOTIFIER_WEBHOOKS_MAX);
	for (unsigned i = 0; i < config->notify_count; i++) {
		const struct config_webhook *one = &config->notify[i];
		struct webhook_setup setup = {
			one->name, one->url, one->token_file, one->certificate};
		enum err err = webhook_new(&setup, &webhooks->webhooks[i]);
		if (err)
			return err;
		webhooks->count = i + 1;
		webhooks->names[i] = bytes_of(one->name);
		doors[i] = webhook_door(webhooks->webhooks[i]);
	}
	struct notifier_setup setup = {.store = store,
		.region = bytes_of(config->region),
		.webhook_count = webhooks->count,
		.names = webhooks->names,
		.doors = doors};
	enum err err = notifier_start(&webhooks->notifier, &setup);
	webhooks->is_running = err == ERR_OK;
	return err;
}

void node_webhooks_stop(struct node_webhooks *webhooks, void (*stopped)(struct notifier *notifier))
{
	assert(webhooks->is_running);
	webhooks->is_running = false;
	for (unsigned i = 0; i < webhooks->count; i++)
		webhook_stop(webhooks->webhooks[i]);
	notifier_stop(&webhooks->notifier, stopped);
}

void node_webhooks_close(struct node_webhooks *webhooks)
{
	for (unsigned i = 0; i < webhooks->count; i++)
		webhook_free(webhooks->webhooks[i]);
	webhooks->count = 0;
}

static void write_family(const struct node_webhooks *webhooks, struct metrics_text *text,
	const char *name, const char *help, enum metrics_kind kind, size_t offset)
{
	metrics_text_family(text, name, help, kind);
	for (unsigned i = 0; i < webhooks->notifier.webhook_count; i++) {
		const struct notifier_webhook *webhook = &webhooks->notifier.webhooks[i];
		char label[NOTICE_TARGET_LEN_MAX + 32];
		metrics_text_label(
			label, sizeof label, "webhook", (const char *)webhook->name.data);
		uint64_t value;
		memcpy(&value, (const char *)&webhook->counters + offset, sizeof value);
		metrics_text_value(text, label, value);
	}
}

void node_webhooks_metrics(const struct node_webhooks *webhooks, struct metrics_text *text)
{
	if (!webhooks->is_running || webhooks->count == 0)
		return;
	write_family(webhooks, text, "rubus_notices_told_total",
		"Bucket notifications that a webhook took from this node.", METRICS_COUNTER,
		offsetof(struct notifier_counters, told));
	write_family(webhooks, text, "rubus_notices_failed_total",
		"Posts to a webhook that failed; they are made again.", METRICS_COUNTER,
		offsetof(struct notifier_counters, failed));
	write_family(webhooks, text, "rubus_notices_given_up_total",
		"Bucket notifications that grew too old for a webhook.", METRICS_COUNTER,
		offsetof(struct notifier_counters, given_up));
	write_family(webhooks, text, "rubus_notices_waiting",
		"Bucket notifications that wait for a webhook.", METRICS_GAUGE,
		offsetof(struct notifier_counters, waiting));
	write_family(webhooks, text, "rubus_notices_dropped",
		"Bucket notifications that were not kept, as too many waited.", METRICS_GAUGE,
		offsetof(struct notifier_counters, dropped));
}
