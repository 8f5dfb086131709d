/* SPDX-License-Identifier: Apache-2.0 */
#include "server/timer_wheel.h"

#include <stddef.h>

/* A hierarchy of wheels of 64 slots, one millisecond per slot at level 0 and 64 times as much at
 * each further one.
 *
 * (W1) A timer is at the level of the highest group of 6 bits in which its moment differs from now,
 *      in the slot that those bits name; so all timers of a level are before those of the next.
 * (W2) Time passes over a slot of level n > 0 at the slot's beginning; its timers are then put
 *      where they belong, which is further down.
 * (W3) What lies beyond the last level waits in its last slot and is put anew from there.
 */

static void ring_init(struct timer *head)
{
	head->next = head->prev = head;
}

static void ring_append(struct timer *head, struct timer *timer)
{
	timer->prev = head->prev;
	timer->next = head;
	head->prev->next = timer;
	head->prev = timer;
}

static void ring_remove(struct timer *timer)
{
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	timer->next = timer->prev = NULL;
}

/* Moves all timers of one ring to the end of another. */
static void ring_move(struct timer *from, struct timer *to)
{
	if (from->next == from)
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	ring_init(from);
}

static void put(struct timer_wheel *wheel, struct timer *timer)
{
	if (timer->due_ms <= wheel->now_ms) {
		ring_append(&wheel->due, timer);
		return;
	}
	uint64_t due_ms = timer->due_ms;
	const uint64_t span_ms = UINT64_C(1) << (TIMER_WHEEL_BITS * TIMER_WHEEL_LEVELS);
	if (due_ms - wheel->now_ms >= span_ms)
		due_ms = wheel->now_ms + span_ms - 1;
	unsigned level = (63 - __builtin_clzll(due_ms ^ wheel->now_ms)) / TIMER_WHEEL_BITS;
	if (level >= TIMER_WHEEL_LEVELS)
		level = TIMER_WHEEL_LEVELS - 1;
	unsigned slot = due_ms >> (level * TIMER_WHEEL_BITS) & (TIMER_WHEEL_SLOTS - 1);
	ring_append(&wheel->slots[level][slot], timer);
	wheel->occupied[level] |= UINT64_C(1) << slot;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
	*wheel = (struct timer_wheel){.now_ms = now_ms};
	for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++)
		for (unsigned slot = 0; slot < TIMER_WHEEL_SLOTS; slot++)
			ring_init(&wheel->slots[level][slot]);
	ring_init(&wheel->due);
	ring_init(&wheel->firing);
}

void timer_wheel_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms)
{
	assert(!timer->is_set);
	timer->due_ms = due_ms;
	timer->is_set = true;
	put(wheel, timer);
}

void timer_wheel_cancel(struct timer_wheel *wheel, struct timer *timer)
{
	assert(timer->is_set);
	struct timer *next = timer->next;
	ring_remove(timer);
	timer->is_set = false;

	/* A ring of nothing but its head, and the head is a slot: the slot is empty now. */
	struct timer *first = &wheel->slots[0][0];
	if (next->next == next && next >= first &&
		next < first + TIMER_WHEEL_LEVELS * TIMER_WHEEL_SLOTS) {
		size_t index = next - first;
		wheel->occupied[index / TIMER_WHEEL_SLOTS] &= ~(
			UINT64_C(1) << index % TIMER_WHEEL_SLOTS);
	}
}

static uint64_t rotate_right(uint64_t bits, unsigned by)
{
	return by == 0 ? bits : bits >> by | bits << (64 - by);
}

uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel)
{
	if (wheel->due.next != &wheel->due)
		return wheel->now_ms;
	for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		if (wheel->occupied[level] == 0)
			continue;
		/* The current slot itself comes last: it is a whole turn away (W3). */
		uint64_t at = (wheel->now_ms >> (level * TIMER_WHEEL_BITS)) + 1;
		uint64_t ahead = rotate_right(wheel->occupied[level], at % TIMER_WHEEL_SLOTS);
		return (at + __builtin_ctzll(ahead)) << (level * TIMER_WHEEL_BITS);
	}
	return UINT64_MAX;
}

/* Moves the timers of all slots that time passes over to the ring. After a whole turn nothing is
 * left in a wheel, so a jump of any length ends. */
static void collect(struct timer_wheel *wheel, uint64_t now_ms, struct timer *ring)
{
	for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		uint64_t from = wheel->now_ms >> (level * TIMER_WHEEL_BITS);
		uint64_t count = (now_ms >> (level * TIMER_WHEEL_BITS)) - from;
		if (count == 0)
			return;
		for (uint64_t i = 1; i <= count && wheel->occupied[level] != 0; i++) {
			unsigned slot = (from + i) % TIMER_WHEEL_SLOTS;
			ring_move(&wheel->slots[level][slot], ring);
			wheel->occupied[level] &= ~(UINT64_C(1) << slot);
		}
	}
}

unsigned timer_wheel_fire(struct timer_wheel *wheel, uint64_t now_ms)
{
	assert(now_ms >= wheel->now_ms);
	if (timer_wheel_next_ms(wheel) > now_ms) {
		/* No slot with a timer in it begins before now: nothing moves (W1), (W2). */
		wheel->now_ms = now_ms;
		return 0;
	}
	struct timer passed;
	ring_init(&passed);
	collect(wheel, now_ms, &passed);
	wheel->now_ms = now_ms;
	while (passed.next != &passed) {
		struct timer *timer = passed.next;
		ring_remove(timer);
		put(wheel, timer);
	}

	unsigned fired = 0;
	ring_move(&wheel->due, &wheel->firing);
	while (wheel->firing.next != &wheel->firing) {
		struct timer *timer = wheel->firing.next;
		ring_remove(timer);
		timer->is_set = false;
		fired++;
		timer->fire(timer);
	}
	return fired;
}
