/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CLOCK_REAL_H
#define SERVER_CLOCK_REAL_H

#include "storage/clock.h"

/* The machine's clocks. Any thread; lives for ever. */
struct clock *clock_real(void);

#endif
