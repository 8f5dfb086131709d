/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_LOG_MIRROR_PRIV_H
#define STORAGE_META_LOG_MIRROR_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "storage/meta/log_mirror.h"

/* Shared by log_mirror.c (opening, the set) and log_mirror_disk.c (the disk). */
#define MIRROR_MAGIC 0x6d697272u
#define MIRROR_NAME_LEN 40
#define LOG_SLOTS_MAX 8

struct log_slot {
	struct log_mirror *mirror;
	unsigned home;
	_Atomic int err; /* enum err: why it is no member any more */
	/* Of the log's loop. */
	struct disk_op op;
	struct disk_file *file; /* being written */
	bool in_flight, is_waited; /* is_waited: by the write */
	bool is_left; /* the file was closed meanwhile: it is when the write comes back */
};

struct mirror_file {
	struct disk_file file;
	struct log_mirror *mirror;
	struct mirror_file *next, **link; /* under the lock */
	char name[MIRROR_NAME_LEN];
	unsigned flags;
	struct disk_file *files[LOG_SLOTS_MAX]; /* NULL: not of that slot */
};

struct log_mirror {
	struct disk disk;
	uint32_t magic;
	struct log_mirror_setup setup;
	bool is_lost[LOG_HOMES_MAX]; /* cannot be reached, or is not ours; since the opening */
	struct disk_file *locks[LOG_HOMES_MAX];
	_Atomic unsigned offered_count; /* homes, with those that the set does not know of yet */
	unsigned offered_copies; /* under the lock */
	struct log_slot slots[LOG_SLOTS_MAX];
	_Atomic unsigned slot_count;
	struct log_set set;
	uint64_t highest; /* number of any set */
	uint64_t dropped, joined;
	pthread_mutex_t lock; /* of files, and of the set for those who ask */
	pthread_rwlock_t calls; /* of slots and of their names, for calls that block */
	struct mirror_file *files;

	/* Of the log's loop. */
	struct disk_op *write; /* in flight; NULL: none */
	struct work change;
	enum err change_err;
	struct task none_task; /* ends a write that nobody took */
	struct timer timer;
	uint64_t write_number, seen_number;
};

static inline bool mirror_slot_is_in(const struct log_mirror *mirror, unsigned slot)
{
	return slot < mirror->slot_count && atomic_load(&mirror->slots[slot].err) == ERR_OK;
}

/* log_mirror.c */
void mirror_change_run(struct work *work); /* on the worker */

/* log_mirror_disk.c */
void mirror_init_disk(struct log_mirror *mirror);

/* The slot is no member from here on. Any thread. */
void mirror_fail(struct log_mirror *mirror, unsigned slot, enum err err);

/* Opens for a new slot what is open in the others. */
MUST_USE enum err mirror_open_files(struct log_mirror *mirror, unsigned slot);

#endif
