/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring_moves.h"

#include <stdlib.h>

#include "erasure/checksum.h"

#define NUMBERS (UINT16_MAX + 1)
#define WHOLE (UINT64_C(1) << 32)

struct ranked {
	struct ring_move move;
	uint64_t rank; /* where in the list it belongs, of 2 * WHOLE */
	uint64_t tie;
};

/* Of each drive: its moves, and how many of them have been ranked. */
struct load {
	uint32_t out, in, out_done, in_done;
};

static uint64_t tie(const struct ring_move *move)
{
	uint8_t bytes[3];
	put_le16(bytes, move->slot);
	bytes[2] = move->shard;
	return checksum(bytes, sizeof bytes, 0);
}

static size_t list_moves(
	const struct ring *old, const struct ring *new, struct ranked *ranked, struct load *loads)
{
	uint8_t width = old->width < new->width ? old->width : new->width;
	size_t count = 0;
	for (uint32_t slot = 0; slot < new->slot_count; slot++) {
		for (uint8_t i = 0; i < width; i++) {
			struct ring_move move = {
				.slot = slot,
				.shard = i,
				.from = ring_drive(old, slot, i),
				.to = ring_drive(new, slot, i),
			};
			if (move.from == move.to)
				continue;
			loads[move.from].out++;
			loads[move.to].in++;
			ranked[count++] = (struct ranked){move, 0, tie(&move)};
		}
	}
	return count;
}

static int compare(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->tie < y->tie ? -1 : x->tie > y->tie;
}

/* First by chance, then each drive's n-th move out at n parts of the way, then, counting in that
 * order, each drive's moves in likewise. */
static void order(struct ranked *ranked, size_t count, struct load *loads)
{
	qsort(ranked, count, sizeof *ranked, compare);
	for (size_t i = 0; i < count; i++) {
		struct load *from = &loads[ranked[i].move.from];
		ranked[i].rank = WHOLE * (2 * from->out_done++ + 1) / (2 * from->out);
	}
	qsort(ranked, count, sizeof *ranked, compare);
	for (size_t i = 0; i < count; i++) {
		struct load *to = &loads[ranked[i].move.to];
		ranked[i].rank += WHOLE * (2 * to->in_done++ + 1) / (2 * to->in);
	}
	qsort(ranked, count, sizeof *ranked, compare);
}

enum err ring_moves(const struct ring *old, const struct ring *new, struct ring_move *ret_moves,
	size_t *ret_count)
{
	if (old->slot_count != new->slot_count)
		return ERR_INVALID;
	uint8_t width = old->width < new->width ? old->width : new->width;
	struct ranked *ranked = calloc((size_t) new->slot_count *width, sizeof *ranked);
	struct load *loads = calloc(NUMBERS, sizeof *loads);
	enum err err = ERR_NO_MEMORY;
	if (!ranked || !loads)
		goto out;
	size_t count = list_moves(old, new, ranked, loads);
	order(ranked, count, loads);
	for (size_t i = 0; i < count; i++)
		ret_moves[i] = ranked[i].move;
	*ret_count = count;
	err = ERR_OK;
out:
	free(ranked);
	free(loads);
	return err;
}
