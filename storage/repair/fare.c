/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/fare.h"

static uint64_t toward(uint64_t from, uint64_t to)
{
	return from == 0 ? to : from - from / 8 + to / 8;
}

/* mean_us: of the requests since the last judgement. */
static void judge(struct fare *fare, unsigned kind, uint64_t mean_us, bool is_undisturbed)
{
	uint64_t usual_us = fare->usual_us[kind];
	if (is_undisturbed || (usual_us > 0 && mean_us < usual_us))
		fare->usual_us[kind] = toward(usual_us, mean_us);
	fare->is_slow[kind] = !is_undisturbed &&
		(usual_us == 0 || mean_us > usual_us + usual_us / 2 + FARE_SLACK_US);
}

void fare_look(struct fare *fare, uint64_t now_ms, const struct fare_sums *sums, bool is_at_floor,
	struct throttle_load *ret_load)
{
	bool is_idle = now_ms - fare->looked_ms > FARE_IDLE_MS;
	struct throttle_load load = {0};
	for (unsigned kind = 0; kind < FARE_KINDS; kind++) {
		uint64_t count = sums->count[kind] - fare->before.count[kind];
		uint64_t us = sums->us[kind] - fare->before.us[kind];
		load.is_any |= count > 0;
		bool is_few = count < FARE_COUNT_MIN;
		if (is_few && !is_idle && now_ms - fare->judged_ms[kind] < FARE_GATHER_MS) {
			load.is_waiting |= fare->is_slow[kind] && count > 0;
			continue; /* (F2) */
		}
		if (count == 0 || (is_few && is_idle))
			fare->is_slow[kind] = false;
		else
			judge(fare, kind, us / count, is_idle || is_at_floor);
		load.is_waiting |= fare->is_slow[kind];
		fare->before.count[kind] = sums->count[kind];
		fare->before.us[kind] = sums->us[kind];
		fare->judged_ms[kind] = now_ms;
	}
	fare->looked_ms = now_ms;
	*ret_load = load;
}
