/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_SPANS_H
#define STORAGE_REPAIR_SPANS_H

#include "storage/meta/index_ledger.h"

/* What the index does not know yet of drives that are gone: finds a slot of one of which it has to
 * be told that its shards are lost. Under a view. False: it knows all. */
bool spans_find_next(
	struct index *index, struct index_reader *reader, struct command_span_begin *ret_begin);

#endif
