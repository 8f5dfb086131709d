/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NODE_SPACE_H
#define SERVER_NODE_SPACE_H

#include <jansson.h>

#include "server/node.h"

/* How much room there is. Drives should be file systems of their own; where they are not, space
 * that is there once is shared out among them, so that no sum counts it twice. */

/* What a drive of this node has: total and free are its part of a shared file system. drive: which
 * of node->store.drives. Any thread. */
void node_drive_space(const struct node *node, unsigned drive, struct drive_space *ret_space);

/* Are drives of this node lost together, since they share a file system? */
bool node_drives_share(const struct node *node);

/* Why writes are refused, and what helps; empty while they are not. */
void node_format_full(
	const struct node *node, const struct index_status *index, char *text, size_t cap);

/* What `rubus df` shows, of all nodes: numbers come from the facts that status is made of (P7). In
 * the control thread. */
MUST_USE enum err node_space(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
