/* SPDX-License-Identifier: Apache-2.0 */
/* What the absence of a node means, in words. */
#include <stdio.h>

#include "server/facts.h"

/* Of what a node's absence leaves, the worst. */
enum left {
	LEFT_ALL,
	LEFT_SMALL, /* there is no second place for what is not in the index */
	LEFT_SOME, /* not all can be read */
	LEFT_NOTHING, /* no majority */
};

static enum left judge(const struct facts *facts, const struct fact_node *away)
{
	uint16_t failed[STORE_DRIVES_MAX];
	struct ring_outlook outlook;
	size_t count = 0;
	unsigned voters = facts->voters - away->is_voter;
	for (size_t i = 0; i < facts->drive_count && count < STORE_DRIVES_MAX; i++)
		if (facts->drives[i].node == away)
			failed[count++] = facts->drives[i].number;
	ring_simulate(facts->ring, failed, count, facts->slot_lens, &outlook);
	if (voters < facts->voters_needed)
		return LEFT_NOTHING;
	if (outlook.unreadable > 0)
		return LEFT_SOME;
	return outlook.stopped > 0 ? LEFT_SMALL : LEFT_ALL;
}

const char *facts_one_away_text(const struct facts *facts)
{
	static const char *const texts[] = {
		[LEFT_ALL] = "reads and writes; new objects have less parity until it is back",
		[LEFT_SMALL] =
			"reads and deletes only (and objects of up to 4 KiB, which the index "
			"holds); larger writes are answered 503 until it is back: they need "
			"both nodes",
		[LEFT_SOME] = "not all objects can be read",
		[LEFT_NOTHING] = "nothing, until it is back: the others are no majority; a third "
				 "machine, with or without drives (role: witness), makes them one",
	};
	enum left worst = LEFT_ALL;
	if (facts->node_count < 2 || !facts->ring)
		return "";
	for (size_t i = 0; i < facts->node_count; i++) {
		enum left left = judge(facts, &facts->nodes[i]);
		worst = left > worst ? left : worst;
	}
	return texts[worst];
}
