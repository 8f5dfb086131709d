/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <ftw.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void test_mark_point(const char *file, int line)
{
	static _Atomic uint64_t last_ms;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	uint64_t now_ms = now.tv_sec * 1000ull + now.tv_nsec / 1000000;
	if (now_ms < atomic_load_explicit(&last_ms, memory_order_relaxed) + 10)
		return;
	atomic_store_explicit(&last_ms, now_ms, memory_order_relaxed);
	(_mark_point)(file, line);
}

int test_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void test_random_fill(uint64_t *state, void *buf, size_t len)
{
	uint8_t *p = buf;
	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t v = test_random(state);
		memcpy(p + i, &v, len - i < sizeof v ? len - i : sizeof v);
	}
}

void test_dir_make(char *ret_path)
{
	const char *parent = getenv("TMPDIR");
	snprintf(ret_path, PATH_MAX, "%s/rubus-test-XXXXXX", parent ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(ret_path));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void test_dir_remove(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
