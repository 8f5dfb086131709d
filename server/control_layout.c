/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about the ring: in the control thread.
 *
 * A plan is made of the drives that the index has; nothing moves before it is applied. */
#include "server/control_layout.h"

#include <stdio.h>
#include <string.h>

#include "server/control_drive.h"
#include "server/layout_history.h"
#include "storage/ring/ring_summary.h"

#define APPLY_TRIES 5

static const char *const domain_names[] = {
	[RING_DOMAIN_DRIVE] = "drive", [RING_DOMAIN_NODE] = "node", [RING_DOMAIN_ZONE] = "zone"};

static const char *argument(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));
	return text ? text : "";
}

static json_t *profile_json(const struct ring *ring)
{
	return json_sprintf("%u+%u", ring->profile.k, ring->profile.m);
}

static enum err describe(struct node *node, const struct ring *old, const struct layout *layout,
	const struct ring *new, bool changes, json_t **ret_result)
{
	bool is_plan = new == &layout->ring;
	json_t *json = json_pack("{s:b, s:s, s:I, s:s, s:o}", "changes", changes, "plan",
		layout->name, "version", (json_int_t) new->version, "domain",
		domain_names[new->domain], "profile", profile_json(new));
	if (old)
		json_object_set_new(json, "profile_before", profile_json(old));
	enum err err = control_layout_describe(
		node, old, new, layout->drives, layout->drive_count, is_plan, json);
	if (err) {
		json_decref(json);
		return err;
	}
	*ret_result = json;
	return ERR_OK;
}

enum err control_layout_json(struct node *node, const struct layout *layout, json_t **ret_result)
{
	const struct ring *old = layout->old ? ring_snapshot_ring(layout->old) : NULL;
	return describe(node, old, layout, &layout->ring, !layout_is_same(layout), ret_result);
}

enum err control_layout_make(struct node *node, struct layout **ret_layout, char *message)
{
	struct layout *layout;
	enum err err = layout_new(node, &layout);
	if (err)
		return err;
	err = layout_plan(layout);
	if (!err) {
		*ret_layout = layout;
		return ERR_OK;
	}
	layout_free(layout);
	if (err == ERR_QUORUM)
		return node_refuse(message, ERR_NOT_EMPTY,
			"no drive is left that could hold anything; add one first: rubus drive add "
			"PATH");
	return node_refuse(message, err, "no ring can be planned: %s", err_text(err));
}

enum err control_layout_take(
	struct node *node, const struct layout *layout, const char *what, char *message)
{
	if (layout_is_same(layout))
		return ERR_OK;
	enum err err = layout_propose(node, layout, what);
	if (err == ERR_CONFLICT)
		return node_refuse(message, err,
			"the ring has changed meanwhile; look again: rubus layout plan");
	if (err)
		return node_refuse(message, err,
			"the ring was not taken: %s; see what there is: rubus layout show",
			err_text(err));
	return ERR_OK;
}

/* --- plan and apply --------------------------------------------------------------------------- */

enum err control_layout_plan(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	struct layout *layout;
	enum err err = control_layout_make(node, &layout, message);
	if (err)
		return err;
	err = control_layout_json(node, layout, ret_result);
	layout_free(layout);
	return err;
}

static enum err apply(struct node *node, const char *plan, json_t **ret_result, char *message)
{
	struct layout *layout;
	json_t *json = NULL;
	enum err err = control_layout_make(node, &layout, message);
	if (err)
		return err;
	if (*plan && strcmp(plan, layout->name) != 0)
		err = node_refuse(message, ERR_CONFLICT,
			"there is no plan %.32s any more: drives or ring have changed; look again: "
			"rubus layout plan",
			plan);
	if (!err)
		err = control_layout_json(node, layout, &json);
	if (!err)
		err = control_layout_take(node, layout, "apply", message);
	layout_free(layout);
	if (err) {
		json_decref(json);
		return err;
	}
	*ret_result = json;
	return ERR_OK;
}

/* Without the name of a plan, one that moves have overtaken is made anew. */
enum err control_layout_apply(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	const char *plan = argument(request, "plan");
	enum err err = apply(node, plan, ret_result, message);
	for (unsigned i = 1; err == ERR_CONFLICT && !*plan && i < APPLY_TRIES; i++)
		err = apply(node, plan, ret_result, message);
	return err;
}

/* --- diff, revert, history -------------------------------------------------------------------- */

enum err control_layout_diff(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	struct layout *layout;
	enum err err = layout_new(node, &layout);
	if (err)
		return err;
	const struct ring *wanted = layout_wanted(layout);
	if (!wanted)
		err = node_refuse(
			message, ERR_NOT_FOUND, "there is no ring yet; see rubus layout plan");
	else
		err = describe(node, ring_snapshot_ring(layout->old), layout, wanted,
			layout->target != NULL, ret_result);
	layout_free(layout);
	return err;
}

/* The drives that the ring from before needs take shards again, those that were to be drained. */
static enum err take_back_drains(struct node *node, const struct layout *layout, bool *ret_any)
{
	enum err err = ERR_OK;
	for (size_t i = 0; !err && i < layout->drive_count; i++) {
		const struct ring_drive_info *drive = &layout->drives[i];
		if (drive->weight > 0 || ring_count_drive(&layout->ring, drive->number) == 0)
			continue;
		err = control_drive_set_state(node, drive->number, DRIVE_ROW_IN);
		*ret_any = true;
	}
	return err;
}

static enum err make_revert(struct node *node, struct layout **ret_layout, char *message)
{
	struct layout *layout;
	bool has_changed = false;
	enum err err = layout_new(node, &layout);
	if (err)
		return err;
	err = layout_go_back(node, layout);
	if (err == ERR_INVALID && take_back_drains(node, layout, &has_changed) == ERR_OK &&
		has_changed) {
		layout_free(layout);
		err = layout_new(node, &layout);
		if (err)
			return err;
		err = layout_go_back(node, layout);
	}
	if (!err) {
		*ret_layout = layout;
		return ERR_OK;
	}
	layout_free(layout);
	if (err == ERR_NOT_FOUND)
		return node_refuse(
			message, err, "it is not known what was before; see rubus layout history");
	if (err == ERR_INVALID)
		return node_refuse(message, ERR_CONFLICT,
			"a drive of the ring from before was given up or removed; see rubus layout "
			"plan");
	return err;
}

enum err control_layout_revert(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	struct layout *layout = NULL;
	json_t *json = NULL;
	enum err err = make_revert(node, &layout, message);
	if (err)
		return err;
	err = control_layout_json(node, layout, &json);
	if (!err)
		err = control_layout_take(node, layout, "revert", message);
	layout_free(layout);
	if (err) {
		json_decref(json);
		return err;
	}
	*ret_result = json;
	return ERR_OK;
}

enum err control_layout_history(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	return layout_history_read(node, ret_result);
}
