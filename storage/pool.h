/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_POOL_H
#define STORAGE_POOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/err.h"
#include "storage/loop.h"

/* Pools: where the data path gets its memory.
 *
 * A pool belongs to one loop and lends buffers of a few sizes, all aligned to 4096 bytes, up to a
 * bound in bytes. It grows by slabs of 4 MiB, each cut into buffers of one size, and gives a slab
 * back to the system when it was unused for 10 s, or at once when buffers of another size are
 * wanted and the bound leaves no room for both. A full pool is how back-pressure begins: who
 * finds no buffer waits in line and is called when there may be one.
 *
 * (P1) lent_len never exceeds limit_len.
 * (P2) Waiters are served in the order they came; nobody overtakes a waiter.
 */
#define POOL_SLAB_LEN (4u << 20)
#define POOL_IDLE_MS 10000

enum pool_size {
	POOL_4K,
	POOL_8K,
	POOL_16K,
	POOL_64K,
	POOL_256K,
	POOL_1280K, /* a group of commands on its way between nodes */
	POOL_SIZE_COUNT,
};

struct pool_slab;

/* Embedded in the operation that waits. */
struct pool_wait {
	void (*ready)(struct pool_wait *wait);
	struct pool_wait *next, *prev;
	size_t len; /* bytes it waits for, all sizes together */
	bool is_waiting;
};

struct pool {
	struct loop *loop;
	const char *name; /* for the list printed at start, and for metrics */
	size_t limit_len;
	size_t lent_len;
	size_t slab_count;
	struct pool_slab *slabs;
	struct pool_wait *first, *last;
	_Atomic unsigned waiting; /* how many wait; written on the loop, read anywhere */
	struct task wake;
	bool is_waking;
	bool is_serving; /* a waiter's ready() runs: its pool_take() does not stand in line */
	struct timer idle;
};

void pool_init(struct pool *pool, struct loop *loop, const char *name, size_t limit_len);

/* Gives all memory back. Nothing may be lent and nobody may wait. */
void pool_fini(struct pool *pool);

size_t pool_buffer_len(enum pool_size size);

/* Lends count buffers of one size, or none. Errors: ERR_BUSY, the bound is reached or others wait;
 * ERR_NO_MEMORY. */
MUST_USE enum err pool_take(
	struct pool *pool, enum pool_size size, size_t count, uint8_t **buffers);

/* Takes a buffer back; NULL is fine. Waiters are called from a posted task. */
void pool_give(struct pool *pool, uint8_t *buffer);

/* Waits in line for len bytes. ready() is called once, out of line, when they are there: its first
 * act is pool_take(), or nobody's. */
void pool_wait_start(struct pool *pool, struct pool_wait *wait, size_t len);
void pool_wait_cancel(struct pool *pool, struct pool_wait *wait);

#endif
