/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NODE_WEBHOOKS_H
#define SERVER_NODE_WEBHOOKS_H

#include "server/webhook.h"
#include "storage/loop.h"

struct config;
struct metrics_text;

/* The webhooks of a node's settings, and who tells them. */
struct node_webhooks {
	unsigned count;
	struct bytes names[NOTIFIER_WEBHOOKS_MAX];
	struct webhook *webhooks[NOTIFIER_WEBHOOKS_MAX];
	struct notifier notifier;
	bool is_running;
};

/* Begins, on the store's loop, also without webhooks. config is borrowed. Errors: ERR_NO_MEMORY,
 * ERR_LIMIT; node_webhooks_close() is due also then. */
MUST_USE enum err node_webhooks_start(
	struct node_webhooks *webhooks, const struct config *config, struct store_loop *store);

/* Ends, on that loop; stopped() follows, never inside the call. Only while is_running. */
void node_webhooks_stop(struct node_webhooks *webhooks, void (*stopped)(struct notifier *notifier));

/* Frees them, after the end. Blocks; not on a loop. */
void node_webhooks_close(struct node_webhooks *webhooks);

/* Writes what they were told: a part of a scrape. */
void node_webhooks_metrics(const struct node_webhooks *webhooks, struct metrics_text *text);

#endif
