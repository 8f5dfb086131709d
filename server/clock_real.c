/* SPDX-License-Identifier: Apache-2.0 */
#include "server/clock_real.h"

#include <assert.h>
#include <time.h>

static struct timespec now(clockid_t id)
{
	struct timespec ts;
	int failed = clock_gettime(id, &ts);
	assert(!failed);
	return ts;
}

static uint64_t mono_ns(struct clock *clock)
{
	(void)clock;
	struct timespec ts = now(CLOCK_MONOTONIC);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t wall_ms(struct clock *clock)
{
	(void)clock;
	struct timespec ts = now(CLOCK_REALTIME);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const struct clock_ops ops = {.mono_ns = mono_ns, .wall_ms = wall_ms};
static struct clock the_clock = {.ops = &ops};

struct clock *clock_real(void)
{
	return &the_clock;
}
