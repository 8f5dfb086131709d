/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_REACH_H
#define STORAGE_OBJECT_REACH_H

#include "storage/shard/site.h"

/* Which drives a loop can reach, and how well: those of this node, and those that the index gives
 * to a node that this loop is linked to.
 *
 * One that failed to answer, or answered late, is avoided for a while: what can be done without it
 * is. So a node that hangs costs each loop one delay, not one for each request. Nothing here
 * decides what is durable; it only chooses whom to ask first.
 */
#define REACH_DRIVES_MAX 128 /* of other nodes; those that share a place forget each other */
#define REACH_KNOWN_MS 2000 /* which node has a drive is looked up again after so long */
#define REACH_AVOID_MS 5000
#define REACH_HEDGE_MS_MIN 50 /* a read that takes longer than this, */
#define REACH_HEDGE_MS_MAX 1000
#define REACH_HEDGE_FACTOR 4 /* and than so many typical ones, is not waited for */

struct store;
struct store_loop;

struct reach_drive {
	uint16_t number; /* 0: nobody is in this place */
	bool is_known; /* node holds */
	struct id node;
	uint64_t known_until_ms;
	uint64_t avoid_until_ms;
	uint32_t typical_us; /* of a read; smoothed; 0: none yet */
};

struct reach {
	struct reach_drive drives[REACH_DRIVES_MAX];
};

/* The drive with this number; ret_site->number is 0 when it is fenced, its node is not linked, or
 * nobody has it. With or without a view. */
void reach_find(struct store_loop *loop, uint16_t number, struct site *ret_site);

/* Is the drive better left alone now? Never one of this node. */
bool reach_is_avoided(struct store_loop *loop, uint16_t number);

/* A node in maintenance, as store.resting has it: read from last. */
uint64_t reach_resting_mark(struct id node);

/* The farther, the more; a drive of this node: 0. */
uint32_t reach_distance(struct store_loop *loop, const struct site *site);

/* Whoever has the drive was away when it was to free something: it is asked to look for it itself
 * when it is back (storage/repair/collect.h). Nothing, if that is this node. */
void reach_missed(struct store_loop *loop, uint16_t number);

/* The same of a node. Any thread. */
void reach_missed_node(struct store *store, struct id node);

/* A drive of another node did not do what it was asked, or too late. */
void reach_failed(struct store_loop *loop, uint16_t number);

/* A read of it took so long. */
void reach_took(struct store_loop *loop, uint16_t number, uint64_t ms);

/* How long to wait for a read of it before others are asked. */
uint64_t reach_hedge_ms(struct store_loop *loop, uint16_t number);

#endif
