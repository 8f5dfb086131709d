/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_CLOCK_H
#define STORAGE_CLOCK_H

#include <stdint.h>

/* The seam through which time comes in. Wall time is for signatures, dates in answers and logs, and
 * for the stamp that the leader puts on commands; nothing is ordered or freed by it. */
struct clock;

struct clock_ops {
	uint64_t (*mono_ns)(struct clock *clock);
	int64_t (*wall_ms)(struct clock *clock);
};

struct clock {
	const struct clock_ops *ops;
};

/* Nanoseconds since some point in the past; never goes back. Any thread. */
static inline uint64_t clock_mono_ns(struct clock *clock)
{
	return clock->ops->mono_ns(clock);
}

/* Milliseconds since 1970-01-01 UTC; may jump. Any thread. */
static inline int64_t clock_wall_ms(struct clock *clock)
{
	return clock->ops->wall_ms(clock);
}

#endif
