/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/drive_totals.h"

#include <stdio.h>

#include "tests/lib/test.h"

void drive_totals_add(struct drive_totals *totals, const struct drive_totals *more)
{
	for (size_t i = 0; i < SIM_FAULTS; i++)
		totals->faults[i] += more->faults[i];
	for (size_t i = 0; i < SIM_KV_FAULTS; i++)
		totals->kv_faults[i] += more->kv_faults[i];
	totals->ops += more->ops;
	totals->lives += more->lives;
	totals->fences += more->fences;
	totals->moved += more->moved;
	totals->recycled += more->recycled;
	totals->punched += more->punched;
	totals->rereads += more->rereads;
	totals->crashes += more->crashes;
	totals->no_start += more->no_start;
	totals->full += more->full;
}

void drive_totals_note_faults(struct drive_totals *totals, const struct sim_drive *rig)
{
	for (size_t i = 0; i < SIM_FAULTS; i++)
		totals->faults[i] += sim_disk_stats(rig->disk)->faults[i];
	for (size_t i = 0; i < SIM_KV_FAULTS; i++)
		totals->kv_faults[i] += sim_kv_stats(rig->kv)->faults[i];
}

void drive_totals_print(const struct drive_totals *totals)
{
	printf("lives %ju, jobs %ju, power cuts %ju, fences %ju, no start %ju, full %ju\n",
		(uintmax_t)totals->lives, (uintmax_t)totals->ops, (uintmax_t)totals->crashes,
		(uintmax_t)totals->fences, (uintmax_t)totals->no_start, (uintmax_t)totals->full);
	printf("moved %ju, recycled %ju, punched %ju bytes, looked again %ju\n",
		(uintmax_t)totals->moved, (uintmax_t)totals->recycled, (uintmax_t)totals->punched,
		(uintmax_t)totals->rereads);
	for (size_t i = 0; i < SIM_FAULTS; i++)
		printf("%s %ju\n", sim_fault_name(i), (uintmax_t)totals->faults[i]);
	for (size_t i = 0; i < SIM_KV_FAULTS; i++)
		printf("map %zu %ju\n", i, (uintmax_t)totals->kv_faults[i]);
}

void drive_totals_check(const struct drive_totals *totals)
{
	static const enum sim_fault expected[] = {
		SIM_EIO, SIM_LIES, SIM_LOST, SIM_MISDIRECTED, SIM_TORN, SIM_ROT, SIM_SLOW};
	for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
		ck_assert_uint_gt(totals->faults[expected[i]], 0);
	for (size_t i = 0; i < SIM_KV_FAULTS; i++) {
		if (i != SIM_KV_CORRUPT)
			ck_assert_uint_gt(totals->kv_faults[i], 0);
	}
	ck_assert_uint_gt(totals->moved, 0);
	ck_assert_uint_gt(totals->recycled, 0);
	ck_assert_uint_gt(totals->crashes, 0);
	ck_assert_uint_gt(totals->fences, 0);
	ck_assert_uint_gt(totals->full, 0);
}
