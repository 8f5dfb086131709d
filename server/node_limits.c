/* SPDX-License-Identifier: Apache-2.0 */
/* What a node may take of the memory: the bounds of its pools, queues and buffers (P5). */
#include "server/node.h"

#include "gateway/request.h"
#include "server/cluster.h"
#include "server/http_conn_priv.h"
#include "server/node_pools.h"
#include "storage/buffer.h"
#include "storage/object/frame_seal.h"
#include "storage/object/frame_zip.h"

#define LIMITS_MAX 16
#define TLS_SESSION_LEN (20u << 10) /* of OpenSSL, as measured */
#define MIB(len) ((double)(len) / (1u << 20))

struct limit {
	const char *name;
	uint64_t len;
	const char *what;
};

/* What OpenSSL takes until a handshake is done: measured. */
#define HANDSHAKE_LEN (46u << 10)

/* The table of what a request packs; what OpenSSL takes to seal it, and to open what is copied. */
#define FRAMES_OF_REQUEST_LEN \
	((FRAME_ZIPPED_LEN_MAX / FRAME_LEN) * FRAME_TABLE_ENTRY_LEN + 2 * FRAME_SEAL_MEMORY_MAX)

/* A connection without a request costs its struct alone; with one, the heads of request and answer.
 * Only so many of these are long. */
static uint64_t connections_len(const struct config *config)
{
	struct http_settings http = http_settings_default();
	uint64_t exchange_len = sizeof(struct http_exchange) +
		http.limits.header_count_max * sizeof(struct http_header);
	uint64_t long_len = http.limits.head_len_max + LARGE_BUFFER_EXTRA_LEN;
	uint64_t count = config->max_connections + config->loops;
	return count * (sizeof(struct http_conn) + exchange_len + SMALL_BUFFER_LEN) +
		(config->loops + 1) * http.long_head_count_max * long_len;
}

static size_t list_limits(const struct node *node, struct limit *limits)
{
	const struct config *config = node->config;
	const struct gateway_settings *gateway = &node->gateway.settings;
	uint64_t connections = config->max_connections + config->loops;
	/* A connection has one request at a time. */
	uint64_t requests = (uint64_t)gateway->requests_max * config->loops;
	if (requests > connections)
		requests = connections;
	size_t count = 0;
	struct node_pools pools = node_pools_plan(config);
	limits[count++] = (struct limit){
		"upload", pools.put_len * config->loops, "stripes of bodies that come in"};
	limits[count++] = (struct limit){"download",
		(pools.get_len + pools.decode_len) * config->loops,
		"units of bodies that go out, and to rebuild them"};
	limits[count++] = (struct limit){"frames",
		(pools.pack_len + pools.unpack_len + FRAME_ZIP_MEMORY_MAX) * config->loops +
			requests * FRAMES_OF_REQUEST_LEN,
		"of bodies that are compressed or encrypted, on their way"};
	limits[count++] = (struct limit){"text", gateway->text_len_max * config->loops,
		"answers and commands that are made in memory"};
	limits[count++] = (struct limit){"rules", (uint64_t)BUCKET_RULES_MEMORY_MAX * config->loops,
		"policies and CORS rules of buckets that are asked for"};
	limits[count++] = (struct limit){"requests", requests * sizeof(struct request),
		"requests in progress; more wait for their turn"};
	limits[count++] = (struct limit){"connections",
		connections_len(config) + requests * SMALL_BUFFER_LEN,
		"connections, heads of requests, heads of answers"};
	limits[count++] = (struct limit){
		"TLS", connections * TLS_SESSION_LEN, "sessions, where every connection has one"};
	limits[count++] = (struct limit){"handshakes",
		(uint64_t)http_settings_default().handshake_count_max * config->loops *
			HANDSHAKE_LEN,
		"handshakes of TLS; the oldest goes when there are more"};
	limits[count++] = (struct limit){"read buffer",
		(uint64_t)BUFFER_ARENAS * BUFFER_ARENA_LEN_DEFAULT,
		"rows of the index that are not committed yet"};
	limits[count++] = (struct limit){"archive", ARCHIVE_QUEUE_LEN_MAX,
		"rows of the index that are not in its archive yet; beyond that it has a gap"};
	limits[count++] = (struct limit){"drives",
		(uint64_t)BUFFER_ARENAS * DRIVE_ARENA_LEN * node->drive_count,
		"rows of the drives' tables that are not committed yet"};
	if (node->cluster) {
		limits[count++] = (struct limit){"other nodes",
			channel_memory_max(node->cluster->channel),
			"what the nodes of now send and is not handled yet"};
		limits[count++] = (struct limit){"services", pools.service_len * config->loops,
			"what is read for other nodes"};
	}
	limits[count++] = (struct limit){"log lines", LOGGER_RING_LEN, "lines not written yet"};
	return count;
}

void node_print_limits(const struct node *node)
{
	struct limit limits[LIMITS_MAX];
	size_t count = list_limits(node, limits);
	assert(count <= LIMITS_MAX);
	uint64_t sum = 0;
	for (size_t i = 0; i < count; i++) {
		sum += limits[i].len;
		trace_event(node->trace, TRACE_INFO, 0, "memory: %s at most %.1f MiB: %s",
			limits[i].name, MIB(limits[i].len), limits[i].what);
	}
	trace_event(node->trace, TRACE_INFO, 0,
		"memory: all pools together at most %.1f MiB, taken when needed", MIB(sum));
}
