/* SPDX-License-Identifier: Apache-2.0 */
#include "server/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/meta/index_ledger.h"

#include "server/node_space.h"

static void copy_text(char *to, size_t cap, struct bytes from)
{
	size_t len = from.len < cap ? from.len : cap - 1;
	if (len > 0)
		memcpy(to, from.data, len);
	to[len] = '\0';
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void look_at(struct facts *facts, struct fact_node *node)
{
	int64_t now_ms = clock_wall_ms(facts->node->clock);
	node->is_own = id_is_equal(node->id, facts->node->identity.node);
	if (node->is_own) {
		node->is_up = true;
		node->since_ms = facts->node->started_ms;
	} else if (facts->node->cluster) {
		cluster_view(facts->node->cluster, node->id, &node->view);
		node->is_up = node->view.is_linked;
		if (node->view.is_known)
			node->since_ms = now_ms - (int64_t)node->view.changed_ms;
	}
}

static void take_node(struct facts *facts, const struct row_node *row)
{
	struct fact_node *node = &facts->nodes[facts->node_count++];
	node->number = row->number;
	node->id = row->id;
	node->role = row->role;
	node->state = row->state;
	node->joined_ms = row->joined_ms;
	node->maintenance_until_ms = row->maintenance_until_ms;
	node->away_ms = row->away_ms;
	copy_text(node->name, sizeof node->name, row->name);
	copy_text(node->zone, sizeof node->zone, row->zone);
	copy_text(node->addresses, sizeof node->addresses, row->addresses);
}

/* A node that was never one of several has no row. */
static void take_self(struct facts *facts)
{
	struct row_node row = {.id = facts->node->identity.node,
		.name = bytes_of(facts->node->config->node_name),
		.zone = bytes_of(facts->node->config->zone)};
	take_node(facts, &row);
}

static enum err read_nodes(struct facts *facts)
{
	struct row_node row;
	enum err err = ERR_OK;
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_node_next(facts->node->reader, from, &row);
		if (err || facts->node_count == ROW_NODES_MAX)
			break;
		take_node(facts, &row);
	}
	if (facts->node_count == 0)
		take_self(facts);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static struct fact_node *find_id(struct facts *facts, struct id id)
{
	for (size_t i = 0; i < facts->node_count; i++)
		if (id_is_equal(facts->nodes[i].id, id))
			return &facts->nodes[i];
	return NULL;
}

/* Who decides, and whether enough of them are there. */
static void take_members(struct facts *facts)
{
	struct consensus_members members = {.count = 0};
	if (facts->node->cluster)
		consensus_raft_members(facts->node->consensus, &members);
	for (size_t i = 0; i < members.count; i++) {
		const struct consensus_member *member = &members.members[i];
		struct fact_node *node = find_id(facts, member->node);
		bool is_voter = member->duty == CONSENSUS_VOTER;
		facts->voters += is_voter;
		facts->voters_there += is_voter && node && node->is_up;
		if (!node)
			continue;
		node->is_member = true;
		node->is_voter = is_voter;
		node->is_leader = member->id == facts->info.leader;
	}
	if (!facts->node->cluster) {
		facts->nodes[0].is_member = facts->nodes[0].is_voter = true;
		facts->nodes[0].is_leader = true;
		facts->voters = facts->voters_there = 1;
	}
	facts->voters_needed = facts->voters / 2 + 1;
	facts->has_quorum = facts_leader(facts) && facts->voters_there >= facts->voters_needed;
}

const struct fact_node *facts_leader(const struct facts *facts)
{
	for (size_t i = 0; i < facts->node_count; i++)
		if (facts->nodes[i].is_leader)
			return &facts->nodes[i];
	return NULL;
}

/* --- drives ----------------------------------------------------------------------------------- */

static void find_own_space(const struct node *node, struct fact_drive *drive)
{
	for (unsigned i = 0; i < node->store.drive_count; i++) {
		const struct store_drive *own = &node->store.drives[i];
		struct drive_space space;
		struct drive_counters counters;
		if (own->number != drive->number)
			continue;
		node_drive_space(node, i, &space);
		drive_counters(own->drive, &counters);
		drive->is_up = drive_state(own->drive) == DRIVE_UP;
		drive->has_space = true;
		drive->space = (struct cluster_drive){.number = drive->number,
			.is_up = drive->is_up,
			.total = space.total,
			.used = space.used,
			.free = space.free,
			.flush_ns = counters.flush_ns};
	}
}

static void find_space(struct facts *facts, struct fact_drive *drive)
{
	const struct fact_node *node = drive->node;
	if (!node)
		return;
	if (node->is_own)
		find_own_space(facts->node, drive);
	for (unsigned i = 0; !node->is_own && i < node->view.drive_count; i++) {
		const struct cluster_drive *said = &node->view.drives[i];
		if (said->number != drive->number)
			continue;
		drive->space = *said;
		drive->has_space = true;
		drive->is_up = node->is_up && said->is_up;
	}
	/* It has not said yet how its drives are. */
	if (!node->is_own && node->is_up && node->view.drive_count == 0)
		drive->is_up = true;
}

static void take_drive(struct facts *facts, const struct row_drive *row)
{
	struct fact_drive *drive = &facts->drives[facts->drive_count];
	*drive = (struct fact_drive){.number = row->number,
		.node_id = row->node,
		.class = row->class,
		.state = row->state,
		.weight = row->weight};
	copy_text(drive->zone, sizeof drive->zone, row->zone);
	facts->infos[facts->drive_count++] = (struct ring_drive_info){.number = row->number,
		.node = row->node,
		.zone = bytes_of(drive->zone),
		.weight = row->state == DRIVE_ROW_IN ? row->weight : 0,
		.class = row->class};
}

static enum err read_drives(struct facts *facts)
{
	struct row_drive row;
	enum err err = ERR_OK;
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_drive_next(facts->node->reader, from, &row);
		if (err || facts->drive_count == RING_DRIVES_MAX)
			break;
		if (row.state == DRIVE_ROW_IN || row.state == DRIVE_ROW_DRAINING)
			take_drive(facts, &row);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void look_at_drives(struct facts *facts)
{
	bool are_known = facts->drive_count > 0;
	for (size_t i = 0; i < facts->drive_count; i++) {
		struct fact_drive *drive = &facts->drives[i];
		drive->node = find_id(facts, drive->node_id);
		find_space(facts, drive);
		are_known &= drive->has_space;
		facts->spaces[i] = (struct ring_drive_space){
			drive->space.used + drive->space.free, drive->space.free};
	}
	if (!are_known) {
		free(facts->spaces);
		facts->spaces = NULL;
	}
}

/* --- what is stored --------------------------------------------------------------------------- */

/* What is on its way, and what drives took along that were given up. */
static enum err read_gone(struct facts *facts)
{
	size_t moves, gone;
	struct ring_snapshot *target;
	struct index_span span;
	const uint16_t *numbers = ring_snapshot_gone(facts->snapshot, &gone);
	(void)ring_snapshot_moves(facts->snapshot, &moves);
	enum err err = index_ring_target(facts->node->reader, &target);
	if (err == ERR_OK)
		ring_snapshot_unref(target);
	facts->is_moving = moves > 0 || err == ERR_OK;
	facts->missing = facts->missing_exceptions;
	if (err == ERR_NOT_FOUND)
		err = ERR_OK;
	for (size_t i = 0; i < gone; i++) {
		facts->has_gone |= ring_count_drive(facts->ring, numbers[i]) > 0;
		for (uint32_t slot = 0; !err && slot < facts->ring->slot_count; slot++) {
			err = index_span_next(
				facts->node->reader, numbers[i], (uint16_t)slot, &span);
			if (err == ERR_OK && span.drive == numbers[i]) {
				facts->missing += span.left;
				slot = span.slot;
			} else {
				slot = facts->ring->slot_count; /* of this drive there is no more */
			}
		}
		if (err == ERR_NOT_FOUND)
			err = ERR_OK;
	}
	return err;
}

static enum err read_slots(struct facts *facts)
{
	const struct ring *ring = facts->ring;
	for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
		struct row_slot_counts counts;
		enum err err = index_slot_counts(facts->node->reader, slot, &counts);
		if (err == ERR_NOT_FOUND)
			continue;
		if (err)
			return err;
		facts->slot_lens[slot] = counts.len;
		facts->stored_len += counts.len;
		facts->extents += counts.extents;
		facts->missing_exceptions += counts.missing;
		facts->exceptions += counts.exceptions;
	}
	enum err err = index_profile_sums(
		facts->node->reader, ring_snapshot_profile(facts->snapshot), &facts->off);
	facts->under_profile = facts->off.under_extents;
	return err ? err : read_gone(facts);
}

/* What is wanted of work in the background, and what the scrub said. */
static enum err read_work(struct facts *facts)
{
	enum err err = steering_read_settings(facts->node->reader, &facts->steering);
	facts->gone_after_ms = cluster_read_gone_after(facts->node->reader);
	for (size_t i = 0; !err && i < facts->drive_count; i++)
		err = scrub_record_read(
			facts->node->reader, facts->drives[i].number, &facts->drives[i].scrub);
	return err;
}

/* How fast it is coded anew, if it is this node that does it. */
static void ask_mender(struct facts *facts)
{
	struct mender_status status;
	if (!facts->node->is_mending)
		return;
	mender_status(&facts->node->mender, &status);
	const struct mender_work *work = &status.works[BOOK_RECODE];
	facts->knows_mender = status.is_responsible;
	facts->recode_rate = work->bytes_per_second;
	facts->recode_eta_ms = UINT64_MAX;
	if (work->bytes_per_second >= 1000)
		facts->recode_eta_ms = work->bytes_left / (work->bytes_per_second / 1000);
}

static enum err read_rows(struct facts *facts)
{
	enum err err = index_view_begin(facts->node->reader);
	if (err)
		return err;
	struct bytes held;
	err = index_setting_get(facts->node->reader, bytes_of(COMMAND_SETTING_HELD), &held);
	facts->is_held = err == ERR_OK;
	if (err == ERR_OK || err == ERR_NOT_FOUND)
		err = read_nodes(facts);
	if (!err)
		err = read_drives(facts);
	if (!err)
		err = read_work(facts);
	if (!err && facts->ring)
		err = read_slots(facts);
	index_view_end(facts->node->reader);
	ask_mender(facts);
	return err;
}

static enum err sum_up(struct facts *facts)
{
	struct ring_summary_request request = {.old = facts->ring,
		.new = facts->ring,
		.drives = facts->infos,
		.spaces = facts->spaces,
		.drive_count = facts->drive_count,
		.slot_lens = facts->slot_lens};
	if (facts->drive_count == 0)
		return ERR_OK;
	enum err err = ring_summarize(&request, facts->drive_summaries, &facts->summary);
	if (!err)
		err = facts_simulate(facts, NULL, 0, &facts->outlook);
	return err;
}

static enum err collect(struct facts *facts)
{
	struct node *node = facts->node;
	facts->nodes = calloc(ROW_NODES_MAX, sizeof *facts->nodes);
	facts->drives = calloc(RING_DRIVES_MAX, sizeof *facts->drives);
	facts->infos = calloc(RING_DRIVES_MAX, sizeof *facts->infos);
	facts->spaces = calloc(RING_DRIVES_MAX, sizeof *facts->spaces);
	facts->drive_summaries = calloc(RING_DRIVES_MAX, sizeof *facts->drive_summaries);
	facts->snapshot = index_ring(node->index);
	facts->ring = facts->snapshot ? ring_snapshot_ring(facts->snapshot) : NULL;
	facts->slot_lens = calloc(facts->ring ? facts->ring->slot_count : 1, sizeof(uint64_t));
	if (!facts->nodes || !facts->drives || !facts->infos || !facts->spaces ||
		!facts->drive_summaries || !facts->slot_lens)
		return ERR_NO_MEMORY;
	consensus_info(node->consensus, &facts->info);
	index_status(node->index, &facts->index);
	enum err err = read_rows(facts);
	if (err)
		return err;
	for (size_t i = 0; i < facts->node_count; i++)
		look_at(facts, &facts->nodes[i]);
	take_members(facts);
	look_at_drives(facts);
	return facts->ring ? sum_up(facts) : ERR_OK;
}

enum err facts_new(struct node *node, struct facts **ret_facts)
{
	struct facts *facts = calloc(1, sizeof *facts);
	if (!facts)
		return ERR_NO_MEMORY;
	facts->node = node;
	enum err err = collect(facts);
	if (err) {
		facts_free(facts);
		return err;
	}
	*ret_facts = facts;
	return ERR_OK;
}

void facts_free(struct facts *facts)
{
	if (!facts)
		return;
	ring_snapshot_unref(facts->snapshot);
	free(facts->nodes);
	free(facts->drives);
	free(facts->infos);
	free(facts->spaces);
	free(facts->drive_summaries);
	free(facts->slot_lens);
	free(facts);
}

/* --- questions -------------------------------------------------------------------------------- */

const struct fact_node *facts_find_node(const struct facts *facts, const char *name)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);
	const struct fact_node *found = NULL;
	for (size_t i = 0; i < facts->node_count; i++) {
		const struct fact_node *node = &facts->nodes[i];
		if (strcmp(node->name, name) != 0)
			continue;
		if (found)
			return NULL;
		found = node;
	}
	for (size_t i = 0; !found && *name && !*end && i < facts->node_count; i++)
		if (facts->nodes[i].number == number)
			found = &facts->nodes[i];
	return found;
}

static bool is_among(
	const struct fact_node *node, const struct fact_node *const *nodes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (nodes[i] == node)
			return true;
	return false;
}

size_t facts_list_failed(const struct facts *facts, const struct fact_node *const *more,
	size_t more_count, uint16_t *failed)
{
	size_t count = 0;
	for (size_t i = 0; i < facts->drive_count; i++) {
		const struct fact_drive *drive = &facts->drives[i];
		if (!drive->is_up || is_among(drive->node, more, more_count))
			failed[count++] = drive->number;
	}
	/* What was given up is among the drives no more, and may have places in the ring yet. */
	size_t gone_count = 0;
	const uint16_t *gone = facts->snapshot ? ring_snapshot_gone(facts->snapshot, &gone_count)
					       : NULL;
	for (size_t i = 0; i < gone_count && count < RING_DRIVES_MAX; i++)
		failed[count++] = gone[i];
	return count;
}

enum err facts_simulate(const struct facts *facts, const struct fact_node *const *more,
	size_t more_count, struct ring_outlook *ret_outlook)
{
	assert(facts->ring);
	uint16_t *failed = calloc(RING_DRIVES_MAX, sizeof *failed);
	if (!failed)
		return ERR_NO_MEMORY;
	size_t count = facts_list_failed(facts, more, more_count, failed);
	ring_simulate(facts->ring, failed, count, facts->slot_lens, ret_outlook);
	free(failed);
	return ERR_OK;
}

unsigned facts_voters_without(
	const struct facts *facts, const struct fact_node *const *more, size_t more_count)
{
	unsigned there = facts->voters_there;
	for (size_t i = 0; i < facts->node_count; i++) {
		const struct fact_node *node = &facts->nodes[i];
		there -= node->is_voter && node->is_up && is_among(node, more, more_count);
	}
	return there;
}

bool facts_is_in_maintenance(const struct facts *facts, const struct fact_node *node)
{
	int64_t now_ms = clock_wall_ms(facts->node->clock);
	return now_ms > 0 && node->maintenance_until_ms > (uint64_t)now_ms;
}

const char *facts_state_text(const struct facts *facts, const struct fact_node *node)
{
	bool has_drives = false;
	for (size_t i = 0; i < facts->drive_count; i++)
		has_drives |= facts->drives[i].node == node;
	if (node->is_up)
		return "up";
	if (facts_is_in_maintenance(facts, node))
		return "maintenance";
	if (node->view.is_known && node->view.changed_ms < CLUSTER_SUSPECT_MS)
		return "suspect";
	return has_drives || node->role == NODE_ROLE_WITNESS ? "away" : "gone";
}

bool facts_is_overdue(const struct facts *facts, const struct fact_node *node)
{
	return facts->gone_after_ms > 0 && node->away_ms >= facts->gone_after_ms &&
		strcmp(facts_state_text(facts, node), "away") == 0 &&
		node->role != NODE_ROLE_WITNESS;
}

void facts_format_away(const struct facts *facts, char *text, size_t cap)
{
	size_t len = 0;
	text[0] = '\0';
	for (size_t i = 0; i < facts->node_count && len < cap; i++)
		if (!facts->nodes[i].is_up)
			len += snprintf(text + len, cap - len, "%s%s", len > 0 ? ", " : "",
				facts->nodes[i].name);
}
