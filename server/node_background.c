/* SPDX-License-Identifier: Apache-2.0 */
/* What runs beside the clients, on the first of their loops: collector, expirer, notifier, mender,
 * and who looks after the claims of drives. */
#include "server/fares.h"
#include "server/node_priv.h"

#define STOP_PATIENCE_MS 2000

static enum err start(void *arg)
{
	struct node *node = arg;
	enum err err = collect_start(&node->collector, &node->store_loops[0]);
	if (err)
		return err;
	node->is_collecting = true;
	err = expire_start(&node->expirer, &node->store_loops[0],
		(uint64_t)node->config->lifecycle_day_seconds * 1000);
	if (err)
		return err;
	node->is_expiring = true;
	err = node_webhooks_start(&node->webhooks, node->config, &node->store_loops[0]);
	if (err)
		return err;
	mender_start(&node->mender,
		&(struct mender_setup){.store = &node->store_loops[0],
			.scrub_period_ms = SCRUB_PERIOD_MS,
			.load = fares_see,
			.load_arg = node});
	node->is_mending = true;
	node_claims_start(&node->claims, node);
	return ERR_OK;
}

enum err node_start_background(struct node *node)
{
	return loop_call(server_loop_base(node->loops[0]), start, node);
}

/* What is waited for; one at a time, by the main thread. */
static struct completion stopped;

static void collector_stopped(struct collector *collector)
{
	(void)collector;
	completion_end(&stopped, ERR_OK);
}

static void mender_stopped(struct mender *mender)
{
	(void)mender;
	completion_end(&stopped, ERR_OK);
}

static void expirer_stopped(struct expirer *expirer)
{
	(void)expirer;
	completion_end(&stopped, ERR_OK);
}

static enum err stop_expirer(void *arg)
{
	struct node *node = arg;
	expire_stop(&node->expirer, expirer_stopped);
	return ERR_OK;
}

static void webhooks_stopped(struct notifier *notifier)
{
	(void)notifier;
	completion_end(&stopped, ERR_OK);
}

static enum err stop_webhooks(void *arg)
{
	struct node *node = arg;
	node_webhooks_stop(&node->webhooks, webhooks_stopped);
	return ERR_OK;
}

static enum err stop_mender(void *arg)
{
	struct node *node = arg;
	mender_stop(&node->mender, mender_stopped);
	return ERR_OK;
}

static enum err stop_collector(void *arg)
{
	struct node *node = arg;
	collect_stop(&node->collector, collector_stopped);
	return ERR_OK;
}

static void stop_one(struct node *node, bool is_running, enum err (*begin)(void *arg))
{
	if (!is_running)
		return;
	completion_init(&stopped);
	err_ignore(loop_call(server_loop_base(node->loops[0]), begin, node)); /* never fails */
	node_await_decided(node, &stopped, STOP_PATIENCE_MS);
}

static enum err stop_claims(void *arg)
{
	struct node *node = arg;
	node_claims_stop(&node->claims);
	return ERR_OK;
}

void node_stop_background(struct node *node)
{
	if (node->is_mending)
		err_ignore(loop_call(server_loop_base(node->loops[0]), stop_claims, node));
	stop_one(node, atomic_exchange(&node->is_mending, false), stop_mender);
	stop_one(node, node->webhooks.is_running, stop_webhooks);
	node_webhooks_close(&node->webhooks);
	stop_one(node, node->is_expiring, stop_expirer);
	node->is_expiring = false;
	stop_one(node, node->is_collecting, stop_collector);
	node->is_collecting = false;
}
