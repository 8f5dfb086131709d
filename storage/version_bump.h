/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_VERSION_BUMP_H
#define STORAGE_VERSION_BUMP_H

/* 1 in a program that only tests have: it claims to be one version ahead in what it says to other
 * nodes, so that nodes can be upgraded under load (tests/crash/rolling.py). */
#ifndef RUBUS_TEST_VERSION_BUMP
#define RUBUS_TEST_VERSION_BUMP 0
#endif

#endif
