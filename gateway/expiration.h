/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_EXPIRATION_H
#define GATEWAY_EXPIRATION_H

#include "gateway/response.h"

/* The header x-amz-expiration: when a lifecycle rule of its bucket will take an object, and which.
 * It is there for the newest version alone, since the days of others begin when they are replaced.
 * It explains: where the rules cannot be read, or the header has no room, it is left out. A bucket
 * without rules costs a look at its row. */

/* Adds it, under a view. */
void expiration_add(struct request *request, struct response_headers *headers,
	const struct object_info *object);

/* The same after a write, outside of any view: for the version that it made. */
void expiration_add_written(
	struct request *request, struct response_headers *headers, struct version_id version);

#endif
