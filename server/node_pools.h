/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NODE_POOLS_H
#define SERVER_NODE_POOLS_H

#include <stddef.h>

struct config;

/* How long the pools of each loop are. What is configured is divided among the loops, but a pool
 * has room for the longest that one operation waits for: else it would wait forever. */
struct node_pools {
	size_t put_len, get_len, decode_len, pack_len, unpack_len;
	size_t service_len; /* of what is read for other nodes */
};

struct node_pools node_pools_plan(const struct config *config);

#endif
