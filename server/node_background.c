/* SPDX-License-Identifier: Apache-2.0 */
/* What runs beside the clients, on the first of their loops: the collector, the mender, and who
 * looks after the claims of drives. */
#include <string.h>

#include "server/http_hub.h"
#include "server/node_priv.h"

/* Answers of all loops, and who waits for memory there. */
static void see_clients(void *arg, bool is_at_floor, struct throttle_load *ret_load)
{
	static_assert((int)HTTP_READ == (int)FARE_READ && (int)HTTP_WRITE == (int)FARE_WRITE,
		"kinds are the same");
	struct node *node = arg;
	struct http_counts counts = {0};
	struct fare_sums sums;
	unsigned waiting = 0;
	for (unsigned i = 0; i < node->store_loop_count; i++) {
		const struct store_loop *loop = &node->store_loops[i];
		waiting += atomic_load_explicit(&loop->put_pool.waiting, memory_order_relaxed) +
			atomic_load_explicit(&loop->get_pool.waiting, memory_order_relaxed);
	}
	for (unsigned i = 0; i < node->config->loops; i++)
		if (node->s3_hubs[i])
			http_hub_add_counts(node->s3_hubs[i], &counts);
	memcpy(sums.count, counts.answered, sizeof sums.count);
	memcpy(sums.us, counts.answer_us, sizeof sums.us);
	fare_look(
		&node->fare, loop_now_ms(node->store_loops[0].loop), &sums, is_at_floor, ret_load);
	ret_load->is_waiting |= waiting > 0;
}

static enum err start(void *arg)
{
	struct node *node = arg;
	enum err err = collect_start(&node->collector, &node->store_loops[0]);
	if (err)
		return err;
	node->is_collecting = true;
	mender_start(&node->mender,
		&(struct mender_setup){.store = &node->store_loops[0],
			.scrub_period_ms = SCRUB_PERIOD_MS,
			.load = see_clients,
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
	err_ignore(completion_wait(&stopped));
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
	stop_one(node, node->is_collecting, stop_collector);
	node->is_collecting = false;
}
