/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_DRIVE_TOTALS_H
#define TESTS_LIB_DRIVE_TOTALS_H

#include "tests/lib/sim_drive.h"

/* What happened to simulated drives, counted so that a run can show that everything did. */
struct drive_totals {
	uint64_t faults[SIM_FAULTS];
	uint64_t kv_faults[SIM_KV_FAULTS];
	uint64_t ops, lives, fences, moved, recycled, punched, rereads, crashes, no_start, full;
};

void drive_totals_add(struct drive_totals *totals, const struct drive_totals *more);

/* Adds the faults that disk and map of the rig injected. */
void drive_totals_note_faults(struct drive_totals *totals, const struct sim_drive *rig);

void drive_totals_print(const struct drive_totals *totals);

/* Fails unless each kind of fault and each reaction of the drive was seen. */
void drive_totals_check(const struct drive_totals *totals);

#endif
