/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_SCRUB_PRIV_H
#define STORAGE_REPAIR_SCRUB_PRIV_H

#include "storage/repair/scrub.h"

/* Looks at the next rows, and notes in scrub->missing those whose shard should be on the drive and
 * is not. Errors: ERR_NOT_FOUND, that was all; those of the index. */
MUST_USE enum err scrub_match(struct scrub *scrub, struct drive *drive);

#endif
