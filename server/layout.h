/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LAYOUT_H
#define SERVER_LAYOUT_H

#include "server/node.h"
#include "storage/ring/ring.h"

/* A layout: the next ring, made of the drives that the index has.
 *
 * (Y1) Nothing moves before a layout is proposed.
 * (Y2) A plan has a name, made of the version of the ring that it starts from and of all that was
 *      known of the drives. The same state of the index gives the same plan; as soon as a drive or
 *      the ring changes, a plan of that name is not to be had any more.
 * (Y3) What was wanted before is kept with each change in the setting LAYOUT_BEFORE, so that it can
 *      be gone back to, also in the middle of the moves; what was done, in LAYOUT_HISTORY: JSON,
 *      the newest last, LAYOUT_HISTORY_MAX entries. Both are written after the ring; a crash in
 *      between loses them and nothing else. */
#define LAYOUT_BEFORE "layout.before"
#define LAYOUT_HISTORY "layout.history"
#define LAYOUT_HISTORY_MAX 32
#define LAYOUT_NAME_LEN 12
#define LAYOUT_WHAT_LEN 160

struct layout {
	struct ring_drive_info drives[RING_DRIVES_MAX]; /* in, or draining: without weight */
	size_t drive_count;
	uint8_t zones[RING_DRIVES_MAX][ROW_ZONE_LEN_MAX];
	struct ring_snapshot *old; /* NULL: none */
	struct ring_snapshot *target; /* that the old one moves to; NULL: none */
	struct ring from; /* the old one, when all that moves has arrived */
	uint8_t *from_slots;
	char name[LAYOUT_NAME_LEN + 1];
	struct ring ring; /* the next one, once it was made */
	uint8_t *slots;
};

/* Reads drives and rings. In the thread that has the node's reader. Errors: ERR_NO_MEMORY; those of
 * lookups. */
MUST_USE enum err layout_new(struct node *node, struct layout **ret_layout);
void layout_free(struct layout *layout); /* NULL is fine */

/* The ring that the drives ask for. Errors: ERR_QUORUM, there are none; those of ring_plan(). */
MUST_USE enum err layout_plan(struct layout *layout);

/* The ring there is, with one drive in the places of another. Errors: ERR_NOT_FOUND, there is no
 * ring or the old drive is not in it; ERR_INVALID, the new one cannot stand in there: two shards
 * would be in one domain, or it has places already. */
MUST_USE enum err layout_replace(struct layout *layout, uint16_t old, uint16_t new);

/* The ring that was wanted before the last change (Y3). Errors: ERR_NOT_FOUND, it is not known;
 * ERR_INVALID, a drive of it cannot hold shards any more. */
MUST_USE enum err layout_go_back(struct node *node, struct layout *layout);

/* Is it the ring there is, and does nothing move? */
bool layout_is_same(const struct layout *layout);

/* What is to hold the shards now: the target if there is one, else the ring; NULL: nothing. */
const struct ring *layout_wanted(const struct layout *layout);

/* Has the index take the ring, and notes what was done. Blocks; not on a loop. Errors:
 * ERR_CONFLICT, something changed meanwhile; those of node_propose(). */
MUST_USE enum err layout_propose(struct node *node, const struct layout *layout, const char *what);

#endif
