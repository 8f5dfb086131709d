/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_FARE_H
#define STORAGE_REPAIR_FARE_H

#include "storage/repair/throttle.h"

/* How clients fare: do their requests take longer than is usual without work in the background?
 *
 * What is usual is learned while there is none, and while it goes as slowly as it ever does; what
 * is faster than usual is believed at any time. So a store that began with a repair, or whose
 * clients have come to want other things, gives way once and learns then.
 *
 * (F1) Who reads and who writes is judged apart.
 * (F2) Too few requests say nothing; they are counted with those of the next look.
 */
#define FARE_COUNT_MIN 8 /* requests; fewer are judged together with later ones */
#define FARE_GATHER_MS 2000 /* but not for longer */
#define FARE_SLACK_US 2000
#define FARE_IDLE_MS 1000 /* nobody looked for so long: there was no work in the background */

enum fare_kind { FARE_READ, FARE_WRITE, FARE_KINDS };

/* Since the start, of all loops together. */
struct fare_sums {
	uint64_t count[FARE_KINDS];
	uint64_t us[FARE_KINDS]; /* that they took */
};

struct fare {
	uint64_t looked_ms;
	struct fare_sums before; /* as of what was judged last */
	uint64_t judged_ms[FARE_KINDS];
	uint64_t usual_us[FARE_KINDS]; /* 0: not known */
	bool is_slow[FARE_KINDS];
};

/* Zeroed before the first. is_at_floor: the work goes as slowly as it ever does. */
void fare_look(struct fare *fare, uint64_t now_ms, const struct fare_sums *sums, bool is_at_floor,
	struct throttle_load *ret_load);

#endif
