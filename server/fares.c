/* SPDX-License-Identifier: Apache-2.0 */
#include "server/fares.h"

#include <string.h>

#include "server/cluster.h"
#include "server/http_hub.h"

#define ASK_DEADLINE_MS 2000

enum { SAYS_ANY = 1, SAYS_WAITING = 2 };

/* Answers of all loops of this node, and who waits for memory there. On the loop that fare is of.
 */
static void see_own(struct node *node, struct fare *fare, uint64_t now_ms, bool is_at_floor,
	struct throttle_load *ret_load)
{
	static_assert((int)HTTP_READ == (int)FARE_READ && (int)HTTP_WRITE == (int)FARE_WRITE,
		"kinds are the same");
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
	fare_look(fare, now_ms, &sums, is_at_floor, ret_load);
	ret_load->is_waiting |= waiting > 0;
}

/* --- answering -------------------------------------------------------------------------------- */

static void serve(void *arg, struct peer_request *request)
{
	struct fares_service *service = arg;
	struct node *node = service->cluster->node;
	struct throttle_load load;
	uint8_t answer = 0;
	if (!node->is_ready || request->head.len < 1) {
		peer_request_answer(request, ERR_UNAVAILABLE);
		return;
	}
	see_own(node, &service->fare, loop_now_ms(request->peers->loop), request->head.data[0] == 1,
		&load);
	answer |= load.is_any ? SAYS_ANY : 0;
	answer |= load.is_waiting ? SAYS_WAITING : 0;
	request->answer_head = bytes_make(&answer, 1);
	peer_request_answer(request, ERR_OK);
}

void fares_serve(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node->config->loops; i++) {
		struct fares_service *service = &cluster->fares[i];
		*service = (struct fares_service){.cluster = cluster};
		peers_serve(cluster->loop_peers[i], PEER_FARE, serve, service);
	}
}

/* --- asking ----------------------------------------------------------------------------------- */

static void answered(struct peer_call *call)
{
	struct cluster_node *node = CONTAINER_OF(call, struct cluster_node, fare_call);
	bool is_fine = call->err == ERR_OK && call->answer_err == ERR_OK &&
		call->answer_head.len >= 1;
	node->is_fare_asked = false;
	node->fare_says = is_fine ? call->answer_head.data[0] : 0;
	node->fare_ms = loop_now_ms(call->peers->loop);
}

static void ask(struct cluster *cluster, struct cluster_node *node, bool is_at_floor)
{
	if (node->is_fare_asked || !node->is_linked)
		return;
	node->is_fare_asked = true;
	node->fare_asks = is_at_floor;
	node->fare_call = (struct peer_call){.node = node->channel.id,
		.kind = PEER_FARE,
		.deadline_ms = ASK_DEADLINE_MS,
		.head = bytes_make(&node->fare_asks, 1),
		.done = answered};
	peer_call_start(cluster->loop_peers[0], &node->fare_call);
}

void fares_see(void *arg, bool is_at_floor, struct throttle_load *ret_load)
{
	struct node *node = arg;
	struct cluster *cluster = node->cluster;
	uint64_t now_ms = loop_now_ms(node->store_loops[0].loop);
	see_own(node, &node->fare, now_ms, is_at_floor, ret_load);
	for (size_t i = 0; cluster && i < cluster->node_count; i++) {
		struct cluster_node *other = cluster->nodes[i];
		if (id_is_equal(other->channel.id, cluster->self.node))
			continue;
		if (other->fare_ms > 0 && now_ms - other->fare_ms < FARES_GOOD_MS) {
			ret_load->is_any |= other->fare_says & SAYS_ANY;
			ret_load->is_waiting |= (other->fare_says & SAYS_WAITING) != 0;
		}
		ask(cluster, other, is_at_floor);
	}
}
