/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_DAMAGE_H
#define TESTS_LIB_STORE_DAMAGE_H

#include "tests/lib/sim_store.h"

/* What happens to drives behind the back of a store. */

/* On one drive, of those that are not gone, a block rots that is read next, and one shard, if there
 * is any, is not there any more. True: it was. */
bool store_damage(struct sim_store *rig, const bool *is_gone, uint64_t *random);

/* What was read and written on all drives so far. */
uint64_t store_drive_bytes(const struct sim_store *rig);

#endif
