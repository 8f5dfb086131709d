/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store_clients.h"

enum { CONTENTS_KEPT = 40 };

struct client *store_clients_start(struct store_clients *clients, struct client_world *world,
	enum client_kind kind, unsigned key, uint64_t len, bool is_whole)
{
	assert(clients->count < STORE_CLIENTS_MAX);
	struct client *client = client_start(world, kind, key, len, is_whole);
	clients->all[clients->count++] = client;
	return client;
}

void store_clients_reap(struct store_clients *clients)
{
	for (unsigned i = 0; i < clients->count;) {
		if (clients->all[i]->is_done) {
			client_free(clients->all[i]);
			clients->all[i] = clients->all[--clients->count];
		} else {
			i++;
		}
	}
}

void store_clients_bury(struct store_clients *clients, const struct client_world *world)
{
	for (unsigned i = 0; i < clients->count;) {
		if (!world || clients->all[i]->world == world) {
			client_bury(clients->all[i]);
			clients->all[i] = clients->all[--clients->count];
		} else {
			i++;
		}
	}
}

enum err store_clients_do(struct store_clients *clients, struct client_world *world,
	enum client_kind kind, unsigned key, uint64_t len, uint64_t max_ms)
{
	struct sim *sim = world->rig->sim;
	struct client *client = store_clients_start(clients, world, kind, key, len, true);
	uint64_t until = sim_now_ns(sim) + UINT64_C(1000000) * max_ms;
	while (!client->is_done && sim_now_ns(sim) < until && sim_step(sim))
		;
	enum err err = client->is_done ? client->err : ERR_TIMEOUT;
	store_clients_reap(clients);
	return err;
}

bool store_clients_have_room(const struct store_model *model)
{
	for (unsigned key = 0; key < STORE_MODEL_KEYS; key++)
		if (!store_model_has_room(model, key))
			return false;
	return model->content_count + CONTENTS_KEPT < STORE_MODEL_CONTENTS;
}
