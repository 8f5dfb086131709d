/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a node that clients see: pools, gateway, listeners, certificate, admin port. */
#include "server/node_priv.h"

#include <stdio.h>
#include <string.h>

#include "gateway/request.h"
#include "server/cluster.h"
#include "server/node_pools.h"
#include "storage/object/put.h"

#define REQUESTS_MAX 128 /* in progress on all loops; more wait for their turn */
#define REQUESTS_PER_LOOP_MIN 8
#define BUCKETS_MAX 1000 /* of one owner */

/* --- serving ---------------------------------------------------------------------------------- */

enum err node_open_store(struct node *node)
{
	size_t loops = node->config->loops;
	struct node_pools pools = node_pools_plan(node->config);
	node->store.index = node->index;
	node->store.clock = node->clock;
	node->store.random = node->random;
	node->store.trace = node->trace;
	for (unsigned i = 0; i < loops; i++) {
		struct store_loop *store = &node->store_loops[i];
		store->store = &node->store;
		store->loop = server_loop_base(node->loops[i]);
		enum err err = index_reader_open(node->index, &store->reader);
		if (err)
			return err;
		pool_init(&store->put_pool, store->loop, "upload", pools.put_len);
		pool_init(&store->get_pool, store->loop, "download", pools.get_len);
		pool_init(&store->decode_pool, store->loop, "decode", pools.decode_len);
		pool_init(&store->unpack_pool, store->loop, "unpack", pools.unpack_len);
		pool_init(&store->pack_pool, store->loop, "pack", pools.pack_len);
		node->store_loop_count++;
	}
	return ERR_OK;
}

/* --- other nodes ------------------------------------------------------------------------------ */

/* What nobody waits for is owed by a node alone, too. */
static enum err open_owed(struct node *node)
{
	enum err err = ERR_OK;
	for (unsigned i = 0; !err && i < node->config->loops; i++) {
		err = owed_open(&node->owed[i], &node->store_loops[i]);
		if (err)
			break;
		node->store_loops[i].owed = &node->owed[i];
		node->owed_count++;
	}
	return err;
}

enum err node_open_services(struct node *node)
{
	enum err err = node->cluster ? ERR_OK : open_owed(node);
	struct node_pools pools = node_pools_plan(node->config);
	for (unsigned i = 0; !err && node->cluster && i < node->config->loops; i++) {
		node->store_loops[i].peers = node->cluster->loop_peers[i];
		err = shard_service_open(
			&node->services[i], &node->store_loops[i], pools.service_len);
		if (!err)
			node->service_count++;
	}
	return err;
}

struct service_stop {
	struct shard_service *service;
	struct completion completion;
};

static struct service_stop stopping[NODE_LOOPS_MAX]; /* by the main thread */

static void service_stopped(struct shard_service *service)
{
	struct service_stop *stop = stopping;
	while (stop->service != service)
		stop++;
	completion_end(&stop->completion, ERR_OK);
}

static enum err begin_service_stop(void *arg)
{
	struct service_stop *stop = arg;
	shard_service_stop(stop->service, service_stopped);
	return ERR_OK;
}

struct owed_stop {
	struct owed *owed;
	struct task task;
	bool is_ended;
	struct completion completion;
};

static struct owed_stop owed_stops[NODE_LOOPS_MAX]; /* by the main thread, then by each loop */

/* Not inside of what ended the last one. */
static void run_owed_end(struct task *task)
{
	struct owed_stop *stop = CONTAINER_OF(task, struct owed_stop, task);
	completion_end(&stop->completion, ERR_OK);
}

static void owed_ended(struct owed *owed)
{
	struct owed_stop *stop = owed_stops;
	while (stop->owed != owed)
		stop++;
	if (owed->count > 0 || stop->is_ended)
		return;
	stop->is_ended = true;
	stop->task.run = run_owed_end;
	loop_post(owed->store->loop, &stop->task);
}

static enum err begin_owed_stop(void *arg)
{
	struct owed_stop *stop = arg;
	owed_stop(stop->owed, owed_ended);
	owed_ended(stop->owed);
	return ERR_OK;
}

static void stop_owed(struct node *node)
{
	for (unsigned i = 0; i < node->owed_count; i++) {
		owed_stops[i] = (struct owed_stop){.owed = &node->owed[i]};
		completion_init(&owed_stops[i].completion);
	}
	for (unsigned i = 0; i < node->owed_count; i++)
		err_ignore(loop_call(
			server_loop_base(node->loops[i]), begin_owed_stop, &owed_stops[i]));
	for (unsigned i = 0; i < node->owed_count; i++)
		err_ignore(completion_wait(&owed_stops[i].completion));
}

/* All at a time: a free of one may wait for a write that another serves (W3 of
 * storage/shard/owed.h). */
void node_stop_services(struct node *node)
{
	stop_owed(node);
	for (unsigned i = 0; i < node->service_count; i++) {
		stopping[i].service = &node->services[i];
		completion_init(&stopping[i].completion);
	}
	for (unsigned i = 0; i < node->service_count; i++)
		err_ignore(loop_call(
			server_loop_base(node->loops[i]), begin_service_stop, &stopping[i]));
	for (unsigned i = 0; i < node->service_count; i++)
		err_ignore(completion_wait(&stopping[i].completion));
}

void node_close_services(struct node *node)
{
	for (unsigned i = 0; i < node->service_count; i++)
		shard_service_close(&node->services[i]);
	node->service_count = 0;
	for (unsigned i = 0; i < node->owed_count; i++)
		owed_close(&node->owed[i]);
	node->owed_count = 0;
}

static void fill_gateway(struct node *node)
{
	struct gateway_settings *settings = &node->gateway.settings;
	settings->region = bytes_of(node->config->region);
	settings->region_is_strict = node->config->region_strict;
	settings->v2 = (enum sigv2_use)node->config->signature_v2;
	settings->sse_c_without_tls = node->config->sse_c_without_tls;
	if (node->config->bucket_defaults == CONFIG_BUCKETS_CLASSIC)
		settings->ownership = BUCKET_OBJECT_WRITER;
	for (unsigned i = 0; i < node->config->domains_count; i++)
		settings->domains[settings->domain_count++] = bytes_of(node->config->domains[i]);
	for (unsigned i = 0; i < node->config->website_domains_count; i++)
		settings->website_domains[settings->website_domain_count++] = bytes_of(
			node->config->website_domains[i]);
	for (unsigned i = 0; i < node->config->notify_count; i++)
		settings->webhooks[settings->webhook_count++] = bytes_of(
			node->config->notify[i].name);
	settings->host_id = bytes_of("rubus");
	settings->requests_max = REQUESTS_MAX / node->config->loops;
	if (settings->requests_max < REQUESTS_PER_LOOP_MIN)
		settings->requests_max = REQUESTS_PER_LOOP_MIN;
	settings->text_len_max = (size_t)settings->requests_max * REQUEST_TEXT_LEN;
	settings->object_len_max = PUT_LEN_MAX;
	settings->buckets_max = BUCKETS_MAX;
	settings->lifecycle_day_ms = (uint64_t)node->config->lifecycle_day_seconds * 1000;
	node->gateway.store = &node->store;
	node->gateway.secrets = &node->box.secrets;
	node->gateway.worker = worker_threads_worker(node->workers);
	node->gateway.clock = node->clock;
	node->gateway.trace = node->trace;
}

enum err node_open_gateway(struct node *node)
{
	fill_gateway(node);
	struct http_settings http = http_settings_default();
	http.connection_count_max = node->config->max_connections / node->config->loops + 1;
	for (unsigned i = 0; i < node->config->loops; i++) {
		struct loop *loop = server_loop_base(node->loops[i]);
		enum err err = gateway_loop_init(
			&node->gateway_loops[i], &node->gateway, loop, &node->store_loops[i]);
		if (err)
			return err;
		node->gateway_loop_count++;
		err = http_hub_new(loop, &http, node->trace, &node->s3_hubs[i]);
		if (err)
			return err;
	}
	return http_hub_new(server_loop_base(node->loops[0]), &http, node->trace, &node->admin_hub);
}

static bool is_ready(void *arg, char *reason)
{
	const struct node *node = arg;
	if (node->has_failed)
		snprintf(
			reason, ADMIN_REASON_LEN, "the index stopped: %s", err_text(node->failure));
	else if (!node->is_ready)
		snprintf(reason, ADMIN_REASON_LEN, "starting");
	else
		return true;
	return false;
}

/* Can the cluster decide anything? Only with a leader, and with a majority of the voters. */
static bool is_cluster_ready(void *arg, char *reason)
{
	const struct node *node = arg;
	struct consensus_info info;
	if (!is_ready(arg, reason))
		return false;
	if (!node->cluster)
		return true;
	consensus_info(node->consensus, &info);
	if (info.leader == 0)
		snprintf(reason, ADMIN_REASON_LEN, "no node leads");
	else if (!atomic_load(&node->cluster->has_majority))
		snprintf(reason, ADMIN_REASON_LEN, "this node sees no majority of the voters");
	else
		return true;
	return false;
}

enum err node_open_admin(struct node *node)
{
	enum err err = metrics_new(node->config->loops, &node->metrics);
	if (err)
		return err;
	node->http_metrics[0] = (struct http_metrics){"s3", node->s3_hubs, node->config->loops};
	node->http_metrics[1] = (struct http_metrics){"admin", &node->admin_hub, 1};
	err = http_metrics_register(node->metrics, node->http_metrics);
	if (!err)
		err = metrics_register_source(node->metrics, node_metrics_collect, node);
	if (err)
		return err;
	struct admin_options options = {
		.metrics = node->metrics,
		.ready = {is_ready, node},
		.cluster = {is_cluster_ready, node},
	};
	return admin_new(&options, &node->admin);
}

enum err node_open_tls(struct node *node, char *message)
{
	char cert[IDENTITY_PATH_LEN], key[IDENTITY_PATH_LEN], why[TLS_MESSAGE_LEN] = "";
	const struct config *config = node->config;
	enum err err = ERR_OK;
	if (config->tls_certificate[0]) {
		snprintf(cert, sizeof cert, "%s", config->tls_certificate);
		snprintf(key, sizeof key, "%s", config->tls_key);
	} else {
		err = identity_path(config->state_dir, "tls.crt", cert);
		if (!err)
			err = identity_path(config->state_dir, "tls.key", key);
	}
	if (!err)
		err = tls_new(cert, key, why, &node->tls);
	return err ? node_refuse(message, err, "TLS: %s", why) : ERR_OK;
}

enum err node_listen(struct node *node, const char *address, bool is_s3, char *message)
{
	char host[64], why[LISTENER_MESSAGE_LEN] = "";
	uint16_t port;
	enum err err = config_parse_address(address, host, &port);
	if (err)
		return err;
	struct loop *loops[NODE_LOOPS_MAX];
	struct exchange_handler *handlers[NODE_LOOPS_MAX];
	unsigned count = is_s3 ? node->config->loops : 1;
	for (unsigned i = 0; i < count; i++) {
		loops[i] = server_loop_base(node->loops[i]);
		handlers[i] = is_s3 ? &node->s3_aliases[i].handler : admin_handler(node->admin);
		if (is_s3)
			admin_aliases_init(
				&node->s3_aliases[i], node->admin, &node->gateway_loops[i].handler);
	}
	struct http_listener_options options = {
		.address = host[0] ? host : "::",
		.port = port,
		.tls = node->tls,
		.require_tls = is_s3 && node->config->require_tls,
		.loop = loops[0],
		.hubs = is_s3 ? node->s3_hubs : &node->admin_hub,
		.loops = loops,
		.handlers = handlers,
		.hub_count = count,
		.trace = node->trace,
	};
	err = http_listener_open(&options, why, is_s3 ? &node->s3_listener : &node->admin_listener);
	return err ? node_refuse(message, err, "%s: %s", address, why) : ERR_OK;
}
