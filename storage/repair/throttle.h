/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_THROTTLE_H
#define STORAGE_REPAIR_THROTTLE_H

#include "storage/loop.h"

/* How fast what runs in the background may read and write: a token bucket whose rate gives way to
 * clients.
 *
 * Who looks at clients says every THROTTLE_LOOK_MS how busy they are. While requests wait for
 * longer than is usual, the rate is halved at each look, from what was really taken, down to the
 * floor; when none does, it grows by an eighth, and doubles when there are no requests at all, up
 * to the cap. So it follows within a second and does not swing.
 *
 * (T1) Over any time, at most rate * time + THROTTLE_BURST_MS of it are given out.
 * (T2) The rate is never below the floor while it is not paused, and never above the cap.
 * (T3) While it is paused nothing is begun; what was begun goes on to its end.
 */
#define THROTTLE_FLOOR (UINT64_C(16) << 20) /* bytes per second: 1 TB is back within two days */
#define THROTTLE_LOOK_MS 250
#define THROTTLE_BURST_MS 100

struct throttle {
	struct loop *loop;
	uint64_t rate, floor, cap; /* bytes per second; cap 0: none */
	int64_t tokens; /* bytes; below 0: lent */
	uint64_t filled_ms; /* when tokens were last counted */
	uint64_t taken, looked_ms; /* bytes since the last look, and when that was */
	bool is_paused;
};

/* How clients fare, of the loops together. */
struct throttle_load {
	bool is_any; /* are there requests at all? */
	bool is_waiting; /* somebody waits for memory, or longer than is usual */
};

void throttle_init(struct throttle *throttle, struct loop *loop, uint64_t cap);

/* Takes len bytes for what is begun already, or for what is to be: 0, go on; else nothing was
 * taken, and it is worth to ask again in so many ms. */
uint64_t throttle_take(struct throttle *throttle, uint64_t len, bool is_begun);

/* Every THROTTLE_LOOK_MS. */
void throttle_look(struct throttle *throttle, struct throttle_load load);

/* Is it as slow as it ever is? What clients meet then is not its fault. */
bool throttle_is_at_floor(const struct throttle *throttle);

void throttle_set(struct throttle *throttle, uint64_t cap, bool is_paused);

#endif
