/* SPDX-License-Identifier: Apache-2.0 */
#include "erasure/code.h"

#include <isa-l.h>
#include <limits.h>
#include <string.h>

#include "erasure/checksum.h"

/* What the XOR and P+Q kernels of the library ask of pointers and lengths. What does not fit goes
 * to the general encoder, which gives the same bytes. */
enum { KERNEL_ALIGN = 32 };

static uint32_t mask_of_units(unsigned count)
{
	assert(count <= CODE_UNITS_MAX);
	return (UINT32_C(1) << count) - 1;
}

static enum code_kind choose_kind(unsigned k, unsigned m)
{
	if (m == 0)
		return CODE_PLAIN;
	if (k == 1)
		return CODE_COPY;
	if (m == 1)
		return CODE_XOR;
	return m == 2 ? CODE_PQ : CODE_GENERAL;
}

void code_init(struct code *code, unsigned k, unsigned m)
{
	assert(code_is_supported(k, m));
	memset(code, 0, sizeof *code);
	code->kind = choose_kind(k, m);
	code->k = k;
	code->m = m;

	uint8_t base = 1; /* 2^r */
	for (unsigned r = 0; r < m; r++) {
		uint8_t power = 1; /* 2^(r*c) */
		for (unsigned c = 0; c < k; c++) {
			code->matrix[r * k + c] = power;
			power = gf_mul(power, base);
		}
		base = gf_mul(base, 2);
	}
	if (m > 0)
		ec_init_tables(k, m, code->matrix, code->tables);
}

static bool is_aligned(void *const pointers[], unsigned count)
{
	uintptr_t bits = 0;
	for (unsigned i = 0; i < count; i++)
		bits |= (uintptr_t)pointers[i];
	return bits % KERNEL_ALIGN == 0;
}

/* The part of len that a kernel can do: none if a pointer is not aligned. */
static size_t kernel_len(void *const pointers[], unsigned count, size_t len)
{
	return is_aligned(pointers, count) ? len - len % KERNEL_ALIGN : 0;
}

/* Computes as many bytes of the sum of the first count - 1 buffers into the last one as the kernel
 * can do, and returns how many these are. */
static size_t xor_buffers(void *buffers[], unsigned count, size_t len)
{
	size_t done = kernel_len(buffers, count, len);
	if (done > 0 && xor_gen(count, done, buffers) != 0)
		return 0;
	return done;
}

/* Likewise P and Q of the first count - 2 buffers into the last two. */
static size_t pq_buffers(void *buffers[], unsigned count, size_t len)
{
	size_t done = kernel_len(buffers, count, len);
	if (done > 0 && pq_gen(count, done, buffers) != 0)
		return 0;
	return done;
}

/* Computes target_count targets from k sources, both in buffers, by tables. */
static void multiply_buffers(const uint8_t *tables, void *buffers[], unsigned k,
	unsigned target_count, size_t offset, size_t len)
{
	uint8_t *at[CODE_UNITS_MAX];
	for (unsigned i = 0; i < k + target_count; i++)
		at[i] = (uint8_t *)buffers[i] + offset;
	ec_encode_data(len - offset, k, target_count, (uint8_t *)tables, at, at + k);
}

static void encode(const struct code *code, uint8_t *const units[], size_t offset, size_t len)
{
	unsigned count = code->k + code->m;
	void *buffers[CODE_UNITS_MAX];
	for (unsigned i = 0; i < count; i++)
		buffers[i] = units[i] + offset;

	size_t done = 0;
	switch (code->kind) {
	case CODE_PLAIN:
		return;
	case CODE_COPY:
		for (unsigned i = 1; i < count; i++)
			memcpy(buffers[i], buffers[0], len);
		return;
	case CODE_XOR:
		done = xor_buffers(buffers, count, len);
		break;
	case CODE_PQ:
		done = pq_buffers(buffers, count, len);
		break;
	case CODE_GENERAL:
		break;
	}
	if (done < len)
		multiply_buffers(code->tables, buffers, code->k, code->m, done, len);
}

void code_encode(const struct code *code, uint8_t *const units[], size_t unit_len)
{
	assert(code_is_supported(code->k, code->m));
	assert(unit_len <= INT_MAX);
	if (unit_len > 0)
		encode(code, units, 0, unit_len);
}

/* A tile is one block of every unit: 20 blocks at most, 320 KiB, which fits the second-level cache
 * of every processor that we aim at. The encoder goes first, since it reads k runs of memory at
 * once and waits less than the checksums, which read one; they find all in the cache. */
void code_encode_with_checksums(const struct code *code, uint8_t *const units[], size_t unit_len,
	const uint64_t seeds[], uint64_t first_block, uint64_t *const ret_sums[])
{
	assert(code_is_supported(code->k, code->m));
	assert(unit_len <= INT_MAX);
	unsigned count = code->k + code->m;
	for (size_t block = 0; block < checksum_block_count(unit_len); block++) {
		size_t offset = block * BLOCK_LEN;
		size_t len = unit_len - offset < BLOCK_LEN ? unit_len - offset : BLOCK_LEN;
		encode(code, units, offset, len);
		for (unsigned i = 0; i < count; i++) {
			uint64_t seed = seeds[i] + first_block + block;
			ret_sums[i][block] = checksum(units[i] + offset, len, seed);
		}
	}
}

/* --- decoding ----------------------------------------------------------------------------------
 */

/* Row `unit` of the generator: what the unit is in terms of the data units. */
static void generator_row(const struct code *code, unsigned unit, uint8_t *ret_row)
{
	if (unit >= code->k) {
		memcpy(ret_row, code->matrix + (unit - code->k) * code->k, code->k);
		return;
	}
	memset(ret_row, 0, code->k);
	ret_row[unit] = 1;
}

/* Writes the units of a mask, ascending, at most max of them; returns their number. */
static unsigned list_units(uint32_t mask, unsigned max, uint8_t *ret_units)
{
	unsigned count = 0;
	for (; mask != 0 && count < max; mask &= mask - 1)
		ret_units[count++] = __builtin_ctz(mask);
	return count;
}

/* The data units in terms of the sources: the inverse of the sources in terms of the data. */
static void invert_sources(const struct code *code, const uint8_t *sources, uint8_t *ret_inverse)
{
	uint8_t rows[CODE_DATA_MAX * CODE_DATA_MAX];
	for (unsigned i = 0; i < code->k; i++)
		generator_row(code, sources[i], rows + i * code->k);
	int singular = gf_invert_matrix(rows, ret_inverse, code->k);
	assert(!singular); /* (I2) */
}

/* A unit in terms of the sources: its generator row times the inverse. */
static void target_row(
	const struct code *code, unsigned target, const uint8_t *inverse, uint8_t *ret_row)
{
	uint8_t row[CODE_DATA_MAX];
	generator_row(code, target, row);
	for (unsigned c = 0; c < code->k; c++) {
		uint8_t sum = 0;
		for (unsigned i = 0; i < code->k; i++)
			sum ^= gf_mul(row[i], inverse[i * code->k + c]);
		ret_row[c] = sum;
	}
}

static bool is_all_ones(const uint8_t *row, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (row[i] != 1)
			return false;
	}
	return true;
}

static void prepare_decoder(
	struct code_decoder *decoder, const struct code *code, uint32_t present, uint32_t wanted)
{
	unsigned k = code->k;
	unsigned source_count = list_units(present, k, decoder->sources);
	unsigned target_count = list_units(wanted & ~present, CODE_PARITY_MAX, decoder->targets);
	assert(source_count == k);
	assert(target_count >= 1);

	uint8_t inverse[CODE_DATA_MAX * CODE_DATA_MAX];
	uint8_t rows[CODE_PARITY_MAX * CODE_DATA_MAX];
	invert_sources(code, decoder->sources, inverse);
	for (unsigned i = 0; i < target_count; i++)
		target_row(code, decoder->targets[i], inverse, rows + i * k);
	ec_init_tables(k, target_count, rows, decoder->tables);

	decoder->is_xor = target_count == 1 && is_all_ones(rows, k);
	decoder->target_count = target_count;
	decoder->present = present;
	decoder->wanted = wanted;
	decoder->k = k;
}

static bool is_prepared(const struct code_decoder *decoder, const struct code *code,
	uint32_t present, uint32_t wanted)
{
	return decoder->k == code->k && decoder->present == present && decoder->wanted == wanted;
}

static void decode(const struct code_decoder *decoder, uint8_t *const units[], size_t len)
{
	unsigned k = decoder->k;
	unsigned target_count = decoder->target_count;
	void *buffers[CODE_UNITS_MAX];
	for (unsigned i = 0; i < k; i++)
		buffers[i] = units[decoder->sources[i]];
	for (unsigned i = 0; i < target_count; i++)
		buffers[k + i] = units[decoder->targets[i]];

	if (k == 1) {
		for (unsigned i = 0; i < target_count; i++)
			memcpy(buffers[k + i], buffers[0], len);
		return;
	}
	size_t done = decoder->is_xor ? xor_buffers(buffers, k + 1, len) : 0;
	if (done < len)
		multiply_buffers(decoder->tables, buffers, k, target_count, done, len);
}

bool code_decode(const struct code *code, struct code_decoder *decoder, uint8_t *const units[],
	uint32_t present, uint32_t wanted, size_t unit_len)
{
	uint32_t all = mask_of_units(code->k + code->m);
	assert(((present | wanted) & ~all) == 0);
	assert(unit_len <= INT_MAX);

	if (__builtin_popcount(present) < code->k)
		return false;
	if ((wanted & ~present) == 0 || unit_len == 0)
		return true;
	if (!is_prepared(decoder, code, present, wanted))
		prepare_decoder(decoder, code, present, wanted);
	decode(decoder, units, unit_len);
	return true;
}
