/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TIMER_WHEEL_H
#define SERVER_TIMER_WHEEL_H

#include <stdint.h>

#include "storage/loop.h"

#define TIMER_WHEEL_BITS 6
#define TIMER_WHEEL_SLOTS (1 << TIMER_WHEEL_BITS)
#define TIMER_WHEEL_LEVELS 5

/* The timers of one loop: setting and cancelling cost the same however many there are. Belongs to
 * one thread. The members are the module's own. */
struct timer_wheel {
	uint64_t now_ms;
	uint64_t occupied[TIMER_WHEEL_LEVELS]; /* a bit for each slot that holds a timer */
	struct timer slots[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS]; /* heads of rings */
	struct timer due; /* head: reached, not fired yet */
	struct timer firing; /* head: what timer_wheel_fire() is at */
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Sets a timer that is not set. One that is due already fires with the next timer_wheel_fire(). */
void timer_wheel_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);

/* Cancels a timer that is set. */
void timer_wheel_cancel(struct timer_wheel *wheel, struct timer *timer);

/* A moment not after the earliest timer, at which timer_wheel_fire() is to be called next;
 * UINT64_MAX when none is set. Far timers may be looked at once or twice before they are due. */
uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel);

/* Moves time on and fires what is due; timers set meanwhile wait for the next call. Returns how
 * many fired. */
unsigned timer_wheel_fire(struct timer_wheel *wheel, uint64_t now_ms);

#endif
