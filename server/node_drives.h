/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NODE_DRIVES_H
#define SERVER_NODE_DRIVES_H

#include "server/node.h"

/* Drives that come and go while the node runs. In the control thread.
 *
 * The configuration names the drives that a node was made with. Those that were added later are in
 * the file "drives" of the state directory, a path in each line; the next start takes both. One
 * that is removed is struck off there, or has to be taken out of the configuration by hand. */

/* Makes a drive of an empty directory (which is made if it is not there, in a directory that is),
 * opens it, adds it to the index and lends it to the loops; remembers it. It holds nothing before a
 * ring names it. weight 0: as many bytes as it has. Blocks. Errors: ERR_EXISTS, it is one of this
 * node's, and ret_number says which; ERR_NOT_EMPTY, ERR_FOREIGN, ERR_DENIED, ERR_LIMIT; those of
 * files and proposals. message says it in one line. */
MUST_USE enum err node_add_drive(struct node *node, const char *path, enum drive_class class,
	uint64_t weight, uint16_t *ret_number, char *message);

/* A drive that was removed is not taken at the next start, if it was added; true: the configuration
 * names it, and somebody has to take it out there. */
bool node_forget_drive(struct node *node, uint16_t number);

/* What the row of one of its drives says; DRIVE_ROW_IN if it has none yet. */
enum row_drive_state node_drive_state(struct node *node, const struct node_drive *drive);

/* How many drives are to be in service, by their rows, and how many are. */
void node_count_drives(struct node *node, unsigned *ret_wanted, unsigned *ret_up);

#endif
