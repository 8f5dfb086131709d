/* SPDX-License-Identifier: Apache-2.0 */
/* The channel of a node, and the book that says who is admitted. */
#include "server/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/digest/hex.h"
#include "server/background.h"
#include "server/fares.h"
#include "server/loop_call.h"
#include "server/lost_shards.h"
#include "server/net_errand.h"
#include "server/node_priv.h"
#include "server/sounding.h"
#include "storage/bytes.h"
#include "storage/meta/index_ledger.h"

#define HAND_OVER_PATIENCE_MS 2000
#define MACHINE_ID_PATH "/etc/machine-id"
#define NODES_NAME "nodes"
#define NODES_PART "nodes.part"
#define LINE_LEN 1024

/* --- addresses -------------------------------------------------------------------------------- */

static enum err add_address(const char *text, struct channel_address *addresses, unsigned *count)
{
	char host[64];
	uint16_t port;
	if (*count == CHANNEL_ADDRESS_COUNT_MAX)
		return ERR_LIMIT;
	if (config_parse_address(text, host, &port) || !host[0] || strlen(host) >= CHANNEL_HOST_LEN)
		return ERR_INVALID;
	struct channel_address *address = &addresses[(*count)++];
	memcpy(address->host, host, CHANNEL_HOST_LEN);
	address->port = port;
	return ERR_OK;
}

enum err cluster_own_addresses(
	const struct config *config, struct channel_address *addresses, unsigned *ret_count)
{
	*ret_count = 0;
	enum err err = ERR_OK;
	for (unsigned i = 0; !err && i < config->advertised_addresses_count; i++)
		err = add_address(config->advertised_addresses[i], addresses, ret_count);
	if (!err && config->advertised_addresses_count == 0)
		err = add_address(config->cluster_address, addresses, ret_count);
	return err;
}

enum err cluster_parse_addresses(struct bytes text, struct channel_node *node)
{
	char copy[ROW_ADDRESSES_LEN_MAX + 1], *rest = copy, *word;
	if (text.len > ROW_ADDRESSES_LEN_MAX)
		return ERR_LIMIT;
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	node->address_count = 0;
	while ((word = strsep(&rest, " "))) {
		enum err err = *word ? add_address(word, node->addresses, &node->address_count)
				     : ERR_OK;
		if (err)
			return err;
	}
	return ERR_OK;
}

void cluster_format_addresses(
	const struct channel_address *addresses, unsigned count, char *text, size_t cap)
{
	size_t len = 0;
	text[0] = '\0';
	for (unsigned i = 0; i < count && len < cap; i++) {
		bool is_v6 = strchr(addresses[i].host, ':') != NULL;
		len += snprintf(text + len, cap - len, "%s%s%s%s:%u", i > 0 ? " " : "",
			is_v6 ? "[" : "", addresses[i].host, is_v6 ? "]" : "", addresses[i].port);
	}
}

/* --- the file of a node that joined ----------------------------------------------------------- */

enum err cluster_keep_nodes(const char *state_dir, const struct channel_node *nodes, size_t count)
{
	char path[IDENTITY_PATH_LEN], part[IDENTITY_PATH_LEN], text[ROW_ADDRESSES_LEN_MAX];
	char id[2 * ID_LEN + 1], key[2 * CHANNEL_KEY_LEN + 1];
	if (identity_path(state_dir, NODES_NAME, path) ||
		identity_path(state_dir, NODES_PART, part))
		return ERR_LIMIT;
	FILE *file = fopen(part, "we");
	if (!file)
		return err_from_errno(errno);
	for (size_t i = 0; i < count; i++) {
		hex_encode(nodes[i].id.bytes, ID_LEN, id);
		hex_encode(nodes[i].key, CHANNEL_KEY_LEN, key);
		cluster_format_addresses(
			nodes[i].addresses, nodes[i].address_count, text, sizeof text);
		fprintf(file, "%s %s %s\n", id, key, text);
	}
	bool is_written = fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
	is_written &= fclose(file) == 0;
	return is_written && rename(part, path) == 0 ? ERR_OK : ERR_IO;
}

static bool parse_line(char *line, struct channel_node *node)
{
	line[strcspn(line, "\n")] = '\0';
	char *key = strchr(line, ' ');
	char *addresses = key ? strchr(key + 1, ' ') : NULL;
	if (!addresses)
		return false;
	*key++ = '\0';
	*addresses++ = '\0';
	return hex_decode(bytes_of(line), node->id.bytes, ID_LEN) == ERR_OK &&
		hex_decode(bytes_of(key), node->key, CHANNEL_KEY_LEN) == ERR_OK &&
		cluster_parse_addresses(bytes_of(addresses), node) == ERR_OK;
}

static enum err load_nodes(const char *state_dir, struct channel_node *nodes, size_t *ret_count)
{
	char path[IDENTITY_PATH_LEN], line[LINE_LEN + ROW_ADDRESSES_LEN_MAX];
	enum err err = identity_path(state_dir, NODES_NAME, path);
	FILE *file = err ? NULL : fopen(path, "re");
	*ret_count = 0;
	if (!file)
		return err ? err : errno == ENOENT ? ERR_OK : err_from_errno(errno);
	while (!err && *ret_count < ROW_NODES_MAX && fgets(line, sizeof line, file))
		if (!parse_line(line, &nodes[(*ret_count)++]))
			err = ERR_CORRUPT;
	fclose(file);
	return err;
}

/* --- the book --------------------------------------------------------------------------------- */

/* The epoch of the index counts when it is above that of the file. */
static enum err read_epoch(struct cluster *cluster, struct index_reader *reader)
{
	struct bytes value;
	enum err err = index_view_begin(reader);
	if (err)
		return err;
	err = index_setting_get(reader, bytes_of(COMMAND_SETTING_EPOCH), &value);
	if (!err && value.len == 8 && get_le64(value.data) > atomic_load(&cluster->epoch))
		atomic_store(&cluster->epoch, get_le64(value.data));
	index_view_end(reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

bool cluster_is_left_behind(const struct cluster *cluster)
{
	return channel_epoch_seen(cluster->channel) > atomic_load(&cluster->epoch);
}

enum err cluster_read_nodes(
	struct index_reader *reader, struct channel_node *nodes, size_t *ret_count)
{
	struct row_node row;
	*ret_count = 0;
	enum err err = index_view_begin(reader);
	if (err)
		return err;
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_node_next(reader, from, &row);
		if (err || *ret_count == ROW_NODES_MAX)
			break;
		struct channel_node *node = &nodes[*ret_count];
		node->id = row.id;
		memcpy(node->key, row.key, CHANNEL_KEY_LEN);
		if (cluster_parse_addresses(row.addresses, node) == ERR_OK)
			++*ret_count;
	}
	index_view_end(reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static struct cluster_node *find_node(struct cluster *cluster, struct id id)
{
	for (size_t i = 0; i < cluster->node_count; i++)
		if (id_is_equal(cluster->nodes[i]->channel.id, id))
			return cluster->nodes[i];
	return NULL;
}

/* Takes over a list of nodes. One that is being asked stays until it has answered. */
static enum err take_nodes(struct cluster *cluster, const struct channel_node *nodes, size_t count)
{
	for (size_t i = 0; i < cluster->node_count; i++) {
		bool is_there = cluster->nodes[i]->is_asked || cluster->nodes[i]->is_fare_asked;
		for (size_t j = 0; !is_there && j < count; j++)
			is_there = id_is_equal(cluster->nodes[i]->channel.id, nodes[j].id);
		if (is_there)
			continue;
		free(cluster->nodes[i]);
		cluster->nodes[i--] = cluster->nodes[--cluster->node_count];
	}
	for (size_t j = 0; j < count; j++) {
		struct cluster_node *node = find_node(cluster, nodes[j].id);
		if (!node && cluster->node_count < ROW_NODES_MAX) {
			node = calloc(1, sizeof *node);
			if (!node)
				return ERR_NO_MEMORY;
			node->changed_ms = loop_now_ms(cluster->loop);
			cluster->nodes[cluster->node_count++] = node;
		}
		if (node)
			node->channel = nodes[j];
	}
	struct channel_table table = {
		.epoch = atomic_load(&cluster->epoch), .nodes = nodes, .node_count = count};
	return channel_set_table(cluster->channel, &table);
}

static void take_row(struct cluster_node *node, const struct row_node *row)
{
	uint64_t more_ms = row->away_ms > node->away_ms ? row->away_ms - node->away_ms : 0;
	/* So much of what was seen is written down now. */
	node->seen_away_ms -= more_ms < node->seen_away_ms ? more_ms : node->seen_away_ms;
	node->number = row->number;
	node->away_ms = row->away_ms;
	node->maintenance_until_ms = row->maintenance_until_ms;
	node->is_draining = row->state == NODE_ROW_DRAINING;
}

/* What the rows of the nodes say besides. */
static enum err take_rows(struct cluster *cluster, struct index_reader *reader)
{
	enum err err = index_view_begin(reader);
	for (size_t i = 0; !err && i < cluster->node_count; i++) {
		struct row_node row;
		if (index_node_find(reader, cluster->nodes[i]->channel.id, &row) == ERR_OK)
			take_row(cluster->nodes[i], &row);
	}
	uint16_t version;
	if (!err && index_command_version(reader, &version) == ERR_OK)
		index_set_command_version(cluster->node->index, version);
	if (!err)
		index_view_end(reader);
	return err;
}

/* Reads the book anew: from the index, or if that has nothing yet, what the join was told. */
static enum err refresh(struct cluster *cluster, struct index_reader *reader)
{
	uint64_t generation = index_node_generation(cluster->node->index);
	size_t count;
	struct channel_node *nodes = calloc(ROW_NODES_MAX, sizeof *nodes);
	if (!nodes)
		return ERR_NO_MEMORY;
	enum err err = cluster_read_nodes(reader, nodes, &count);
	if (!err)
		err = read_epoch(cluster, reader);
	if (!err && count == 0)
		err = load_nodes(cluster->node->config->state_dir, nodes, &count);
	if (!err)
		err = take_nodes(cluster, nodes, count);
	if (!err)
		err = take_rows(cluster, reader);
	free(nodes);
	if (!err)
		cluster->generation = generation;
	return err;
}

static void tick(struct timer *timer)
{
	struct cluster *cluster = CONTAINER_OF(timer, struct cluster, tick);
	struct node *node = cluster->node;
	if (index_node_generation(node->index) != cluster->generation) {
		enum err err = refresh(cluster, node->store_loops[0].reader);
		if (err)
			trace_event(node->trace, TRACE_ERROR, 0,
				"the list of nodes could not be read: %s", err_text(err));
	}
	if (cluster_is_left_behind(cluster) && !node->has_failed)
		node_fail(node, ERR_CONFLICT, "%s", channel_refusal_text(CHANNEL_REFUSED_EPOCH));
	cluster_steward_tick(cluster);
	cluster_away_tick(cluster);
	timer_set(cluster->loop, timer, CLUSTER_TICK_MS);
}

/* --- the channel ------------------------------------------------------------------------------ */

static enum err add_peers(struct cluster *cluster)
{
	struct node *node = cluster->node;
	enum err err = channel_add(cluster->channel, server_loop_base(node->log_loop),
		CHANNEL_CONSENSUS, &cluster->consensus_peers);
	for (unsigned i = 0; !err && i < node->config->loops; i++)
		err = channel_add(cluster->channel, server_loop_base(node->loops[i]),
			CHANNEL_CLIENTS, &cluster->loop_peers[i]);
	return err;
}

enum err cluster_open(struct node *node, struct cluster **ret_cluster, char *message)
{
	*ret_cluster = NULL;
	if (!node->config->cluster_address[0]) {
		if (node->identity.is_joined)
			return node_refuse(message, ERR_INVALID,
				"this node is one of a cluster, and no cluster_address is set; set "
				"it to where the others find it");
		return ERR_OK;
	}
	struct cluster *cluster = calloc(1, sizeof *cluster);
	if (!cluster)
		return ERR_NO_MEMORY;
	*ret_cluster = cluster;
	cluster->node = node;
	cluster->loop = server_loop_base(node->loops[0]);
	cluster->tick.fire = tick;
	uint8_t secret[IDENTITY_KEY_LEN];
	struct identity_epoch epoch;
	enum err err = identity_bind_machine(
		node->config->state_dir, &node->identity, MACHINE_ID_PATH, message);
	if (!err)
		err = identity_load_epoch(node->config->state_dir, &epoch, message);
	if (!err)
		err = identity_need_secret(node->config->state_dir, secret, message);
	if (err)
		return err;
	channel_self_init(&cluster->self, node->identity.cluster, node->identity.node,
		node->identity.node_key, secret);
	explicit_bzero(secret, sizeof secret);
	atomic_store(&cluster->epoch, epoch.number);
	cluster->is_recovery = epoch.is_recovery;
	cluster->self.is_integrity_only = node->config->channel == CONFIG_CHANNEL_INTEGRITY_ONLY;
	cluster_door_init(cluster);
	struct channel_settings settings = channel_settings_default();
	struct channel_options options = {.self = &cluster->self,
		.settings = &settings,
		.trace = node->trace,
		.join = &cluster->join};
	err = channel_new(&options, &cluster->channel);
	if (!err)
		err = add_peers(cluster);
	if (!err)
		background_serve(cluster);
	if (!err)
		lost_shards_serve(cluster);
	if (!err)
		fares_serve(cluster);
	if (!err)
		cluster_steward_init(cluster);
	if (!err)
		cluster_rest_init(cluster);
	if (!err)
		err = sounding_serve(cluster);
	if (!err)
		err = net_errand_serve(cluster);
	return err;
}

enum err cluster_listen(struct cluster *cluster, char *message)
{
	struct node *node = cluster->node;
	char host[64];
	uint16_t port;
	enum err err = refresh(cluster, node->reader);
	if (err)
		return node_refuse(message, err, "the list of nodes: %s", err_text(err));
	err = config_parse_address(node->config->cluster_address, host, &port);
	return err ? err : channel_listen(cluster->channel, cluster->loop, host, port, message);
}

static enum err begin_tick(void *arg)
{
	struct cluster *cluster = arg;
	cluster->is_ticking = true;
	tick(&cluster->tick);
	return ERR_OK;
}

static enum err end_tick(void *arg)
{
	struct cluster *cluster = arg;
	if (cluster->is_ticking)
		timer_cancel(cluster->loop, &cluster->tick);
	cluster->is_ticking = false;
	return ERR_OK;
}

struct hand_over {
	struct consensus_change change;
	struct completion completion;
};

static void handed_over(struct consensus_change *change)
{
	struct hand_over *hand_over = CONTAINER_OF(change, struct hand_over, change);
	completion_end(&hand_over->completion, change->err);
}

void cluster_hand_over(struct cluster *cluster)
{
	struct node *node = cluster->node;
	struct consensus_info info;
	struct consensus_members members;
	struct hand_over hand_over = {.change = {.kind = CONSENSUS_HAND_OVER}};
	unsigned voters = 0;
	consensus_info(node->consensus, &info);
	consensus_raft_members(node->consensus, &members);
	for (size_t i = 0; i < members.count; i++)
		voters += members.members[i].duty == CONSENSUS_VOTER;
	if (info.role != CONSENSUS_LEADER || voters < 2)
		return;
	completion_init(&hand_over.completion);
	hand_over.change.loop = cluster->loop;
	hand_over.change.done = handed_over;
	consensus_raft_change(node->consensus, &hand_over.change);
	node_await_decided(node, &hand_over.completion, HAND_OVER_PATIENCE_MS);
	enum err err = hand_over.change.err;
	trace_event(node->trace, TRACE_INFO, 0, "the lead %s%s",
		err ? "could not be handed over: " : "is another node's now",
		err ? err_text(err) : "");
}

void cluster_start(struct cluster *cluster)
{
	struct steward_setup setup = {.loop = cluster->loop,
		.consensus = cluster->node->consensus,
		.index = cluster->node->index,
		.reader = cluster->node->store_loops[0].reader,
		.trace = cluster->node->trace,
		.node = cluster->self.node};
	steward_init(&cluster->steward, &setup);
	err_ignore(loop_call(cluster->loop, begin_tick, cluster)); /* never fails */
}

void cluster_end_watch(struct cluster *cluster)
{
	err_ignore(loop_call(cluster->loop, end_tick, cluster)); /* never fails */
}

void cluster_stop(struct cluster *cluster)
{
	if (!cluster || !cluster->channel)
		return;
	cluster_end_watch(cluster);
	net_errand_cancel(cluster);
	channel_stop(cluster->channel);
	sounding_stop(cluster);
	net_errand_stop(cluster);
}

void cluster_free(struct cluster *cluster)
{
	if (!cluster)
		return;
	channel_free(cluster->channel);
	sounding_free(cluster);
	net_errand_free(cluster);
	for (size_t i = 0; i < cluster->node_count; i++)
		free(cluster->nodes[i]);
	channel_self_fini(&cluster->self);
	free(cluster);
}

/* --- looking ---------------------------------------------------------------------------------- */

struct look {
	struct cluster *cluster;
	struct id id;
	struct cluster_view *view;
};

static enum err look(void *arg)
{
	const struct look *look = arg;
	const struct cluster_node *node = find_node(look->cluster, look->id);
	*look->view = (struct cluster_view){0};
	if (!node)
		return ERR_OK;
	*look->view = (struct cluster_view){.is_known = true,
		.is_linked = node->is_linked,
		.silent_ms = node->silent_ms,
		.applied = node->applied,
		.differs = node->state.differs,
		.differs_at = node->state.compared,
		.changed_ms = loop_now_ms(look->cluster->loop) - node->changed_ms,
		.rtt_us = node->rtt_us,
		.has_time = node->has_time,
		.ahead_ms = node->ahead_ms,
		.ahead_within_ms = node->ahead_within_ms,
		.drive_count = node->drive_count};
	memcpy(look->view->drives, node->drives, sizeof node->drives);
	return ERR_OK;
}

void cluster_view(struct cluster *cluster, struct id node, struct cluster_view *ret_view)
{
	struct look arg = {cluster, node, ret_view};
	err_ignore(loop_call(cluster->loop, look, &arg)); /* never fails */
}

bool cluster_is_member(struct cluster *cluster, struct id node)
{
	struct consensus_members members;
	consensus_raft_members(cluster->node->consensus, &members);
	for (size_t i = 0; i < members.count; i++)
		if (id_is_equal(members.members[i].node, node))
			return true;
	return false;
}

/* --- introducing this node -------------------------------------------------------------------- */

static void describe(
	struct cluster *cluster, struct command_node_put *put, char *addresses, size_t cap)
{
	const struct config *config = cluster->node->config;
	struct channel_address list[CHANNEL_ADDRESS_COUNT_MAX];
	unsigned count;
	err_ignore(cluster_own_addresses(config, list, &count)); /* the configuration was checked */
	cluster_format_addresses(list, count, addresses, cap);
	put->id = cluster->self.node;
	put->set = NODE_SET_ABOUT;
	memcpy(put->key, cluster->self.public_key, ROW_NODE_KEY_LEN);
	put->name = bytes_of(config->node_name);
	put->zone = bytes_of(config->zone);
	put->addresses = bytes_of(addresses);
	put->version_min = 1;
	put->version_max = COMMAND_VERSION;
	put->role = config->role == CONFIG_ROLE_WITNESS ? NODE_ROLE_WITNESS : NODE_ROLE_STORAGE;
}

static bool is_as_described(const struct row_node *row, const struct command_node_put *put)
{
	return bytes_is_equal(row->name, put->name) && bytes_is_equal(row->zone, put->zone) &&
		bytes_is_equal(row->addresses, put->addresses) && row->role == put->role &&
		row->version_min == put->version_min && row->version_max == put->version_max;
}

enum err cluster_introduce(struct cluster *cluster, char *message)
{
	struct node *node = cluster->node;
	struct command command = {.type = COMMAND_NODE_PUT};
	char addresses[ROW_ADDRESSES_LEN_MAX];
	struct row_node row;
	describe(cluster, &command.node_put, addresses, sizeof addresses);
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_node_find(node->reader, cluster->self.node, &row);
	bool is_fine = err == ERR_OK && is_as_described(&row, &command.node_put);
	index_view_end(node->reader);
	if (is_fine || (err && err != ERR_NOT_FOUND))
		return err;
	struct command_result result;
	err = node_propose_until(node, &command, &result);
	if (err == ERR_DENIED)
		return node_refuse(message, err,
			"this node was removed from its cluster; to join again, empty %.300s and "
			"its drives and use a new token",
			node->config->state_dir);
	return err;
}

enum err cluster_seal_recovery(struct cluster *cluster, char *message)
{
	struct node *node = cluster->node;
	struct identity_epoch epoch = {.number = atomic_load(&cluster->epoch)};
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	uint8_t value[8];
	if (!cluster->is_recovery)
		return ERR_OK;
	command.setting_put.name = bytes_of(COMMAND_SETTING_HELD);
	command.setting_put.value = bytes_of("forced recovery");
	enum err err = node_propose(node, &command, &result);
	put_le64(value, epoch.number);
	command.setting_put.name = bytes_of(COMMAND_SETTING_EPOCH);
	command.setting_put.value = bytes_make(value, sizeof value);
	if (!err)
		err = node_propose(node, &command, &result);
	if (err == ERR_CONFLICT) /* an earlier try did */
		err = ERR_OK;
	if (!err)
		err = identity_put_epoch(node->config->state_dir, &epoch, message);
	if (err)
		return node_refuse(
			message, err, "the recovery could not be written down: %s", err_text(err));
	cluster->is_recovery = false;
	trace_event(node->trace, TRACE_WARNING, 0,
		"this node is the whole cluster now, in epoch %llu; nothing is collected until: "
		"rubus cluster confirm",
		(unsigned long long)epoch.number);
	return ERR_OK;
}
