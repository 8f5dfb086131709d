/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket about the ring: in the control thread.
 *
 * A plan is made of the drives that the index has; nothing moves before it is applied. */
#include <stdlib.h>
#include <string.h>

#include "server/control_cluster.h"
#include "server/control_layout.h"
#include "storage/meta/index_ledger.h"
#include "storage/ring/ring_order.h"
#include "storage/ring/ring_plan.h"
#include "storage/ring/ring_summary.h"

/* What a plan is made of, and what came of it. */
struct layout {
	struct ring_drive_info drives[RING_DRIVES_MAX];
	size_t drive_count;
	uint8_t zones[RING_DRIVES_MAX][ROW_ZONE_LEN_MAX];
	struct ring_snapshot *old; /* NULL: none */
	struct ring_snapshot *target; /* that the old one moves to; NULL: none */
	struct ring from; /* the old one, when all that moves has arrived */
	uint8_t *from_slots;
	struct ring ring;
	uint8_t *slots;
};

static void layout_free(struct layout *layout)
{
	if (!layout)
		return;
	ring_snapshot_unref(layout->old);
	ring_snapshot_unref(layout->target);
	free(layout->from_slots);
	free(layout->slots);
	free(layout);
}

static enum err read_drives(struct node *node, struct layout *layout)
{
	struct row_drive row;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_drive_next(node->reader, from, &row);
		if (err || layout->drive_count == RING_DRIVES_MAX)
			break;
		if (row.state != DRIVE_ROW_IN)
			continue;
		size_t at = layout->drive_count++;
		if (row.zone.len > 0)
			memcpy(layout->zones[at], row.zone.data, row.zone.len);
		layout->drives[at] = (struct ring_drive_info){.number = row.number,
			.node = row.node,
			.zone = bytes_make(layout->zones[at], row.zone.len),
			.weight = row.weight,
			.class = row.class};
	}
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* The ring there is, and that it moves to. */
static enum err read_rings(struct node *node, struct layout *layout)
{
	layout->old = index_ring(node->index);
	if (!layout->old)
		return ERR_OK;
	layout->from_slots = malloc(ring_snapshot_ring(layout->old)->slots_len);
	if (!layout->from_slots)
		return ERR_NO_MEMORY;
	ring_snapshot_arrived(layout->old, layout->from_slots, &layout->from);
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_ring_target(node->reader, &layout->target);
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err make_plan(struct node *node, struct layout *layout)
{
	enum err err = read_drives(node, layout);
	if (err)
		return err;
	enum ring_domain domain = ring_domain_default(layout->drives, layout->drive_count);
	size_t domains = ring_domain_count(layout->drives, layout->drive_count, domain);
	err = read_rings(node, layout);
	if (err)
		return err;
	const struct ring *old = layout->old ? &layout->from : NULL;
	struct ring_plan_request request = {.old = old,
		.drives = layout->drives,
		.drive_count = layout->drive_count,
		.profile = ring_profile_default(domains),
		.domain = domain,
		.class = RING_STANDARD,
		.drive_class = old ? old->drive_class : DRIVE_NVME,
		.slot_count = old ? old->slot_count : RING_SLOTS_DEFAULT};
	size_t width = (size_t)request.profile.k + request.profile.m;
	layout->slots = malloc(2 * request.slot_count * width);
	if (!layout->slots)
		return ERR_NO_MEMORY;
	err = ring_plan(&request, layout->slots, &layout->ring);
	if (!err && old)
		ring_order_untangle(
			old, &layout->ring, layout->slots, layout->drives, layout->drive_count);
	const struct ring_snapshot *last = layout->target ? layout->target : layout->old;
	layout->ring.version = last ? ring_snapshot_ring(last)->version + 1 : 1;
	return err ? err : ring_check(&layout->ring, layout->drives, layout->drive_count);
}

static enum err plan(struct node *node, struct layout **ret_layout, char *message)
{
	struct layout *layout = calloc(1, sizeof *layout);
	enum err err = layout ? make_plan(node, layout) : ERR_NO_MEMORY;
	if (err) {
		layout_free(layout);
		return node_refuse(message, err, "no ring can be planned: %s", err_text(err));
	}
	*ret_layout = layout;
	return ERR_OK;
}

static bool is_same(const struct layout *layout)
{
	const struct ring *old = layout->old ? &layout->from : NULL;
	const struct ring *new = &layout->ring;
	return old && !layout->target && old->width == new->width && old->domain == new->domain &&
		old->profile.k == new->profile.k && old->profile.m == new->profile.m &&
		old->slots_len == new->slots_len &&memcmp(old->slots, new->slots, new->slots_len) ==
		0;
}

static enum err layout_json(struct node *node, const struct layout *layout, json_t **ret_result)
{
	static const char *const domains[] = {[RING_DOMAIN_DRIVE] = "drive",
		[RING_DOMAIN_NODE] = "node",
		[RING_DOMAIN_ZONE] = "zone"};
	const struct ring *old = layout->old ? ring_snapshot_ring(layout->old) : NULL;
	const struct ring *new = &layout->ring;
	json_t *json = json_pack("{s:b, s:I, s:s, s:o}", "changes", !is_same(layout), "version",
		(json_int_t) new->version, "domain", domains[new->domain], "profile",
		json_sprintf("%u+%u", new->profile.k, new->profile.m));
	enum err err = control_layout_describe(
		node, old, new, layout->drives, layout->drive_count, json);
	if (err) {
		json_decref(json);
		return err;
	}
	*ret_result = json;
	return ERR_OK;
}

enum err control_layout_plan(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	struct layout *layout;
	enum err err = plan(node, &layout, message);
	if (err)
		return err;
	err = layout_json(node, layout, ret_result);
	layout_free(layout);
	return err;
}

static enum err propose(struct node *node, const struct layout *layout, char *message)
{
	struct command command = {.type = COMMAND_RING_SET};
	struct command_result result;
	size_t len = ring_encoded_len(&layout->ring);
	uint8_t *bytes = malloc(len);
	if (!bytes)
		return ERR_NO_MEMORY;
	enum err err = ring_encode(&layout->ring, bytes, len, &len);
	command.ring_set.ring = bytes_make(bytes, len);
	if (!err)
		err = node_propose(node, &command, &result);
	if (err == ERR_NOT_EMPTY || (err == ERR_CONFLICT && layout->target)) {
		command.type = COMMAND_RING_TARGET; /* what is stored moves there */
		command.ring_target.ring = bytes_make(bytes, len);
		err = node_propose(node, &command, &result);
	}
	free(bytes);
	if (err)
		return node_refuse(message, err, "the ring was not taken: %s", err_text(err));
	return ERR_OK;
}

enum err control_layout_apply(
	struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	struct layout *layout;
	enum err err = plan(node, &layout, message);
	if (err)
		return err;
	if (!is_same(layout))
		err = propose(node, layout, message);
	if (!err)
		err = layout_json(node, layout, ret_result);
	layout_free(layout);
	return err;
}
