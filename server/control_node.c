/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about one node or drive: in the control thread. */
#include "server/control_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/digest/hex.h"
#include "server/control_drive.h"
#include "server/facts.h"

#define MINUTE_MS UINT64_C(60000)
#define MAINTENANCE_MINUTES_MAX (7 * 24 * 60)
#define NAMES_LEN_MAX 1024
#define REASONS_LEN 512

static const char *argument(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));
	return text ? text : "";
}

static enum err find_node(const struct facts *facts, const char *name,
	const struct fact_node **ret_node, char *message)
{
	*ret_node = facts_find_node(facts, name);
	if (*ret_node)
		return ERR_OK;
	return node_refuse(message, ERR_NOT_FOUND,
		"there is no node '%.64s', or several have that name; see rubus node list", name);
}

/* --- rubus node show -------------------------------------------------------------------------- */

static void add_drive_sums(const struct facts *facts, const struct fact_node *node, json_t *json)
{
	json_int_t count = 0, up = 0, used = 0, free_len = 0, shards = 0;
	for (size_t i = 0; i < facts->drive_count; i++) {
		const struct fact_drive *drive = &facts->drives[i];
		if (drive->node != node)
			continue;
		count++;
		up += drive->is_up;
		used += (json_int_t)drive->space.used;
		free_len += (json_int_t)drive->space.free;
		shards += facts->ring ? ring_count_drive(facts->ring, drive->number) : 0;
	}
	json_object_set_new(json, "drives", json_integer(count));
	json_object_set_new(json, "drives_up", json_integer(up));
	json_object_set_new(json, "used", json_integer(used));
	json_object_set_new(json, "free", json_integer(free_len));
	json_object_set_new(json, "positions", json_integer(shards));
}

static json_t *show_json(const struct facts *facts, const struct fact_node *node)
{
	char id[2 * ID_LEN + 1];
	hex_encode(node->id.bytes, ID_LEN, id);
	json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "number",
		node->number, "name", node->name, "id", id, "state", facts_state_text(facts, node),
		"duty",
		node->is_leader           ? "leader"
			: node->is_voter  ? "voter"
			: node->is_member ? "learner"
					  : "none",
		"role", node->role == NODE_ROLE_WITNESS ? "witness" : "storage", "zone", node->zone,
		"addresses", node->addresses, "is_this", node->is_own);
	uint64_t now_ms = clock_wall_ms(facts->node->clock);
	uint64_t applied = node->is_own ? facts->index.applied : node->view.applied;
	uint64_t commit = facts->info.commit_index;
	if (node->since_ms > 0)
		json_object_set_new(json, "since_ms", json_integer(node->since_ms));
	if (node->joined_ms > 0)
		json_object_set_new(json, "joined_ms", json_integer(node->joined_ms));
	if (node->away_ms > 0)
		json_object_set_new(json, "away_counted_ms", json_integer(node->away_ms));
	if (node->maintenance_until_ms > now_ms)
		json_object_set_new(
			json, "maintenance_until_ms", json_integer(node->maintenance_until_ms));
	if (node->is_up) {
		json_object_set_new(json, "applied", json_integer(applied));
		json_object_set_new(
			json, "applied_lag", json_integer(commit > applied ? commit - applied : 0));
	}
	if (node->view.rtt_us > 0)
		json_object_set_new(json, "rtt_us", json_integer(node->view.rtt_us));
	add_drive_sums(facts, node, json);
	return json;
}

enum err control_node_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct facts *facts;
	const struct fact_node *shown;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	err = find_node(facts, argument(request, "name"), &shown, message);
	if (!err)
		*ret_result = show_json(facts, shown);
	facts_free(facts);
	return err;
}

/* --- rubus node maintenance ------------------------------------------------------------------- */

/* "20m", "2h", or a number of minutes; 0: neither. */
static long read_minutes(const json_t *request)
{
	const char *text = argument(request, "for");
	bool is_plain = !*text;
	char *end;
	if (is_plain)
		text = argument(request, "minutes");
	long count = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || count > MAINTENANCE_MINUTES_MAX)
		return 0;
	if (!is_plain && strcmp(end, "h") == 0)
		return count * 60;
	return strcmp(end, is_plain ? "" : "m") == 0 ? count : 0;
}

static enum err read_until(
	struct node *node, const json_t *request, uint64_t *ret_until_ms, char *message)
{
	const char *what = argument(request, "what");
	bool has_time = *argument(request, "minutes") || *argument(request, "for");
	*ret_until_ms = 0;
	if (strcmp(what, "off") == 0)
		return has_time ? node_refuse(message, ERR_INVALID, "off needs no time") : ERR_OK;
	if (strcmp(what, "on") != 0)
		return node_refuse(message, ERR_INVALID, "say on --for 20m, or off");
	long count = read_minutes(request);
	if (count < 1 || count > MAINTENANCE_MINUTES_MAX)
		return node_refuse(message, ERR_INVALID,
			"on needs --for, such as 20m or 2h, or --minutes; at most 7 days");
	*ret_until_ms = (uint64_t)clock_wall_ms(node->clock) + (uint64_t)count * MINUTE_MS;
	return ERR_OK;
}

enum err control_node_maintenance(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct facts *facts = NULL;
	const struct fact_node *kept;
	struct command command = {.type = COMMAND_NODE_PUT};
	struct command_result result;
	enum err err = read_until(node, request, &command.node_put.maintenance_until_ms, message);
	if (err)
		return err;
	err = facts_new(node, &facts);
	if (err)
		return err;
	err = find_node(facts, argument(request, "name"), &kept, message);
	if (!err && !facts->has_quorum)
		err = node_refuse(message, ERR_UNAVAILABLE,
			"there is no quorum, so nothing can be decided; see rubus quorum");
	if (!err && !node->cluster)
		err = node_refuse(message, ERR_UNSUPPORTED, "this node is alone");
	if (!err) {
		command.node_put.id = kept->id;
		command.node_put.set = NODE_SET_MAINTENANCE;
		err = node_propose(node, &command, &result);
	}
	if (!err) {
		*ret_result = json_pack("{s:s}", "name", kept->name);
		if (command.node_put.maintenance_until_ms > 0)
			json_object_set_new(*ret_result, "maintenance_until_ms",
				json_integer(command.node_put.maintenance_until_ms));
	}
	facts_free(facts);
	return err;
}

/* --- what if ---------------------------------------------------------------------------------- */

struct what_if {
	bool has_quorum, is_readable, is_writable, is_safe;
	unsigned voters;
	struct ring_outlook outlook;
};

static enum err imagine(const struct facts *facts, const struct fact_node *const *more,
	size_t more_count, struct what_if *ret_if)
{
	struct what_if result = {.is_readable = true};
	result.voters = facts_voters_without(facts, more, more_count);
	result.has_quorum = result.voters >= facts->voters_needed;
	if (facts->ring) {
		enum err err = facts_simulate(facts, more, more_count, &result.outlook);
		if (err)
			return err;
		result.is_readable = result.outlook.unreadable == 0;
		result.is_writable = result.has_quorum && result.outlook.stopped == 0;
		result.is_safe = result.is_readable && result.voters > facts->voters_needed &&
			result.outlook.safe == facts->ring->slot_count;
	}
	result.is_readable &= result.has_quorum;
	*ret_if = result;
	return ERR_OK;
}

static void format_reasons(
	const struct facts *facts, const struct what_if *result, char *text, size_t cap)
{
	const struct ring_outlook *outlook = &result->outlook;
	size_t len = 0;
	text[0] = '\0';
	if (!facts->ring)
		len += snprintf(text + len, cap - len, "there is no ring yet");
	if (!result->has_quorum)
		len += snprintf(text + len, cap - len,
			"%s%u of %u voters would be there, %u are needed", len > 0 ? "; " : "",
			result->voters, facts->voters, facts->voters_needed);
	if (outlook->unreadable > 0)
		len += snprintf(text + len, cap - len, "%s%u slots could not be read",
			len > 0 ? "; " : "", outlook->unreadable);
	if (outlook->stopped > 0)
		len += snprintf(text + len, cap - len, "%s%u slots would take no objects",
			len > 0 ? "; " : "", outlook->stopped);
	if (outlook->narrowed > 0 && len < cap)
		snprintf(text + len, cap - len, "%snew objects in %u slots would have less parity",
			len > 0 ? "; " : "", outlook->narrowed);
}

static json_t *what_if_json(const struct facts *facts, const struct what_if *result)
{
	char reasons[REASONS_LEN];
	const struct ring_outlook *outlook = &result->outlook;
	format_reasons(facts, result, reasons, sizeof reasons);
	return json_pack("{s:b, s:b, s:b, s:b, s:s, s:i, s:i, s:{s:i, s:i, s:i, s:i, s:i, s:i}, "
			 "s:I, s:I}",
		"readable", result->is_readable, "writable", result->is_writable, "safe",
		result->is_safe, "quorum", result->has_quorum, "why", reasons, "voters_left",
		(int)result->voters, "voters_needed", (int)facts->voters_needed, "slots",
		"readable", (int)outlook->readable, "unreadable", (int)outlook->unreadable,
		"writable", (int)outlook->writable, "narrowed", (int)outlook->narrowed, "stopped",
		(int)outlook->stopped, "safe", (int)outlook->safe, "unreadable_bytes",
		(json_int_t)outlook->unreadable_len, "unsafe_bytes",
		(json_int_t)outlook->unsafe_len);
}

enum err control_node_can_stop(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct facts *facts;
	struct what_if result;
	const struct fact_node *stopped;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	err = find_node(facts, argument(request, "name"), &stopped, message);
	if (!err)
		err = imagine(facts, &stopped, 1, &result);
	if (!err) {
		*ret_result = what_if_json(facts, &result);
		json_object_set_new(*ret_result, "node", json_string(stopped->name));
		json_object_set_new(*ret_result, "can_stop",
			json_boolean(result.is_readable && result.is_writable));
	}
	facts_free(facts);
	return err;
}

/* Nodes by name, with commas between. */
static enum err parse_nodes(const struct facts *facts, const char *names,
	const struct fact_node **nodes, size_t *ret_count, char *message)
{
	char copy[NAMES_LEN_MAX], *rest = copy, *name;
	*ret_count = 0;
	if (strlen(names) >= sizeof copy)
		return node_refuse(message, ERR_LIMIT, "--fail: the list of nodes is too long");
	memcpy(copy, names, strlen(names) + 1);
	while ((name = strsep(&rest, ","))) {
		if (*ret_count == ROW_NODES_MAX)
			return node_refuse(message, ERR_LIMIT, "--fail: too many nodes");
		enum err err = find_node(facts, name, &nodes[*ret_count], message);
		if (err)
			return err;
		++*ret_count;
	}
	return ERR_OK;
}

enum err control_layout_simulate(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const struct fact_node *nodes[ROW_NODES_MAX];
	struct facts *facts;
	struct what_if result;
	size_t count;
	const char *names = argument(request, "fail");
	if (!*names)
		return node_refuse(message, ERR_INVALID, "say what fails: --fail NODE[,NODE]");
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	err = parse_nodes(facts, names, nodes, &count, message);
	if (!err && !facts->ring)
		err = node_refuse(
			message, ERR_NOT_FOUND, "there is no ring yet; see rubus layout plan");
	if (!err)
		err = imagine(facts, nodes, count, &result);
	if (!err)
		*ret_result = what_if_json(facts, &result);
	facts_free(facts);
	return err;
}

/* --- rubus drive safe-to-remove --------------------------------------------------------------- */

static const struct fact_drive *find_drive(
	const struct facts *facts, const char *number, const struct node *node)
{
	char *end;
	unsigned long wanted = strtoul(number, &end, 10);
	if (!*number || *end)
		wanted = 0;
	for (unsigned i = 0; i < node->drive_count; i++)
		if (strcmp(node->drives[i].path, number) == 0)
			wanted = node->drives[i].number;
	for (size_t i = 0; wanted > 0 && i < facts->drive_count; i++)
		if (facts->drives[i].number == wanted)
			return &facts->drives[i];
	return NULL;
}

static bool is_moving(const struct facts *facts, uint16_t drive)
{
	size_t count = 0;
	const struct ring_moving *moves = facts->snapshot
		? ring_snapshot_moves(facts->snapshot, &count)
		: NULL;
	for (size_t i = 0; i < count; i++)
		if (moves[i].from == drive || moves[i].to == drive)
			return true;
	return false;
}

/* Nothing may be lost with it: neither data nor what protects it. */
static json_t *remove_json(const struct facts *facts, const struct fact_drive *drive)
{
	uint32_t positions = facts->ring ? ring_count_drive(facts->ring, drive->number) : 0;
	char why[REASONS_LEN] = "";
	if (positions > 0)
		snprintf(why, sizeof why, "the ring keeps shards of %u slots there", positions);
	else if (is_moving(facts, drive->number))
		snprintf(why, sizeof why, "shards are being moved from or to it");
	else if (facts->exceptions > 0)
		snprintf(why, sizeof why,
			"%llu shards are not where the ring says, and may be there",
			(unsigned long long)facts->exceptions);
	return json_pack("{s:i, s:s, s:b, s:s, s:i}", "drive", drive->number, "node",
		drive->node ? drive->node->name : "?", "safe_to_remove", !why[0], "why", why,
		"positions", (int)positions);
}

enum err control_drive_safe_to_remove(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *name = argument(request, "drive");
	struct facts *facts;
	uint16_t late;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	const struct fact_drive *drive = find_drive(facts, name, node);
	if (drive)
		*ret_result = remove_json(facts, drive);
	else if (control_drive_is_late(node, name, &late))
		*ret_result = json_pack("{s:i, s:b, s:s}", "drive", (int)late, "safe_to_remove",
			true, "why", "it was given up or removed: nothing on it is counted on");
	else
		err = node_refuse(message, ERR_NOT_FOUND,
			"there is no drive '%.200s' in service; name it by its number, or by its "
			"path on this node: see rubus tree",
			name);
	facts_free(facts);
	return err;
}
