/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control_gone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/control_drive.h"
#include "server/control_layout.h"
#include "server/facts.h"

#define SECOND_MS UINT64_C(1000)
#define FILL_SPARE 10 /* a tenth stays free */
#define GONE_AFTER_MS_MAX (365 * UINT64_C(86400000))

/* A node and its drives that hold shards. */
struct leaver {
	struct fact_node node;
	size_t drive_count;
	struct fact_drive drives[STORE_DRIVES_MAX];
	uint64_t lost_len; /* bytes that cannot be read without them */
	uint64_t stored_len; /* of all */
};

static const char *argument(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));
	return text ? text : "";
}

/* --- looking ---------------------------------------------------------------------------------- */

static enum err weigh(const struct facts *facts, struct leaver *leaver)
{
	struct ring_outlook outlook;
	size_t count = 0;
	const uint16_t *gone = facts->snapshot ? ring_snapshot_gone(facts->snapshot, &count) : NULL;
	if (!facts->ring)
		return ERR_OK;
	uint16_t *failed = calloc(RING_DRIVES_MAX + STORE_DRIVES_MAX, sizeof *failed);
	if (!failed)
		return ERR_NO_MEMORY;
	if (count > 0)
		memcpy(failed, gone, count * sizeof *gone);
	for (size_t i = 0; i < leaver->drive_count; i++)
		failed[count++] = leaver->drives[i].number;
	ring_simulate(facts->ring, failed, count, facts->slot_lens, &outlook);
	leaver->lost_len = outlook.unreadable_len;
	free(failed);
	return ERR_OK;
}

static enum err find(struct node *node, const char *name, struct leaver **ret_leaver, char *message)
{
	struct leaver *leaver = calloc(1, sizeof *leaver);
	struct facts *facts = NULL;
	enum err err = leaver ? facts_new(node, &facts) : ERR_NO_MEMORY;
	const struct fact_node *found = err ? NULL : facts_find_node(facts, name);
	if (!err && !found)
		err = node_refuse(message, ERR_NOT_FOUND,
			"there is no node '%.64s', or several have that name; see rubus node list",
			name);
	if (!err) {
		leaver->node = *found;
		leaver->stored_len = facts->stored_len;
		for (size_t i = 0; i < facts->drive_count; i++)
			if (facts->drives[i].node == found &&
				leaver->drive_count < STORE_DRIVES_MAX)
				leaver->drives[leaver->drive_count++] = facts->drives[i];
		err = weigh(facts, leaver);
	}
	facts_free(facts);
	if (err)
		free(leaver);
	else
		*ret_leaver = leaver;
	return err;
}

/* --- giving up -------------------------------------------------------------------------------- */

/* Moves all drives to a state; back: each to its own. */
static enum err mark(
	struct node *node, const struct leaver *leaver, enum row_drive_state state, bool is_back)
{
	enum err err = ERR_OK;
	for (size_t i = 0; !err && i < leaver->drive_count; i++)
		err = control_drive_set_state(
			node, leaver->drives[i].number, is_back ? leaver->drives[i].state : state);
	return err;
}

static uint64_t number_at(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

/* Is there a place for all, with the profile that is or another one? A smaller one is taken without
 * asking where data survives the loss of a node with it too, and all of it, coded anew, leaves some
 * room. */
static bool fits_in(const struct leaver *leaver, const struct layout *layout, bool may_shrink,
	const json_t *json)
{
	const struct ring *now = layout_wanted(layout), *next = &layout->ring;
	if (!now || json_is_false(json_object_get(json, "has_room")))
		return false;
	if (now->profile.k == next->profile.k && now->profile.m == next->profile.m)
		return true;
	uint64_t usable = number_at(json, "usable_after");
	return may_shrink && next->profile.m > 0 && next->domain >= now->domain &&
		leaver->stored_len <= usable - usable / FILL_SPARE;
}

/* Takes the ring without the drives, if all fits. */
static enum err spread(struct node *node, const struct leaver *leaver, bool may_shrink,
	bool is_only_asked, bool *ret_fits, json_t **ret_json, char *message)
{
	struct layout *layout;
	char what[LAYOUT_WHAT_LEN];
	snprintf(what, sizeof what, "give up node %.64s", leaver->node.name);
	enum err err = control_layout_make(node, &layout, message);
	if (err)
		return err;
	err = control_layout_json(node, layout, ret_json);
	*ret_fits = !err && fits_in(leaver, layout, may_shrink, *ret_json);
	if (!err && *ret_fits && !is_only_asked)
		err = control_layout_take(node, layout, what, message);
	if (err)
		json_decref(*ret_json);
	layout_free(layout);
	return err;
}

static enum err check(const struct leaver *leaver, bool is_forced, char *message)
{
	const char *name = leaver->node.name;
	if (leaver->node.is_up)
		return node_refuse(message, ERR_CONFLICT,
			"node %.64s is there; have its shards moved away: rubus node drain %.64s "
			"--apply",
			name, name);
	if (leaver->lost_len > 0 && !is_forced)
		return node_refuse(message, ERR_CONFLICT,
			"%llu MiB cannot be read without node %.64s and would be lost; bring it "
			"back, or give them up too: --force",
			(unsigned long long)(leaver->lost_len >> 20) + 1, name);
	return ERR_OK;
}

enum err control_node_gone(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	struct leaver *leaver;
	bool fits = true;
	json_t *json = NULL;
	enum err err = find(node, argument(request, "name"), &leaver, message);
	if (err)
		return err;
	err = check(leaver, json_object_get(request, "force") != NULL, message);
	if (!err)
		err = mark(node, leaver, DRIVE_ROW_GONE, false);
	if (!err)
		err = spread(node, leaver, false, false, &fits, &json, message);
	if (!err) {
		json_object_set_new(
			json, "what", json_sprintf("give up node %s", leaver->node.name));
		json_object_set_new(json, "applied", json_boolean(fits));
		json_object_set_new(json, "next",
			json_string(fits ? "its shards are made anew on others; see rubus status"
					 : "there is no place for its shards in this profile: add "
					   "a node, or take the smaller one: rubus layout apply"));
		*ret_result = json;
	}
	free(leaver);
	return err;
}

/* The place is looked for while the drives are only draining, so that they can be taken back. */
void control_give_up(struct node *node, uint16_t number)
{
	char name[8], message[NODE_MESSAGE_LEN] = "";
	struct leaver *leaver;
	bool fits = false;
	json_t *json = NULL;
	snprintf(name, sizeof name, "%u", number);
	enum err err = find(node, name, &leaver, message);
	if (err)
		return;
	bool may = !leaver->node.is_up && leaver->drive_count > 0 && leaver->lost_len == 0;
	if (may)
		err = mark(node, leaver, DRIVE_ROW_DRAINING, false);
	if (may && !err)
		err = spread(node, leaver, true, true, &fits, &json, message);
	if (may && !err && fits)
		err = mark(node, leaver, DRIVE_ROW_GONE, false);
	else if (may)
		err_ignore(mark(node, leaver, DRIVE_ROW_IN, true)); /* the next try does it */
	json_decref(json);
	json = NULL;
	if (may && !err && fits)
		err = spread(node, leaver, true, false, &fits, &json, message);
	if (may && !err)
		trace_event(node->trace, TRACE_WARNING, 0, "node %s %s", leaver->node.name,
			fits ? "was away for so long that it is given up: its shards are made anew"
			     : "was away for long, and the others have no room to make its shards "
			       "anew with parity: bring it back, or add a node; or decide: rubus "
			       "node gone");
	json_decref(json);
	free(leaver);
}

/* --- how long --------------------------------------------------------------------------------- */

/* "24h", "30m", "10s", "never". */
static enum err read_time(const char *text, uint64_t *ret_ms, char *message)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 10);
	uint64_t unit_ms = strcmp(end, "h") == 0 ? 3600 * SECOND_MS
		: strcmp(end, "m") == 0          ? 60 * SECOND_MS
		: strcmp(end, "s") == 0          ? SECOND_MS
						 : 0;
	*ret_ms = 0;
	if (strcmp(text, "never") == 0)
		return ERR_OK;
	if (*text < '0' || *text > '9' || unit_ms == 0 || number == 0 ||
		number > GONE_AFTER_MS_MAX / unit_ms)
		return node_refuse(message, ERR_INVALID,
			"'%.32s' is no time; write 24h, 30m, 90s or never", text);
	*ret_ms = number * unit_ms;
	return ERR_OK;
}

enum err control_node_gone_after(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *text = argument(request, "time");
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	char value[24];
	uint64_t ms = 0;
	enum err err = *text ? read_time(text, &ms, message) : ERR_OK;
	if (!err && *text) {
		snprintf(value, sizeof value, "%llu", (unsigned long long)ms);
		command.setting_put.name = bytes_of(CLUSTER_GONE_AFTER);
		command.setting_put.value = bytes_of(value);
		err = node_propose(node, &command, &result);
	} else if (!err && !(err = index_view_begin(node->reader))) {
		ms = cluster_read_gone_after(node->reader);
		index_view_end(node->reader);
	}
	if (!err)
		*ret_result = json_pack("{s:I, s:o}", "seconds", (json_int_t)(ms / SECOND_MS),
			"gone_after",
			ms > 0 ? json_sprintf("%.1f h", ms / 3600000.0) : json_string("never"));
	return err;
}
