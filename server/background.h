/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_BACKGROUND_H
#define SERVER_BACKGROUND_H

#include <jansson.h>

#include "server/facts.h"

/* What menders do now, as they say themselves: one answers for repair and moves of all nodes, each
 * for the scrub of its own drives. The control thread asks all nodes at once, so that any of them
 * can show how far things are. What was done and decided is in the index. */
struct background_node {
	const struct fact_node *node;
	bool has_answered;
	struct mender_status status; /* of it, what background_encode() sends */
};

struct background {
	size_t count;
	struct background_node *nodes; /* in the order of facts->nodes */
	const struct background_node *responsible; /* NULL: none that answered */
};

/* Answers other nodes. Before the loops run. */
void background_serve(struct cluster *cluster);

/* Asks all nodes that are up; what does not answer within seconds is left out. Blocks; in the
 * control thread. facts are borrowed as long as the result lives. Errors: ERR_NO_MEMORY. */
MUST_USE enum err background_new(const struct facts *facts, struct background **ret_background);
void background_free(struct background *background); /* NULL is fine */

/* Which node scrubs the drive now; NULL: none. */
const struct background_node *background_find_scrub(
	const struct background *background, uint16_t drive);

/* A status as it is sent: fields of 8 bytes, little-endian, in an order that only grows. */
#define BACKGROUND_LEN (8 * (18 + 8 * BOOK_WORKS))
size_t background_encode(const struct mender_status *status, uint8_t *buf);
void background_decode(struct bytes bytes, struct mender_status *ret_status);

#endif
