/* SPDX-License-Identifier: Apache-2.0 */
/* The rings of simulated stores, and whether they are as they should be. */
#include "storage/meta/index_ledger.h"
#include "storage/ring/ring_order.h"
#include "storage/ring/ring_plan.h"
#include "tests/lib/sim_store.h"
#include "tests/lib/test.h"

#define PLAN_TRIES 10

static unsigned in_first_ring(const struct sim_store *rig)
{
	return rig->options.ring_count > 0 ? rig->options.ring_count : rig->options.drive_count;
}

enum err sim_store_propose_ring(struct sim_store *const *nodes, unsigned node_count)
{
	struct ring_drive_info infos[16 * SIM_STORE_DRIVES_MAX];
	unsigned count = 0;
	for (unsigned i = 0; i < node_count; i++)
		for (unsigned j = 0; j < in_first_ring(nodes[i]); j++)
			infos[count++] = (struct ring_drive_info){
				.number = nodes[i]->drives[j].number,
				.node = nodes[i]->options.node_id,
				.weight = UINT64_C(1) << 40};
	enum ring_domain domain = ring_domain_default(infos, count);
	struct ring_profile profile = ring_profile_default(ring_domain_count(infos, count, domain));
	static uint8_t slots[2 * SIM_STORE_SLOTS * RING_WIDTH_MAX];
	static uint8_t bytes[sizeof slots + 512];
	struct ring ring;
	enum err err = ring_plan_initial(
		infos, count, profile, domain, SIM_STORE_SLOTS, slots, &ring);
	if (err != ERR_OK)
		return err;
	size_t len;
	ck_assert_ok(ring_encode(&ring, bytes, sizeof bytes, &len));
	struct command command = {.type = COMMAND_RING_SET};
	command.ring_set.ring = bytes_make(bytes, len);
	struct command_result result;
	for (unsigned i = 0; i < node_count; i++)
		nodes[i]->profile = profile;
	return sim_store_propose(nodes[0], &command, &result);
}

/* The drives of a node that may be in a ring. */
static unsigned list_drives(
	struct sim_store *rig, const bool *is_in, struct ring_drive_info *ret_infos)
{
	unsigned count = 0;
	for (unsigned i = 0; i < rig->options.drive_count; i++)
		if (is_in[i])
			ret_infos[count++] = (struct ring_drive_info){
				.number = rig->drives[i].number,
				.node = rig->options.node_id,
				.weight = UINT64_C(1) << 40};
	return count;
}

static uint64_t newest_version(struct sim_store *rig, const struct ring *ring)
{
	struct ring_snapshot *target;
	uint64_t version = ring->version;
	ck_assert_ok(index_view_begin(rig->reader));
	if (index_ring_target(rig->reader, &target) == ERR_OK) {
		version = ring_snapshot_ring(target)->version;
		ring_snapshot_unref(target);
	}
	index_view_end(rig->reader);
	return version;
}

static struct ring_profile profile_of(struct sim_store *rig)
{
	struct ring_snapshot *snapshot = index_ring(rig->index);
	struct ring_profile profile = ring_snapshot_ring(snapshot)->profile;
	ring_snapshot_unref(snapshot);
	return profile;
}

static enum err propose_profile(
	struct sim_store *rig, const bool *is_in, struct ring_profile profile)
{
	struct ring_drive_info infos[SIM_STORE_DRIVES_MAX], all[SIM_STORE_DRIVES_MAX];
	static const bool is_any[SIM_STORE_DRIVES_MAX] = {1, 1, 1, 1, 1, 1, 1, 1};
	static uint8_t slots[2 * SIM_STORE_SLOTS * RING_WIDTH_MAX];
	static uint8_t bytes[sizeof slots + 512];
	static uint8_t from_slots[sizeof slots];
	struct ring_snapshot *old = index_ring(rig->index);
	struct ring from; /* what moves has arrived, as for rubus layout plan */
	const struct ring *ring = &from;
	ring_snapshot_arrived(old, from_slots, &from);
	struct ring_plan_request request = {
		.old = ring,
		.drives = infos,
		.drive_count = list_drives(rig, is_in, infos),
		.profile = profile,
		.domain = ring->domain,
		.class = ring->class,
		.drive_class = ring->drive_class,
		.slot_count = ring->slot_count,
	};
	struct ring target;
	enum err err = ring_plan(&request, slots, &target);
	if (err == ERR_OK) {
		unsigned count = list_drives(rig, is_any, all);
		ring_order_untangle(ring, &target, slots, all, count);
		target.version = newest_version(rig, ring) + 1;
	}
	size_t len = 0;
	if (err == ERR_OK)
		err = ring_encode(&target, bytes, sizeof bytes, &len);
	ring_snapshot_unref(old);
	if (err != ERR_OK)
		return err;
	struct command command = {.type = COMMAND_RING_TARGET};
	command.ring_target.ring = bytes_make(bytes, len);
	struct command_result result;
	return sim_store_propose(rig, &command, &result);
}

/* As rubus layout apply: what was planned while moves began is planned anew. */
enum err sim_store_propose_profile(
	struct sim_store *rig, const bool *is_in, struct ring_profile profile)
{
	enum err err = ERR_CONFLICT;
	for (unsigned i = 0; err == ERR_CONFLICT && i < PLAN_TRIES; i++)
		err = propose_profile(rig, is_in, profile);
	return err;
}

enum err sim_store_propose_target(struct sim_store *rig, const bool *is_in)
{
	return sim_store_propose_profile(rig, is_in, profile_of(rig));
}

static enum err look_for_wrong(struct sim_store *rig)
{
	struct index_slot_sums sums;
	struct ring_snapshot *target;
	struct index_leftover leftover;
	enum err err = index_slot_sums(rig->reader, 0, &sums);
	if (err != ERR_OK || sums.exceptions > 0)
		return err != ERR_OK ? err : ERR_BUSY;
	struct index_profile_sums off;
	err = index_profile_sums(rig->reader, profile_of(rig), &off);
	if (err != ERR_OK || (rig->options.has_mender && off.off_extents > 0))
		return err != ERR_OK ? err : ERR_BUSY;
	err = index_ring_target(rig->reader, &target);
	if (err == ERR_OK)
		ring_snapshot_unref(target);
	if (err != ERR_NOT_FOUND)
		return err != ERR_OK ? err : ERR_BUSY;
	err = index_leftover_next(rig->reader, 0, 0, 0, &leftover);
	return err == ERR_NOT_FOUND ? ERR_OK : ERR_BUSY;
}

bool sim_store_is_whole(struct sim_store *rig)
{
	size_t moves, gone;
	struct ring_snapshot *ring = index_ring(rig->index);
	(void)ring_snapshot_moves(ring, &moves);
	const uint16_t *numbers = ring_snapshot_gone(ring, &gone);
	bool is_whole = moves == 0;
	for (size_t i = 0; i < gone; i++)
		is_whole &= ring_count_drive(ring_snapshot_ring(ring), numbers[i]) == 0;
	ring_snapshot_unref(ring);
	if (!is_whole || index_view_begin(rig->reader) != ERR_OK)
		return false;
	is_whole = look_for_wrong(rig) == ERR_OK;
	index_view_end(rig->reader);
	return is_whole;
}

/* --- looking ---------------------------------------------------------------------------------- */

bool sim_store_has_drive(const struct sim_store *rig, uint16_t number)
{
	return store_drive(&rig->life->store, number) != NULL;
}

bool sim_store_is_collected(struct sim_store *rig)
{
	if (rig->life->collector.state != COLLECT_IDLE || rig->life->collector.frees_in_flight > 0)
		return false;
	if (index_view_begin(rig->reader) != ERR_OK)
		return false;
	struct index_garbage garbage;
	enum err err = index_garbage_next(rig->reader, 0, 0, 0, &garbage);
	index_view_end(rig->reader);
	return err == ERR_NOT_FOUND;
}

enum err sim_store_make_bucket(
	struct sim_store *rig, enum bucket_versioning versioning, uint64_t *ret_bucket)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of("bucket");
	command.bucket_create.owner = bytes_of("owner");
	command.bucket_create.versioning = versioning;
	struct command_result result;
	enum err err = sim_store_propose(rig, &command, &result);
	if (err != ERR_OK && err != ERR_EXISTS)
		return err;
	*ret_bucket = result.id;
	return ERR_OK;
}
