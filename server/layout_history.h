/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LAYOUT_HISTORY_H
#define SERVER_LAYOUT_HISTORY_H

#include <jansson.h>

#include "server/layout.h"

/* What was done to the ring: the setting LAYOUT_HISTORY. */

/* Adds to a list of entries (borrowed) another one (taken), and forgets the oldest above the most
 * that are kept. Errors: ERR_NO_MEMORY. */
MUST_USE enum err layout_history_append(json_t *list, json_t *entry);

/* The list as it was kept; one that cannot be understood is empty. Gives the list. */
json_t *layout_history_parse(struct bytes text);

/* Reads the list, and gives it. Errors: those of lookups. */
MUST_USE enum err layout_history_read(struct node *node, json_t **ret_list);

/* Notes that the index has taken the layout's ring. Blocks; not on a loop. */
MUST_USE enum err layout_history_add(
	struct node *node, const struct layout *layout, const char *what);

#endif
