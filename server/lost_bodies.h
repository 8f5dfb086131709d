/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LOST_BODIES_H
#define SERVER_LOST_BODIES_H

#include "server/lost_shards.h"
#include "storage/object/hint.h"

/* What objects can be made of shards that no row names, by what their records say (hint.h).
 *
 * (L1) An object is whole when, from its first byte to its last, extents follow each other of each
 *      of which k shards were found. Whether their bytes are right is seen when they are read.
 * (L2) Parts of an upload are one object when all from the first to the last that was found are
 *      whole; that there were more behind it cannot be known, nor whether the upload was
 *      completed. Else, and where one was put more than once, each whole part is an object of its
 *      own.
 * (L3) Where an extent was written more than once, one that is readable counts.
 * (L4) A body of which a record says that it is stored as frames is told, and is never whole: its
 *      bytes are not those of an object, and what makes them so was in the row. */
#define LOST_EXTENTS_MAX 100000

struct lost_extent {
	struct extent_id id;
	uint8_t k, m;
	uint32_t unit_len, len;
	uint16_t drives[CODE_UNITS_MAX]; /* which has the shard; 0: none that was seen */
	unsigned found; /* shards */
	bool is_packed; /* one of its records says so */
	bool has_place;
	struct hint_place place;
	struct bytes name; /* bucket/key; owned */
};

/* One body of which something was found. */
struct lost_body {
	struct bytes name; /* borrowed from an extent */
	uint64_t session, first; /* counter; who it is */
	uint64_t upload;
	uint16_t part;
	uint64_t len;
	bool is_packed; /* (L4); len is that of the first extent that was found */
	const struct lost_extent **extents; /* in the order of the body once it was judged */
	size_t count;
	bool is_whole;
	char why[96]; /* it is not */
};

/* What is brought back: a body, or those of parts one behind the other. */
struct lost_object {
	const struct lost_body *bodies; /* in lost_bodies.bodies */
	size_t count;
	uint64_t len;
	bool is_part; /* of an upload of which others are missing */
};

struct lost_bodies {
	void *tree; /* of extents, by id */
	size_t extent_count;
	bool has_more; /* than LOST_EXTENTS_MAX */
	struct lost_extent **extents; /* owned, as what they point to */
	const struct lost_extent **order; /* owned: what bodies point into */
	struct lost_body *bodies; /* owned; by name, newest first; parts in their order */
	size_t body_count;
	struct lost_object *objects; /* owned; whole ones */
	size_t object_count;
};

/* Zeroed before the first. Errors: ERR_NO_MEMORY. */
MUST_USE enum err lost_bodies_add(struct lost_bodies *bodies, const struct lost_shard *shard);

/* When all shards were added. Errors: ERR_NO_MEMORY. */
MUST_USE enum err lost_bodies_judge(struct lost_bodies *bodies);

void lost_bodies_free(struct lost_bodies *bodies); /* what it holds */

#endif
