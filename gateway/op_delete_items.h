/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_DELETE_ITEMS_H
#define GATEWAY_OP_DELETE_ITEMS_H

#include "gateway/xml_body.h"
#include "storage/meta/command.h"
#include "storage/pool.h"

/* The keys of a DeleteObjects and what became of each, kept until all are answered for: nothing may
 * be deleted before the digest of the document was checked at its end, and the answer has what was
 * deleted before what was not.
 *
 * They stand one behind the other in buffers of the pool, as many as the keys need. */
#define OP_DELETE_BUFFERS_MAX 20 /* 1000 of the longest keys */

enum op_delete_outcome {
	OP_DELETE_PENDING,
	OP_DELETE_GONE,
	OP_DELETE_MARKER_MADE,
	OP_DELETE_MARKER_GONE,
	OP_DELETE_FAILED, /* `code` says why */
};

struct op_delete_item {
	uint16_t key_len;
	uint8_t outcome; /* enum op_delete_outcome */
	bool is_null; /* versionId=null */
	bool is_marker_null; /* of the marker that was made */
	bool is_locked; /* why it failed */
	uint8_t code; /* enum s3_code */
	struct version_id version; /* none: the key */
	struct version_id marker; /* that was made */
	struct command_conditions conditions;
	uint8_t key[];
};

struct op_delete_items {
	struct pool *pool; /* borrowed */
	unsigned buffer_count;
	unsigned count;
	size_t lens[OP_DELETE_BUFFERS_MAX]; /* used of each buffer */
	uint8_t *buffers[OP_DELETE_BUFFERS_MAX];
};

/* A place among them. */
struct op_delete_place {
	unsigned buffer;
	size_t offset;
};

static inline struct bytes op_delete_key(const struct op_delete_item *item)
{
	return bytes_make(item->key, item->key_len);
}

void op_delete_items_init(struct op_delete_items *items, struct pool *pool);
void op_delete_items_fini(struct op_delete_items *items);

/* Keeps one object of the document. What is wrong with it alone is its outcome. Returns S3_OK, or
 * S3_SLOW_DOWN: there is no memory now (nobody waits here who has some already). */
enum s3_code op_delete_items_add(
	struct op_delete_items *items, const struct xml_delete_object *object) MUST_USE;

/* The item at a place, and moves the place behind it; NULL at the end. Begin with a zeroed place.
 */
struct op_delete_item *op_delete_items_next(
	const struct op_delete_items *items, struct op_delete_place *place);

#endif
