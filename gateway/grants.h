/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GRANTS_H
#define GATEWAY_GRANTS_H

#include "gateway/text_out.h"
#include "storage/err.h"
#include "storage/meta/rows.h"

/* Grants: that a key or a user may read, write or own a bucket of somebody else. They are the
 * simple manner beside policies, set by who runs the store; clients neither see nor change them.
 *
 * The blob of BUCKET_CONFIG_GRANTS is a byte, the version of its format, and then for each grant
 * {enum grant_kind (1 byte), rights (1), length of the id (1), id}.
 *
 * (G1) A grant only allows: what a policy denies stays denied.
 * (G2) Each right stands for a set of actions (grants_right()); an action of no set is OWN's, so
 *      that what is new is not given away by old grants.
 */
enum grant_kind { /* kept in the index */
	GRANT_OF_KEY = 1,
	GRANT_OF_USER = 2,
};

enum grant_right { /* kept in the index */
	GRANT_READ = 1 << 0, /* objects, their versions and tags, listings */
	GRANT_WRITE = 1 << 1, /* put, delete, uploads */
	GRANT_OWN = 1 << 2, /* all that the owner may, which includes the others */
};
#define GRANT_RIGHTS (GRANT_READ | GRANT_WRITE | GRANT_OWN)

enum { GRANTS_MAX = 200 }; /* of a bucket */

struct grant {
	uint8_t kind, rights;
	struct bytes id; /* borrowed of the blob */
};

/* Takes the first grant off what bucket_config_open() gave. Errors: ERR_END, ERR_CORRUPT. */
MUST_USE enum err grants_next(struct bytes *rest, struct grant *ret_grant);

/* Writes the blob with that grant in it, in place of what the same key or user had; without rights,
 * without it. An empty one: no grants are left. `rest` as above. Errors: ERR_LIMIT, GRANTS_MAX, or
 * no room; ERR_CORRUPT. */
MUST_USE enum err grants_set(struct bytes rest, const struct grant *grant, struct text_out *out);

/* All rights of a key and its user together. What does not decode grants nothing. */
uint8_t grants_rights(struct bytes rest, struct bytes key_id, struct bytes user);

/* The right that an action needs: any of those in the set that comes back is enough. */
uint8_t grants_right(const char *action);

#endif
