/* SPDX-License-Identifier: Apache-2.0 */
/* The drives of simulated stores. */
#include "tests/lib/sim_store.h"
#include "tests/lib/test.h"

static const struct id cluster = {{0xc1}};
static const char *const drive_paths[SIM_STORE_DRIVES_MAX] = {
	"d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8"};

static struct drive_settings drive_settings_of(const struct sim_store *rig)
{
	struct drive_settings settings = drive_settings_default();
	settings.segment_len = rig->options.segment_len;
	settings.commit_ms = 50;
	settings.reserve_len = 128 * 1024;
	return settings;
}

void sim_store_make_drive(struct sim_store *rig, unsigned i)
{
	struct sim_store_drive *drive = &rig->drives[i];
	drive->disk = sim_disk_new(rig->node, drive_paths[i], rig->options.drive_capacity);
	drive->locations = sim_kv_new(rig->node, 0);
	drive->id = rig->options.node_id;
	drive->id.bytes[0] = 0xd0 + i;
	drive->id.bytes[2] = drive->replaced;
	struct drive_identity identity = {
		.cluster = cluster, .drive = drive->id, .node = rig->options.node_id};
	struct drive_settings settings = drive_settings_of(rig);
	ck_assert_ok(drive_format(sim_disk_base(drive->disk), &identity, &settings));
}

static void drive_fenced(struct drive *drive, enum err err, void *arg)
{
	(void)drive;
	struct sim_store_drive *own = arg;
	ck_assert_int_ne(err, ERR_OK);
	ck_assert(!own->is_fenced); /* it says so once */
	own->is_fenced = true;
}

void sim_store_open_drives(struct sim_store *rig)
{
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		struct sim_store_drive *drive = &rig->drives[i];
		drive->is_fenced = drive->is_stopped = false;
		drive->kv = sim_kv_open(drive->locations);
		struct drive_setup setup = {
			.disk = sim_disk_base(drive->disk),
			.locations = drive->kv,
			.owner = rig->loops[i % SIM_STORE_LOOPS],
			.committer = rig->commit_loop,
			.worker = sim_node_worker(rig->node),
			.clock = sim_node_clock(rig->node),
			.random = sim_node_random(rig->node),
			.trace = sim_node_trace(rig->node),
			.settings = drive_settings_of(rig),
			.fenced = drive_fenced,
			.fenced_arg = drive,
		};
		drive->open_err = drive_open(&setup, cluster, &drive->drive);
		if (drive->open_err == ERR_OK)
			continue;
		drive->drive = NULL;
		kv_close(drive->kv);
		drive->kv = NULL;
	}
}

void sim_store_replace_drive(struct sim_store *rig, unsigned drive)
{
	assert(!rig->life && drive < rig->options.drive_count);
	struct sim_store_drive *old = &rig->drives[drive];
	sim_kv_free(old->locations);
	sim_disk_free(old->disk);
	*old = (struct sim_store_drive){.replaced = old->replaced + 1};
	sim_store_make_drive(rig, drive);
}
