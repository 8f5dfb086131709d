/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pool.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "storage/bytes.h"

/* A slab is POOL_SLAB_LEN bytes at a multiple of its length, so that the slab of a buffer is found
 * by its address. What is known about it stands apart, so that the buffers fill it entirely. */
struct pool_slab {
	struct pool_slab *next;
	uint8_t *memory;
	enum pool_size size;
	unsigned lent_count;
	unsigned free_count;
	uint16_t free[POOL_SLAB_LEN / 4096]; /* numbers of the free buffers, a stack */
	uint64_t idle_since_ms;
};

static const size_t buffer_lens[POOL_SIZE_COUNT] = {
	[POOL_4K] = 4096,
	[POOL_8K] = 8 << 10,
	[POOL_16K] = 16 << 10,
	[POOL_64K] = 64 << 10,
	[POOL_256K] = 256 << 10,
	[POOL_1280K] = 1280 << 10,
};

size_t pool_buffer_len(enum pool_size size)
{
	assert(size < POOL_SIZE_COUNT);
	return buffer_lens[size];
}

static enum err slab_new(enum pool_size size, struct pool_slab **ret_slab)
{
	/* Twice the length holds an aligned slab; the ends go back at once. */
	uint8_t *map = mmap(NULL, 2 * POOL_SLAB_LEN, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return ERR_NO_MEMORY;
	uint8_t *memory = (uint8_t *)round_up((uintptr_t)map, POOL_SLAB_LEN);
	if (memory > map)
		munmap(map, memory - map);
	munmap(memory + POOL_SLAB_LEN, map + POOL_SLAB_LEN - memory);

	struct pool_slab *slab = mmap(
		NULL, sizeof *slab, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slab == MAP_FAILED) {
		munmap(memory, POOL_SLAB_LEN);
		return ERR_NO_MEMORY;
	}
	slab->memory = memory;
	slab->size = size;
	slab->free_count = POOL_SLAB_LEN / buffer_lens[size];
	/* The lowest address is lent first and again, so that few pages are touched. */
	for (unsigned i = 0; i < slab->free_count; i++)
		slab->free[i] = slab->free_count - 1 - i;
	*ret_slab = slab;
	return ERR_OK;
}

static void slab_free(struct pool_slab *slab)
{
	assert(slab->lent_count == 0);
	munmap(slab->memory, POOL_SLAB_LEN);
	munmap(slab, sizeof *slab);
}

static void give_back_idle(struct timer *timer)
{
	struct pool *pool = CONTAINER_OF(timer, struct pool, idle);
	uint64_t now_ms = loop_now_ms(pool->loop);
	bool is_any_idle = false;
	for (struct pool_slab **link = &pool->slabs; *link;) {
		struct pool_slab *slab = *link;
		if (slab->lent_count == 0 && now_ms - slab->idle_since_ms >= POOL_IDLE_MS) {
			*link = slab->next;
			slab_free(slab);
			pool->slab_count--;
			continue;
		}
		is_any_idle |= slab->lent_count == 0;
		link = &slab->next;
	}
	if (is_any_idle)
		timer_set(pool->loop, &pool->idle, POOL_IDLE_MS);
}

/* Calls who is first in line; that one takes its buffers, which wakes the next. */
static void wake_first(struct task *task)
{
	struct pool *pool = CONTAINER_OF(task, struct pool, wake);
	pool->is_waking = false;
	while (pool->first && pool->lent_len + pool->first->len <= pool->limit_len) {
		struct pool_wait *wait = pool->first;
		pool_wait_cancel(pool, wait);
		pool->is_serving = true;
		wait->ready(wait);
		pool->is_serving = false;
	}
}

static void wake_soon(struct pool *pool)
{
	if (!pool->first || pool->is_waking)
		return;
	pool->is_waking = true;
	loop_post(pool->loop, &pool->wake);
}

void pool_init(struct pool *pool, struct loop *loop, const char *name, size_t limit_len)
{
	memset(pool, 0, sizeof *pool);
	pool->loop = loop;
	pool->name = name;
	pool->limit_len = limit_len;
	pool->wake.run = wake_first;
	pool->idle.fire = give_back_idle;
}

void pool_fini(struct pool *pool)
{
	assert(pool->lent_len == 0);
	assert(!pool->first);
	if (pool->idle.is_set)
		timer_cancel(pool->loop, &pool->idle);
	while (pool->slabs) {
		struct pool_slab *slab = pool->slabs;
		pool->slabs = slab->next;
		slab_free(slab);
	}
	pool->slab_count = 0;
}

/* Frees slabs that nobody uses until there is room for one more within the bound. One of each size
 * is kept, so that sizes may take turns. */
static void make_room(struct pool *pool)
{
	unsigned counts[POOL_SIZE_COUNT] = {0};
	for (struct pool_slab *slab = pool->slabs; slab; slab = slab->next)
		counts[slab->size]++;
	for (struct pool_slab **link = &pool->slabs;
		*link && (pool->slab_count + 1) * POOL_SLAB_LEN > pool->limit_len;) {
		struct pool_slab *slab = *link;
		if (slab->lent_count > 0 || counts[slab->size] == 1) {
			link = &slab->next;
			continue;
		}
		*link = slab->next;
		counts[slab->size]--;
		slab_free(slab);
		pool->slab_count--;
	}
}

/* A slab of that size with room, the fullest, so that others may become idle; a new one if there is
 * none. */
static enum err find_slab(struct pool *pool, enum pool_size size, struct pool_slab **ret_slab)
{
	struct pool_slab *found = NULL;
	for (struct pool_slab *slab = pool->slabs; slab; slab = slab->next)
		if (slab->size == size && slab->free_count > 0 &&
			(!found || slab->free_count < found->free_count))
			found = slab;
	if (found) {
		*ret_slab = found;
		return ERR_OK;
	}
	make_room(pool);
	struct pool_slab *slab;
	enum err err = slab_new(size, &slab);
	if (err)
		return err;
	slab->next = pool->slabs;
	pool->slabs = slab;
	pool->slab_count++;
	*ret_slab = slab;
	return ERR_OK;
}

enum err pool_take(struct pool *pool, enum pool_size size, size_t count, uint8_t **buffers)
{
	assert(size < POOL_SIZE_COUNT);
	size_t len = count * buffer_lens[size];
	if ((pool->first && !pool->is_serving) || pool->lent_len + len > pool->limit_len)
		return ERR_BUSY;
	for (size_t i = 0; i < count; i++) {
		struct pool_slab *slab;
		enum err err = find_slab(pool, size, &slab);
		if (err) {
			while (i > 0)
				pool_give(pool, buffers[--i]);
			return err;
		}
		slab->lent_count++;
		buffers[i] = slab->memory + slab->free[--slab->free_count] * buffer_lens[size];
		pool->lent_len += buffer_lens[size];
	}
	assert(pool->lent_len <= pool->limit_len);
	return ERR_OK;
}

void pool_give(struct pool *pool, uint8_t *buffer)
{
	if (!buffer)
		return;
	struct pool_slab *slab = pool->slabs;
	uint8_t *memory = (uint8_t *)((uintptr_t)buffer & ~(uintptr_t)(POOL_SLAB_LEN - 1));
	while (slab && slab->memory != memory)
		slab = slab->next;
	assert(slab);
	size_t len = buffer_lens[slab->size];
	assert((buffer - memory) % len == 0);
	assert(slab->lent_count > 0);
	slab->free[slab->free_count++] = (buffer - memory) / len;
	slab->lent_count--;
	pool->lent_len -= len;
	if (slab->lent_count == 0) {
		slab->idle_since_ms = loop_now_ms(pool->loop);
		if (!pool->idle.is_set)
			timer_set(pool->loop, &pool->idle, POOL_IDLE_MS);
	}
	wake_soon(pool);
}

static void count_waiting(struct pool *pool, int by)
{
	unsigned count = atomic_load_explicit(&pool->waiting, memory_order_relaxed);
	atomic_store_explicit(&pool->waiting, count + by, memory_order_relaxed);
}

void pool_wait_start(struct pool *pool, struct pool_wait *wait, size_t len)
{
	assert(!wait->is_waiting && wait->ready);
	assert(len <= pool->limit_len);
	wait->is_waiting = true;
	wait->len = len;
	wait->next = NULL;
	wait->prev = pool->last;
	if (pool->last)
		pool->last->next = wait;
	else
		pool->first = wait;
	pool->last = wait;
	count_waiting(pool, 1);
	wake_soon(pool);
}

void pool_wait_cancel(struct pool *pool, struct pool_wait *wait)
{
	if (!wait->is_waiting)
		return;
	wait->is_waiting = false;
	if (wait->prev)
		wait->prev->next = wait->next;
	else
		pool->first = wait->next;
	if (wait->next)
		wait->next->prev = wait->prev;
	else
		pool->last = wait->prev;
	wait->next = wait->prev = NULL;
	count_waiting(pool, -1);
	wake_soon(pool);
}
