/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/facts.h"

static const char *const domain_names[] = {
	[RING_DOMAIN_DRIVE] = "drive", [RING_DOMAIN_NODE] = "node", [RING_DOMAIN_ZONE] = "zone"};

static const struct fact_drive *find_drive(const struct facts *facts, uint16_t number)
{
	for (size_t i = 0; i < facts->drive_count; i++)
		if (facts->drives[i].number == number)
			return &facts->drives[i];
	return NULL;
}

static json_t *drive_json(const struct facts *facts, uint16_t number, uint64_t weight)
{
	const struct fact_drive *drive = find_drive(facts, number);
	return json_pack("{s:i, s:s, s:I}", "drive", number, "node",
		drive && drive->node ? drive->node->name : "?", "weight", (json_int_t)weight);
}

/* --- from one ring to another ----------------------------------------------------------------- */

static void add_steps(const struct ring_summary_request *request, const struct facts *facts,
	const struct ring_drive_summary *drives, json_t *object)
{
	json_t *list = json_array();
	for (size_t i = 0; i < request->drive_count; i++) {
		const struct ring_drive_summary *drive = &drives[i];
		json_t *json = drive_json(facts, drive->number, request->drives[i].weight);
		json_object_set_new(json, "shards_before", json_integer(drive->positions_before));
		json_object_set_new(json, "shards_after", json_integer(drive->positions_after));
		json_object_set_new(json, "bytes_before", json_integer(drive->len_before));
		json_object_set_new(json, "bytes_after", json_integer(drive->len_after));
		json_object_set_new(json, "bytes_in", json_integer(drive->in_len));
		json_object_set_new(json, "bytes_out", json_integer(drive->out_len));
		json_array_append_new(list, json);
	}
	json_object_set_new(object, "drives", list);
}

static enum err add_summary(const struct ring_summary_request *request, const struct facts *facts,
	bool is_plan, json_t *object)
{
	struct ring_summary summary;
	struct ring_drive_summary *drives = calloc(request->drive_count + 1, sizeof *drives);
	if (!drives)
		return ERR_NO_MEMORY;
	enum err err = ring_summarize(request, drives, &summary);
	if (!err && is_plan)
		err = ring_check_summary(request, drives, &summary);
	if (!err) {
		add_steps(request, facts, drives, object);
		json_object_update_new(object,
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:i}", "move_bytes",
				(json_int_t)summary.move_len, "recode_bytes",
				(json_int_t)summary.recode_len, "move_ms",
				(json_int_t)summary.move_ms, "rate", (json_int_t)LAYOUT_RATE,
				"usable_before", (json_int_t)summary.usable_before, "usable_after",
				(json_int_t)summary.usable_after, "safe",
				(json_int_t)summary.safe_len, "has_room", summary.has_room,
				"survives", (int)summary.survives));
	}
	free(drives);
	return err;
}

enum err control_layout_describe(struct node *node, const struct ring *old, const struct ring *new,
	const struct ring_drive_info *drives, size_t drive_count, bool is_plan, json_t *object)
{
	struct facts *facts;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	bool are_known = facts->ring && facts->ring->slot_count == new->slot_count;
	struct ring_summary_request request = {.old = old,
		.new = new,
		.drives = drives,
		.drive_count = drive_count,
		.slot_lens = are_known ? facts->slot_lens : NULL,
		.rate = LAYOUT_RATE};
	struct ring_drive_space *spaces = calloc(drive_count + 1, sizeof *spaces);
	err = spaces ? ERR_OK : ERR_NO_MEMORY;
	request.spaces = spaces;
	for (size_t i = 0; !err && i < drive_count; i++) {
		const struct fact_drive *drive = find_drive(facts, drives[i].number);
		if (drive && drive->has_space)
			spaces[i] = (struct ring_drive_space){
				drive->space.used + drive->space.free, drive->space.free};
		else
			request.spaces = NULL; /* not known of all */
	}
	if (!err)
		err = add_summary(&request, facts, is_plan, object);
	free(spaces);
	facts_free(facts);
	return err;
}

/* --- the ring there is ------------------------------------------------------------------------ */

static json_t *shown_drives(const struct facts *facts)
{
	json_t *list = json_array();
	for (size_t i = 0; i < facts->drive_count; i++) {
		const struct fact_drive *drive = &facts->drives[i];
		const struct ring_drive_summary *summary = &facts->drive_summaries[i];
		json_t *json = drive_json(facts, drive->number, drive->weight);
		json_object_set_new(json, "state", json_string(drive->is_up ? "up" : "away"));
		json_object_set_new(json, "shards", json_integer(summary->positions_after));
		json_object_set_new(json, "bytes", json_integer(summary->len_after));
		json_array_append_new(list, json);
	}
	return list;
}

/* A year's chance, with what was assumed for it. */
static enum err add_durability(const struct facts *facts, json_t *object)
{
	struct ring_durability_assumptions assumptions = RING_DURABILITY_DEFAULT;
	struct ring_durability durability;
	bool can_heal = facts->summary.can_heal;
	enum err err = ring_durability(facts->ring, can_heal, &assumptions, &durability);
	if (err)
		return err;
	json_t *json = json_pack("{s:f, s:f, s:f, s:i, s:i, s:{s:f, s:f, s:f, s:f}}",
		"repair_hours", durability.repair_hours, "slot_loss_per_year", durability.slot_loss,
		"any_loss_per_year", durability.any_loss, "nines", (int)durability.nines, "groups",
		(int)durability.group_count, "assumptions", "afr", assumptions.afr, "wait_hours",
		assumptions.wait_hours, "give_up_hours", assumptions.give_up_hours, "rebuild_hours",
		assumptions.rebuild_hours);
	char text[640];
	snprintf(text, sizeof text,
		"%.2g a year that any stripe is lost (%u nines), if %.3g%% of the %ss fail in a "
		"year, independently, and one is whole again %.3g h later (%.3g h until it is %s "
		"and %.3g h to make its shards anew); what fails together is not in it",
		durability.any_loss, durability.nines, 100 * assumptions.afr,
		domain_names[facts->ring->domain], durability.repair_hours,
		can_heal ? assumptions.give_up_hours : assumptions.wait_hours,
		can_heal ? "given up" : "replaced", assumptions.rebuild_hours);
	json_object_set_new(object, "durability", json);
	json_object_set_new(object, "durability_text", json_string(text));
	return ERR_OK;
}

static json_t *show_json(const struct facts *facts)
{
	const struct ring *ring = facts->ring;
	const struct ring_summary *summary = &facts->summary;
	char survives[128];
	snprintf(survives, sizeof survives, "the loss of any %u drive%s, any %u node%s",
		summary->survives_drives, summary->survives_drives == 1 ? "" : "s",
		summary->survives_nodes, summary->survives_nodes == 1 ? "" : "s");
	return json_pack(
		"{s:I, s:o, s:s, s:i, s:s, s:{s:i, s:i, s:i}, s:I, s:I, s:I, s:b, s:o, s:s}",
		"version", (json_int_t)ring->version, "profile",
		json_sprintf("%u+%u", ring->profile.k, ring->profile.m), "domain",
		domain_names[ring->domain], "slots", (int)ring->slot_count, "survives_text",
		survives, "survives", "drives", (int)summary->survives_drives, "nodes",
		(int)summary->survives_nodes, "zones", (int)summary->survives_zones, "usable",
		(json_int_t)summary->usable_after, "safe", (json_int_t)summary->safe_len, "stored",
		(json_int_t)summary->stored_len, "can_heal", summary->can_heal, "drives",
		shown_drives(facts), "one_away", facts_one_away_text(facts));
}

enum err control_layout_show(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	struct facts *facts;
	enum err err = facts_new(node, &facts);
	if (err)
		return err;
	if (!facts->ring)
		err = node_refuse(
			message, ERR_NOT_FOUND, "there is no ring yet; see rubus layout plan");
	json_t *json = err ? NULL : show_json(facts);
	if (json)
		err = add_durability(facts, json);
	facts_free(facts);
	if (err) {
		json_decref(json);
		return err;
	}
	*ret_result = json;
	return ERR_OK;
}
