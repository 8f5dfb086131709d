/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/failing_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

static uint64_t request_count, failure_count, left;

void failing_memory_arm(uint64_t n)
{
	left = n;
}

uint64_t failing_memory_requests(void)
{
	return request_count;
}

uint64_t failing_memory_failures(void)
{
	return failure_count;
}

static bool fails(void)
{
	request_count++;
	if (left == 0 || --left > 0)
		return false;
	failure_count++;
	errno = ENOMEM;
	return true;
}

/* What the rewritten archives call. */
void *failing_malloc(size_t len);
void *failing_calloc(size_t count, size_t len);
void *failing_realloc(void *memory, size_t len);
void *failing_aligned_alloc(size_t alignment, size_t len);
void *failing_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);

void *failing_malloc(size_t len)
{
	return fails() ? NULL : malloc(len);
}

void *failing_calloc(size_t count, size_t len)
{
	return fails() ? NULL : calloc(count, len);
}

void *failing_realloc(void *memory, size_t len)
{
	return fails() ? NULL : realloc(memory, len);
}

void *failing_aligned_alloc(size_t alignment, size_t len)
{
	return fails() ? NULL : aligned_alloc(alignment, len);
}

void *failing_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : mmap(at, len, protection, flags, fd, offset);
}
