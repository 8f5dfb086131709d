/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_CLIENTS_H
#define TESTS_LIB_STORE_CLIENTS_H

#include "tests/lib/store_client.h"

/* The clients of a run that are on their way, of one world or of several. */
#define STORE_CLIENTS_MAX 16

struct store_clients {
	struct client *all[STORE_CLIENTS_MAX];
	unsigned count;
};

/* Starts one; there is room. */
struct client *store_clients_start(struct store_clients *clients, struct client_world *world,
	enum client_kind kind, unsigned key, uint64_t len, bool is_whole);

/* Frees those that are done. */
void store_clients_reap(struct store_clients *clients);

/* The node of that world was killed (NULL: all were). */
void store_clients_bury(struct store_clients *clients, const struct client_world *world);

/* Starts one, which is whole, and runs the world until it is done, for at most max_ms; the others
 * go on. Its end: ERR_TIMEOUT, there was none. */
MUST_USE enum err store_clients_do(struct store_clients *clients, struct client_world *world,
	enum client_kind kind, unsigned key, uint64_t len, uint64_t max_ms);

/* Have all keys of the model room for what a few clients do? */
bool store_clients_have_room(const struct store_model *model);

#endif
