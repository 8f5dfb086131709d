/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <check.h>
#include <stdint.h>

#include "storage/err.h"

/* Check sends a message for each assertion that holds, and reads it by copying kilobytes: most of
 * the time of a test that asserts in loops. Here one in ten milliseconds is sent; it is where a
 * test was last heard of that hangs or dies. */
#define _mark_point(file, line) test_mark_point(file, line)
void test_mark_point(const char *file, int line);

/* Asserts that a call that can fail did not, and names the error when it did. */
#define ck_assert_ok(call) \
	do { \
		enum err ck_err = (call); \
		ck_assert_msg(ck_err == ERR_OK, "%s: %s", #call, err_name(ck_err)); \
	} while (0)

#define ck_assert_err(call, expected) \
	do { \
		enum err ck_err = (call); \
		ck_assert_msg(ck_err == (expected), "%s: %s", #call, err_name(ck_err)); \
	} while (0)

/* Runs a suite and returns the exit status of the program. CK_RUN_CASE narrows the run. */
int test_run(Suite *suite);

/* A small generator for tests (splitmix64): the same seed gives the same numbers anywhere. */
uint64_t test_random(uint64_t *state);
void test_random_fill(uint64_t *state, void *buf, size_t len);

/* A new empty directory under $TMPDIR or /tmp, removed with all it holds by test_dir_remove().
 * Lives in a static buffer of the caller's choosing (PATH_MAX bytes). */
void test_dir_make(char *ret_path);
void test_dir_remove(const char *path);

#endif
