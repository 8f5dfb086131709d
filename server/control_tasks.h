/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_TASKS_H
#define SERVER_CONTROL_TASKS_H

#include "server/control.h"
#include "server/node.h"

/* Requests of the control socket about work in the background; as control_call(). */
#define CONTROL_TASK_CALLS(X) \
	X(tasks) \
	X(task_show) \
	X(repair_status) \
	X(repair_report) \
	X(repair_pause) \
	X(repair_resume) \
	X(repair_speed) \
	X(scrub_start) \
	X(scrub_status) \
	X(scrub_pause) \
	X(scrub_resume) \
	X(scrub_speed) \
	X(scrub_period)

#define X(name) \
	MUST_USE enum err control_##name( \
		struct node *node, const json_t *request, json_t **ret_result, char *message);
CONTROL_TASK_CALLS(X)
#undef X

/* --- its parts -------------------------------------------------------------------------------- */

struct background;
struct facts;

/* What is asked about: facts, and what the nodes say of their background work. */
struct task_view {
	struct facts *facts;
	struct background *background;
};
MUST_USE enum err task_view_open(struct node *node, struct task_view *ret_view);
void task_view_close(struct task_view *view);

/* How far the scrub of drives is: of drive `only`, or of all (0), as a pass for that task. */
struct scrub_progress {
	struct scrub_counts counts;
	uint64_t bytes_left, bytes_per_second;
	unsigned drives, drives_done;
	bool is_running, has_away; /* a drive's node is away */
	uint16_t drive_away;
	const struct fact_node *node; /* that scrubs, if it is one alone */
};
void task_scrub_progress(const struct task_view *view, uint16_t only, uint64_t task,
	struct scrub_progress *ret_progress);

/* Adds what is left, a rate, and when it would be over at that. */
void task_add_progress(json_t *json, uint64_t bytes_done, uint64_t bytes_left, uint64_t rate);

#endif
