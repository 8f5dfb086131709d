/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/throttle.h"

#define PAUSED_LOOK_MS 1000
#define RATE_MAX (UINT64_C(1) << 40)

static uint64_t clamp(const struct throttle *throttle, uint64_t rate)
{
	uint64_t cap = throttle->cap > 0 ? throttle->cap : RATE_MAX;
	uint64_t floor = throttle->floor < cap ? throttle->floor : cap;
	if (rate < floor)
		return floor;
	return rate > cap ? cap : rate;
}

/* (T1) */
static void bound_tokens(struct throttle *throttle)
{
	int64_t burst = throttle->rate * THROTTLE_BURST_MS / 1000;
	if (throttle->tokens > burst)
		throttle->tokens = burst;
}

/* What was collected at a higher rate is not to be had at a lower one. */
static void set_rate(struct throttle *throttle, uint64_t rate)
{
	throttle->rate = clamp(throttle, rate);
	bound_tokens(throttle);
}

static void fill(struct throttle *throttle)
{
	uint64_t now_ms = loop_now_ms(throttle->loop);
	uint64_t ms = now_ms - throttle->filled_ms;
	throttle->filled_ms = now_ms;
	if (ms > THROTTLE_BURST_MS)
		ms = THROTTLE_BURST_MS;
	throttle->tokens += throttle->rate * ms / 1000;
	bound_tokens(throttle);
}

void throttle_init(struct throttle *throttle, struct loop *loop, uint64_t cap)
{
	*throttle = (struct throttle){.loop = loop, .floor = THROTTLE_FLOOR, .cap = cap};
	throttle->filled_ms = throttle->looked_ms = loop_now_ms(loop);
	throttle->rate = clamp(throttle, RATE_MAX);
}

/* A unit may be more than what ever collects, so that what is lacking is lent, once. */
uint64_t throttle_take(struct throttle *throttle, uint64_t len, bool is_begun)
{
	if (throttle->is_paused && !is_begun)
		return PAUSED_LOOK_MS; /* (T3) */
	if (throttle->tokens <= 0)
		fill(throttle);
	if (throttle->tokens <= 0) {
		uint64_t lacking = -throttle->tokens;
		uint64_t ms = 1 + lacking * 1000 / throttle->rate;
		return ms < THROTTLE_BURST_MS ? ms : THROTTLE_BURST_MS;
	}
	throttle->tokens -= len;
	throttle->taken += len;
	return 0;
}

void throttle_look(struct throttle *throttle, struct throttle_load load)
{
	uint64_t rate = throttle->rate, now_ms = loop_now_ms(throttle->loop);
	uint64_t ms = now_ms - throttle->looked_ms;
	uint64_t used = ms > 0 ? throttle->taken * 1000 / ms : rate;
	throttle->looked_ms = now_ms;
	throttle->taken = 0;
	if (load.is_waiting)
		rate = (used < rate ? used : rate) / 2;
	else
		rate += load.is_any ? rate / 8 : rate;
	set_rate(throttle, rate);
}

bool throttle_is_at_floor(const struct throttle *throttle)
{
	return throttle->is_paused || throttle->rate <= throttle->floor;
}

void throttle_set(struct throttle *throttle, uint64_t cap, bool is_paused)
{
	throttle->cap = cap;
	throttle->is_paused = is_paused;
	set_rate(throttle, throttle->rate);
}
