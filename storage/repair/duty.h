/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_DUTY_H
#define STORAGE_REPAIR_DUTY_H

#include "storage/meta/index_ledger.h"
#include "storage/object/store.h"

/* Which node does what one does for all: that with the lowest id of those which have a session and
 * are linked. Two that both believe to be it must do no harm. */
struct duty {
	bool is_mine;
	uint64_t sessions_sum; /* another one when sessions came or went */
	uint64_t links_sum; /* likewise, or links */
};

/* Under a view of store's reader. Errors: those of lookups. */
MUST_USE enum err duty_look(struct store_loop *store, struct duty *ret_duty);

#endif
