/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_cluster_admin.h"

#include <stdlib.h>

#include "storage/meta/index_ledger.h"
#include "storage/ring/ring_order.h"
#include "storage/ring/ring_plan.h"
#include "tests/lib/test.h"

enum {
	INFOS_MAX = SIM_CLUSTER_NODES_MAX * SIM_STORE_DRIVES_MAX,
	SLOTS_LEN = 2 * SIM_STORE_SLOTS * RING_WIDTH_MAX,
};

/* A command on its way. What a kill leaves of it is buried. */
struct order {
	struct index_proposal proposal;
	struct index *index;
	bool is_target;
	struct sim_cluster_node *node; /* whose drive it is about */
	uint16_t drive;
	bool is_done;
	uint8_t bytes[16 * 1024];
};

static void order_done(struct index_proposal *proposal)
{
	CONTAINER_OF(proposal, struct order, proposal)->is_done = true;
}

static void propose(void *arg)
{
	struct order *order = arg;
	index_propose(order->index, &order->proposal);
}

static void send(struct sim_admin *admin, struct order *order, const struct command *command)
{
	struct sim_store *rig = &admin->at->rig;
	order->index = rig->index;
	order->proposal = (struct index_proposal){
		.loop = rig->loops[0], .bytes = order->bytes, .done = order_done};
	ck_assert_ok(
		command_encode(command, order->bytes, sizeof order->bytes, &order->proposal.len));
	admin->order = order;
	admin->life = admin->at->lives;
	sim_call(rig->sim, rig->loops[0], propose, order);
}

/* --- giving up -------------------------------------------------------------------------------- */

/* A drive of the node that is to be given up now; 0: none. One that was replaced: when the other
 * one can take its place. */
static uint16_t find_lost_drive(const struct sim_cluster_node *node)
{
	if (node->is_lost && node->gone_count < node->rig.options.drive_count)
		return node->rig.drives[node->gone_count].number;
	return node->state == SIM_NODE_SERVING ? node->replaced : 0;
}

static bool give_up_drive(struct sim_admin *admin)
{
	struct sim_cluster *cluster = admin->cluster;
	for (unsigned i = 0; i < cluster->node_count; i++) {
		struct sim_cluster_node *node = &cluster->nodes[i];
		uint16_t drive = find_lost_drive(node);
		if (drive == 0)
			continue;
		struct order *order = sim_must(calloc(1, sizeof *order));
		order->node = node;
		order->drive = drive;
		struct command command = {.type = COMMAND_DRIVE_UPDATE};
		command.drive_update.number = drive;
		command.drive_update.set = DRIVE_SET_STATE;
		command.drive_update.state = DRIVE_ROW_GONE;
		send(admin, order, &command);
		return true;
	}
	return false;
}

/* --- targets ---------------------------------------------------------------------------------- */

static unsigned list_drives(
	struct sim_cluster *cluster, bool is_all, struct ring_drive_info *ret_infos)
{
	unsigned count = 0;
	for (unsigned i = 0; i < cluster->node_count; i++) {
		const struct sim_cluster_node *node = &cluster->nodes[i];
		const struct sim_store *rig = &node->rig;
		for (unsigned j = 0; j < rig->options.drive_count; j++)
			if (rig->drives[j].number > 0 && (is_all || node->is_in_ring))
				ret_infos[count++] = (struct ring_drive_info){
					.number = rig->drives[j].number,
					.node = rig->options.node_id,
					.weight = UINT64_C(1) << 40};
	}
	return count;
}

static uint64_t newest_version(struct sim_store *rig, const struct ring *ring)
{
	struct ring_snapshot *target;
	uint64_t version = ring->version;
	if (index_view_begin(rig->reader) != ERR_OK)
		return version;
	if (index_ring_target(rig->reader, &target) == ERR_OK) {
		version = ring_snapshot_ring(target)->version;
		ring_snapshot_unref(target);
	}
	index_view_end(rig->reader);
	return version;
}

static enum err plan(
	struct sim_admin *admin, const struct ring *ring, uint8_t *slots, struct ring *ret_target)
{
	struct ring_drive_info infos[INFOS_MAX], all[INFOS_MAX];
	struct ring_plan_request request = {
		.old = ring,
		.drives = infos,
		.drive_count = list_drives(admin->cluster, false, infos),
		.profile = ring->profile,
		.domain = ring->domain,
		.class = ring->class,
		.drive_class = ring->drive_class,
		.slot_count = ring->slot_count,
	};
	enum err err = ring_plan(&request, slots, ret_target);
	if (err == ERR_OK)
		ring_order_untangle(
			ring, ret_target, slots, all, list_drives(admin->cluster, true, all));
	return err;
}

static void set_target(struct sim_admin *admin)
{
	static uint8_t slots[SLOTS_LEN], bytes[SLOTS_LEN + 512];
	struct sim_store *rig = &admin->at->rig;
	struct ring_snapshot *snapshot = index_ring(rig->index);
	const struct ring *ring = ring_snapshot_ring(snapshot);
	struct ring target;
	ck_assert_ok(plan(admin, ring, slots, &target));
	target.version = newest_version(rig, ring) + 1;
	ring_snapshot_unref(snapshot);
	struct order *order = sim_must(calloc(1, sizeof *order));
	order->is_target = true;
	admin->wants_target = false; /* but for what changes from now on */
	struct command command = {.type = COMMAND_RING_TARGET};
	size_t len;
	ck_assert_ok(ring_encode(&target, bytes, sizeof bytes, &len));
	command.ring_target.ring = bytes_make(bytes, len);
	send(admin, order, &command);
}

/* --- one after the other ---------------------------------------------------------------------- */

static void note_gone(struct sim_admin *admin, const struct order *order)
{
	struct sim_cluster_node *node = order->node;
	admin->gone++;
	if (order->drive != node->replaced) {
		node->gone_count++;
		return;
	}
	node->replaced = 0;
	admin->wants_target = true;
}

static void take_answer(struct sim_admin *admin)
{
	struct order *order = admin->order;
	enum err err = order->proposal.err;
	if (err == ERR_OK)
		err = command_code_err(order->proposal.result.code);
	if (err != ERR_OK) {
		admin->refused++; /* again: it was not done, or that is not known */
		admin->wants_target |= order->is_target;
	} else if (order->is_target) {
		admin->targets++;
	} else {
		note_gone(admin, order);
	}
	free(order);
	admin->order = NULL;
}

void sim_admin_poll(struct sim_admin *admin)
{
	struct sim_cluster *cluster = admin->cluster;
	if (admin->order &&
		(admin->at->lives != admin->life || admin->at->state != SIM_NODE_SERVING)) {
		admin->wants_target |= admin->order->is_target;
		sim_bury(admin->order); /* the node was killed */
		admin->order = NULL;
	} else if (admin->order && admin->order->is_done) {
		take_answer(admin);
	}
	if (admin->order || sim_admin_is_idle(admin))
		return;
	admin->at = &cluster->nodes[test_random(&admin->random) % cluster->node_count];
	if (admin->at->state != SIM_NODE_SERVING || admin->at->is_paused ||
		admin->at->rig.failed != ERR_OK)
		return;
	if (!give_up_drive(admin) && admin->wants_target)
		set_target(admin);
}

void sim_admin_want_target(struct sim_admin *admin)
{
	admin->wants_target = true;
}

bool sim_admin_is_idle(const struct sim_admin *admin)
{
	const struct sim_cluster *cluster = admin->cluster;
	bool is_idle = !admin->order && !admin->wants_target;
	for (unsigned i = 0; i < cluster->node_count; i++) {
		const struct sim_cluster_node *node = &cluster->nodes[i];
		is_idle &= node->replaced == 0;
		is_idle &= !node->is_lost || node->gone_count == node->rig.options.drive_count;
	}
	return is_idle;
}

void sim_admin_init(struct sim_admin *admin, struct sim_cluster *cluster, uint64_t seed)
{
	*admin = (struct sim_admin){.cluster = cluster, .random = seed ^ 0xad31};
}
