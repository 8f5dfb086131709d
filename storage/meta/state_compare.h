/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_STATE_COMPARE_H
#define STORAGE_META_STATE_COMPARE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/meta/state_hash.h"

/* Members hold the same rows at the same log index, or something is broken: memory, a drive, or
 * this program. They tell each other the digest of their state hash at the index where they are,
 * and hold it against their own at that index.
 *
 * (Q1) Only digests of one log index are compared. Who is ahead has the digest in its trail; who is
 *      behind keeps what it was told until it is there.
 * (Q2) A difference counts until a later index is the same: rows that differ differ for ever, until
 *      the member gets a new state.
 * (Q3) A member is to stop if it differs from one that agrees with a majority of all members, and
 *      does not agree with a majority itself. So never do all stop because of one; where no
 *      majority agrees nobody knows who is right, and nobody stops by itself.
 */
#define STATE_TRAIL_LEN 4096 /* groups: seconds of them under load, hours else */

struct state_mark {
	uint64_t log_index; /* 0: none */
	uint64_t digest;
};

/* The last marks of this member. Zeroed before state_trail_init(). */
struct state_trail {
	pthread_mutex_t lock;
	struct state_mark marks[STATE_TRAIL_LEN]; /* each at its index modulo the length */
	struct state_mark last;
};

void state_trail_init(struct state_trail *trail);
void state_trail_fini(struct state_trail *trail);

/* One thread adds, indices ascend; the others are for any thread. */
void state_trail_add(struct state_trail *trail, uint64_t log_index, const struct state_hash *hash);
struct state_mark state_trail_last(struct state_trail *trail);
bool state_trail_find(struct state_trail *trail, uint64_t log_index, uint64_t *ret_digest);

/* What is known of another member. Zero: nothing. */
struct state_peer {
	struct state_mark told; /* not compared yet */
	uint64_t compared; /* the last log index that was; 0: none */
	bool differs; /* (Q2) */
	unsigned agrees_with; /* members, itself among them, as it said last */
};

/* It says where it is. A mark that waits to be compared stays (Q1). */
void state_peer_tell(struct state_peer *peer, const struct state_mark *mark, unsigned agrees_with);

/* Compares what was told, if this member is there. true: it was found to differ, which it did not
 * before. */
bool state_peer_compare(struct state_peer *peer, struct state_trail *trail);

/* With how many members this one agrees, itself among them. Those that were never compared do not
 * count. */
unsigned state_agrees_with(const struct state_peer *peers, size_t count);

/* Is this member to stop (Q3)? members: all there are, this one among them. */
bool state_must_stop(const struct state_peer *peers, size_t count, size_t members);

#endif
