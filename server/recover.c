/* SPDX-License-Identifier: Apache-2.0 */
#include "server/recover.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/cluster.h"
#include "server/disk_file.h"
#include "server/init.h"
#include "server/node_priv.h"
#include "storage/bytes.h"
#include "storage/meta/index_ledger.h"
#include "storage/ring/ring_summary.h"

#define CONNECT_TIMEOUT_MS 1000
#define NAME_LEN_MAX 64

/* What is known of a node. */
struct survey_node {
	struct channel_node channel;
	char name[ROW_NODE_NAME_LEN_MAX + 1];
	bool is_own, is_voter, answers;
};

struct survey {
	struct node *node;
	struct consensus_end end;
	uint64_t epoch; /* of the index or of the file, whichever is higher */
	size_t count;
	struct survey_node *nodes; /* ROW_NODES_MAX */
	unsigned voters, answering; /* of the voters: all, and this one with those that answer */
	uint64_t stored_len;
	struct ring_outlook outlook; /* with the drives of this node alone */
	bool is_mirrored; /* the log is on drives */
	unsigned drive_count;
	char *drives[STORE_DRIVES_MAX]; /* owned: paths */
};

/* --- who answers ------------------------------------------------------------------------------ */

static bool can_connect(const struct addrinfo *to)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int number = 0;
	socklen_t len = sizeof number;
	if (fd < 0)
		return false;
	bool is_there = connect(fd, to->ai_addr, to->ai_addrlen) == 0;
	if (!is_there && errno == EINPROGRESS) {
		struct pollfd wait = {.fd = fd, .events = POLLOUT};
		is_there = poll(&wait, 1, CONNECT_TIMEOUT_MS) == 1 &&
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) == 0 && number == 0;
	}
	close(fd);
	return is_there;
}

/* Does anybody listen where the node was? */
static bool does_answer(const struct channel_node *node)
{
	bool is_there = false;
	for (unsigned i = 0; i < node->address_count && !is_there; i++) {
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
		char port[8];
		snprintf(port, sizeof port, "%u", node->addresses[i].port);
		if (getaddrinfo(node->addresses[i].host, port, &hints, &found) != 0)
			continue;
		for (const struct addrinfo *at = found; at && !is_there; at = at->ai_next)
			is_there = can_connect(at);
		freeaddrinfo(found);
	}
	return is_there;
}

/* --- looking ---------------------------------------------------------------------------------- */

static bool is_voter(const struct consensus_members *members, struct id node)
{
	for (size_t i = 0; i < members->count; i++)
		if (id_is_equal(members->members[i].node, node))
			return members->members[i].duty == CONSENSUS_VOTER;
	return false;
}

static void take_node(struct survey *survey, const struct row_node *row)
{
	struct survey_node *node = &survey->nodes[survey->count++];
	size_t len = row->name.len < sizeof node->name ? row->name.len : sizeof node->name - 1;
	if (len > 0)
		memcpy(node->name, row->name.data, len);
	node->channel.id = row->id;
	memcpy(node->channel.key, row->key, CHANNEL_KEY_LEN);
	err_ignore(cluster_parse_addresses(row->addresses, &node->channel)); /* then none */
	node->is_own = id_is_equal(row->id, survey->node->identity.node);
	node->is_voter = is_voter(&survey->end.members, row->id);
}

static enum err read_nodes(struct survey *survey)
{
	struct row_node row;
	enum err err = ERR_OK;
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_node_next(survey->node->reader, from, &row);
		if (err || survey->count == ROW_NODES_MAX)
			break;
		take_node(survey, &row);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err read_epoch(struct survey *survey)
{
	struct bytes value;
	survey->epoch = atomic_load(&survey->node->cluster->epoch);
	enum err err = index_setting_get(
		survey->node->reader, bytes_of(COMMAND_SETTING_EPOCH), &value);
	if (!err && value.len == 8 && get_le64(value.data) > survey->epoch)
		survey->epoch = get_le64(value.data);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* How the data is without the drives of other nodes. */
static enum err read_drives(struct survey *survey, const struct ring *ring)
{
	uint16_t *failed = calloc(RING_DRIVES_MAX, sizeof *failed);
	uint64_t *lens = calloc(ring->slot_count, sizeof *lens);
	struct index_reader *reader = survey->node->reader;
	struct row_drive row;
	size_t count = 0;
	enum err err = failed && lens ? ERR_OK : ERR_NO_MEMORY;
	for (uint32_t from = 1; !err && from <= UINT16_MAX; from = row.number + 1u) {
		err = index_drive_next(reader, from, &row);
		if (!err && count < RING_DRIVES_MAX &&
			!id_is_equal(row.node, survey->node->identity.node))
			failed[count++] = row.number;
	}
	if (err == ERR_NOT_FOUND)
		err = ERR_OK;
	for (uint32_t slot = 0; !err && slot < ring->slot_count; slot++) {
		struct row_slot_counts counts;
		err = index_slot_counts(reader, slot, &counts);
		if (!err)
			survey->stored_len += lens[slot] = counts.len;
		if (err == ERR_NOT_FOUND)
			err = ERR_OK;
	}
	if (!err)
		ring_simulate(ring, failed, count, lens, &survey->outlook);
	free(failed);
	free(lens);
	return err;
}

static enum err look(struct survey *survey)
{
	enum err err = consensus_raft_end(survey->node->consensus, &survey->end);
	if (!err)
		err = index_view_begin(survey->node->reader);
	if (err)
		return err;
	struct ring_snapshot *ring = index_ring(survey->node->index);
	err = read_nodes(survey);
	if (!err)
		err = read_epoch(survey);
	if (!err && ring)
		err = read_drives(survey, ring_snapshot_ring(ring));
	ring_snapshot_unref(ring);
	index_view_end(survey->node->reader);
	for (size_t i = 0; !err && i < survey->count; i++) {
		struct survey_node *node = &survey->nodes[i];
		node->answers = !node->is_own && does_answer(&node->channel);
		survey->voters += node->is_voter;
		survey->answering += node->is_voter && (node->is_own || node->answers);
	}
	return err;
}

/* --- doing it --------------------------------------------------------------------------------- */

/* Renames what a directory has of log and index to NAME.before-epoch-N. */
static enum err set_aside(const char *dir, uint64_t epoch, char *message)
{
	static const char *const names[] = {
		"log-state", "log-members", "log", "index", "index-copy"};
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		char from[IDENTITY_PATH_LEN], to[IDENTITY_PATH_LEN], name[NAME_LEN_MAX];
		snprintf(name, sizeof name, "%s.before-epoch-%llu", names[i],
			(unsigned long long)epoch);
		enum err err = identity_path(dir, names[i], from);
		if (!err)
			err = identity_path(dir, name, to);
		if (!err && rename(from, to) != 0 && errno != ENOENT)
			err = err_from_errno(errno);
		if (err)
			return node_refuse(message, err, "%.300s/%s could not be set aside: %s",
				dir, names[i], err_text(err));
	}
	return ERR_OK;
}

/* The copies of the log on drives too, and the new one is to rule (log_mirror_supersede()). */
static enum err set_drives_aside(const struct config *config, const struct survey *survey,
	struct id node, uint64_t epoch, char *message)
{
	struct log_home homes[LOG_HOMES_MAX] = {0};
	struct drive_identity drive;
	unsigned count = 0;
	enum err err = server_disk_new(config->state_dir, NULL, &homes[count].disk);
	count += !err;
	for (unsigned i = 0; !err && i < survey->drive_count; i++) {
		if (server_disk_new(survey->drives[i], NULL, &homes[count].disk) != ERR_OK)
			continue; /* it is outranked when it is back */
		if (drive_identify(homes[count].disk, &drive) == ERR_OK)
			homes[count++].id = drive.drive;
		else
			server_disk_free(homes[count].disk);
	}
	if (!err)
		err = log_mirror_supersede(homes, count, node);
	for (unsigned i = 1; !err && i < count; i++)
		err = set_aside(homes[i].disk->path, epoch, message);
	while (count > 0)
		server_disk_free(homes[--count].disk);
	return err;
}

static enum err list_drives(struct survey *survey)
{
	const struct node *node = survey->node;
	survey->is_mirrored = node->mirror != NULL;
	for (unsigned i = 0; i < node->drive_count; i++) {
		survey->drives[i] = strdup(node->drives[i].path);
		if (!survey->drives[i])
			return ERR_NO_MEMORY;
		survey->drive_count++;
	}
	return ERR_OK;
}

/* A survivor beside the first: it is a member anew, with its drives. */
static enum err follow(const struct config *config, const struct survey *survey,
	struct identity *identity, uint64_t epoch, char *message)
{
	struct channel_node *nodes = calloc(survey->count + 1, sizeof *nodes);
	if (!nodes)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < survey->count; i++)
		nodes[i] = survey->nodes[i].channel;
	enum err err = cluster_keep_nodes(config->state_dir, nodes, survey->count);
	free(nodes);
	identity->is_joined = true; /* it founds no cluster with the empty log */
	if (!err)
		err = identity_finish(config->state_dir, identity, message);
	if (!err)
		err = set_aside(config->state_dir, epoch, message);
	if (!err)
		err = init_log(config, identity, message);
	if (!err && survey->is_mirrored)
		err = set_drives_aside(config, survey, identity->node, epoch, message);
	struct identity_epoch next = {.number = epoch};
	return err ? err : identity_put_epoch(config->state_dir, &next, message);
}

static enum err check(
	const struct survey *survey, const struct recover_request *request, char *message)
{
	if (request->epoch == 0 && survey->voters <= 1 && survey->answering == survey->voters)
		return node_refuse(message, ERR_UNSUPPORTED,
			"this node is the only voter, so nothing is to be recovered: start it");
	if (request->epoch == 0 && survey->answering >= survey->voters / 2 + 1)
		return node_refuse(message, ERR_CONFLICT,
			"%u of %u voters can be reached with this one, which is a majority: start "
			"this node and look at rubus quorum",
			survey->answering, survey->voters);
	if (request->epoch > 0 && request->epoch <= survey->epoch)
		return node_refuse(message, ERR_CONFLICT,
			"this node is of epoch %llu already; name the epoch that the first "
			"survivor was given",
			(unsigned long long)survey->epoch);
	return ERR_OK;
}

static json_t *members_json(const struct survey *survey)
{
	json_t *list = json_array();
	for (size_t i = 0; i < survey->count; i++) {
		const struct survey_node *node = &survey->nodes[i];
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s}", "name", node->name, "duty",
				node->is_voter ? "voter" : "learner", "fate",
				node->is_own            ? "survives"
					: node->answers ? "answers"
							: "lost"));
	}
	return list;
}

static json_t *survey_json(const struct survey *survey, const struct recover_request *request)
{
	uint64_t epoch = request->epoch ? request->epoch : survey->epoch + 1;
	struct index_status index;
	index_status(survey->node->index, &index);
	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I}", "done", request->is_sure,
		"epoch", (json_int_t)survey->epoch, "epoch_after", (json_int_t)epoch, "log_term",
		(json_int_t)survey->end.term, "log_index", (json_int_t)survey->end.index, "applied",
		(json_int_t)index.applied, "members", members_json(survey), "stored",
		(json_int_t)survey->stored_len, "unreadable",
		(json_int_t)survey->outlook.unreadable_len);
}

enum err recover_run(const struct config *config, struct logger *logger,
	const struct recover_request *request, json_t **ret_result, char *message)
{
	struct survey survey = {0};
	struct identity identity = {0};
	json_t *result = NULL;
	enum err err = node_look(config, logger, &survey.node, message);
	if (err)
		return err;
	survey.nodes = calloc(ROW_NODES_MAX, sizeof *survey.nodes);
	err = survey.nodes ? list_drives(&survey) : ERR_NO_MEMORY;
	if (!err)
		err = look(&survey);
	if (!err)
		err = check(&survey, request, message);
	if (!err && !(result = survey_json(&survey, request)))
		err = ERR_NO_MEMORY;
	identity = survey.node->identity;
	if (!err && request->is_sure && request->epoch == 0) {
		struct identity_epoch next = {.number = survey.epoch + 1, .is_recovery = true};
		err = identity_put_epoch(config->state_dir, &next, message);
	}
	node_stop(survey.node);
	if (!err && request->is_sure && request->epoch > 0)
		err = follow(config, &survey, &identity, request->epoch, message);
	identity_fini(&identity);
	free(survey.nodes);
	while (survey.drive_count > 0)
		free(survey.drives[--survey.drive_count]);
	if (err && !message[0])
		node_refuse(message, err, "the node could not be looked at: %s", err_text(err));
	if (err)
		json_decref(result);
	else
		*ret_result = result;
	return err;
}
