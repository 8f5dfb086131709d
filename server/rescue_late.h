/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RESCUE_LATE_H
#define SERVER_RESCUE_LATE_H

#include <jansson.h>

#include "server/rescue_list.h"

/* What drives have of what was written after the end of an archive: extents that got their ids
 * behind it, as the tables of locations name them. No row will name them, and they stay until
 * collection is confirmed. Bodies of at most 4 KiB leave no such trace, nor does what was deleted.
 *
 * Gives {"extents": how many, "bytes": of their bodies, "keys": ["bucket/key"], "more": were there
 * more than are listed?}. Drives that cannot be read add nothing. Blocks. NULL: no memory. */
json_t *rescue_late_look(const struct rescue_list *list, const struct archive_found *found);

#endif
