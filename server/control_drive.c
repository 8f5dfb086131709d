/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket that change drives: in the control thread.
 *
 * What is asked for goes in two steps. The first changes what a drive is (it is added, it is to be
 * drained) and shows what would move; the second, `layout apply` or --apply, has it moved. A drive
 * that is given up is the exception: what it took along is made anew at once, where that is
 * possible without changing the profile. */
#include "server/control_drive.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/control_layout.h"
#include "server/facts.h"
#include "server/node_drives.h"
#include "storage/meta/index_ledger.h"

static const char *const class_names[] = {
	[DRIVE_NVME] = "nvme", [DRIVE_SSD] = "ssd", [DRIVE_HDD] = "hdd"};

static const char *argument(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));
	return text ? text : "";
}

static bool is_asked(const json_t *request, const char *name)
{
	return json_object_get(request, name) != NULL;
}

/* --- finding ---------------------------------------------------------------------------------- */

static uint16_t number_of(struct node *node, const char *name)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);
	if (isdigit((unsigned char)name[0]) && !*end)
		return number <= UINT16_MAX ? number : 0;
	for (unsigned i = 0; i < node->drive_count; i++)
		if (strcmp(node->drives[i].path, name) == 0)
			return node->drives[i].number;
	return 0;
}

/* A drive by its number, or by its path on this node. The row's zone is not borrowed. */
static enum err find_drive(
	struct node *node, const char *name, struct row_drive *ret_row, char *message)
{
	uint16_t number = number_of(node, name);
	enum err err = number > 0 ? index_view_begin(node->reader) : ERR_NOT_FOUND;
	if (!err) {
		err = index_drive_next(node->reader, number, ret_row);
		if (!err && ret_row->number != number)
			err = ERR_NOT_FOUND;
		ret_row->zone = (struct bytes){0};
		index_view_end(node->reader);
	}
	if (err == ERR_NOT_FOUND)
		return node_refuse(message, err,
			"there is no drive '%.200s'; name it by its number, or by its path on this "
			"node: see rubus tree",
			name);
	return err;
}

bool control_drive_is_late(struct node *node, const char *name, uint16_t *ret_number)
{
	char message[NODE_MESSAGE_LEN];
	struct row_drive row;
	if (find_drive(node, name, &row, message) != ERR_OK || row.state < DRIVE_ROW_GONE)
		return false;
	*ret_number = row.number;
	return true;
}

static enum err refuse_late(const struct row_drive *row, char *message)
{
	return node_refuse(message, ERR_CONFLICT, "drive %u %s; see what there is: rubus tree",
		row->number, row->state == DRIVE_ROW_GONE ? "was given up" : "was removed");
}

enum err control_drive_set_state(struct node *node, uint16_t number, enum row_drive_state state)
{
	struct command command = {.type = COMMAND_DRIVE_UPDATE};
	struct command_result result;
	command.drive_update.number = number;
	command.drive_update.set = DRIVE_SET_STATE;
	command.drive_update.state = state;
	return node_propose_until(node, &command, &result);
}

static enum err refuse_state(enum err err, uint16_t number, char *message)
{
	return node_refuse(message, err, "drive %u could not be changed: %s; see rubus status",
		number, err_text(err));
}

/* --- add -------------------------------------------------------------------------------------- */

static enum err read_class(const json_t *request, enum drive_class *ret_class, char *message)
{
	const char *text = argument(request, "class");
	*ret_class = DRIVE_NVME;
	if (!*text)
		return ERR_OK;
	for (size_t i = 0; i < ARRAY_COUNT(class_names); i++)
		if (strcmp(text, class_names[i]) == 0) {
			*ret_class = i;
			return ERR_OK;
		}
	return node_refuse(message, ERR_INVALID, "--class is nvme, ssd or hdd");
}

/* Bytes, or so many K, M, G or T of 1024. */
static enum err read_weight(const json_t *request, uint64_t *ret_weight, char *message)
{
	static const char units[] = "KMGT";
	const char *text = argument(request, "weight");
	char *end;
	*ret_weight = 0;
	if (!*text)
		return ERR_OK;
	uint64_t weight = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	bool is_number = isdigit((unsigned char)text[0]) && (!*end || (unit && !end[1]));
	if (!is_number || weight == 0 || weight > (UINT64_C(1) << 60) >> shift)
		return node_refuse(message, ERR_INVALID,
			"--weight is a number of bytes above 0, such as 900G");
	*ret_weight = weight << shift;
	return ERR_OK;
}

static bool is_node_draining(struct node *node)
{
	struct row_node row;
	if (!node->cluster || index_view_begin(node->reader) != ERR_OK)
		return false;
	enum err err = index_node_find(node->reader, node->identity.node, &row);
	bool is_draining = err == ERR_OK && row.state == NODE_ROW_DRAINING;
	index_view_end(node->reader);
	return is_draining;
}

static enum err add_drive(
	struct node *node, const json_t *request, uint16_t *ret_number, char *message)
{
	enum drive_class class;
	uint64_t weight;
	enum err err = read_class(request, &class, message);
	if (!err)
		err = read_weight(request, &weight, message);
	if (!err && is_node_draining(node))
		err = node_refuse(message, ERR_CONFLICT,
			"this node is to be drained; take that back first: rubus node drain %s "
			"--cancel",
			node->config->node_name);
	return err ? err
		   : node_add_drive(
			     node, argument(request, "path"), class, weight, ret_number, message);
}

/* Does the ring want shards there already? One that another node had brings them along. */
static bool has_places(struct node *node, uint16_t number)
{
	struct ring_snapshot *snapshot = index_ring(node->index);
	bool has = snapshot && ring_count_drive(ring_snapshot_ring(snapshot), number) > 0;
	ring_snapshot_unref(snapshot);
	return has;
}

enum err control_drive_add(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	uint16_t number;
	struct row_drive row;
	enum err err = add_drive(node, request, &number, message);
	if (!err)
		err = find_drive(node, argument(request, "path"), &row, message);
	if (!err)
		*ret_result = json_pack("{s:i, s:s, s:s, s:s, s:I, s:s}", "drive", (int)number,
			"path", argument(request, "path"), "node", node->config->node_name, "class",
			class_names[row.class], "weight", (json_int_t)row.weight, "next",
			has_places(node, number) ? "what it holds is served here now"
						 : "it holds nothing yet; have it take its share: "
						   "rubus layout plan");
	return err;
}

/* --- drain ------------------------------------------------------------------------------------ */

enum err control_drive_show_drain(struct node *node, const json_t *request, const char *what,
	json_t **ret_result, char *message)
{
	struct layout *layout;
	json_t *json = NULL;
	bool is_applied = is_asked(request, "apply");
	enum err err = control_layout_make(node, &layout, message);
	if (err)
		return err;
	err = control_layout_json(node, layout, &json);
	if (!err && is_applied)
		err = control_layout_take(node, layout, what, message);
	if (err) {
		json_decref(json);
	} else {
		json_object_set_new(json, "what", json_string(what));
		json_object_set_new(json, "applied", json_boolean(is_applied));
		json_object_set_new(json, "next",
			layout_is_same(layout) ? json_string("nothing has to move")
				: is_applied
				? json_string("see how it goes: rubus layout diff")
				: json_sprintf("nothing moves yet; have it moved: rubus layout "
					       "apply %s",
					  layout->name));
		*ret_result = json;
	}
	layout_free(layout);
	return err;
}

static enum err drain(struct node *node, const struct row_drive *row, const json_t *request,
	json_t **ret_result, char *message)
{
	char what[LAYOUT_WHAT_LEN];
	bool is_canceled = is_asked(request, "cancel");
	snprintf(what, sizeof what, "%s drive %u", is_canceled ? "do not drain" : "drain",
		row->number);
	enum err err = control_drive_set_state(
		node, row->number, is_canceled ? DRIVE_ROW_IN : DRIVE_ROW_DRAINING);
	if (err)
		return refuse_state(err, row->number, message);
	err = control_drive_show_drain(node, request, what, ret_result, message);
	if (err == ERR_NOT_EMPTY) /* it is the last one: it stays */
		err_ignore(control_drive_set_state(node, row->number, row->state));
	return err;
}

enum err control_drive_drain(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct row_drive row;
	enum err err = find_drive(node, argument(request, "drive"), &row, message);
	if (err)
		return err;
	if (row.state >= DRIVE_ROW_GONE)
		return refuse_late(&row, message);
	return drain(node, &row, request, ret_result, message);
}

/* --- remove ----------------------------------------------------------------------------------- */

/* What of the ledger names a drive that could not be removed. */
static enum err refuse_full(struct node *node, uint16_t number, char *message)
{
	struct layout *layout;
	enum err err = layout_new(node, &layout);
	if (err)
		return err;
	const struct ring *wanted = layout_wanted(layout);
	uint32_t places = wanted ? ring_count_drive(wanted, number) : 0;
	uint32_t now = layout->old ? ring_count_drive(ring_snapshot_ring(layout->old), number) : 0;
	layout_free(layout);
	if (places > 0)
		return node_refuse(message, ERR_NOT_EMPTY,
			"the ring keeps shards of %u slots on drive %u; first: "
			"rubus drive drain %u",
			places, number, number);
	if (now > 0)
		return node_refuse(message, ERR_NOT_EMPTY,
			"shards of %u slots still move away from drive %u; see rubus layout diff",
			now, number);
	return node_refuse(message, ERR_NOT_EMPTY,
		"what moved away from drive %u is being freed there, or shards are there that "
		"belong "
		"elsewhere; try again in some seconds",
		number);
}

enum err control_drive_let_go(struct node *node, uint16_t number, char *message)
{
	enum err err = control_drive_set_state(node, number, DRIVE_ROW_REMOVED);
	if (err == ERR_NOT_EMPTY)
		return refuse_full(node, number, message);
	return err ? refuse_state(err, number, message) : ERR_OK;
}

enum err control_drive_remove(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct row_drive row;
	enum err err = find_drive(node, argument(request, "drive"), &row, message);
	if (!err)
		err = control_drive_let_go(node, row.number, message);
	if (err)
		return err;
	bool is_named = node_forget_drive(node, row.number);
	*ret_result = json_pack("{s:i, s:s, s:s}", "drive", row.number, "state", "removed", "next",
		is_named ? "take its line out of the configuration; it can be taken away now"
			 : "it can be taken away now");
	return ERR_OK;
}

/* --- gone ------------------------------------------------------------------------------------- */

static const struct fact_drive *find_fact(const struct facts *facts, uint16_t number)
{
	for (size_t i = 0; i < facts->drive_count; i++)
		if (facts->drives[i].number == number)
			return &facts->drives[i];
	return NULL;
}

/* May it be given up? Not while it works, nor while something is only there. */
static enum err check_gone(const struct facts *facts, uint16_t number, char *message)
{
	const struct fact_drive *drive = find_fact(facts, number);
	if (drive && drive->is_up)
		return node_refuse(message, ERR_CONFLICT,
			"drive %u works; have its shards moved away: rubus drive drain %u", number,
			number);
	if (!facts->ring)
		return ERR_OK;
	struct ring_outlook outlook;
	uint16_t *failed = calloc(RING_DRIVES_MAX + 1, sizeof *failed);
	size_t count;
	if (!failed)
		return ERR_NO_MEMORY;
	const uint16_t *gone = ring_snapshot_gone(facts->snapshot, &count);
	if (count > 0)
		memcpy(failed, gone, count * sizeof *gone);
	failed[count++] = number;
	ring_simulate(facts->ring, failed, count, facts->slot_lens, &outlook);
	free(failed);
	if (outlook.unreadable_len == 0)
		return ERR_OK;
	return node_refuse(message, ERR_CONFLICT,
		"%llu MiB cannot be read without drive %u and would be lost; bring it back, or "
		"give "
		"them up too: --force",
		(unsigned long long)(outlook.unreadable_len >> 20) + 1, number);
}

/* What it took along is made anew where the profile stays; else its owner decides. */
static enum err rebuild_gone(struct node *node, uint16_t number, json_t **ret_result, char *message)
{
	struct layout *layout;
	json_t *json = NULL;
	char what[LAYOUT_WHAT_LEN];
	snprintf(what, sizeof what, "give up drive %u", number);
	enum err err = control_layout_make(node, &layout, message);
	if (err)
		return err;
	const struct ring *wanted = layout_wanted(layout);
	bool fits = wanted && wanted->profile.k == layout->ring.profile.k &&
		wanted->profile.m == layout->ring.profile.m;
	err = control_layout_json(node, layout, &json);
	if (!err && fits)
		err = control_layout_take(node, layout, what, message);
	if (err) {
		json_decref(json);
	} else {
		json_object_set_new(json, "what", json_string(what));
		json_object_set_new(json, "applied", json_boolean(fits));
		json_object_set_new(json, "next",
			fits ? json_string("its shards are made anew on others; see rubus status")
			     : json_sprintf(
				       "there is no place where its shards could be made "
				       "anew: rubus drive replace %u PATH --apply; or for fewer "
				       "drives: rubus layout plan",
				       number));
		*ret_result = json;
	}
	layout_free(layout);
	return err;
}

enum err control_drive_gone(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct row_drive row;
	struct facts *facts = NULL;
	enum err err = find_drive(node, argument(request, "drive"), &row, message);
	if (err)
		return err;
	if (row.state == DRIVE_ROW_REMOVED)
		return refuse_late(&row, message);
	if (row.state != DRIVE_ROW_GONE && !is_asked(request, "force")) {
		err = facts_new(node, &facts);
		if (!err)
			err = check_gone(facts, row.number, message);
		facts_free(facts);
		if (err)
			return err;
	}
	err = control_drive_set_state(node, row.number, DRIVE_ROW_GONE);
	if (err)
		return refuse_state(err, row.number, message);
	return rebuild_gone(node, row.number, ret_result, message);
}

/* --- replace ---------------------------------------------------------------------------------- */

static enum err refuse_replace(enum err err, uint16_t old, uint16_t new, char *message)
{
	if (err == ERR_NOT_FOUND)
		return node_refuse(message, ERR_CONFLICT,
			"the ring keeps nothing on drive %u; remove it: rubus drive remove %u", old,
			old);
	if (err == ERR_INVALID)
		return node_refuse(message, ERR_CONFLICT,
			"drive %u cannot take the places of drive %u: it has some already, or "
			"is on "
			"a node that has other shards of theirs; drain it: rubus drive drain %u",
			new, old, old);
	return err;
}

/* A drive in the places of another: shows it, and has it done if that is asked for. */
static enum err replace(struct node *node, const struct row_drive *old, uint16_t new,
	bool is_applied, json_t **ret_result, char *message)
{
	struct layout *layout;
	char what[LAYOUT_WHAT_LEN];
	json_t *json = NULL;
	snprintf(what, sizeof what, "replace drive %u by %u", old->number, new);
	enum err err = layout_new(node, &layout);
	if (err)
		return err;
	err = layout_replace(layout, old->number, new);
	err = err ? refuse_replace(err, old->number, new, message)
		  : control_layout_json(node, layout, &json);
	if (!err && json_is_false(json_object_get(json, "has_room")))
		err = node_refuse(message, ERR_NO_SPACE,
			"drive %u is too small for what drive %u holds; drain it: rubus drive "
			"drain "
			"%u",
			new, old->number, old->number);
	if (!err && is_applied && old->state == DRIVE_ROW_IN)
		err = control_drive_set_state(node, old->number, DRIVE_ROW_DRAINING);
	if (!err && is_applied)
		err = control_layout_take(node, layout, what, message);
	layout_free(layout);
	if (err) {
		json_decref(json);
		return err;
	}
	json_object_set_new(json, "what", json_string(what));
	json_object_set_new(json, "drive", json_integer(new));
	json_object_set_new(json, "applied", json_boolean(is_applied));
	*ret_result = json;
	return ERR_OK;
}

enum err control_drive_replace(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *path = argument(request, "path");
	bool is_applied = is_asked(request, "apply");
	struct row_drive old;
	uint16_t new = 0;
	enum err err = find_drive(node, argument(request, "drive"), &old, message);
	if (err)
		return err;
	if (old.state == DRIVE_ROW_REMOVED)
		return refuse_late(&old, message);
	err = add_drive(node, request, &new, message);
	if (err && (err != ERR_EXISTS || new == 0 || new == old.number))
		return err;
	err = replace(node, &old, new, is_applied, ret_result, message);
	if (!err)
		json_object_set_new(*ret_result, "next",
			is_applied ? json_sprintf("when rubus drive safe-to-remove %u says yes: "
						  "rubus drive remove %u",
					     old.number, old.number)
				   : json_sprintf("nothing moves yet; have it moved: rubus drive "
						  "replace %u %s --apply",
					     old.number, path));
	return err;
}
