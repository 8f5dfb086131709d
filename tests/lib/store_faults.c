/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store_faults.h"

#include "tests/lib/test.h"

static uint64_t below(struct store_faults *faults, uint64_t n)
{
	return test_random(&faults->random) % n;
}

static bool chance(struct store_faults *faults, unsigned percent)
{
	return below(faults, 100) < percent;
}

/* A drive whose faults count, or NULL. may_lose: it is to be one that may lose data. */
static struct sim_store_drive *choose_drive(struct store_faults *faults, bool may_lose)
{
	unsigned count = faults->rig->options.drive_count;
	unsigned first = below(faults, count);
	for (unsigned i = 0; i < count; i++)
		if (faults->is_excused[(first + i) % count] || (faults->is_wide && !may_lose))
			return &faults->rig->drives[(first + i) % count];
	return NULL;
}

/* A drive refuses: one call, or for some time. */
static void refuse(struct store_faults *faults)
{
	static const enum sim_call calls[] = {
		SIM_READ, SIM_WRITE, SIM_SYNC, SIM_OPEN, SIM_ALLOCATE, SIM_SYNC_DIR, SIM_ANY_CALL};
	struct sim_store_drive *drive = choose_drive(faults, false);
	if (!drive)
		return;
	switch (below(faults, 6)) {
	case 0:
		sim_disk_fail_nth(drive->disk, SIM_ALLOCATE, 1 + below(faults, 3), SIM_FULL);
		return;
	case 1:
		sim_disk_vanish(drive->disk);
		return;
	case 2:
		sim_disk_set_capacity(drive->disk, (2 + below(faults, 3)) << 20);
		return;
	case 3:
		sim_kv_fail_nth(
			drive->locations, below(faults, SIM_KV_FAULTS), 1 + below(faults, 20));
		return;
	default:
		sim_disk_fail_nth(drive->disk, calls[below(faults, ARRAY_COUNT(calls))],
			1 + below(faults, 12), SIM_EIO);
	}
}

/* A drive loses what it says it has. */
static void lose(struct store_faults *faults)
{
	static const struct {
		enum sim_call call;
		enum sim_fault fault;
	} kinds[] = {{SIM_SYNC, SIM_LIES}, {SIM_WRITE, SIM_LOST}, {SIM_WRITE, SIM_MISDIRECTED},
		{SIM_WRITE, SIM_TORN}, {SIM_READ, SIM_ROT}, {SIM_LIST, SIM_SHORT},
		{SIM_SYNC_DIR, SIM_LIES}};
	struct sim_store_drive *drive = choose_drive(faults, true);
	if (!drive)
		return;
	unsigned i = below(faults, ARRAY_COUNT(kinds));
	if (chance(faults, 50))
		sim_disk_fail_nth(
			drive->disk, kinds[i].call, 1 + below(faults, 10), kinds[i].fault);
	else
		sim_disk_per_mille(drive->disk)[kinds[i].call][kinds[i].fault] = 1 +
			below(faults, 300);
}

static void be_slow(struct store_faults *faults)
{
	struct sim_store *rig = faults->rig;
	struct sim_disk *disk = rig->drives[below(faults, rig->options.drive_count)].disk;
	unsigned per_mille = 1 + below(faults, 100);
	for (unsigned call = 0; call < SIM_CALLS; call++)
		sim_disk_per_mille(disk)[call][SIM_SLOW] = per_mille;
}

/* The state disk is full, or nearly so: the index refuses what makes it grow, or has to stop. */
static void fill_state(struct store_faults *faults)
{
	struct sim_disk *state = faults->rig->state;
	struct disk_space space;
	sim_disk_set_capacity(state, 0);
	if (disk_space(sim_disk_base(state), &space) == ERR_OK)
		sim_disk_set_capacity(
			state, space.total - space.free + below(faults, 2 * SIM_STORE_LOG_LEN));
}

/* The state disk, or the index in its map: the node has to start anew. */
static void stop_index(struct store_faults *faults)
{
	static const enum sim_call calls[] = {SIM_WRITE, SIM_SYNC, SIM_READ, SIM_ANY_CALL};
	if (chance(faults, 30)) {
		fill_state(faults);
		return;
	}
	if (chance(faults, 50)) {
		sim_disk_fail_nth(faults->rig->state, calls[below(faults, ARRAY_COUNT(calls))],
			1 + below(faults, 40), chance(faults, 20) ? SIM_SLOW : SIM_EIO);
		return;
	}
	enum sim_kv_fault fault = below(faults, SIM_KV_FAULTS);
	sim_kv_fail_nth(
		faults->rig->index_kv, fault, 1 + below(faults, fault < SIM_KV_WRITE_IO ? 60 : 8));
	if (fault < SIM_KV_WRITE_IO)
		faults->may_reads_fail = true;
}

void store_faults_inject(struct store_faults *faults)
{
	uint64_t which = below(faults, 100);
	if (which < 42)
		refuse(faults);
	else if (which < 84)
		lose(faults);
	else if (which < 94)
		be_slow(faults);
	else
		stop_index(faults);
}

void store_faults_heal(struct store_faults *faults)
{
	struct sim_store *rig = faults->rig;
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		sim_disk_heal(rig->drives[i].disk);
		sim_disk_return(rig->drives[i].disk);
		sim_disk_set_capacity(rig->drives[i].disk, 0);
		sim_kv_heal(rig->drives[i].locations);
	}
	sim_disk_heal(rig->state);
	sim_disk_set_capacity(rig->state, 0);
	sim_kv_heal(rig->index_kv);
}

void store_faults_init(struct store_faults *faults, struct sim_store *rig, uint64_t seed)
{
	static const uint8_t parity[] = {0, 0, 1, 1, 2, 2, 2}; /* ring_profile_default() */
	unsigned count = rig->options.drive_count;
	assert(count < sizeof parity);
	*faults = (struct store_faults){.rig = rig, .random = seed};
	unsigned max = parity[count];
	faults->is_wide = max == 0 || chance(faults, 40);
	if (faults->is_wide && max > 1)
		max = 1;
	for (unsigned left = chance(faults, 80) ? max : 0; left > 0; left--)
		faults->is_excused[below(faults, count)] = true;
	faults->may_reads_fail = faults->is_wide;
}
