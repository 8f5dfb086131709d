/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_COLLECT_H
#define STORAGE_REPAIR_COLLECT_H

#include "storage/object/store.h"

/* The collector: gives back what nothing refers to any more.
 *
 * Two sources. The garbage queue of the index names bodies, uploads and sessions in the order in
 * which their last reference went. They are taken in rounds, since a drive of another node answers
 * only when it has forgotten durably, which it does once a second: the shards of all that a round
 * took are freed on their drives, then commands remove their rows in bounded steps. A census of a
 * drive finds what no row names: shards of puts that a crash cut off, and those that were deleted
 * while the drive was away.
 *
 * Each node takes the census of its own drives; one node, that with the lowest id of those which
 * have a session and are linked, does the queue for all and asks the others to free. The queue has
 * one row for a body, wherever its shards are, so that the row can go only when all were asked;
 * with a collector for each node's drives there would have to be a row for each. Two that both
 * believe to be the one do the same work twice, and no harm: what is garbage stays it.
 *
 * (C1) A shard is freed only if the index does not refer to its extent, and its session is closed
 * or its counter is below what that session has open. (C2) An extent is freed only below the
 * smallest read_low of all open sessions, so that no get loses what it began to read. (C3) The rows
 * go when the drives were told; what a crash makes a drive remember again, and a drive that was not
 * there, is cleaned by its census. (C4) Nothing is written while there is no garbage.
 *
 * (C5) What a node could not be told, it looks for itself. Who could not tell it remembers the node
 * and, when it is linked, asks it for a census that sees the index as of now; if he dies before,
 * his session is closed, and whenever a session came or went each node takes its census. It takes
 * it again until nothing that was not settled then is left to be settled.
 *
 * (C6) A body's shards are freed wherever they may be: by its rows, by the ring, on both ends of a
 * move, and where they were left over. A census frees a shard whose extent has a row only if row,
 * ring and leftovers of one view do not name its drive: what has just moved may be being read, and
 * is the emptier's.
 *
 * (C7) Nothing is freed, of the queue or by a census, while the setting COMMAND_SETTING_HELD is
 * there; a step that was begun before may end.
 */
#define COLLECT_FREES_MAX 2048 /* shards that drives are about to forget */
#define COLLECT_ROUND 256 /* bodies, uploads and sessions that one round takes from the queue */
#define COLLECT_IDLE_MS 500 /* between two looks at an empty queue */
#define COLLECT_CENSUS_BATCH 256 /* shards looked up in one turn of the loop */
#define COLLECT_CENSUS_PAUSE_MS 1
#define COLLECT_CENSUS_DELAY_MS 5000 /* several that come together are one */
#define COLLECT_CENSUS_AGAIN_MS 10000 /* and twice that the next time, up to */
#define COLLECT_CENSUS_AGAIN_MS_MAX 600000
#define COLLECT_REPORT_MS 30000 /* others learn so late which extents are settled */
#define COLLECT_SESSIONS_MAX 64 /* looked at one by one */
#define COLLECT_CENSUS_TRIES 20 /* to list the shards of a drive that is not fenced */

enum collect_state {
	COLLECT_IDLE,
	COLLECT_CENSUS,
	COLLECT_FREEING, /* shards of one round */
	COLLECT_PROPOSING,
	COLLECT_STOPPED,
};

struct collect_free {
	struct site_free op;
	struct extent_id extent;
	uint16_t drive;
	uint8_t index;
	struct collector *collector;
	struct collect_free *next;
};

/* A row of the queue. */
struct collect_item {
	uint64_t log_index, id;
	uint8_t kind;
};

struct collect_counters {
	uint64_t census_shards, census_freed;
	uint64_t bodies, uploads, shards_freed, free_errors;
};

struct collector {
	struct store_loop *store;
	struct index_reader *reader;
	enum collect_state state;
	bool is_stopping;
	void (*stopped)(struct collector *collector);
	struct timer timer;

	/* The census. */
	unsigned census_drive;
	struct extent_id census_extent;
	uint8_t census_index;
	unsigned census_tries; /* to list this drive's next shards, that failed */
	uint64_t census_due_ms; /* of the next; 0: none is needed */
	uint64_t report_ms; /* of the last that was for others */
	uint64_t census_asked, sessions_sum; /* as of the last look (C5) */
	struct peer_call ask; /* a node that missed something */
	uint8_t ask_head[SHARD_CENSUS_LEN];
	bool is_asking;
	struct extent_id unsettled[COLLECT_SESSIONS_MAX]; /* the highest of each session */
	unsigned unsettled_count;
	bool is_unsettled_left; /* at or below one of these */
	uint64_t
		again_ms; /* this census is for unsettled, from the one so long ago; 0: it is not */

	/* The round being done. */
	struct collect_item round[COLLECT_ROUND];
	unsigned round_count;
	uint64_t waits_for; /* log index that reads have to be past, when it is too early */
	unsigned round_at; /* whose shards are being freed, then whose rows are being removed */
	uint64_t next_offset; /* of its body: extents before it are freed or being freed */
	bool has_leftovers; /* as of the view: some drive has what moved away */
	struct collect_free *frees; /* COLLECT_FREES_MAX of them */
	struct collect_free *free_slots;
	unsigned frees_in_flight, remote_frees_in_flight;
	bool is_waiting_for_slots;
	struct index_proposal proposal;
	uint8_t command[512];
	bool is_proposed;
	struct collect_counters counters;
};

/* Begins, on store's loop. Errors: ERR_NO_MEMORY. */
MUST_USE enum err collect_start(struct collector *collector, struct store_loop *store);

/* Ends when nothing is in flight; stopped() follows, never inside the call. */
void collect_stop(struct collector *collector, void (*stopped)(struct collector *collector));

#endif
