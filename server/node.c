/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_priv.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/clock_real.h"
#include "server/cluster.h"
#include "server/control.h"
#include "server/loop_call.h"
#include "server/net_test.h"
#include "server/random_real.h"
#include "server/salvage.h"

#define WAIT_TOLD_MS 5000
#define WAIT_STEP_MS 50 /* so late a signal is heard */
#define AWAIT_STEP_MS 100
#define AWAIT_UNDECIDED 2 /* so often in a row there was no majority */

enum err node_refuse(char *message, enum err err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(message, NODE_MESSAGE_LEN, format, args);
	va_end(args);
	return err;
}

/* Those that end a node. NODE_SIGNAL may be of a node before this one. */
static void node_signals(sigset_t *ret_signals)
{
	sigemptyset(ret_signals);
	sigaddset(ret_signals, SIGINT);
	sigaddset(ret_signals, SIGTERM);
	sigaddset(ret_signals, NODE_SIGNAL);
}

void node_fail(struct node *node, enum err err, const char *format, ...)
{
	char text[NODE_MESSAGE_LEN];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	trace_event(node->trace, TRACE_ERROR, 0, "%s", text);
	if (!node->has_failed) {
		node->failure = err;
		memcpy(node->failure_text, text, sizeof text);
	}
	node->has_failed = true;
	kill(getpid(), SIGTERM);
}

/* --- threads ---------------------------------------------------------------------------------- */

static enum err open_loops(struct node *node)
{
	struct server_loop_options options = {.is_ringless = node->config->io == CONFIG_IO_PLAIN};
	enum err err = worker_threads_new("worker", NODE_WORKERS, &node->workers);
	if (!err)
		err = worker_threads_new("copy", 1, &node->copier);
	if (!err)
		err = worker_threads_new("archive", 1, &node->archivist);
	unsigned index = 0;
	for (; !err && index < node->config->loops; index++) {
		char name[16];
		snprintf(name, sizeof name, "s3-%u", index);
		err = server_loop_new(index, name, &options, &node->loops[index]);
	}
	if (!err)
		err = server_loop_new(index++, "log", &options, &node->log_loop);
	if (!err)
		err = server_loop_new(index++, "apply", &options, &node->apply_loop);
	if (!err)
		err = server_loop_new(index++, "commit", &options, &node->commit_loop);
	if (!err)
		err = server_loop_new(index++, "locate", &options, &node->locate_loop);
	return err;
}

/* All loops in the order in which they may be stopped: clients first, the disk's last. */
static unsigned list_loops(const struct node *node, struct server_loop **loops)
{
	unsigned count = 0;
	for (unsigned i = 0; i < node->config->loops; i++)
		loops[count++] = node->loops[i];
	loops[count++] = node->apply_loop;
	loops[count++] = node->log_loop;
	loops[count++] = node->commit_loop;
	loops[count++] = node->locate_loop;
	return count;
}

static enum err run_loops(struct node *node)
{
	struct server_loop *loops[NODE_LOOPS_MAX + 4];
	unsigned count = list_loops(node, loops);
	for (unsigned i = 0; i < count; i++) {
		enum err err = server_loop_start(loops[i]);
		if (err) {
			while (i > 0) {
				server_loop_stop(loops[--i]);
				server_loop_join(loops[i]);
			}
			return err;
		}
	}
	node->is_running = true;
	return ERR_OK;
}

static void end_loops(struct node *node)
{
	if (!node->is_running)
		return;
	struct server_loop *loops[NODE_LOOPS_MAX + 4];
	unsigned count = list_loops(node, loops);
	for (unsigned i = 0; i < count; i++) {
		server_loop_stop(loops[i]);
		server_loop_join(loops[i]);
	}
	node->is_running = false;
}

static void index_opened(void *arg, enum err err)
{
	struct node *node = arg;
	completion_end(&node->opened, err);
}

/* Waits for a session, which in a cluster takes a quorum. A signal ends the waiting. */
static enum err open_session(struct node *node, char *message)
{
	static const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
	completion_init(&node->opened);
	index_start(node->index, index_opened, node);
	node->is_index_started = true;
	enum err err = completion_wait_for(&node->opened, node->cluster ? &step : NULL);
	for (unsigned waited_ms = 0; err == ERR_TIMEOUT; waited_ms += WAIT_STEP_MS) {
		static const struct timespec now;
		sigset_t signals;
		node_signals(&signals);
		int number = sigtimedwait(&signals, NULL, &now);
		if (number == NODE_SIGNAL && node->has_failed)
			return node->failure;
		if (number > 0 && number != NODE_SIGNAL)
			return node_refuse(message, ERR_CANCELED,
				"the node was ended before the others were there");
		if (cluster_is_left_behind(node->cluster))
			return node_refuse(message, ERR_CONFLICT, "%s",
				channel_refusal_text(CHANNEL_REFUSED_EPOCH));
		if (waited_ms == WAIT_TOLD_MS)
			trace_event(node->trace, TRACE_WARNING, 0,
				"waiting for the other nodes: too few are there to decide "
				"anything; see rubus status");
		err = completion_wait_for(&node->opened, &step);
	}
	return err
		? node_refuse(message, err, "the index did not open a session: %s", err_text(err))
		: ERR_OK;
}

/* The part of a start that needs the loops' threads. */
static enum err begin_service(struct node *node, char *message)
{
	enum err err = run_loops(node);
	if (err)
		return node_refuse(message, err, "threads could not be started: %s", err_text(err));
	if (node->archive)
		index_archive_start(node->archive);
	err = control_open(node, message, &node->control);
	if (!err && node->cluster)
		err = cluster_listen(node->cluster, message);
	if (!err)
		err = open_session(node, message);
	if (!err)
		err = node_bootstrap(node, message);
	if (!err && node->cluster)
		cluster_start(node->cluster);
	if (!err)
		err = node_start_background(node);
	if (!err)
		err = node_listen(node, node->config->admin_address, false, message);
	if (!err)
		err = node_listen(node, node->config->s3_address, true, message);
	if (!err)
		node->is_ready = true;
	return err;
}

static enum err check_clock(struct node *node, char *message)
{
	if (clock_wall_ms(node->clock) >= NODE_EARLIEST_MS)
		return ERR_OK;
	return node_refuse(message, ERR_INVALID,
		"the clock says a time before 2026, so signatures could not be judged; set it "
		"(timedatectl set-ntp true) and start again");
}

/* What a node is before it can serve: who it is, its loops, its log and index. */
static enum err assemble_index(struct node *node, char *message)
{
	node->clock = clock_real();
	node->started_ms = clock_wall_ms(node->clock);
	enum err err = random_real_open(&node->random);
	if (!err)
		err = check_clock(node, message);
	if (!err)
		err = identity_load(node->config->state_dir, &node->identity, message);
	if (!err && identity_is_removed(node->config->state_dir))
		err = node_refuse(message, ERR_DENIED,
			"this node was removed from its cluster; to join again, empty %.300s and "
			"its drives and use a new token",
			node->config->state_dir);
	if (!err)
		err = node_lock_state(node, message);
	if (!err)
		err = node_list_drives(node, message);
	if (err)
		return err;
	secret_box_init(&node->box, node->identity.cluster_key);
	err = open_loops(node);
	if (!err)
		err = cluster_open(node, &node->cluster, message);
	if (!err)
		err = node_open_index(node, message);
	return err;
}

static enum err assemble(struct node *node, char *message)
{
	enum err err = assemble_index(node, message);
	if (!err)
		err = node_open_drives(node, message);
	if (!err)
		err = node_open_store(node);
	if (!err)
		err = node_open_services(node);
	if (!err)
		err = node_open_tls(node, message);
	if (!err)
		err = node_open_gateway(node);
	if (!err)
		err = node_open_admin(node);
	return err ? err : begin_service(node, message);
}

static struct node *new_node(const struct config *config, struct logger *logger)
{
	struct node *node = calloc(1, sizeof *node);
	if (!node)
		return NULL;
	node->config = config;
	node->logger = logger;
	node->trace = logger_trace(logger);
	node->lock_fd = -1;
	digest_hall_init(&node->gateway.hall);
	return node;
}

enum err node_look(
	const struct config *config, struct logger *logger, struct node **ret_node, char *message)
{
	struct node *node = new_node(config, logger);
	if (!node)
		return ERR_NO_MEMORY;
	message[0] = '\0';
	enum err err = assemble_index(node, message);
	if (!err && !node->cluster)
		err = node_refuse(message, ERR_UNSUPPORTED,
			"this node is alone; what is said here is about nodes of a cluster");
	if (err) {
		if (!message[0])
			node_refuse(message, err, "the node could not be read: %s", err_text(err));
		node_stop(node);
		return err;
	}
	*ret_node = node;
	return ERR_OK;
}

enum err node_start(
	const struct config *config, struct logger *logger, struct node **ret_node, char *message)
{
	struct node *node = new_node(config, logger);
	if (!node)
		return ERR_NO_MEMORY;
	message[0] = '\0';
	enum err err = assemble(node, message);
	if (err && node->snapshots && index_snapshots_have_installed(node->snapshots))
		err = ERR_END; /* whatever ended for that */
	if (err) {
		if (!message[0])
			node_refuse(message, err, "the node could not start: %s", err_text(err));
		node_stop(node);
		return err;
	}
	*ret_node = node;
	return ERR_OK;
}

/* --- running ---------------------------------------------------------------------------------- */

static void reload(struct node *node)
{
	char message[TLS_MESSAGE_LEN] = "";
	enum err err = tls_reload(node->tls, message);
	trace_event(node->trace, err ? TRACE_ERROR : TRACE_INFO, 0, "certificate: %s",
		err ? message : "reloaded");
}

enum err node_wait(struct node *node)
{
	sigset_t signals;
	node_signals(&signals);
	sigaddset(&signals, SIGHUP);
	for (;;) {
		int number = sigwaitinfo(&signals, NULL);
		if (number == SIGHUP)
			reload(node);
		else if (number > 0 && (number != NODE_SIGNAL || node->has_failed))
			return node->has_failed ? node->failure : ERR_OK;
	}
}

/* --- taking apart ----------------------------------------------------------------------------- */

static enum err stop_listeners(void *arg)
{
	struct node *node = arg;
	if (node->s3_listener)
		http_listener_stop(node->s3_listener);
	if (node->admin_listener)
		http_listener_stop(node->admin_listener);
	return ERR_OK;
}

struct hub_stop {
	struct http_hub *hub;
	struct completion completion;
};

static void hub_stopped(void *arg)
{
	struct hub_stop *stop = arg;
	completion_end(&stop->completion, ERR_OK);
}

static enum err begin_hub_stop(void *arg)
{
	struct hub_stop *stop = arg;
	http_hub_stop(stop->hub, NODE_STOP_MS, hub_stopped, stop);
	return ERR_OK;
}

static void consensus_stopped(void *arg)
{
	completion_end(arg, ERR_OK);
}

struct drive_end {
	struct drive *drive;
	struct completion completion;
};

static void drive_stopped(void *arg)
{
	struct drive_end *end = arg;
	completion_end(&end->completion, ERR_OK);
}

static enum err begin_drive_stop(void *arg)
{
	struct drive_end *end = arg;
	drive_stop(end->drive, drive_stopped, end);
	return ERR_OK;
}

/* Has every drive commit what it knows; no client is left. */
static void stop_drives(struct node *node)
{
	for (unsigned i = 0; i < node->drive_count; i++) {
		struct drive_end end = {.drive = node->drives[i].drive};
		if (!end.drive)
			continue;
		struct loop *owner = server_loop_base(node->loops[i % node->config->loops]);
		completion_init(&end.completion);
		err_ignore(loop_call(owner, begin_drive_stop, &end)); /* never fails */
		err_ignore(completion_wait(&end.completion));
	}
}

/* Gives back what one loop's gateway and pools hold: on the loop, or when it does not run. */
static void close_loop(struct node *node, unsigned i)
{
	if (i < node->gateway_loop_count && node->gateway_loops[i].gateway) {
		gateway_loop_fini(&node->gateway_loops[i]);
		node->gateway_loops[i].gateway = NULL;
	}
	struct store_loop *store = &node->store_loops[i];
	if (i < node->store_loop_count && store->store) {
		pool_fini(&store->put_pool);
		pool_fini(&store->get_pool);
		pool_fini(&store->decode_pool);
		pool_fini(&store->unpack_pool);
		pool_fini(&store->pack_pool);
		frame_zip_fini(&store->zip);
		store->store = NULL;
	}
}

struct loop_close {
	struct node *node;
	unsigned index;
};

static enum err close_loop_there(void *arg)
{
	const struct loop_close *close = arg;
	close_loop(close->node, close->index);
	return ERR_OK;
}

static enum err do_nothing(void *arg)
{
	(void)arg;
	return ERR_OK;
}

static uint64_t wait_workers(struct node *node)
{
	return worker_threads_wait(node->workers) + worker_threads_wait(node->copier) +
		worker_threads_wait(node->archivist);
}

/* Lets the workers end what they do, and the loops learn of it: what is still made beside the
 * serving, such as a segment, uses what is closed next. It may go on with another piece, so this is
 * done again until nothing new came of it; what never ends is cut off after some rounds. */
static void settle(struct node *node)
{
	struct server_loop *loops[NODE_LOOPS_MAX + 4];
	unsigned count = list_loops(node, loops);
	uint64_t before = 0;
	uint64_t after = wait_workers(node);
	for (unsigned round = 0; round < NODE_SETTLE_ROUNDS && before != after; round++) {
		before = after;
		for (unsigned i = 0; i < count; i++)
			err_ignore(loop_call(
				server_loop_base(loops[i]), do_nothing, NULL)); /* never fails */
		after = wait_workers(node);
	}
}

void node_stop_consensus(struct node *node)
{
	struct completion stopped;
	if (!node->is_index_started)
		return;
	node->is_index_started = false;
	completion_init(&stopped);
	consensus_stop(node->consensus, consensus_stopped, &stopped);
	err_ignore(completion_wait(&stopped));
}

void node_await_decided(struct node *node, struct completion *completion, unsigned patience_ms)
{
	static const struct timespec step = {.tv_nsec = AWAIT_STEP_MS * 1000000};
	unsigned undecided = 0;
	for (unsigned left_ms = node->cluster ? patience_ms : 0;
		left_ms >= AWAIT_STEP_MS && undecided < AWAIT_UNDECIDED; left_ms -= AWAIT_STEP_MS) {
		if (completion_wait_for(completion, &step) != ERR_TIMEOUT)
			return;
		undecided = cluster_look_for_majority(node->cluster) ? 0 : undecided + 1;
	}
	if (node->cluster)
		node_stop_consensus(node);
	err_ignore(completion_wait(completion));
}

/* All at a time: each may wait for who hangs on. */
static void stop_hubs(struct node *node, struct http_hub *const *hubs, unsigned count)
{
	struct hub_stop stops[NODE_LOOPS_MAX];
	for (unsigned i = 0; i < count; i++) {
		stops[i].hub = hubs[i];
		completion_init(&stops[i].completion);
		if (hubs[i])
			err_ignore(loop_call(server_loop_base(node->loops[i]), begin_hub_stop,
				&stops[i])); /* never fails */
	}
	for (unsigned i = 0; i < count; i++)
		if (hubs[i])
			node_await_decided(node, &stops[i].completion, 2 * NODE_STOP_MS);
}

/* Ends what runs on the loops, from the clients down, then the loops. */
static void end_service(struct node *node)
{
	if (!node->is_running)
		return;
	/* Without a majority nothing can be decided any more: nobody waits for it. */
	if (node->cluster && !atomic_load(&node->cluster->has_majority))
		node_stop_consensus(node);
	if (node->cluster)
		cluster_end_watch(node->cluster);
	control_close(node->control);
	salvage_stop(node->salvage);
	err_ignore(loop_call(server_loop_base(node->loops[0]), stop_listeners, node));
	stop_hubs(node, node->s3_hubs, node->config->loops);
	stop_hubs(node, &node->admin_hub, 1);
	node_stop_background(node);
	if (node->cluster && node->is_index_started)
		cluster_hand_over(node->cluster);
	node_stop_services(node);
	stop_drives(node);
	index_copies_cancel(&node->copies);
	if (node->archive)
		index_archive_cancel(node->archive);
	node_stop_consensus(node);
	cluster_stop(node->cluster);
	net_test_stop(node->net_test);
	/* No request of another node comes any more. */
	for (unsigned i = 0; i < node->config->loops; i++) {
		struct loop_close close = {node, i};
		err_ignore(loop_call(server_loop_base(node->loops[i]), close_loop_there, &close));
	}
	settle(node);
	end_loops(node);
}

static void close_store(struct node *node)
{
	for (unsigned i = 0; i < node->config->loops; i++)
		close_loop(node, i);
	for (unsigned i = 0; i < node->config->loops; i++)
		index_reader_close(node->store_loops[i].reader);
	for (unsigned i = 0; i < node->drive_count; i++)
		node_close_drive(&node->drives[i]);
}

void node_stop(struct node *node)
{
	if (!node)
		return;
	node->is_ready = false;
	end_service(node);
	worker_threads_free(node->copier);
	worker_threads_free(node->archivist);
	worker_threads_free(node->workers);
	http_listener_free(node->s3_listener);
	http_listener_free(node->admin_listener);
	for (unsigned i = 0; i < node->config->loops; i++)
		http_hub_free(node->s3_hubs[i]);
	http_hub_free(node->admin_hub);
	admin_free(node->admin);
	metrics_free(node->metrics);
	tls_free(node->tls);
	node_close_services(node);
	close_store(node);
	index_reader_close(node->reader);
	if (node->index)
		index_close(node->index);
	consensus_close(node->consensus);
	index_snapshots_free(node->snapshots);
	log_mirror_close(node->mirror);
	index_archive_free(node->archive);
	kv_close(node->index_kv);
	for (unsigned i = 0; i < node->drive_count; i++)
		node_close_disk(&node->drives[i].disk);
	for (unsigned i = 0; i < STORE_DRIVES_MAX; i++)
		free(node->drives[i].path);
	node_close_disk(&node->state_disk);
	cluster_free(node->cluster);
	for (unsigned i = 0; i < node->config->loops; i++)
		server_loop_free(node->loops[i]);
	server_loop_free(node->log_loop);
	server_loop_free(node->apply_loop);
	server_loop_free(node->commit_loop);
	server_loop_free(node->locate_loop);
	if (node->lock_fd >= 0)
		close(node->lock_fd);
	secret_box_fini(&node->box);
	identity_fini(&node->identity);
	digest_hall_fini(&node->gateway.hall);
	free(node);
}
