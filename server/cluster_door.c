/* SPDX-License-Identifier: Apache-2.0 */
/* The door: tokens are made here, and who brings one is let in.
 *
 * The secret of a token lies sealed in the index, so that every member can check it. A node is
 * admitted by the command that spends its token; only then does it get the keys of the cluster. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/cluster.h"
#include "server/node.h"
#include "storage/bytes.h"

#define ADMISSIONS_MAX 16

/* One that asked and whose command is on its way. */
struct cluster_admission {
	struct cluster *cluster;
	struct channel_join_request *request;
	struct index_proposal proposal;
	uint8_t *bytes; /* of the command */
	struct cluster_admission *next;
};

/* --- tokens ----------------------------------------------------------------------------------- */

static enum err open_secret(
	struct node *node, const struct row_token *row, uint8_t secret[JOIN_SECRET_LEN])
{
	uint8_t text[SECRET_BOX_LEN_MAX];
	size_t len;
	enum err err = secrets_open(&node->box.secrets, row->secret, text, sizeof text, &len);
	if (!err && len != JOIN_SECRET_LEN)
		err = ERR_CORRUPT;
	if (!err)
		memcpy(secret, text, JOIN_SECRET_LEN);
	sodium_memzero(text, sizeof text);
	return err;
}

static enum err find_token(
	struct channel_join *join, struct id token, uint8_t ret_secret[JOIN_SECRET_LEN])
{
	struct cluster *cluster = CONTAINER_OF(join, struct cluster, join);
	struct index_reader *reader = cluster->node->store_loops[0].reader;
	struct row_token row;
	enum err err = index_view_begin(reader);
	if (err)
		return err;
	err = index_token_get(reader, token, &row);
	int64_t now_ms = clock_wall_ms(cluster->node->clock);
	if (!err && (now_ms < 0 || row.end_ms <= (uint64_t)now_ms))
		err = ERR_NOT_FOUND;
	if (!err)
		err = open_secret(cluster->node, &row, ret_secret);
	index_view_end(reader);
	return err;
}

enum err cluster_make_token(
	struct cluster *cluster, uint64_t life_ms, char *text, uint64_t *ret_end_ms, char *message)
{
	struct node *node = cluster->node;
	struct join_token token;
	struct channel_address addresses[CHANNEL_ADDRESS_COUNT_MAX];
	unsigned count;
	enum err err = cluster_own_addresses(node->config, addresses, &count);
	if (err)
		return node_refuse(message, err, "where others find this node is not known");
	int64_t end_ms = clock_wall_ms(node->clock) + (int64_t)life_ms;
	join_token_make(&token, &cluster->self, addresses, count, end_ms / 1000);
	uint8_t sealed[SECRET_BOX_LEN_MAX];
	size_t len;
	struct command command = {.type = COMMAND_TOKEN_PUT};
	struct command_result result;
	err = secret_box_seal(&node->box, bytes_make(token.secret, JOIN_SECRET_LEN), sealed, &len);
	if (!err) {
		command.token_put.token = join_token_number(token.secret);
		command.token_put.secret = bytes_make(sealed, len);
		command.token_put.life_ms = life_ms;
		err = node_propose(node, &command, &result);
	}
	if (!err) {
		join_token_format(&token, text);
		*ret_end_ms = result.time_ms;
	}
	sodium_memzero(&token, sizeof token);
	return err;
}

/* --- letting in ------------------------------------------------------------------------------- */

static void end(struct cluster_admission *admission, enum err err)
{
	struct cluster *cluster = admission->cluster;
	struct join_welcome *welcome = NULL;
	if (!err && !(welcome = calloc(1, sizeof *welcome)))
		err = ERR_NO_MEMORY;
	if (welcome) {
		memcpy(welcome->secret, cluster->self.secret, CHANNEL_KEY_LEN);
		memcpy(welcome->cluster_key, cluster->node->identity.cluster_key, CHANNEL_KEY_LEN);
		welcome->epoch = atomic_load(&cluster->epoch);
		for (size_t i = 0; i < cluster->node_count; i++)
			welcome->nodes[welcome->node_count++] = cluster->nodes[i]->channel;
	}
	join_request_end(admission->request, err, welcome);
	if (welcome)
		sodium_memzero(welcome, sizeof *welcome);
	free(welcome);
	struct cluster_admission **at = &cluster->admissions;
	while (*at != admission)
		at = &(*at)->next;
	*at = admission->next;
	free(admission->bytes);
	free(admission);
}

static void proposed(struct index_proposal *proposal)
{
	struct cluster_admission *admission = CONTAINER_OF(
		proposal, struct cluster_admission, proposal);
	enum err err = proposal->err;
	if (!err)
		err = command_code_err(proposal->result.code);
	trace_event(admission->cluster->node->trace, err ? TRACE_WARNING : TRACE_INFO, 0,
		"node %s %s%s%s", admission->request->name, err ? "is not admitted" : "is admitted",
		err ? ": " : "", err ? err_text(err) : "");
	end(admission, err);
}

static enum err propose(struct cluster_admission *admission)
{
	const struct channel_join_request *request = admission->request;
	struct command command = {.type = COMMAND_NODE_PUT};
	struct command_node_put *put = &command.node_put;
	char addresses[ROW_ADDRESSES_LEN_MAX];
	cluster_format_addresses(
		request->node.addresses, request->node.address_count, addresses, sizeof addresses);
	put->id = request->node.id;
	memcpy(put->key, request->node.key, ROW_NODE_KEY_LEN);
	put->name = bytes_of(request->name);
	put->addresses = bytes_of(addresses);
	put->token = request->token;
	put->set = NODE_SET_ABOUT;
	admission->bytes = malloc(COMMAND_LEN_MAX);
	if (!admission->bytes)
		return ERR_NO_MEMORY;
	admission->proposal.bytes = admission->bytes;
	admission->proposal.loop = admission->cluster->loop;
	admission->proposal.done = proposed;
	enum err err = command_encode(
		&command, admission->bytes, COMMAND_LEN_MAX, &admission->proposal.len);
	if (!err)
		index_propose(admission->cluster->node->index, &admission->proposal);
	return err;
}

static void admit(struct channel_join *join, struct channel_join_request *request)
{
	struct cluster *cluster = CONTAINER_OF(join, struct cluster, join);
	size_t count = 0;
	for (struct cluster_admission *i = cluster->admissions; i; i = i->next)
		count++;
	struct cluster_admission *admission = count < ADMISSIONS_MAX ? calloc(1, sizeof *admission)
								     : NULL;
	if (!admission) {
		join_request_end(request, count < ADMISSIONS_MAX ? ERR_NO_MEMORY : ERR_BUSY, NULL);
		return;
	}
	admission->cluster = cluster;
	admission->request = request;
	admission->next = cluster->admissions;
	cluster->admissions = admission;
	enum err err = propose(admission);
	if (err)
		end(admission, err);
}

void cluster_door_init(struct cluster *cluster)
{
	static const struct channel_join_ops ops = {.find = find_token, .admit = admit};
	cluster->join.ops = &ops;
}
