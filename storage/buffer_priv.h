/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_BUFFER_PRIV_H
#define STORAGE_BUFFER_PRIV_H

#include <pthread.h>

#include "storage/buffer.h"
#include "storage/buffer_list.h"

/* Shared by buffer.c (writing, committing) and buffer_view.c (reading). */
struct buffer_generation {
	struct buffer_list list;
	_Atomic unsigned view_count; /* goes up only while it is active or frozen, under the lock */
	uint64_t last_sequence; /* of a frozen one: later rows are not committed */
};

enum buffer_room {
	ROOM_UNASKED,
	ROOM_WANTED, /* the writer waits */
	ROOM_POSTED, /* and was sent for */
};

struct buffer {
	uint32_t magic;
	struct buffer_setup setup;
	uint8_t applied_key[BUFFER_APPLIED_KEY_LEN_MAX];
	struct buffer_generation generations[BUFFER_ARENAS];

	pthread_mutex_t lock; /* of the two pointers that follow, for a few instructions */
	struct buffer_generation *active;
	struct buffer_generation *frozen; /* or NULL */

	_Atomic uint64_t published;
	_Atomic uint64_t committing; /* the last sequence of the newest commit that has begun */
	_Atomic uint64_t applied;
	_Atomic unsigned view_count; /* open ones */
	_Atomic int room; /* enum buffer_room */

	/* Of the writer. */
	uint64_t sequence; /* of the open command */
	size_t budget; /* what it may still take */
	bool is_open, is_freezing, is_due, is_timer_set;
	bool is_broken; /* the open command took more than its room */
	enum err failed;
	struct timer timer;

	struct task commit_task; /* on the committer */
	struct task done_task; /* on the writer */
	struct task room_task; /* on the writer */
	struct task start_task; /* on the writer */
	enum err commit_err;
	bool is_committed; /* the frozen generation is in the kv */
};

/* A view let go of a generation: if the writer waits for one, it is told. Any thread. */
void buffer_generation_released(struct buffer *buffer);

#endif
