/* SPDX-License-Identifier: Apache-2.0 */
#include "erasure/stripe.h"

#include <assert.h>

#include "erasure/checksum.h"
#include "erasure/code.h"

static_assert(UNIT_LEN % BLOCK_LEN == 0, "(I4)");
static_assert(UNIT_LEN_SMALL % BLOCK_LEN == 0, "(I4)");
static_assert(BLOCK_LEN % UNIT_GRAIN == 0, "a block is whole grains");

static uint32_t divide_up(uint32_t value, uint32_t by)
{
	return value / by + (value % by != 0);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

bool stripe_geometry_init(
	struct geometry *geometry, uint64_t k, uint64_t m, uint64_t unit_len, uint64_t body_len)
{
	if (k > CODE_DATA_MAX || m > CODE_PARITY_MAX || !code_is_supported(k, m))
		return false;
	if (unit_len != UNIT_LEN && unit_len != UNIT_LEN_SMALL)
		return false;
	if (body_len < 1 || body_len > EXTENT_LEN_MAX)
		return false;
	*geometry = (struct geometry){
		.k = k,
		.m = m,
		.unit_len = unit_len,
		.body_len = body_len,
	};
	return true;
}

uint32_t stripe_full_len(const struct geometry *geometry)
{
	return geometry->k * geometry->unit_len;
}

uint32_t stripe_count(const struct geometry *geometry)
{
	assert(geometry->body_len >= 1);
	return divide_up(geometry->body_len, stripe_full_len(geometry));
}

uint32_t stripe_body_offset(const struct geometry *geometry, uint32_t stripe)
{
	assert(stripe < stripe_count(geometry));
	return stripe * stripe_full_len(geometry);
}

uint32_t stripe_body_len(const struct geometry *geometry, uint32_t stripe)
{
	uint32_t left = geometry->body_len - stripe_body_offset(geometry, stripe);
	assert(left >= 1);
	return smaller(left, stripe_full_len(geometry));
}

uint32_t stripe_unit_len(const struct geometry *geometry, uint32_t stripe)
{
	uint32_t part = divide_up(stripe_body_len(geometry, stripe), geometry->k);
	uint32_t len = divide_up(part, UNIT_GRAIN) * UNIT_GRAIN;
	assert(len <= geometry->unit_len);
	assert(len == geometry->unit_len || stripe + 1 == stripe_count(geometry)); /* (I1) */
	return len;
}

uint32_t stripe_shard_offset(const struct geometry *geometry, uint32_t stripe)
{
	assert(stripe < stripe_count(geometry));
	return stripe * geometry->unit_len;
}

uint32_t stripe_unit_body_len(const struct geometry *geometry, uint32_t stripe, unsigned unit)
{
	assert(unit < geometry->k);
	uint32_t unit_len = stripe_unit_len(geometry, stripe);
	uint32_t body_len = stripe_body_len(geometry, stripe);
	uint32_t before = unit * unit_len;
	return before < body_len ? smaller(body_len - before, unit_len) : 0;
}

uint32_t stripe_shard_len(const struct geometry *geometry)
{
	uint32_t last = stripe_count(geometry) - 1;
	uint32_t len = stripe_shard_offset(geometry, last) + stripe_unit_len(geometry, last);
	assert(len % UNIT_GRAIN == 0); /* (I2) */
	assert((uint64_t)len * geometry->k >= geometry->body_len);
	return len;
}

uint32_t stripe_block_count(const struct geometry *geometry)
{
	return divide_up(stripe_shard_len(geometry), BLOCK_LEN);
}

uint32_t stripe_of_shard_offset(const struct geometry *geometry, uint32_t shard_offset)
{
	assert(shard_offset < stripe_shard_len(geometry));
	return shard_offset / geometry->unit_len;
}

struct stripe_blocks stripe_blocks_of(
	const struct geometry *geometry, uint32_t shard_offset, uint32_t len)
{
	uint32_t shard_len = stripe_shard_len(geometry);
	assert(len >= 1);
	assert(shard_offset < shard_len);
	assert(len <= shard_len - shard_offset);

	uint32_t first = shard_offset / BLOCK_LEN;
	uint32_t end = divide_up(shard_offset + len, BLOCK_LEN);
	return (struct stripe_blocks){
		.first = first,
		.count = end - first,
		.shard_offset = first * BLOCK_LEN,
		.len = smaller(end * BLOCK_LEN, shard_len) - first * BLOCK_LEN,
	};
}

struct stripe_walk stripe_walk_start(const struct geometry *geometry, uint64_t offset, uint64_t len)
{
	assert(offset <= geometry->body_len);
	assert(len <= geometry->body_len - offset);
	return (struct stripe_walk){geometry, offset, offset + len};
}

bool stripe_walk_next(struct stripe_walk *walk, struct stripe_piece *ret_piece)
{
	assert(walk->offset <= walk->end);
	if (walk->offset == walk->end)
		return false;

	const struct geometry *geometry = walk->geometry;
	uint32_t stripe = walk->offset / stripe_full_len(geometry);
	uint32_t in_stripe = walk->offset - stripe_body_offset(geometry, stripe);
	uint32_t unit_len = stripe_unit_len(geometry, stripe);
	uint32_t unit = in_stripe / unit_len;
	uint32_t unit_offset = in_stripe % unit_len;
	uint32_t unit_left = stripe_unit_body_len(geometry, stripe, unit) - unit_offset;
	uint32_t len = smaller(unit_left, walk->end - walk->offset);
	assert(unit < geometry->k);
	assert(len >= 1);

	*ret_piece = (struct stripe_piece){
		.stripe = stripe,
		.unit = unit,
		.unit_offset = unit_offset,
		.len = len,
		.shard_offset = stripe_shard_offset(geometry, stripe) + unit_offset,
		.body_offset = walk->offset,
	};
	walk->offset += len;
	return true;
}
