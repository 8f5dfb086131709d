/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_FAILING_MEMORY_H
#define TESTS_LIB_FAILING_MEMORY_H

#include <stdint.h>

/* The memory of the code under test, whose archives were rewritten to ask for it here
 * (modules.ninja, rule rename_memory); that of tests is not touched. */

/* The n-th request from now fails, counted from 1; 0: none. */
void failing_memory_arm(uint64_t n);

/* Requests since the program began, and those that failed. */
uint64_t failing_memory_requests(void);
uint64_t failing_memory_failures(void);

#endif
