/* SPDX-License-Identifier: Apache-2.0 */
#include "server/net_errand.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/loop_call.h"
#include "server/net_way.h"
#include "server/node.h"
#include "server/thread.h"
#include "storage/bytes.h"

struct net_errand {
	struct cluster *cluster;
	_Atomic bool is_canceled;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	pthread_t thread;
	bool has_thread;
	bool has_name, is_under_way;
	uint8_t name[NET_ERRAND_NAME_LEN];
	struct id target;
	enum err err; /* of the errand; ERR_OK: its way is there */
	struct net_way way;
};

/* --- going ------------------------------------------------------------------------------------ */

struct find {
	struct cluster *cluster;
	struct id id;
	struct channel_node found;
};

static enum err find_target(void *arg)
{
	struct find *find = arg;
	for (size_t i = 0; i < find->cluster->node_count; i++)
		if (id_is_equal(find->cluster->nodes[i]->channel.id, find->id)) {
			find->found = find->cluster->nodes[i]->channel;
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}

static enum err go(struct net_errand *errand, struct id target, struct net_way *ret_way)
{
	struct cluster *cluster = errand->cluster;
	struct find find = {.cluster = cluster, .id = target};
	enum err err = loop_call(cluster->loop, find_target, &find);
	return err ? err : net_way_measure(cluster, &find.found, &errand->is_canceled, ret_way);
}

static void *run(void *arg)
{
	struct net_errand *errand = arg;
	thread_set_name("net-errand");
	pthread_mutex_lock(&errand->lock);
	while (!atomic_load(&errand->is_canceled)) {
		if (!errand->is_under_way) {
			pthread_cond_wait(&errand->changed, &errand->lock);
			continue;
		}
		struct id target = errand->target;
		struct net_way way = {0};
		pthread_mutex_unlock(&errand->lock);
		enum err err = go(errand, target, &way);
		pthread_mutex_lock(&errand->lock);
		errand->err = err;
		errand->way = way;
		errand->is_under_way = false;
	}
	pthread_mutex_unlock(&errand->lock);
	return NULL;
}

/* --- answering -------------------------------------------------------------------------------- */

/* Under the lock. */
static enum err begin(struct net_errand *errand, struct bytes head)
{
	if (atomic_load(&errand->is_canceled))
		return ERR_UNAVAILABLE;
	if (errand->is_under_way)
		return ERR_BUSY;
	if (!errand->has_thread) {
		enum err err = thread_start(&errand->thread, run, errand);
		if (err)
			return err;
		errand->has_thread = true;
	}
	memcpy(errand->name, head.data, sizeof errand->name);
	memcpy(errand->target.bytes, head.data + NET_ERRAND_NAME_LEN, ID_LEN);
	errand->has_name = true;
	errand->is_under_way = true;
	pthread_cond_signal(&errand->changed);
	return ERR_OK;
}

/* On any of the loops. */
static void serve(void *arg, struct peer_request *request)
{
	struct net_errand *errand = arg;
	struct bytes head = request->head;
	uint8_t buf[NET_WAY_LEN];
	enum err err;
	if (head.len < NET_ERRAND_LEN ||
		memcmp(head.data + NET_ERRAND_NAME_LEN, errand->cluster->self.node.bytes, ID_LEN) ==
			0) {
		peer_request_answer(request, ERR_INVALID);
		return;
	}
	pthread_mutex_lock(&errand->lock);
	if (!errand->has_name || memcmp(errand->name, head.data, sizeof errand->name) != 0) {
		err = begin(errand, head);
	} else if (errand->is_under_way) {
		err = ERR_OK;
	} else {
		err = errand->err;
		net_way_encode(&errand->way, buf);
		request->answer_head = bytes_make(buf, sizeof buf);
	}
	pthread_mutex_unlock(&errand->lock);
	peer_request_answer(request, err);
}

enum err net_errand_serve(struct cluster *cluster)
{
	struct net_errand *errand = calloc(1, sizeof *errand);
	if (!errand)
		return ERR_NO_MEMORY;
	cluster->net_errand = errand;
	errand->cluster = cluster;
	pthread_mutex_init(&errand->lock, NULL);
	pthread_cond_init(&errand->changed, NULL);
	for (unsigned i = 0; i < cluster->node->config->loops; i++)
		peers_serve(cluster->loop_peers[i], PEER_NET_WAY, serve, errand);
	return ERR_OK;
}

void net_errand_cancel(struct cluster *cluster)
{
	struct net_errand *errand = cluster->net_errand;
	pthread_mutex_lock(&errand->lock);
	atomic_store(&errand->is_canceled, true);
	pthread_cond_signal(&errand->changed);
	pthread_mutex_unlock(&errand->lock);
}

void net_errand_stop(struct cluster *cluster)
{
	struct net_errand *errand = cluster->net_errand;
	assert(atomic_load(&errand->is_canceled));
	if (errand->has_thread)
		pthread_join(errand->thread, NULL);
	errand->has_thread = false;
}

void net_errand_free(struct cluster *cluster)
{
	struct net_errand *errand = cluster->net_errand;
	if (!errand)
		return;
	assert(!errand->has_thread);
	pthread_cond_destroy(&errand->changed);
	pthread_mutex_destroy(&errand->lock);
	free(errand);
	cluster->net_errand = NULL;
}
