/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_STEERING_H
#define STORAGE_REPAIR_STEERING_H

#include "storage/object/store.h"

/* What people want of the work in the background. It is in settings of the index, which every node
 * reads when something was applied: so it holds for all nodes and survives them, and is read here
 * and nowhere else. A setting that is not there, or is no number, is 0.
 *
 *	repair.paused, scrub.paused	1: nothing is begun
 *	repair.speed, scrub.speed	bytes per second of each node; 0: as clients allow
 *	scrub.period			ms, as text; "never"; not there: what the node was given
 *
 * Who wants a whole scrub now opens a task: "scrub" for all drives, "scrub.N" for drive N. */
#define STEERING_REPAIR_PAUSED "repair.paused"
#define STEERING_REPAIR_SPEED "repair.speed"
#define STEERING_SCRUB_PAUSED "scrub.paused"
#define STEERING_SCRUB_SPEED "scrub.speed"
#define STEERING_SCRUB_PERIOD "scrub.period"
#define STEERING_NEVER "never"
#define TASK_NAME_SCRUB "scrub" /* and with a dot and the number of a drive behind it */

struct steering {
	bool is_repair_paused, is_scrub_paused;
	uint64_t repair_speed, scrub_speed;
	uint64_t scrub_period_ms; /* UINT64_MAX: not set; 0: never */
	uint64_t scrub_all; /* the open task for all drives; 0: none */
	uint64_t scrub_wanted[STORE_DRIVES_MAX]; /* likewise, the newest that is about each drive */
};

/* Reads all, for the drives of a store. Under a view. */
MUST_USE enum err steering_read(
	struct index_reader *reader, const struct store *store, struct steering *ret_steering);

/* Only the settings. Under a view. */
MUST_USE enum err steering_read_settings(
	struct index_reader *reader, struct steering *ret_steering);

/* The drive that a task is about: 0 for "scrub". False: it is no scrub. */
bool steering_is_scrub(struct bytes name, uint16_t *ret_drive);

#endif
