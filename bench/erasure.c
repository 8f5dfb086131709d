/* SPDX-License-Identifier: Apache-2.0 */

/* How many bytes per second go through codes and checksums on one core?
 *
 * Prints `name value unit` lines. GB/s are billions of bytes of data, parity not counted, per
 * second of processor time: the best of several rounds. "cache" codes the same stripe again and
 * again, "memory" goes through more stripes than any cache holds. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "erasure/checksum.h"
#include "erasure/checksum_priv.h"
#include "erasure/code.h"

enum {
	CACHE_UNIT_LEN = 65536,
	MEMORY_UNIT_LEN = 262144,
	MEMORY_LEN = 192 << 20,
	ROUNDS = 5,
	ROUND_LEN = 128 << 20,
	SUMS_CAP = MEMORY_UNIT_LEN / BLOCK_LEN,
};

/* One thing to measure: `run` codes one stripe. */
struct subject {
	struct code code;
	struct code_decoder decoder;
	uint32_t lost;
	size_t unit_len;
	uint8_t *units[CODE_UNITS_MAX];
	uint64_t seeds[CODE_UNITS_MAX];
	uint64_t sums[CODE_UNITS_MAX][SUMS_CAP];
	uint64_t *ret_sums[CODE_UNITS_MAX];
	void (*run)(struct subject *subject);
};

static uint8_t *memory;
static volatile uint64_t sink; /* keeps the compiler from leaving out what nobody reads */

static double cpu_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static void run_encode(struct subject *s)
{
	code_encode(&s->code, s->units, s->unit_len);
}

static void run_fused(struct subject *s)
{
	code_encode_with_checksums(&s->code, s->units, s->unit_len, s->seeds, 0, s->ret_sums);
}

static void run_apart(struct subject *s)
{
	code_encode(&s->code, s->units, s->unit_len);
	for (unsigned i = 0; i < s->code.k + s->code.m; i++)
		checksum_blocks(s->units[i], s->unit_len, s->seeds[i], 0, s->sums[i]);
}

static void run_decode(struct subject *s)
{
	uint32_t present = ((1u << (s->code.k + s->code.m)) - 1) & ~s->lost;
	if (!code_decode(&s->code, &s->decoder, s->units, present, s->lost, s->unit_len))
		abort();
}

static void run_memcpy(struct subject *s)
{
	memcpy(s->units[1], s->units[0], s->unit_len);
	sink = s->units[1][0];
}

static void run_checksum(struct subject *s)
{
	checksum_blocks(s->units[0], s->unit_len, 1, 0, s->sums[0]);
	sink = s->sums[0][0];
}

static void run_checksum_baseline(struct subject *s)
{
	for (size_t offset = 0; offset < s->unit_len; offset += BLOCK_LEN)
		sink = checksum_baseline(s->units[0] + offset, BLOCK_LEN, 1);
}

static double measure(struct subject *s, size_t span)
{
	unsigned count = s->code.k + s->code.m;
	size_t stripe_len = count * s->unit_len;
	size_t stripes = span / stripe_len;
	size_t turns = ROUND_LEN / (s->code.k * s->unit_len);
	double best = 0;
	for (int round = 0; round < ROUNDS; round++) {
		double start = cpu_seconds();
		for (size_t turn = 0; turn < turns; turn++) {
			uint8_t *stripe = memory + turn % stripes * stripe_len;
			for (unsigned i = 0; i < count; i++)
				s->units[i] = stripe + i * s->unit_len;
			s->run(s);
		}
		double rate = (double)turns * s->code.k * s->unit_len / (cpu_seconds() - start);
		best = rate > best ? rate : best;
	}
	return best / 1e9;
}

static void report(const char *name, struct subject *s, void (*run)(struct subject *subject))
{
	s->run = run;
	s->unit_len = CACHE_UNIT_LEN;
	printf("%s_cache %.1f GB/s\n", name, measure(s, (s->code.k + s->code.m) * s->unit_len));
	s->unit_len = MEMORY_UNIT_LEN;
	printf("%s_memory %.1f GB/s\n", name, measure(s, MEMORY_LEN));
	fflush(stdout);
}

static void subject_init(struct subject *s, unsigned k, unsigned m)
{
	memset(s, 0, sizeof *s);
	code_init(&s->code, k, m);
	for (unsigned i = 0; i < k + m; i++) {
		s->seeds[i] = checksum(&i, sizeof i, 0);
		s->ret_sums[i] = s->sums[i];
	}
}

static void report_layout(unsigned k, unsigned m)
{
	static struct subject s;
	char name[64];
	subject_init(&s, k, m);
	snprintf(name, sizeof name, "encode_%u_%u", k, m);
	report(name, &s, run_encode);
	snprintf(name, sizeof name, "encode_checksum_apart_%u_%u", k, m);
	report(name, &s, run_apart);
	snprintf(name, sizeof name, "encode_checksum_fused_%u_%u", k, m);
	report(name, &s, run_fused);
	snprintf(name, sizeof name, "decode_1_data_%u_%u", k, m);
	s.lost = 1;
	report(name, &s, run_decode);
	snprintf(name, sizeof name, "decode_%u_data_%u_%u", m, k, m);
	s.lost = (1u << m) - 1;
	if (m > 1)
		report(name, &s, run_decode);
	snprintf(name, sizeof name, "encode_general_%u_%u", k, m);
	enum code_kind kind = s.code.kind;
	s.code.kind = CODE_GENERAL;
	if (kind != CODE_GENERAL)
		report(name, &s, run_encode);
}

int main(void)
{
	static struct subject s;
	memory = aligned_alloc(4096, MEMORY_LEN);
	if (!memory) {
		fprintf(stderr, "no memory\n");
		return 1;
	}
	for (size_t i = 0; i < MEMORY_LEN; i++)
		memory[i] = i * 31 + (i >> 9);

	subject_init(&s, 1, 1);
	report("memcpy", &s, run_memcpy);
	report("checksum", &s, run_checksum);
	report("checksum_baseline", &s, run_checksum_baseline);
	report_layout(2, 1);
	report_layout(2, 2);
	report_layout(4, 2);
	report_layout(8, 4);
	free(memory);
	return 0;
}
