/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_nodes.h"

#include "tests/lib/test.h"

void sim_nodes_start(struct sim_nodes *nodes, unsigned count)
{
	static const char *const names[SIM_NODES_MAX] = {"n0", "n1", "n2"};
	assert(count <= SIM_NODES_MAX);
	memset(nodes, 0, sizeof *nodes);
	nodes->count = count;
	nodes->sim = sim_new(7);
	nodes->net = sim_net_new(nodes->sim);
	nodes->order = sim_order_new(nodes->sim);
	store_model_init(&nodes->model, 7);
	struct sim_store *all[SIM_NODES_MAX];
	for (unsigned i = 0; i < count; i++) {
		struct sim_store_options options = {.drive_count = 1,
			.sim = nodes->sim,
			.net = nodes->net,
			.order = nodes->order,
			.name = names[i],
			.node_id = {{0xe0, i + 1}}};
		all[i] = &nodes->stores[i];
		sim_store_init(all[i], 0, &options);
		ck_assert_ok(sim_store_start(all[i]));
	}
	ck_assert_ok(sim_store_propose_ring(all, count));
	uint64_t bucket;
	ck_assert_ok(sim_store_make_bucket(all[0], BUCKET_UNVERSIONED, &bucket));
	for (unsigned i = 0; i < count; i++)
		nodes->worlds[i] = (struct client_world){.rig = all[i],
			.model = &nodes->model,
			.bucket = bucket,
			.random = i,
			.may_reads_fail = &nodes->may_reads_fail,
			.stats = &nodes->stats};
	sim_run_ms(nodes->sim, 1000);
}

void sim_nodes_stop(struct sim_nodes *nodes)
{
	for (unsigned i = 0; i < nodes->count; i++)
		sim_disk_return(nodes->stores[i].drives[0].disk);
	sim_run_ms(nodes->sim, 2000);
	for (unsigned i = 0; i < nodes->count; i++)
		ck_assert_ok(sim_store_stop(&nodes->stores[i]));
	for (unsigned i = 0; i < nodes->count; i++)
		sim_store_fini(&nodes->stores[i]);
	sim_order_free(nodes->order);
	sim_net_free(nodes->net);
	sim_free(nodes->sim);
}

static bool is_client_done(void *arg)
{
	return ((const struct client *)arg)->is_done;
}

enum err sim_nodes_await(struct sim_nodes *nodes, struct client *client)
{
	ck_assert(sim_run_until(nodes->sim, is_client_done, client, SIM_NODES_WAIT_MS));
	return client->err;
}

static void answered(struct peer_call *call)
{
	CONTAINER_OF(call, struct sim_question, call)->is_done = true;
}

struct asking {
	struct sim_nodes *nodes;
	struct sim_question *question;
};

static void start_call(void *arg)
{
	const struct asking *asking = arg;
	peer_call_start(asking->nodes->stores[0].peers[0], &asking->question->call);
}

static bool is_answered(void *arg)
{
	return ((const struct sim_question *)arg)->is_done;
}

enum err sim_nodes_ask(struct sim_nodes *nodes, struct sim_question *question, uint16_t kind,
	size_t head_len, const void *payload, size_t payload_len)
{
	struct asking asking = {nodes, question};
	question->is_done = false;
	question->call = (struct peer_call){
		.node = nodes->stores[1].options.node_id,
		.kind = kind,
		.deadline_ms = 5000,
		.head = {question->head, head_len},
		.payload = {payload, payload_len},
		.answer_buf = question->answer,
		.answer_cap = sizeof question->answer,
		.done = answered,
	};
	sim_call(nodes->sim, nodes->stores[0].loops[0], start_call, &asking);
	ck_assert(sim_run_until(nodes->sim, is_answered, question, SIM_NODES_WAIT_MS));
	return question->call.err ? question->call.err : question->call.answer_err;
}

enum err sim_nodes_ask_key(struct sim_nodes *nodes, struct sim_question *question, uint16_t kind,
	const struct shard_key *key)
{
	shard_key_encode(key, question->head);
	return sim_nodes_ask(nodes, question, kind, SHARD_KEY_LEN, NULL, 0);
}

struct shard_key sim_nodes_make_key(struct sim_nodes *nodes)
{
	struct index_reader *reader = nodes->stores[0].life->loops[0].reader;
	struct index_hold hold;
	index_hold_write(reader, &hold);
	struct shard_key key = {.extent = index_extent_id_make(reader),
		.drive = nodes->stores[1].drives[0].number,
		.index = 1};
	index_release_write(reader, &hold);
	return key;
}

bool sim_nodes_has_shard(struct sim_nodes *nodes, const struct shard_key *key)
{
	struct shard_entry entry;
	size_t count = 0;
	struct drive *drive = store_drive(&nodes->stores[1].life->store, key->drive);
	ck_assert_ok(drive_list(drive, key->extent, key->index, &entry, 1, &count));
	return count == 1 && extent_id_is_equal(entry.extent, key->extent) &&
		entry.index == key->index;
}
