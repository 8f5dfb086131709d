/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_FARES_H
#define SERVER_FARES_H

#include "server/node.h"

/* How the clients of all nodes fare (storage/repair/fare.h), for the mender that works for all: it
 * reads and writes on other nodes' drives, whose clients it may be that wait. While it works it
 * asks the others, once at a time each, which judge by what is usual with them.
 *
 * The question: 1, the work goes as slowly as it ever does; or 0. The answer: bits 0, there are
 * requests; 1, somebody waits for longer than is usual. */
#define FARES_GOOD_MS 2000 /* an answer says nothing after so long */

/* Answers other nodes. Before the loops run. */
void fares_serve(struct cluster *cluster);

/* For mender_setup.load; arg is the node. On the first loop for clients. */
void fares_see(void *arg, bool is_at_floor, struct throttle_load *ret_load);

#endif
