/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CLUSTER_H
#define TESTS_LIB_CLUSTER_H

#include "storage/ring/ring_plan.h"

#define CLUSTER_SLOTS RING_SLOTS_DEFAULT
#define CLUSTER_DRIVES_MAX 128
#define CLUSTER_GB UINT64_C(1000000000)

/* Some drives and a ring on them; each plan follows the one before. */
struct cluster {
	struct ring_drive_info drives[CLUSTER_DRIVES_MAX];
	size_t drive_count;
	struct ring_plan_request request;
	struct ring ring;
	uint8_t slots[2][2 * CLUSTER_SLOTS * RING_WIDTH_MAX];
	unsigned turn;
};

/* Without drives; the request may be changed at any time. */
void cluster_begin(struct cluster *c, uint8_t k, uint8_t m, enum ring_domain domain);

struct ring_drive_info *cluster_add(struct cluster *c, unsigned node, uint64_t weight);

/* One of some size on one of twelve nodes, in one of three zones or none; an hdd at times. */
void cluster_add_random(struct cluster *c, uint64_t *seed);

/* Positions that have another drive than before. */
uint32_t cluster_count_moved(const struct ring *old, const struct ring *new);

/* Plans the next ring and checks it; returns how many positions moved. */
uint32_t cluster_plan(struct cluster *c);

#endif
