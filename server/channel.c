/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/channel_priv.h"
#include "server/clock_real.h"
#include "server/loop_call.h"

#define LINKS_PER_NODE 4 /* of loops for clients, to one of ours */
#define LINKS_SPARE 2
#define COMPLAIN_AGAIN_MS (60 * 1000)

static_assert(CHANNEL_CHARGE_MAX >= PEER_PAYLOAD_LEN_MAX + PEER_HEAD_LEN_MAX, "a charge pays");

/* --- the table -------------------------------------------------------------------------------- */

bool channel_find_node(
	struct channel *channel, struct id id, struct channel_node *ret_node, uint64_t *ret_epoch)
{
	bool is_found = false;
	pthread_mutex_lock(&channel->lock);
	for (size_t i = 0; i < channel->node_count && !is_found; i++) {
		is_found = id_is_equal(channel->nodes[i].id, id);
		if (is_found)
			*ret_node = channel->nodes[i];
	}
	*ret_epoch = channel->epoch;
	pthread_mutex_unlock(&channel->lock);
	return is_found;
}

enum err channel_set_table(struct channel *channel, const struct channel_table *table)
{
	if (table->node_count > CHANNEL_NODE_COUNT_MAX)
		return ERR_LIMIT;
	struct channel_node *nodes = malloc((table->node_count + 1) * sizeof *nodes);
	if (!nodes)
		return ERR_NO_MEMORY;
	if (table->node_count > 0)
		memcpy(nodes, table->nodes, table->node_count * sizeof *nodes);
	pthread_mutex_lock(&channel->lock);
	free(channel->nodes);
	channel->nodes = nodes;
	channel->node_count = table->node_count;
	channel->other_count = 0;
	for (size_t i = 0; i < table->node_count; i++)
		channel->other_count += !id_is_equal(nodes[i].id, channel->self.node);
	channel->epoch = table->epoch;
	pthread_mutex_unlock(&channel->lock);
	for (unsigned i = 0; i < channel->peers_count; i++) {
		struct channel_peers *peers = channel->peers[i];
		if (!atomic_exchange(&peers->is_table_posted, true))
			loop_post(peers->loop, &peers->table_task);
	}
	return ERR_OK;
}

void channel_note_epoch(struct channel *channel, uint64_t epoch)
{
	uint64_t before = atomic_load(&channel->epoch_seen);
	while (epoch > before)
		if (atomic_compare_exchange_weak(&channel->epoch_seen, &before, epoch))
			break;
}

uint64_t channel_epoch_seen(const struct channel *channel)
{
	return atomic_load(&channel->epoch_seen);
}

/* --- the log ---------------------------------------------------------------------------------- */

const char *channel_id_text(struct id id, char text[ID_TEXT_LEN])
{
	return sodium_bin2hex(text, ID_TEXT_LEN, id.bytes, ID_LEN);
}

const char *channel_refusal_text(enum channel_refusal reason)
{
	static const char *const texts[CHANNEL_REFUSAL_COUNT] = {
		[CHANNEL_REFUSED_VERSION] =
			"no protocol version in common; upgrade the older of both and restart it",
		[CHANNEL_REFUSED_CLUSTER] =
			"it is of another cluster; see that cluster_address names the node you "
			"mean",
		[CHANNEL_REFUSED_EPOCH] =
			"one of the two was left behind by a forced recovery; on the node with the "
			"lower epoch empty state_dir and drives, and join again with a new token",
		[CHANNEL_REFUSED_TO] = "another node was meant; the addresses of two nodes are "
				       "mixed up, mend cluster_address",
		[CHANNEL_REFUSED_UNKNOWN] =
			"it is not admitted; let it join with a token of this cluster",
		[CHANNEL_REFUSED_KEY] =
			"its key is not the one that was admitted; restore its node.key, or let "
			"it join as a new node",
		[CHANNEL_REFUSED_ELSEWHERE] =
			"that node is connected from elsewhere: its state was copied; stop the "
			"copy and give it an identity of its own with `rubus init` in a new "
			"state_dir",
		[CHANNEL_REFUSED_FULL] =
			"no room for more links; it is tried again until some have ended",
		[CHANNEL_REFUSED_PURPOSE] = "nothing here serves what it asks for; start both "
					    "with the same version",
		[CHANNEL_REFUSED_TOKEN] =
			"its join token is unknown, spent or expired; make a new one",
		[CHANNEL_REFUSED_GARBAGE] =
			"what came is no hello of a node; see that no client uses this port",
		[CHANNEL_REFUSED_SECRET] =
			"it does not know the secret of this cluster; restore its cluster.secret "
			"or let it join with a token",
		[CHANNEL_REFUSED_SLOW] = "no handshake in time; see what connects to this port",
	};
	const char *text = reason < CHANNEL_REFUSAL_COUNT ? texts[reason] : NULL;
	return text ? text : "an unknown reason; upgrade the older of both";
}

/* Was the same said lately? Remembers it if not. */
static bool is_repeated(struct channel *channel, enum channel_refusal reason, uint64_t who)
{
	uint64_t now_ms = clock_mono_ns(clock_real()) / 1000000;
	bool is_same = false;
	pthread_mutex_lock(&channel->lock);
	struct channel_complaint *oldest = channel->complaints;
	for (size_t i = 0; i < ARRAY_COUNT(channel->complaints) && !is_same; i++) {
		struct channel_complaint *it = &channel->complaints[i];
		is_same = it->at_ms != 0 && it->reason == reason && it->who == who &&
			now_ms - it->at_ms < COMPLAIN_AGAIN_MS;
		if (it->at_ms < oldest->at_ms)
			oldest = it;
	}
	/* Many who say something new each time do not fill the log either. */
	bool is_crowded = oldest->at_ms != 0 && now_ms - oldest->at_ms < 1000;
	if (!is_same && !is_crowded)
		*oldest = (struct channel_complaint){reason, who, now_ms};
	pthread_mutex_unlock(&channel->lock);
	return is_same || is_crowded;
}

void channel_complain(
	struct channel *channel, enum channel_refusal reason, uint64_t who, const char *format, ...)
{
	char text[480];
	if (reason != 0)
		atomic_fetch_add_explicit(&channel->refused[reason], 1, memory_order_relaxed);
	if (is_repeated(channel, reason, who))
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	trace_event(channel->trace, TRACE_WARNING, 0, "node channel: %s", text);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void add(uint64_t *io_sum, const _Atomic uint64_t *cell)
{
	*io_sum += atomic_load_explicit(cell, memory_order_relaxed);
}

void channel_add_counts(struct channel *channel, struct channel_counts *io_counts)
{
	for (unsigned i = 0; i < channel->peers_count; i++) {
		const struct channel_cells *cells = &channel->peers[i]->cells;
		add(&io_counts->messages_out, &cells->messages_out);
		add(&io_counts->messages_in, &cells->messages_in);
		add(&io_counts->bytes_out, &cells->bytes_out);
		add(&io_counts->bytes_in, &cells->bytes_in);
		add(&io_counts->writes, &cells->writes);
		add(&io_counts->reads, &cells->reads);
		add(&io_counts->links_dialed, &cells->links_dialed);
		add(&io_counts->links_accepted, &cells->links_accepted);
		add(&io_counts->links_broken, &cells->links_broken);
		add(&io_counts->notes_lost, &cells->notes_lost);
		add(&io_counts->timeouts, &cells->timeouts);
		add(&io_counts->refused_us, &cells->refused_us);
		for (unsigned kind = 0; kind < PEER_KIND_COUNT; kind++) {
			add(&io_counts->asked[kind], &cells->asked[kind]);
			add(&io_counts->answered[kind], &cells->answered[kind]);
		}
	}
	for (unsigned i = 0; i < CHANNEL_REFUSAL_COUNT; i++)
		add(&io_counts->refused[i], &channel->refused[i]);
}

void channel_link_count(struct channel *channel, unsigned *ret_dialed, unsigned *ret_accepted)
{
	*ret_dialed = *ret_accepted = 0;
	for (unsigned i = 0; i < channel->peers_count; i++) {
		*ret_dialed += atomic_load(&channel->peers[i]->linked_count);
		*ret_accepted += atomic_load(&channel->peers[i]->accepted_count);
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

static void get_info(struct peers *base, struct id node, struct peer_info *ret_info)
{
	struct channel_peers *peers = CONTAINER_OF(base, struct channel_peers, base);
	*ret_info = (struct peer_info){.silent_ms = UINT64_MAX};
	if (id_is_equal(node, base->self)) {
		*ret_info = (struct peer_info){.is_linked = true};
		return;
	}
	const struct channel_remote *remote = channel_find_remote(peers, node);
	if (!remote)
		return;
	ret_info->is_linked = remote->is_linked;
	ret_info->rtt_us = remote->rtt_us;
	if (remote->heard_ms != 0)
		ret_info->silent_ms = loop_now_ms(peers->loop) - remote->heard_ms;
}

static const struct peers_ops ops = {
	.call = channel_call,
	.cancel = channel_cancel,
	.note = channel_note,
	.answer = channel_answer,
	.info = get_info,
};

static void answer_ping(void *arg, struct peer_request *request)
{
	(void)arg;
	request->answer_head = request->head;
	request->answer_payload = bytes_make(request->payload, request->payload_len);
	peer_request_answer(request, ERR_OK);
}

unsigned channel_link_limit(const struct channel *channel, enum channel_purpose purpose)
{
	/* A node has one loop for its log, and may have more loops for clients than we have; ours
	 * share them. Two more are for links that broke and were dialed again before we know. */
	unsigned each = purpose == CHANNEL_CONSENSUS ? 1 : LINKS_PER_NODE, ours = 0;
	for (unsigned i = 0; i < channel->peers_count; i++)
		ours += channel->peers[i]->purpose == purpose;
	assert(ours > 0);
	size_t limit = (channel->other_count * each + ours - 1) / ours + LINKS_SPARE;
	unsigned most = channel->settings.link_count_max;
	return limit < most ? (unsigned)limit : most;
}

uint64_t channel_memory_max(struct channel *channel)
{
	uint64_t len = 0;
	pthread_mutex_lock(&channel->lock);
	for (unsigned i = 0; i < channel->peers_count; i++)
		len += (uint64_t)(channel_link_limit(channel, channel->peers[i]->purpose) + 1) *
			channel->settings.window_len;
	pthread_mutex_unlock(&channel->lock);
	return len;
}

struct channel_settings channel_settings_default(void)
{
	return (struct channel_settings){
		.connect_timeout_ms = 3000,
		.shake_timeout_ms = 5000,
		.ping_ms = 1000,
		.silence_ms = 4000,
		.retry_ms_min = 100,
		.retry_ms_max = 1000,
		.shake_count_max = 64,
		.link_count_max = 32,
		.window_len = 11u << 18,
		.note_queue_len_max = 4u << 20,
	};
}

enum err channel_new(const struct channel_options *options, struct channel **ret_channel)
{
	const struct channel_settings *settings = options->settings;
	assert(settings->window_len >= CHANNEL_CHARGE_MAX && settings->link_count_max > 0);
	assert(settings->retry_ms_min > 0 && settings->retry_ms_max >= settings->retry_ms_min);
	assert(settings->ping_ms > 0 && settings->silence_ms > settings->ping_ms);
	struct channel *channel = calloc(1, sizeof *channel);
	if (!channel)
		return ERR_NO_MEMORY;
	channel->self = *options->self;
	channel->settings = *settings;
	channel->trace = options->trace;
	channel->join = options->join;
	pthread_mutex_init(&channel->lock, NULL);
	*ret_channel = channel;
	return ERR_OK;
}

enum err channel_add(struct channel *channel, struct loop *loop, enum channel_purpose purpose,
	struct peers **ret_peers)
{
	if (channel->peers_count == CHANNEL_PEERS_COUNT_MAX)
		return ERR_LIMIT;
	struct channel_peers *peers = calloc(1, sizeof *peers);
	uint8_t *scratch = malloc(CHANNEL_CHUNK_LEN);
	if (!peers || !scratch) {
		free(peers);
		free(scratch);
		return ERR_NO_MEMORY;
	}
	const struct channel_settings *settings = &channel->settings;
	peers->base = (struct peers){.ops = &ops, .loop = loop, .self = channel->self.node};
	peers->channel = channel;
	peers->loop = loop;
	peers->index = channel->peers_count;
	peers->purpose = purpose;
	peers->scratch = scratch;
	peers->limit_len = settings->link_count_max * settings->window_len;
	/* One window more is our own. */
	pool_init(&peers->pool, loop, "peer-in", peers->limit_len + settings->window_len);
	peers->flush_task.run = link_flush_marked;
	peers->table_task.run = peers_take_table;
	peers->self_task.run = self_run;
	peers_serve(&peers->base, PEER_PING, answer_ping, NULL);
	channel->peers[channel->peers_count++] = peers;
	*ret_peers = &peers->base;
	return ERR_OK;
}

/* The pool goes with its last request, on its loop. */
void peers_settle(struct channel_peers *peers)
{
	if (peers->is_stopped && peers->request_count == 0)
		pool_fini(&peers->pool);
}

static enum err stop_listening(void *arg)
{
	channel_stop_listening(arg);
	return ERR_OK;
}

static enum err stop_peers(void *arg)
{
	struct channel_peers *peers = arg;
	peers->is_stopped = true;
	while (peers->accepted)
		link_close(peers->accepted, NULL);
	peers_drop_remotes(peers);
	self_stop(peers);
	peers_settle(peers);
	return ERR_OK;
}

void channel_stop(struct channel *channel)
{
	if (channel->listener.loop)
		err_ignore(loop_call(channel->listener.loop, stop_listening, channel)); /* is OK */
	for (unsigned i = 0; i < channel->peers_count; i++)
		err_ignore(loop_call(channel->peers[i]->loop, stop_peers, channel->peers[i]));
}

static void free_peers(struct channel_peers *peers)
{
	assert(!peers->remotes && !peers->accepted && peers->request_count == 0);
	for (unsigned i = 0; i < peers->spare_out_count; i++)
		free(peers->spare_outs[i]);
	assert(!peers->pool.slabs);
	free(peers->scratch);
	free(peers);
}

void channel_free(struct channel *channel)
{
	if (!channel)
		return;
	assert(!channel->listener.loop || channel->listener.is_stopped);
	for (unsigned i = 0; i < channel->peers_count; i++)
		free_peers(channel->peers[i]);
	pthread_mutex_destroy(&channel->lock);
	free(channel->nodes);
	channel_self_fini(&channel->self);
	free(channel);
}
