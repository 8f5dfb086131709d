/* SPDX-License-Identifier: Apache-2.0 */
/* AES-128-GCM, 16 blocks at a time in four vectors of four.
 *
 * Encryption is a counter mode: block i of the text is xor-ed with the cipher of nonce and i + 2;
 * that of 1 hides the tag. The tag is a polynomial over GF(2^128), evaluated at H, the cipher of
 * zero: clear, the ciphertext, and their lengths are its coefficients.
 *
 * (V1) Bits: GCM counts the bits of a block from the other end. Blocks are turned byte by byte,
 *      which leaves each product one bit short of its place; so powers of H are kept multiplied by
 *      x once more, and every multiplication is by such a power.
 * (V2) A product has 256 bits in three parts (low, middle, high). The parts of up to 16 products
 *      are added before they are reduced, once, by x^128 + x^127 + x^126 + x^121 + 1.
 * (V3) n coefficients are multiplied by the powers n to 1, so a shorter run begins later in the
 *      table, and what was summed before is added to the first of them.
 */
#if defined(__x86_64__)
#include <immintrin.h>

#include "server/aes_gcm.h"

#define VAES \
	__attribute__((target( \
		"aes,pclmul,ssse3,sse4.1,avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq")))

enum { BLOCK_LEN = 16, VECTOR_LEN = 64, BATCH_BLOCKS = 16, BATCH_LEN = 256, ROUNDS = 10 };

bool aes_gcm_is_available(void)
{
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("vaes") &&
		__builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512dq");
}

/* --- the hash --------------------------------------------------------------------------------- */

VAES static inline __m128i turn(__m128i block)
{
	return _mm_shuffle_epi8(
		block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

VAES static inline __m512i turn_each(__m512i blocks)
{
	const __m128i order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(order));
}

/* Sums of products, not reduced (V2). */
struct sums {
	__m512i low, middle, high;
};

VAES static inline void add_products(struct sums *sums, __m512i blocks, __m512i powers)
{
	__m512i low = _mm512_clmulepi64_epi128(blocks, powers, 0x00);
	__m512i middle = _mm512_clmulepi64_epi128(blocks, powers, 0x01);
	__m512i middle2 = _mm512_clmulepi64_epi128(blocks, powers, 0x10);
	__m512i high = _mm512_clmulepi64_epi128(blocks, powers, 0x11);
	sums->low = _mm512_xor_si512(sums->low, low);
	sums->middle = _mm512_ternarylogic_epi64(sums->middle, middle, middle2, 0x96);
	sums->high = _mm512_xor_si512(sums->high, high);
}

/* The four sums of a vector, each reduced, then added. */
VAES static inline __m128i reduce(const struct sums *sums)
{
	const __m512i poly = _mm512_set1_epi64((long long)0xc200000000000000);
	__m512i t = _mm512_clmulepi64_epi128(poly, sums->low, 0x00);
	__m512i middle = _mm512_ternarylogic_epi64(
		sums->middle, _mm512_shuffle_epi32(sums->low, 0x4e), t, 0x96);
	t = _mm512_clmulepi64_epi128(poly, middle, 0x00);
	__m512i high = _mm512_ternarylogic_epi64(
		sums->high, _mm512_shuffle_epi32(middle, 0x4e), t, 0x96);
	__m256i half = _mm256_xor_si256(
		_mm512_castsi512_si256(high), _mm512_extracti64x4_epi64(high, 1));
	return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

VAES static inline __m128i multiply(__m128i block, __m128i power)
{
	struct sums sums = {0};
	add_products(&sums, _mm512_zextsi128_si512(block), _mm512_zextsi128_si512(power));
	return reduce(&sums);
}

/* By x (V1). */
VAES static inline __m128i shift(__m128i h)
{
	__m128i carries = _mm_srli_epi64(h, 63);
	__m128i is_high = _mm_sub_epi64(_mm_setzero_si128(), _mm_unpackhi_epi64(carries, carries));
	__m128i shifted = _mm_or_si128(_mm_slli_epi64(h, 1), _mm_slli_si128(carries, 8));
	const __m128i poly = _mm_set_epi64x((long long)0xc200000000000000, 1);
	return _mm_xor_si128(shifted, _mm_and_si128(is_high, poly));
}

/* Adds count coefficients, whole blocks at data, to what was summed before (V3). Reads whole
 * vectors; what is behind the blocks does not count. */
VAES static inline __m128i hash(
	const struct aes_gcm *gcm, __m128i sum, const uint8_t *data, unsigned count)
{
	assert(count > 0 && count <= BATCH_BLOCKS);
	struct sums sums = {0};
	__m512i first = _mm512_zextsi128_si512(sum);
	for (unsigned i = 0; i < count; i += 4) {
		unsigned width = count - i < 4 ? count - i : 4;
		__mmask8 mask = (1u << 2 * width) - 1;
		__m512i blocks = turn_each(_mm512_loadu_si512(data + (size_t)i * BLOCK_LEN));
		__m512i powers = _mm512_maskz_loadu_epi64(
			mask, gcm->powers[BATCH_BLOCKS - count + i]);
		add_products(&sums, _mm512_xor_si512(blocks, first), powers);
		first = _mm512_setzero_si512();
	}
	return reduce(&sums);
}

/* --- the cipher ------------------------------------------------------------------------------- */

VAES static inline __m128i encrypt_block(const struct aes_gcm *gcm, __m128i block)
{
	block = _mm_xor_si128(block, _mm_loadu_si128((const __m128i *)gcm->round_keys[0]));
	for (int i = 1; i < ROUNDS; i++)
		block = _mm_aesenc_si128(
			block, _mm_loadu_si128((const __m128i *)gcm->round_keys[i]));
	return _mm_aesenclast_si128(
		block, _mm_loadu_si128((const __m128i *)gcm->round_keys[ROUNDS]));
}

VAES static inline void load_keys(const struct aes_gcm *gcm, __m512i ret_keys[ROUNDS + 1])
{
#pragma GCC unroll 11
	for (int i = 0; i <= ROUNDS; i++)
		ret_keys[i] = _mm512_broadcast_i32x4(
			_mm_loadu_si128((const __m128i *)gcm->round_keys[i]));
}

/* What the next 16 blocks are xor-ed with. Counters are kept turned, so that they can be added to.
 */
VAES static inline void make_stream(
	const __m512i keys[ROUNDS + 1], __m512i *io_counters, __m512i ret_stream[4])
{
	const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, 4));
#pragma GCC unroll 4
	for (int j = 0; j < 4; j++) {
		ret_stream[j] = _mm512_xor_si512(turn_each(*io_counters), keys[0]);
		*io_counters = _mm512_add_epi32(*io_counters, four);
	}
#pragma GCC unroll 9
	for (int i = 1; i < ROUNDS; i++) {
#pragma GCC unroll 4
		for (int j = 0; j < 4; j++)
			ret_stream[j] = _mm512_aesenc_epi128(ret_stream[j], keys[i]);
	}
#pragma GCC unroll 4
	for (int j = 0; j < 4; j++)
		ret_stream[j] = _mm512_aesenclast_epi128(ret_stream[j], keys[ROUNDS]);
}

/* --- both ------------------------------------------------------------------------------------- */

/* 16 whole blocks: each is xor-ed with the stream, and the encrypted side of it hashed. */
VAES static inline __m128i take_batch(const struct aes_gcm *gcm, __m128i sum,
	const __m512i stream[4], const uint8_t *in, uint8_t *out, bool is_sealing)
{
	struct sums sums = {0};
	__m512i first = _mm512_zextsi128_si512(sum);
#pragma GCC unroll 4
	for (int j = 0; j < 4; j++) {
		__m512i before = _mm512_loadu_si512(in + (size_t)j * VECTOR_LEN);
		__m512i after = _mm512_xor_si512(before, stream[j]);
		_mm512_storeu_si512(out + (size_t)j * VECTOR_LEN, after);
		__m512i blocks = _mm512_xor_si512(turn_each(is_sealing ? after : before), first);
		add_products(&sums, blocks, _mm512_loadu_si512(gcm->powers[4 * j]));
		first = _mm512_setzero_si512();
	}
	return reduce(&sums);
}

/* The last bytes, less than 16 blocks, and the lengths behind them. */
VAES static inline __m128i take_rest(const struct aes_gcm *gcm, __m128i sum,
	const __m512i stream[4], const uint8_t *in, size_t len, uint8_t *out, bool is_sealing,
	__m128i lengths)
{
	_Alignas(VECTOR_LEN) uint8_t text[BATCH_LEN];
	unsigned count = (len + BLOCK_LEN - 1) / BLOCK_LEN;
#pragma GCC unroll 4
	for (int j = 0; j < 4; j++) {
		size_t at = (size_t)j * VECTOR_LEN, left = len > at ? len - at : 0;
		__mmask64 mask = left < VECTOR_LEN ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
		__m512i before = _mm512_maskz_loadu_epi8(mask, in + at);
		__m512i after = _mm512_xor_si512(before, stream[j]);
		_mm512_mask_storeu_epi8(out + at, mask, after);
		_mm512_store_si512(
			text + at, _mm512_maskz_mov_epi8(mask, is_sealing ? after : before));
	}
	if (count == BATCH_BLOCKS) {
		sum = hash(gcm, sum, text, count);
		count = 0;
	}
	_mm_store_si128((__m128i *)(text + (size_t)count * BLOCK_LEN), lengths);
	return hash(gcm, sum, text, count + 1);
}

VAES static inline void run(const struct aes_gcm *gcm, const uint8_t *nonce, struct bytes clear,
	const uint8_t *in, size_t len, uint8_t *out, uint8_t *ret_tag, bool is_sealing)
{
	assert(clear.len <= AES_GCM_CLEAR_LEN_MAX && len <= UINT32_MAX);
	_Alignas(BLOCK_LEN) uint8_t first[BLOCK_LEN] = {[BLOCK_LEN - 1] = 1};
	memcpy(first, nonce, AES_GCM_NONCE_LEN);
	__m128i counter = _mm_load_si128((const __m128i *)first);
	__m128i mask = encrypt_block(gcm, counter);
	__m512i counters = _mm512_add_epi32(_mm512_broadcast_i32x4(turn(counter)),
		_mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1));
	__m512i keys[ROUNDS + 1], stream[4];
	load_keys(gcm, keys);

	__m128i sum = _mm_setzero_si128();
	if (clear.len > 0) {
		_Alignas(VECTOR_LEN) uint8_t block[VECTOR_LEN] = {0};
		memcpy(block, clear.data, clear.len);
		sum = hash(gcm, sum, block, 1);
	}
	size_t at = 0;
	for (; len - at >= BATCH_LEN; at += BATCH_LEN) {
		make_stream(keys, &counters, stream);
		sum = take_batch(gcm, sum, stream, in + at, out + at, is_sealing);
	}
	make_stream(keys, &counters, stream);
	__m128i lengths = turn(_mm_set_epi64x((long long)clear.len * 8, (long long)len * 8));
	sum = take_rest(gcm, sum, stream, in + at, len - at, out + at, is_sealing, lengths);
	_mm_storeu_si128((__m128i *)ret_tag, _mm_xor_si128(turn(sum), mask));
}

VAES void aes_gcm_seal(const struct aes_gcm *gcm, const uint8_t nonce[AES_GCM_NONCE_LEN],
	struct bytes clear, const uint8_t *in, size_t len, uint8_t *out,
	uint8_t ret_tag[AES_GCM_TAG_LEN])
{
	run(gcm, nonce, clear, in, len, out, ret_tag, true);
}

VAES void aes_gcm_open(const struct aes_gcm *gcm, const uint8_t nonce[AES_GCM_NONCE_LEN],
	struct bytes clear, const uint8_t *in, size_t len, uint8_t *out,
	uint8_t ret_tag[AES_GCM_TAG_LEN])
{
	run(gcm, nonce, clear, in, len, out, ret_tag, false);
}

/* --- keys ------------------------------------------------------------------------------------- */

/* The next round key, with what the instruction made of the last. */
VAES static inline __m128i next_key(__m128i key, __m128i assist)
{
	key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
	key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
	return _mm_xor_si128(key, _mm_shuffle_epi32(assist, 0xff));
}

/* Its constant is part of the instruction. */
#define NEXT_KEY(i, constant) \
	keys[i] = next_key(keys[i - 1], _mm_aeskeygenassist_si128(keys[i - 1], constant))

VAES void aes_gcm_set_key(struct aes_gcm *gcm, const uint8_t key[AES_GCM_KEY_LEN])
{
	__m128i keys[ROUNDS + 1] = {_mm_loadu_si128((const __m128i *)key)};
	NEXT_KEY(1, 0x01);
	NEXT_KEY(2, 0x02);
	NEXT_KEY(3, 0x04);
	NEXT_KEY(4, 0x08);
	NEXT_KEY(5, 0x10);
	NEXT_KEY(6, 0x20);
	NEXT_KEY(7, 0x40);
	NEXT_KEY(8, 0x80);
	NEXT_KEY(9, 0x1b);
	NEXT_KEY(10, 0x36);
	for (int i = 0; i <= ROUNDS; i++)
		_mm_storeu_si128((__m128i *)gcm->round_keys[i], keys[i]);

	__m128i h = shift(turn(encrypt_block(gcm, _mm_setzero_si128())));
	__m128i power = h;
	for (int i = BATCH_BLOCKS - 1; i >= 0; i--) {
		_mm_storeu_si128((__m128i *)gcm->powers[i], power);
		power = multiply(power, h);
	}
}

#endif
