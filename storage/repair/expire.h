/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_EXPIRE_H
#define STORAGE_REPAIR_EXPIRE_H

#include "storage/meta/index_ledger.h"
#include "storage/object/store.h"

/* The expirer: does what the lifecycle rules of buckets say, in the background.
 *
 * One on each node; that of the node with the lowest id of those which have a session and are
 * linked works for all. A bucket that has rules is watched: the index keeps events of it, by time
 * (storage/meta/apply_event.c). For each number of days that a rule names, the *ages*, there is a
 * place up to which the events are that old; when it moves, the keys of the events it passes are
 * judged by all rules. What all ages have passed is removed.
 *
 * (X1) What is due is found by reading the events that became due, and nothing else; with nothing
 *      due and no rules changed, a look reads a few rows for each bucket, and writes nothing.
 * (X2) Whether something expires is decided when EXPIRE is applied: the version is still what it
 *      was judged as, the rules are still these, it is due in cluster time, and not locked.
 * (X3) Rules that changed are another watch: all keys that begin as a rule says get events anew. Of
 *      others no rows are read: not then, and not when an event of them comes of age.
 * (X4) The places of the ages are not kept: after a start, or when another node takes over, events
 *      that only some ages had passed are judged again, which changes nothing.
 * (X5) Nothing expires while collection is held (COMMAND_SETTING_HELD).
 */
/* Between two rounds that found nothing; less where a day is short. */
#define EXPIRE_IDLE_MS 60000
#define EXPIRE_RETRY_MS 5000
#define EXPIRE_LOOKS 256 /* events looked at in one turn of the loop */
#define EXPIRE_LIST_LEN (128 * 1024) /* of the list in a command */
#define EXPIRE_FILL_MAX 500 /* events in one command */

struct expire_bucket;

struct expire_counters {
	uint64_t events, expired, filled;
	uint64_t uploads; /* rows of them that were read to fill */
};

struct expirer {
	struct store_loop *store;
	uint64_t day_ms;
	bool is_stopping;
	void (*stopped)(struct expirer *expirer);
	struct timer timer;
	struct expire_bucket *buckets; /* what is known of those that are watched */

	/* The round: first all buckets by name, then those that only events tell of. */
	bool is_in_events;
	uint8_t name[ROW_BUCKET_NAME_LEN_MAX + 1]; /* just behind the bucket that was looked at */
	size_t name_len;
	uint64_t event_bucket; /* likewise */
	bool has_worked; /* in this round */

	/* The command that is being made or decided. */
	struct expire_bucket *bucket; /* it is about; NULL: one that is gone */
	unsigned age; /* whose events an EXPIRE is about */
	struct event_place place; /* up to which */
	unsigned item_count;
	bool is_cut; /* there was no room for all that is due of a key */
	uint8_t *list, *bytes; /* of EXPIRE_LIST_LEN, and for the whole command */
	uint8_t *rules; /* of ROW_CONFIG_LEN_MAX: those of the bucket that is looked at */
	uint8_t key[ROW_KEY_LEN_MAX]; /* that is judged */
	uint8_t type; /* enum command_type */
	struct index_proposal proposal;
	bool is_proposed;
	struct expire_counters counters;
};

/* Begins, on store's loop. day_ms: LIFECYCLE_DAY_MS but in tests. Errors: ERR_NO_MEMORY. */
MUST_USE enum err expire_start(struct expirer *expirer, struct store_loop *store, uint64_t day_ms);

/* Ends when nothing is in flight; stopped() follows, never inside the call. */
void expire_stop(struct expirer *expirer, void (*stopped)(struct expirer *expirer));

#endif
