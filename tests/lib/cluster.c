/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/cluster.h"

#include "storage/drive/drive.h"
#include "tests/lib/test.h"

void cluster_begin(struct cluster *c, uint8_t k, uint8_t m, enum ring_domain domain)
{
	memset(c, 0, sizeof *c);
	c->request = (struct ring_plan_request){
		.drives = c->drives,
		.profile = {k, m},
		.domain = domain,
		.slot_count = CLUSTER_SLOTS,
	};
}

struct ring_drive_info *cluster_add(struct cluster *c, unsigned node, uint64_t weight)
{
	struct ring_drive_info *drive = &c->drives[c->drive_count++];
	ck_assert_uint_le(c->drive_count, CLUSTER_DRIVES_MAX);
	*drive = (struct ring_drive_info){.number = c->drive_count, .weight = weight};
	drive->node.bytes[0] = node + 1;
	c->request.drive_count = c->drive_count;
	return drive;
}

uint32_t cluster_count_moved(const struct ring *old, const struct ring *new)
{
	uint32_t count = 0;
	for (uint32_t slot = 0; slot < new->slot_count; slot++) {
		for (uint8_t i = 0; i < new->width; i++)
			count += !old || i >= old->width ||
				ring_drive(old, slot, i) != ring_drive(new, slot, i);
	}
	return count;
}

uint32_t cluster_plan(struct cluster *c)
{
	struct ring next;
	ck_assert_ok(ring_plan(&c->request, c->slots[c->turn], &next));
	ck_assert_ok(ring_check(&next, c->drives, c->drive_count));
	ck_assert_uint_eq(next.version, c->request.old ? c->ring.version + 1 : 1);
	uint32_t moved = cluster_count_moved(c->request.old, &next);
	c->turn = !c->turn;
	c->ring = next;
	c->request.old = &c->ring;
	return moved;
}

static const char *const zones[] = {"", "attic", "cellar", "garage"};

void cluster_add_random(struct cluster *c, uint64_t *seed)
{
	static const unsigned sizes[] = {64, 120, 250, 256, 480, 500, 1000, 1024, 2000, 4000};
	unsigned node = test_random(seed) % 12;
	uint64_t weight = sizes[test_random(seed) % ARRAY_COUNT(sizes)] * CLUSTER_GB;
	struct ring_drive_info *drive = cluster_add(
		c, node, weight - test_random(seed) % CLUSTER_GB);
	drive->zone = bytes_of(zones[node % 4]);
	drive->class = test_random(seed) % 8 ? DRIVE_NVME : DRIVE_HDD;
}
