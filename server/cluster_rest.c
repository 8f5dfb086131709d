/* SPDX-License-Identifier: Apache-2.0 */
/* The end of all nodes in order, so that the power may go: rubus cluster stop.
 *
 * Who asks goes step by step, so that he can say how far it is: writes are closed on all nodes,
 * what runs here is let end, then the others are ended one by one, who leads as the last of them,
 * then this one. A step that is repeated does no harm. Closed writes open again by themselves,
 * should he who asked not come back: nothing is kept of it. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "server/cluster.h"
#include "server/loop_call.h"
#include "server/node.h"

#define REST_DEADLINE_MS 3000
#define CLOSED_FOR_MS 300000

enum { /* what is asked for: the one byte of PEER_REST */
	REST_OPEN = 0,
	REST_CLOSE = 1,
	REST_END = 2,
};

static void do_here(struct node *node, uint8_t what)
{
	uint64_t until_ns = 0;
	if (what != REST_OPEN)
		until_ns = clock_mono_ns(node->clock) + CLOSED_FOR_MS * UINT64_C(1000000);
	atomic_store(&node->gateway.writes_closed_until_ns, until_ns);
	if (what == REST_END)
		kill(getpid(), SIGTERM);
}

static void serve_rest(void *arg, struct peer_request *request)
{
	struct cluster *cluster = arg;
	enum err err = request->head.len == 1 && request->head.data[0] <= REST_END ? ERR_OK
										   : ERR_INVALID;
	if (!err) {
		trace_event(cluster->node->trace, TRACE_WARNING, 0, "another node says: %s",
			request->head.data[0] == REST_END             ? "end"
				: request->head.data[0] == REST_CLOSE ? "take no writes"
								      : "take writes again");
		do_here(cluster->node, request->head.data[0]);
	}
	peer_request_answer(request, err);
}

void cluster_rest_init(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->node->config->loops; i++)
		peers_serve(cluster->loop_peers[i], PEER_REST, serve_rest, cluster);
}

struct rest_call {
	struct peer_call call;
	struct cluster *cluster;
	struct completion completion;
	uint8_t what;
};

static void answered(struct peer_call *call)
{
	struct rest_call *rest = CONTAINER_OF(call, struct rest_call, call);
	completion_end(&rest->completion, call->err ? call->err : call->answer_err);
}

static enum err begin(void *arg)
{
	struct rest_call *rest = arg;
	peer_call_start(rest->cluster->loop_peers[0], &rest->call);
	return ERR_OK;
}

static enum err ask(struct cluster *cluster, struct id node, uint8_t what)
{
	struct rest_call rest = {.cluster = cluster, .what = what};
	rest.call = (struct peer_call){.node = node,
		.kind = PEER_REST,
		.deadline_ms = REST_DEADLINE_MS,
		.head = bytes_make(&rest.what, 1),
		.done = answered};
	if (id_is_equal(node, cluster->self.node)) {
		do_here(cluster->node, what);
		return ERR_OK;
	}
	completion_init(&rest.completion);
	err_ignore(loop_call(cluster->loop, begin, &rest)); /* never fails */
	return completion_wait(&rest.completion);
}

enum err cluster_close_writes(struct cluster *cluster, struct id node, bool are_closed)
{
	return ask(cluster, node, are_closed ? REST_CLOSE : REST_OPEN);
}

enum err cluster_end_node(struct cluster *cluster, struct id node)
{
	return ask(cluster, node, REST_END);
}
