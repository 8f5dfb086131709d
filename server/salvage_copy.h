/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SALVAGE_COPY_H
#define SERVER_SALVAGE_COPY_H

#include <stdatomic.h>

#include "server/lost_bodies.h"

/* Writes an object that was found on the drives anew, as a put does, under a name: each extent is
 * read as a get does, checked block by block, and what is wrong decoded. The old extents stay as
 * they are. Nothing is taken for right that was not checked; where a byte cannot be had nothing is
 * put. */
struct salvage_target {
	uint64_t bucket;
	struct bytes key, metadata, owner; /* borrowed */
	uint8_t class;
};

/* Blocks for as long as it takes; not on a loop. *is_canceled ends it soon. Errors:
 * ERR_PRECONDITION, the key is taken; ERR_CANCELED; those of gets (the object cannot be read), of
 * puts, of proposals. */
MUST_USE enum err salvage_copy(struct node *node, const struct lost_object *object,
	const struct salvage_target *target, const _Atomic bool *is_canceled, bool *ret_was_read);

#endif
