/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_INDEX_AUDIT_H
#define TESTS_LIB_INDEX_AUDIT_H

#include "storage/meta/index.h"

/* Counts everything anew from the rows alone, and ends the test where rows contradict each other:
 * references of bodies, counts of buckets and slots, garbage rows, null versions, overflow rows,
 * and the state hash. Begins and ends a view of its own. */
void index_audit(struct index *index, struct index_reader *reader);

/* No body, extent, part or garbage row is there that nothing visible needs. After all garbage was
 * dismantled; stages of the open session are visible enough. */
void index_audit_is_clean(struct index_reader *reader);

#endif
