/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_RING_ORACLE_H
#define TESTS_LIB_RING_ORACLE_H

#include "storage/ring/ring_plan.h"

/* What the best table of a request could be, by plain flows over a stored graph, with numbers in
 * floating point: nothing of it is the planner's.
 *
 * It is told how the planner is to choose (N2, N4 of ring_plan.h) and works out the rest. */
#define RING_ORACLE_DRIVES_MAX 128

struct ring_oracle {
	uint32_t slot_count, width;
	uint32_t drive_count; /* that may be chosen */
	struct ring_drive_info drives[RING_ORACLE_DRIVES_MAX];
	uint32_t domains[RING_ORACLE_DRIVES_MAX]; /* of each drive */
	uint32_t domain_count;
	double shares[RING_ORACLE_DRIVES_MAX]; /* positions in proportion to weights */
};

/* False: no ring can be, for want of domains. */
bool ring_oracle_init(struct ring_oracle *oracle, const struct ring_plan_request *request);

/* The most bytes per position, within a ten-thousandth: a greatest flow that fills all slots. */
double ring_oracle_best(const struct ring_oracle *oracle);

/* The bytes per position that a ring reaches. */
double ring_oracle_len(const struct ring_oracle *oracle, const struct ring *ring);

/* The fewest positions that must have another drive than in the old ring, if a position is to have
 * so many bytes: a flow of least cost. has_floors: no drive has less than 7/8 of its share. */
uint32_t ring_oracle_least(
	const struct ring_oracle *oracle, const struct ring *old, double len, bool has_floors);

#endif
