/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store_damage.h"

#include <stdlib.h>

#include "tests/lib/test.h"

struct lost_shard {
	struct site_free *op;
	struct site site;
	struct shard_entry entry;
};

static void freed(struct site_free *op, enum err err)
{
	ck_assert_ok(err);
	free(op);
}

static void free_shard(void *arg)
{
	const struct lost_shard *lost = arg;
	site_free_start(lost->op, &lost->site, lost->entry.extent, lost->entry.index);
}

bool store_damage(struct sim_store *rig, const bool *is_gone, uint64_t *random)
{
	unsigned number = test_random(random) % rig->options.drive_count;
	while (is_gone[number])
		number = (number + 1) % rig->options.drive_count;
	struct sim_store_drive *drive = &rig->drives[number];
	struct extent_id from = {UINT64_C(0x100000) * (test_random(random) % 64), 0};
	struct shard_entry entry;
	size_t count = 0;
	sim_disk_fail_nth(drive->disk, SIM_READ, 1 + test_random(random) % 3, SIM_ROT);
	ck_assert_ok(drive_list(drive->drive, from, 0, &entry, 1, &count));
	if (count == 0)
		return false;
	struct site_free *op = sim_must(calloc(1, sizeof *op));
	op->loop = rig->loops[0];
	op->done = freed;
	struct lost_shard lost = {op, {.number = drive->number, .drive = drive->drive}, entry};
	sim_call(rig->sim, rig->loops[0], free_shard, &lost);
	return true;
}

uint64_t store_drive_bytes(const struct sim_store *rig)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		const struct sim_disk_stats *stats = sim_disk_stats(rig->drives[i].disk);
		sum += stats->read_len + stats->written_len;
	}
	return sum;
}
