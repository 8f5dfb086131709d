/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ERASURE_CODE_H
#define ERASURE_CODE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code: m parity units computed from k data units, any k of the k + m give all of them back.
 *
 * Units 0 .. k-1 are the data as it is, units k .. k+m-1 the parity. Byte x of a parity unit
 * depends on byte x of the data units and on nothing else, so the same range of all units may be
 * coded alone. Bytes are elements of GF(2^8) with the polynomial 0x11d.
 *
 * (I1) Parity unit r is the sum over the data units c of 2^(r*c) times unit c. This is what lies on
 *      the drives: it never changes, whichever instructions or library compute it.
 * (I2) Each square part of that matrix, for k <= 16 and m <= 4, has an inverse. So any k units are
 *      enough. tests/unit/code.c goes through all of them.
 * (I3) Row 0 and column 0 are ones: the first parity is the plain XOR, and with k = 1 every parity
 *      is a copy. The parities of (k, m) are the first ones of (k, m + 1).
 *
 * Nothing here allocates, and no call keeps a pointer to a buffer. Buffers may have any alignment;
 * 32 bytes or more is faster. Two units of one call must not overlap. */

enum {
	CODE_DATA_MAX = 16,
	CODE_PARITY_MAX = 4,
	CODE_UNITS_MAX = CODE_DATA_MAX + CODE_PARITY_MAX,
	CODE_TABLE_LEN = 32, /* of the library, for one coefficient */
	CODE_TABLES_LEN = CODE_TABLE_LEN * CODE_DATA_MAX * CODE_PARITY_MAX,
};

/* How the parity is computed. All kinds that fit a (k, m) give the same bytes. */
enum code_kind {
	CODE_PLAIN, /* m = 0: there is none */
	CODE_COPY, /* k = 1: it is copied */
	CODE_XOR, /* m = 1 */
	CODE_PQ, /* m = 2: XOR, and multiplications by 2 only */
	CODE_GENERAL, /* tables; fits every (k, m) */
};

/* A code, ready for use; 2.1 KiB, embed it by value. It is not changed by use, so threads may share
 * it. The tables belong to this version of the library: never store or send them. */
struct code {
	enum code_kind kind;
	uint8_t k;
	uint8_t m;
	uint8_t matrix[CODE_DATA_MAX * CODE_PARITY_MAX]; /* m rows of k: the rule (I1) */
	uint8_t tables[CODE_TABLES_LEN];
};

/* How one pattern of missing units is decoded: what code_decode() keeps so that the next call with
 * the same pattern need not invert a matrix. 2.1 KiB, of the caller, for one thread at a time. All
 * zero is a decoder that has kept nothing yet. It may be used with several codes in turn. */
struct code_decoder {
	uint32_t present;
	uint32_t wanted;
	uint8_t k; /* 0: nothing is kept; m does not matter (I3) */
	bool is_xor; /* the one target is the XOR of the sources */
	uint8_t target_count;
	uint8_t targets[CODE_PARITY_MAX];
	uint8_t sources[CODE_DATA_MAX]; /* k of them */
	uint8_t tables[CODE_TABLES_LEN];
};

static_assert(sizeof(struct code) <= 2304, "a code is embedded in the structs of operations");
static_assert(sizeof(struct code_decoder) <= 2304, "and so is a decoder");

/* Is there a code with k data and m parity units? For numbers that come from outside. */
static inline bool code_is_supported(unsigned k, unsigned m)
{
	return k >= 1 && k <= CODE_DATA_MAX && m <= CODE_PARITY_MAX;
}

/* Prepares the code with k data units (1 to 16) and m parity units (0 to 4). */
void code_init(struct code *code, unsigned k, unsigned m);

/* Computes the parity. units has k + m pointers to unit_len bytes each, borrowed for the call: the
 * first k are read, the others written. unit_len may be any number below 2 GiB, 0 too. */
void code_encode(const struct code *code, uint8_t *const units[], size_t unit_len);

/* Computes the parity as code_encode() does and the block checksums of all k + m units, while a
 * block of each is in the cache.
 *
 * The units begin with block first_block of their shards. seeds has the seeds of the k + m shards;
 * ret_sums has k + m pointers, each with room for checksum_block_count(unit_len) numbers, which
 * become what checksum_blocks() computes. */
void code_encode_with_checksums(const struct code *code, uint8_t *const units[], size_t unit_len,
	const uint64_t seeds[], uint64_t first_block, uint64_t *const ret_sums[]);

/* Computes units that are missing, data or parity, from those that are there.
 *
 * Bit i of present says that unit i is there, bit i of wanted that it is to be computed; a unit
 * that is wanted and present is left as it is. At least k units must be present, else nothing is
 * done and the result is false. If there are more, data units are preferred and then the first
 * parities. units has k + m pointers, each to unit_len bytes; those neither used nor wanted are
 * not looked at and may be NULL. Borrows all for the call. */
bool code_decode(const struct code *code, struct code_decoder *decoder, uint8_t *const units[],
	uint32_t present, uint32_t wanted, size_t unit_len) __attribute__((warn_unused_result));

#endif
