/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NODE_CLAIMS_H
#define SERVER_NODE_CLAIMS_H

#include "storage/err.h"
#include "storage/loop.h"

/* Claims: which node has a drive. A drive may be plugged into another node and is known there; a
 * copy of it, or what it was before a restore, must not be taken for it.
 *
 * The index has the number of the newest mounting of each drive and the node that it is in; the
 * superblock has the number that is known to have been claimed, and one that may have been.
 *
 * (M1) A number is written into the superblock as about to be claimed, then proposed, and, when the
 *      index has it, written as claimed; only then the drive serves.
 * (M2) A drive that knows neither the newest number as claimed nor as about to be is an older copy
 *      of it: it is refused.
 * (M3) A node that reads in the index that a drive of its own was claimed later, or was given up,
 *      fences it, within NODE_CLAIMS_LOOK_MS.
 */
#define NODE_CLAIMS_LOOK_MS 1000

/* What is said of a drive that is refused (M2). */
#define NODE_OLD_COPY \
	"is an older copy of a drive that was mounted since, or is in use on another node; it is " \
	"not touched: take it out, and plug in the newest"

struct node;

struct node_claims {
	struct node *node;
	struct loop *loop;
	struct timer timer;
};

/* Claims a drive that is open and has a number. Blocks, in the main or the control thread. Errors:
 * ERR_FENCED, it is an older copy (M2), or another node has claimed it at the same time; those of
 * its disk, and it is not to be used then; those of proposals. */
MUST_USE enum err node_claim_drive(struct node *node, unsigned index);

/* Begins to look after them (M3), and ends; on the first loop for clients. */
void node_claims_start(struct node_claims *claims, struct node *node);
void node_claims_stop(struct node_claims *claims);

#endif
