/* SPDX-License-Identifier: Apache-2.0 */
#include "server/layout.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/digest/hex.h"
#include "server/layout_history.h"
#include "storage/meta/index_ledger.h"
#include "storage/ring/ring_order.h"
#include "storage/ring/ring_plan.h"

void layout_free(struct layout *layout)
{
	if (!layout)
		return;
	ring_snapshot_unref(layout->old);
	ring_snapshot_unref(layout->target);
	free(layout->from_slots);
	free(layout->slots);
	free(layout);
}

/* --- what there is ---------------------------------------------------------------------------- */

static void take_drive(struct layout *layout, const struct row_drive *row)
{
	size_t at = layout->drive_count++;
	if (row->zone.len > 0)
		memcpy(layout->zones[at], row->zone.data, row->zone.len);
	layout->drives[at] = (struct ring_drive_info){.number = row->number,
		.node = row->node,
		.zone = bytes_make(layout->zones[at], row->zone.len),
		.weight = row->state == DRIVE_ROW_IN ? row->weight : 0,
		.class = row->class};
}

static enum err read_drives(struct node *node, struct layout *layout)
{
	struct row_drive row;
	enum err err = ERR_OK;
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_drive_next(node->reader, from, &row);
		if (err || layout->drive_count == RING_DRIVES_MAX)
			break;
		if (row.state < DRIVE_ROW_GONE)
			take_drive(layout, &row);
	}
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
	enum err err = index_ring_target(node->reader, &layout->target);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

const struct ring *layout_wanted(const struct layout *layout)
{
	if (layout->target)
		return ring_snapshot_ring(layout->target);
	return layout->old ? ring_snapshot_ring(layout->old) : NULL;
}

/* (Y2) */
static void make_name(struct layout *layout)
{
	crypto_generichash_state state;
	const struct ring *wanted = layout_wanted(layout);
	uint8_t head[8], digest[crypto_generichash_BYTES_MIN];
	crypto_generichash_init(&state, NULL, 0, sizeof digest);
	put_le64(head, wanted ? wanted->version : 0);
	crypto_generichash_update(&state, head, sizeof head);
	for (size_t i = 0; i < layout->drive_count; i++) {
		const struct ring_drive_info *drive = &layout->drives[i];
		uint8_t row[12];
		put_le16(row, drive->number);
		put_le64(row + 2, drive->weight);
		row[10] = drive->class;
		row[11] = drive->zone.len;
		crypto_generichash_update(&state, row, sizeof row);
		crypto_generichash_update(&state, drive->node.bytes, ID_LEN);
		crypto_generichash_update(&state, drive->zone.data, drive->zone.len);
	}
	crypto_generichash_final(&state, digest, sizeof digest);
	hex_encode(digest, LAYOUT_NAME_LEN / 2, layout->name);
}

enum err layout_new(struct node *node, struct layout **ret_layout)
{
	struct layout *layout = calloc(1, sizeof *layout);
	if (!layout)
		return ERR_NO_MEMORY;
	enum err err = index_view_begin(node->reader);
	if (!err) {
		err = read_drives(node, layout);
		if (!err)
			err = read_rings(node, layout);
		index_view_end(node->reader);
	}
	if (err) {
		layout_free(layout);
		return err;
	}
	make_name(layout);
	*ret_layout = layout;
	return ERR_OK;
}

/* --- what is to be ---------------------------------------------------------------------------- */

/* Room for the slots of the next ring, in place of those of another try. */
static enum err make_slots(struct layout *layout, size_t len)
{
	free(layout->slots);
	layout->slots = malloc(len);
	return layout->slots ? ERR_OK : ERR_NO_MEMORY;
}

static enum err finish(struct layout *layout)
{
	const struct ring *wanted = layout_wanted(layout);
	layout->ring.version = wanted ? wanted->version + 1 : 1;
	return ring_check(&layout->ring, layout->drives, layout->drive_count);
}

enum err layout_plan(struct layout *layout)
{
	enum ring_domain domain = ring_domain_default(layout->drives, layout->drive_count);
	size_t domains = ring_domain_count(layout->drives, layout->drive_count, domain);
	const struct ring *old = layout->old ? &layout->from : NULL;
	struct ring_plan_request request = {.old = old,
		.drives = layout->drives,
		.drive_count = layout->drive_count,
		.profile = ring_profile_default(domains),
		.domain = domain,
		.class = RING_STANDARD,
		.drive_class = old ? old->drive_class : DRIVE_NVME,
		.slot_count = old ? old->slot_count : RING_SLOTS_DEFAULT};
	if (domains == 0)
		return ERR_QUORUM;
	size_t width = (size_t)request.profile.k + request.profile.m;
	enum err err = make_slots(layout, 2 * request.slot_count * width);
	if (!err)
		err = ring_plan(&request, layout->slots, &layout->ring);
	if (!err && old)
		ring_order_untangle(
			old, &layout->ring, layout->slots, layout->drives, layout->drive_count);
	return err ? err : finish(layout);
}

enum err layout_replace(struct layout *layout, uint16_t old, uint16_t new)
{
	const struct ring *wanted = layout_wanted(layout);
	if (!wanted || ring_count_drive(wanted, old) == 0)
		return ERR_NOT_FOUND;
	if (ring_count_drive(wanted, new) > 0)
		return ERR_INVALID;
	enum err err = make_slots(layout, wanted->slots_len);
	if (err)
		return err;
	memcpy(layout->slots, wanted->slots, wanted->slots_len);
	layout->ring = *wanted;
	layout->ring.slots = layout->slots;
	for (size_t i = 0; i < wanted->slots_len; i += 2)
		if (get_le16(layout->slots + i) == old)
			put_le16(layout->slots + i, new);
	return finish(layout);
}

enum err layout_go_back(struct node *node, struct layout *layout)
{
	const struct ring *wanted = layout_wanted(layout);
	struct ring before;
	struct bytes value;
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_setting_get(node->reader, bytes_of(LAYOUT_BEFORE), &value);
	/* It belongs to one version, and is of use with the same slots alone. */
	if (!err && (!wanted || value.len < 8 || get_le64(value.data) != wanted->version))
		err = ERR_NOT_FOUND;
	if (!err)
		err = ring_decode(bytes_from(value, 8), &before);
	if (!err && before.slot_count != wanted->slot_count)
		err = ERR_NOT_FOUND;
	if (!err)
		err = make_slots(layout, before.slots_len);
	if (!err) {
		memcpy(layout->slots, before.slots, before.slots_len);
		layout->ring = before;
		layout->ring.slots = layout->slots;
	}
	index_view_end(node->reader);
	return err ? err : finish(layout);
}

static bool is_same_ring(const struct ring *a, const struct ring *b)
{
	return a->width == b->width && a->domain == b->domain && a->profile.k == b->profile.k &&
		a->profile.m == b->profile.m && a->slots_len == b->slots_len &&
		memcmp(a->slots, b->slots, a->slots_len) == 0;
}

bool layout_is_same(const struct layout *layout)
{
	return layout->old && !layout->target && is_same_ring(&layout->from, &layout->ring);
}

/* --- proposing -------------------------------------------------------------------------------- */

/* Is what the index wants now just this? Then an answer was lost, and no more. */
static bool is_taken(struct node *node, const struct layout *layout)
{
	struct layout *now;
	if (layout_new(node, &now) != ERR_OK)
		return false;
	const struct ring *wanted = layout_wanted(now);
	bool is_it = wanted && wanted->version == layout->ring.version &&
		is_same_ring(wanted, &layout->ring);
	layout_free(now);
	return is_it;
}

static enum err propose_ring(struct node *node, const struct layout *layout)
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
		err = layout->target ? ERR_NOT_EMPTY : node_propose_until(node, &command, &result);
	if (err == ERR_NOT_EMPTY) {
		command.type = COMMAND_RING_TARGET; /* what is stored moves there */
		command.ring_target.ring = bytes_make(bytes, len);
		err = node_propose_until(node, &command, &result);
	}
	free(bytes);
	return err == ERR_CONFLICT && is_taken(node, layout) ? ERR_OK : err;
}

/* (Y3) */
static enum err keep_before(struct node *node, const struct layout *layout)
{
	const struct ring *wanted = layout_wanted(layout);
	struct command command = {.type = COMMAND_SETTING_PUT};
	struct command_result result;
	size_t len = ring_encoded_len(wanted);
	if (8 + len > ROW_CONFIG_LEN_MAX)
		return ERR_LIMIT;
	uint8_t *bytes = malloc(8 + len);
	if (!bytes)
		return ERR_NO_MEMORY;
	put_le64(bytes, layout->ring.version);
	enum err err = ring_encode(wanted, bytes + 8, len, &len);
	command.setting_put.name = bytes_of(LAYOUT_BEFORE);
	command.setting_put.value = bytes_make(bytes, 8 + len);
	if (!err)
		err = node_propose_until(node, &command, &result);
	free(bytes);
	return err;
}

enum err layout_propose(struct node *node, const struct layout *layout, const char *what)
{
	enum err err = propose_ring(node, layout);
	if (err)
		return err;
	err = layout->old ? keep_before(node, layout) : ERR_OK;
	if (!err)
		err = layout_history_add(node, layout, what);
	if (err)
		trace_event(node->trace, TRACE_WARNING, 0,
			"ring %llu was taken, but not noted for layout revert and history: %s",
			(unsigned long long)layout->ring.version, err_text(err));
	return ERR_OK;
}
