/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_PRIV_H
#define STORAGE_META_INDEX_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "storage/meta/apply.h"
#include "storage/meta/index.h"
#include "storage/meta/index_space.h"

/* Shared by index.c (opening, applying), index_propose.c (proposals, the session), index_reader.c
 * (views, holds), index_find.c, index_body.c and index_list.c (lookups). */

/* A command's place as the buffer's sequence: log index, and 10 bits that are the number of the
 * command in its group, from 1, or PLACE_LAST for the last one. */
#define PLACE_BITS 10
#define PLACE_LAST ((UINT64_C(1) << PLACE_BITS) - 1)
static_assert(GROUP_COMMANDS_MAX < (1 << PLACE_BITS) - 1, "places of a group");

/* The log index up to which a state with that sequence is complete. */
static inline uint64_t place_complete(uint64_t sequence)
{
	uint64_t log_index = sequence >> PLACE_BITS;
	return (sequence & PLACE_LAST) == PLACE_LAST || log_index == 0 ? log_index : log_index - 1;
}

/* The row that names the last sequence in the kv. */
#define INDEX_APPLIED_KEY TABLE_LOCAL, 'a', 'p', 'p', 'l', 'i', 'e', 'd'

#define INDEX_MAGIC 0x696e6478u
#define READER_MAGIC 0x72646572u
#define HOLD_NONE UINT64_MAX

/* Proposals that wait, or are on their way, in order; a ring with a head of its own. */
struct proposal_list {
	struct index_proposal *first, *last;
	size_t count;
};

struct index {
	uint32_t magic;
	struct index_setup setup;
	struct buffer *buffer;
	struct index_space space;
	_Atomic int err; /* enum err */

	/* Of the apply loop. */
	struct apply apply;
	struct group *group; /* being applied; NULL: none */
	size_t group_at; /* its next command */
	struct index_barrier *barriers; /* waiting for an index to be applied */
	struct timer barrier_timer; /* set while there are any */
	_Atomic uint64_t applied; /* log index of the last complete group */
	struct state_trail trail;
	_Atomic uint64_t time_ms;
	_Atomic uint64_t commands;
	_Atomic uint64_t access_key_generation;
	_Atomic uint64_t node_generation;
	_Atomic uint16_t command_version;

	pthread_mutex_t lock; /* of what follows, for a few instructions */
	struct ring_snapshot *ring;
	struct index_reader *readers;
	struct proposal_list waiting; /* have no sequence yet */
	struct proposal_list in_flight; /* of this session, ascending */
	struct proposal_list orphans; /* of sessions that were closed */
	uint64_t next_sequence;
	bool is_opening;
	bool is_reporting;
	uint64_t open_low_reported, read_low_reported;

	_Atomic uint64_t session; /* 0: none */
	_Atomic uint64_t next_extent;

	/* The proposal that opens a session; of the apply loop. */
	struct task open_task;
	struct timer open_timer; /* set while it is tried */
	bool is_open_sent;
	struct proposal open;
	uint8_t open_bytes[128];
	size_t open_len;
	void (*opened)(void *arg, enum err err); /* NULL: was called */
	void *opened_arg;

	/* The proposal that reports. */
	struct index_proposal report;
	uint8_t report_bytes[128];
};

struct index_reader {
	uint32_t magic;
	struct index *index;
	struct index_reader *next; /* under the index's lock */
	struct buffer_view view;
	bool has_begun;
	/* Holds in the order they were taken, which is the order of their numbers. */
	struct index_hold *read_first, *read_last;
	struct index_hold *write_first, *write_last;
	_Atomic uint64_t read_low, write_low; /* seen by reports; HOLD_NONE: nothing is held */
};

MUST_USE static inline enum err index_err(const struct index *index)
{
	return atomic_load_explicit(&index->err, memory_order_acquire);
}

/* Stops the member (I4). On the apply loop. index.c. */
void index_fail(struct index *index, enum err err);

/* index_propose.c */
void index_propose_init(struct index *index);
void index_propose_send(struct index *index); /* under the lock: what may go */
void index_propose_expire(struct index *index); /* ends what waited too long for a session */
void index_propose_failed(struct index *index); /* ends what waits */

/* index_session.c */
void index_session_open(struct index *index); /* opens one, however long it takes; any thread */
void index_session_tell(struct index *index, enum err err); /* who waits for the first one */

/* index_reader.c: what this node may report now. */
void index_lows(struct index *index, uint64_t *ret_open_low, uint64_t *ret_read_low);

/* --- reading rows, index_find.c --------------------------------------------------------------- */

MUST_USE enum err index_get(
	struct index_reader *reader, const struct row_key *key, struct bytes *ret_value);

/* The first row at or behind key whose key begins with its first prefix_len bytes. */
MUST_USE enum err index_seek(struct index_reader *reader, const struct row_key *key,
	size_t prefix_len, struct bytes *ret_key, struct bytes *ret_value);

#endif
