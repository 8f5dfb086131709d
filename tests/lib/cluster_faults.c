/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/cluster_faults.h"

#include "tests/lib/test.h"

static uint64_t below(struct cluster_faults *faults, uint64_t n)
{
	return test_random(&faults->random) % n;
}

static bool chance(struct cluster_faults *faults, unsigned percent)
{
	return below(faults, 100) < percent;
}

const char *befall_name(enum befall what)
{
	static const char *const names[BEFALLS] = {"kill", "stop", "power_cut", "house_cut",
		"start", "pause", "go_on", "one_way", "partition", "break", "odds", "heal", "jump",
		"leader_cut", "leader_kill", "state_slow", "state_hang", "state_full", "state_eio",
		"index_eio", "drive_slow", "drive_full", "drive_eio", "locations", "drive_gone",
		"drive_loses", "wipe", "lose", "join", "target"};
	return names[what];
}

static struct sim_cluster_node *any_node(struct cluster_faults *faults)
{
	return &faults->cluster->nodes[below(faults, faults->cluster->node_count)];
}

static void kill(struct sim_cluster_node *node, bool is_power_cut)
{
	if (node->state != SIM_NODE_DOWN)
		sim_cluster_kill(node, is_power_cut);
}

static void start_all(struct cluster_faults *faults)
{
	for (unsigned i = 0; i < faults->cluster->node_count; i++) {
		struct sim_cluster_node *node = &faults->cluster->nodes[i];
		sim_cluster_pause(node, false);
		if (node->state == SIM_NODE_DOWN && cluster_node_is_there(node))
			node->is_wanted = true;
	}
}

static void cut_house(struct cluster_faults *faults)
{
	for (unsigned i = 0; i < faults->cluster->node_count; i++)
		kill(&faults->cluster->nodes[i], true);
	start_all(faults);
}

/* --- the network ------------------------------------------------------------------------------ */

static void befall_net(
	struct cluster_faults *faults, enum befall what, struct sim_cluster_node *node)
{
	struct sim_net *net = faults->cluster->net;
	struct sim_cluster_node *other = any_node(faults);
	switch (what) {
	case BEFALL_ONE_WAY:
		if (node != other)
			sim_net_cut(net, node->rig.node, other->rig.node, true);
		break;
	case BEFALL_PARTITION:
		sim_net_partition(net, below(faults, 1u << faults->cluster->node_count));
		break;
	case BEFALL_LEADER_CUT:
		sim_net_partition(net, 1u << node->number);
		break;
	case BEFALL_BREAK:
		sim_net_break(net, node->rig.node, other->rig.node);
		break;
	case BEFALL_ODDS:
		*sim_net_odds(net) = (struct sim_net_odds){
			below(faults, 100), below(faults, 30), below(faults, 15)};
		break;
	default:
		sim_net_heal(net);
		break;
	}
}

/* --- disks ------------------------------------------------------------------------------------ */

static void be_slow(struct cluster_faults *faults, struct sim_disk *disk)
{
	unsigned per_mille = 1 + below(faults, 300);
	for (unsigned call = 0; call < SIM_CALLS; call++)
		sim_disk_per_mille(disk)[call][SIM_SLOW] = per_mille;
}

static void hang(struct cluster_faults *faults, struct sim_disk *disk)
{
	sim_disk_set_slow_times(disk, 20000 + below(faults, 200000));
	sim_disk_fail_nth(disk, SIM_WRITE, 1 + below(faults, 10), SIM_SLOW);
}

/* So much is free yet. */
static void fill(struct sim_disk *disk, uint64_t free_len)
{
	struct disk_space space;
	sim_disk_set_capacity(disk, 0);
	if (disk_space(sim_disk_base(disk), &space) == ERR_OK)
		sim_disk_set_capacity(disk, space.total - space.free + free_len);
}

static void fill_drive(struct cluster_faults *faults, struct sim_disk *drive)
{
	if (chance(faults, 50))
		sim_disk_fail_nth(drive, SIM_ALLOCATE, 1 + below(faults, 3), SIM_FULL);
	else
		fill(drive, below(faults, 3 << 20));
}

static void lose_shards(struct cluster_faults *faults, struct sim_disk *disk)
{
	static const struct {
		enum sim_call call;
		enum sim_fault fault;
	} kinds[] = {{SIM_SYNC, SIM_LIES}, {SIM_WRITE, SIM_LOST}, {SIM_WRITE, SIM_MISDIRECTED},
		{SIM_WRITE, SIM_TORN}, {SIM_READ, SIM_ROT}};
	if (chance(faults, 30)) { /* to be seen at the next start */
		(void)sim_disk_rot(disk, "superblock", 24);
		return;
	}
	unsigned i = below(faults, ARRAY_COUNT(kinds));
	if (chance(faults, 50))
		sim_disk_fail_nth(disk, kinds[i].call, 1 + below(faults, 6), kinds[i].fault);
	else
		sim_disk_per_mille(disk)[kinds[i].call][kinds[i].fault] = 1 + below(faults, 300);
}

static void befall_disk(
	struct cluster_faults *faults, enum befall what, struct sim_cluster_node *node)
{
	static const enum sim_call calls[] = {SIM_READ, SIM_WRITE, SIM_SYNC, SIM_ANY_CALL};
	struct sim_store *rig = &node->rig;
	struct sim_store_drive *of = &rig->drives[below(faults, rig->options.drive_count)];
	struct sim_disk *drive = of->disk;
	switch (what) {
	case BEFALL_STATE_SLOW:
		be_slow(faults, rig->state);
		break;
	case BEFALL_STATE_HANG:
		hang(faults, rig->state);
		break;
	case BEFALL_STATE_FULL:
		fill(rig->state, below(faults, 2 * SIM_STORE_LOG_LEN));
		break;
	case BEFALL_DRIVE_FULL:
		fill_drive(faults, drive);
		break;
	case BEFALL_LOCATIONS:
		sim_kv_fail_nth(of->locations, below(faults, SIM_KV_FAULTS), 1 + below(faults, 20));
		break;
	case BEFALL_STATE_EIO:
		sim_disk_fail_nth(rig->state, chance(faults, 70) ? SIM_WRITE : SIM_ANY_CALL,
			1 + below(faults, 30), SIM_EIO);
		break;
	case BEFALL_INDEX_EIO:
		sim_kv_fail_nth(rig->index_kv, below(faults, SIM_KV_FAULTS), 1 + below(faults, 40));
		break;
	case BEFALL_DRIVE_SLOW:
		be_slow(faults, drive);
		break;
	case BEFALL_DRIVE_EIO:
		sim_disk_fail_nth(drive, calls[below(faults, ARRAY_COUNT(calls))],
			1 + below(faults, 12), SIM_EIO);
		break;
	case BEFALL_DRIVE_GONE:
		sim_disk_vanish(drive);
		break;
	default:
		faults->loser = node;
		lose_shards(faults, drive);
		break;
	}
}

static void heal_disks(struct sim_store *rig)
{
	sim_disk_heal(rig->state);
	sim_disk_set_capacity(rig->state, 0);
	sim_kv_heal(rig->index_kv);
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		sim_disk_heal(rig->drives[i].disk);
		sim_disk_set_capacity(rig->drives[i].disk, 0);
		sim_kv_heal(rig->drives[i].locations);
		sim_disk_return(rig->drives[i].disk);
	}
}

bool cluster_node_is_crippled(const struct sim_cluster_node *node)
{
	const struct sim_store *rig = &node->rig;
	for (unsigned i = 0; i < rig->options.drive_count; i++)
		if (!rig->drives[i].drive || drive_state(rig->drives[i].drive) != DRIVE_UP)
			return true;
	return false;
}

/* --- nodes that come and go ------------------------------------------------------------------- */

static void wipe(struct cluster_faults *faults, struct sim_cluster_node *node)
{
	faults->loser = node;
	kill(node, true);
	sim_store_lose_state(&node->rig);
	node->is_wanted = true;
}

static void join(struct cluster_faults *faults)
{
	for (unsigned i = 0; i < faults->cluster->node_count; i++) {
		struct sim_cluster_node *node = &faults->cluster->nodes[i];
		if (!node->is_admitted && !node->is_lost)
			node->is_admitted = node->is_wanted = true;
	}
}

void cluster_faults_extend_ring(struct cluster_faults *faults)
{
	for (unsigned i = 0; i < faults->cluster->node_count; i++) {
		struct sim_cluster_node *node = &faults->cluster->nodes[i];
		if (node->state != SIM_NODE_SERVING || node->is_in_ring)
			continue;
		node->is_in_ring = true;
		sim_admin_want_target(faults->admin);
	}
}

/* Are there enough others for the ring? */
static bool is_spare(const struct cluster_faults *faults, const struct sim_cluster_node *node)
{
	const struct ring_profile *profile = &faults->cluster->nodes[0].rig.profile;
	unsigned count = 0;
	for (unsigned i = 0; i < faults->cluster->node_count; i++)
		count += faults->cluster->nodes[i].is_in_ring;
	return node->is_in_ring && count > (unsigned)profile->k + profile->m;
}

static void lose(struct cluster_faults *faults, struct sim_cluster_node *node)
{
	faults->loser = node;
	kill(node, true);
	node->is_lost = true;
	node->is_wanted = node->is_admitted = node->is_in_ring = false;
	sim_admin_want_target(faults->admin);
}

static bool is_unreadable(const struct sim_store_drive *drive)
{
	struct drive_identity identity;
	return !drive->drive &&
		drive_identify(sim_disk_base(drive->disk), &identity) == ERR_CORRUPT;
}

void cluster_faults_replace_drives(struct cluster_faults *faults)
{
	struct sim_cluster_node *node = faults->loser;
	if (faults->loss != LOSS_OF_SHARDS || !node || node->state != SIM_NODE_SERVING)
		return;
	for (unsigned i = 0; i < node->rig.options.drive_count; i++) {
		struct sim_store_drive *drive = &node->rig.drives[i];
		if (!sim_admin_is_idle(faults->admin) || !is_unreadable(drive))
			continue;
		uint16_t number = drive->number;
		sim_cluster_kill(node, false);
		sim_store_replace_drive(&node->rig, i);
		node->replaced = number;
		node->is_wanted = true;
		faults->replaced++;
		return;
	}
}

/* --- all of it -------------------------------------------------------------------------------- */

/* May it befall this node? */
static bool is_allowed(
	const struct cluster_faults *faults, enum befall what, const struct sim_cluster_node *node)
{
	switch (what) {
	case BEFALL_DRIVE_LOSES:
		return faults->loss == LOSS_OF_SHARDS && node->is_in_ring &&
			(!faults->loser || faults->loser == node);
	case BEFALL_WIPE:
		return faults->loss == LOSS_OF_STATE && !faults->loser && node->is_in_ring;
	case BEFALL_LOSE:
		return faults->loss == LOSS_OF_ALL && !faults->loser && is_spare(faults, node);
	case BEFALL_JOIN:
		return !node->is_admitted && !node->is_lost;
	case BEFALL_TARGET:
		return is_spare(faults, node);
	case BEFALL_STOP:
		return node->state == SIM_NODE_SERVING;
	default:
		return true;
	}
}

static void befall_node(
	struct cluster_faults *faults, enum befall what, struct sim_cluster_node *node)
{
	switch (what) {
	case BEFALL_KILL:
	case BEFALL_POWER_CUT:
		kill(node, what == BEFALL_POWER_CUT);
		break;
	case BEFALL_LEADER_KILL:
		kill(node, chance(faults, 50));
		break;
	case BEFALL_STOP:
		sim_cluster_restart(node, chance(faults, 50));
		break;
	case BEFALL_PAUSE:
	case BEFALL_GO_ON:
		sim_cluster_pause(node, what == BEFALL_PAUSE);
		break;
	case BEFALL_JUMP:
		sim_node_jump_wall(node->rig.node, (int64_t)below(faults, 7200000) - 3600000);
		break;
	case BEFALL_WIPE:
		wipe(faults, node);
		break;
	case BEFALL_LOSE:
		lose(faults, node);
		break;
	default: /* BEFALL_TARGET: out of the ring, and soon into it again */
		node->is_in_ring = false;
		sim_admin_want_target(faults->admin);
		break;
	}
}

static void befall(struct cluster_faults *faults, enum befall what, struct sim_cluster_node *node)
{
	switch (what) {
	case BEFALL_HOUSE_CUT:
		cut_house(faults);
		break;
	case BEFALL_START:
		start_all(faults);
		break;
	case BEFALL_JOIN:
		join(faults);
		break;
	case BEFALL_ONE_WAY:
	case BEFALL_PARTITION:
	case BEFALL_BREAK:
	case BEFALL_ODDS:
	case BEFALL_HEAL:
	case BEFALL_LEADER_CUT:
		befall_net(faults, what, node);
		break;
	case BEFALL_STATE_SLOW:
	case BEFALL_STATE_HANG:
	case BEFALL_STATE_FULL:
	case BEFALL_STATE_EIO:
	case BEFALL_INDEX_EIO:
	case BEFALL_DRIVE_SLOW:
	case BEFALL_DRIVE_FULL:
	case BEFALL_DRIVE_EIO:
	case BEFALL_LOCATIONS:
	case BEFALL_DRIVE_GONE:
	case BEFALL_DRIVE_LOSES:
		befall_disk(faults, what, node);
		break;
	default:
		befall_node(faults, what, node);
		break;
	}
}

static enum befall choose(struct cluster_faults *faults)
{
	static const enum befall common[] = {BEFALL_KILL, BEFALL_STOP, BEFALL_POWER_CUT,
		BEFALL_START, BEFALL_START, BEFALL_START, BEFALL_PAUSE, BEFALL_GO_ON, BEFALL_GO_ON,
		BEFALL_ONE_WAY, BEFALL_PARTITION, BEFALL_BREAK, BEFALL_ODDS, BEFALL_HEAL,
		BEFALL_HEAL, BEFALL_HEAL, BEFALL_LEADER_CUT, BEFALL_LEADER_KILL};
	static const enum befall rare[] = {BEFALL_HOUSE_CUT, BEFALL_JUMP, BEFALL_STATE_SLOW,
		BEFALL_STATE_HANG, BEFALL_STATE_FULL, BEFALL_STATE_EIO, BEFALL_INDEX_EIO,
		BEFALL_DRIVE_SLOW, BEFALL_DRIVE_FULL, BEFALL_LOCATIONS, BEFALL_DRIVE_EIO,
		BEFALL_DRIVE_EIO, BEFALL_DRIVE_GONE};
	static const enum befall of_loss[LOSSES] = {
		BEFALL_TARGET, BEFALL_DRIVE_LOSES, BEFALL_WIPE, BEFALL_LOSE};
	if (chance(faults, 10))
		return of_loss[faults->loss];
	if (faults->loss == LOSS_OF_ALL && faults->befell[BEFALL_JOIN] == 0)
		return BEFALL_JOIN; /* there has to be a spare one */
	if (chance(faults, 10))
		return chance(faults, 50) ? BEFALL_JOIN : BEFALL_TARGET;
	return chance(faults, 75) ? common[below(faults, ARRAY_COUNT(common))]
				  : rare[below(faults, ARRAY_COUNT(rare))];
}

void cluster_faults_inject(struct cluster_faults *faults)
{
	enum befall what = choose(faults);
	struct sim_cluster_node *node = any_node(faults);
	if (what == BEFALL_LEADER_CUT || what == BEFALL_LEADER_KILL)
		node = sim_cluster_leader(faults->cluster);
	if (!node || !is_allowed(faults, what, node))
		return;
	faults->befell[what]++;
	befall(faults, what, node);
}

void cluster_faults_heal(struct cluster_faults *faults)
{
	sim_net_heal(faults->cluster->net);
	for (unsigned i = 0; i < faults->cluster->node_count; i++) {
		struct sim_cluster_node *node = &faults->cluster->nodes[i];
		heal_disks(&node->rig);
		node->starts_again = cluster_node_is_there(node);
		if (node->state != SIM_NODE_DOWN && cluster_node_is_crippled(node))
			sim_cluster_kill(node, false);
	}
	join(faults);
	start_all(faults);
}

void cluster_faults_init(struct cluster_faults *faults, struct sim_cluster *cluster,
	struct sim_admin *admin, uint64_t seed)
{
	*faults = (struct cluster_faults){
		.cluster = cluster, .admin = admin, .random = seed ^ 0xfa17};
	faults->loss = chance(faults, 40) ? LOSS_NONE : 1 + below(faults, LOSSES - 1);
}
