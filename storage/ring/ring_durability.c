/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "erasure/checksum.h"
#include "storage/ring/ring_summary.h"

#define HOURS_PER_YEAR 8766.0
#define NINES_MAX 20

/* 1 - exp(-x), without losing the digits of a small x. */
static double one_less_exp(double x)
{
	if (x > 700)
		return 1;
	if (x > 0.5) {
		double half = one_less_exp(x / 2);
		return half * (2 - half);
	}
	double term = x, sum = x;
	for (int i = 2; i < 20; i++) {
		term *= -x / i;
		sum += term;
	}
	return sum;
}

/* -ln(1 - x), for 0 <= x < 1: 2 artanh(x / (2 - x)). */
static double log_rate(double x)
{
	double ratio = x / (2 - x), power = ratio, sum = 0;
	for (int i = 1; i < 2000; i += 2) {
		sum += power / i;
		power *= ratio * ratio;
	}
	return 2 * sum;
}

/* Mean time until m + 1 of w are down. */
static double time_to_loss(unsigned w, unsigned m, double rate, double repair)
{
	double step = 0, sum = 0;
	for (unsigned i = 0; i <= m; i++) {
		double fails = (w - i) * rate;
		double heals = i > 0 ? 1 / repair : 0;
		step = 1 / fails + heals / fails * step;
		sum += step;
	}
	return sum;
}

static int compare_sums(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static int compare_numbers(const void *a, const void *b)
{
	return memcmp(a, b, 2);
}

/* Different sets of drives, told apart by a checksum of their sorted numbers. */
static enum err count_groups(const struct ring *ring, uint32_t *ret_count)
{
	uint64_t *sums = calloc(ring->slot_count, sizeof *sums);
	if (!sums)
		return ERR_NO_MEMORY;
	size_t len = 2 * (size_t)ring->width;
	for (uint32_t slot = 0; slot < ring->slot_count; slot++) {
		uint8_t row[2 * RING_WIDTH_MAX];
		memcpy(row, ring->slots + slot * len, len);
		qsort(row, ring->width, 2, compare_numbers);
		sums[slot] = checksum(row, len, 0);
	}
	qsort(sums, ring->slot_count, sizeof *sums, compare_sums);
	uint32_t count = 0;
	for (uint32_t slot = 0; slot < ring->slot_count; slot++)
		count += slot == 0 || sums[slot] != sums[slot - 1];
	free(sums);
	*ret_count = count;
	return ERR_OK;
}

static uint8_t count_nines(double loss)
{
	uint8_t nines = 0;
	for (double bound = 0.1; nines < NINES_MAX && loss <= bound; bound /= 10)
		nines++;
	return nines;
}

enum err ring_durability(const struct ring *ring, bool has_free,
	const struct ring_durability_assumptions *assumptions,
	struct ring_durability *ret_durability)
{
	double wait = has_free ? assumptions->give_up_hours : assumptions->wait_hours;
	double repair = wait + assumptions->rebuild_hours;
	if (!(assumptions->afr > 0 && assumptions->afr < 1) || !(repair > 0) || !(repair < 1e9))
		return ERR_INVALID;
	uint32_t group_count;
	enum err err = count_groups(ring, &group_count);
	if (err != ERR_OK)
		return err;
	double rate = log_rate(assumptions->afr) / HOURS_PER_YEAR;
	double year = HOURS_PER_YEAR / time_to_loss(ring->width, ring->profile.m, rate, repair);
	*ret_durability = (struct ring_durability){
		.repair_hours = repair,
		.slot_loss = one_less_exp(year),
		.any_loss = one_less_exp(year * group_count),
		.group_count = group_count,
		.nines = count_nines(one_less_exp(year * group_count)),
	};
	return ERR_OK;
}
