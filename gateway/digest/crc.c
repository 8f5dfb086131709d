/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/crc.h"

#include <assert.h>
#include <pthread.h>

#include "storage/bytes.h"

/* Reflected means that bit 0 has the highest power. A 32-bit CRC is kept in the low half of 64
 * bits, and a constant to fold by in the high half, where both have the powers that the low half of
 * a remainder has: so one code serves both widths. */
static const struct {
	unsigned width;
	uint64_t poly;
} polys[CRC_KIND_COUNT] = {
	[CRC_32] = {32, 0xedb88320},
	[CRC_32C] = {32, 0x82f63b78},
	[CRC_64NVME] = {64, 0x9a6c9329ac4bc9b5},
};

/* Made once from the polynomials, by the first caller. */
static struct {
	uint64_t by_byte[8][256]; /* [n][b]: byte b followed by n zero bytes */
	struct crc_constants constants;
} made[CRC_KIND_COUNT];

static const struct crc_kernel *chosen;
static pthread_once_t made_once = PTHREAD_ONCE_INIT;

static uint64_t mask_of(enum crc_kind kind)
{
	return UINT64_MAX >> (64 - polys[kind].width);
}

/* v * x modulo the polynomial. */
static uint64_t times_x(enum crc_kind kind, uint64_t v)
{
	return (v >> 1) ^ (v & 1 ? polys[kind].poly : 0);
}

/* a * b modulo the polynomial. */
static uint64_t multiply(enum crc_kind kind, uint64_t a, uint64_t b)
{
	uint64_t product = 0;
	for (uint64_t bit = (uint64_t)1 << (polys[kind].width - 1); bit != 0; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = times_x(kind, b);
	}
	return product;
}

/* x^n modulo the polynomial. */
static uint64_t power_of_x(enum crc_kind kind, uint64_t n)
{
	uint64_t one = (uint64_t)1 << (polys[kind].width - 1);
	uint64_t power = one;
	for (uint64_t square = one >> 1; n != 0; n >>= 1) {
		if (n & 1)
			power = multiply(kind, power, square);
		square = multiply(kind, square, square);
	}
	return power;
}

static void make_fold(enum crc_kind kind, unsigned bit_count, uint64_t ret_fold[2])
{
	unsigned shift = 64 - polys[kind].width;
	ret_fold[0] = power_of_x(kind, bit_count + 63) << shift;
	ret_fold[1] = power_of_x(kind, bit_count - 1) << shift;
}

static void make_kind(enum crc_kind kind)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		uint64_t v = byte;
		for (unsigned n = 0; n < 8; n++) {
			for (unsigned bit = 0; bit < 8; bit++)
				v = times_x(kind, v);
			made[kind].by_byte[n][byte] = v;
		}
	}
	make_fold(kind, 2048, made[kind].constants.by_2048);
	make_fold(kind, 512, made[kind].constants.by_512);
	make_fold(kind, 128, made[kind].constants.by_128);
}

static void make_all(void)
{
	for (enum crc_kind kind = 0; kind < CRC_KIND_COUNT; kind++)
		make_kind(kind);

	size_t count;
	const struct crc_kernel *kernels = crc_list(&count);
	for (size_t i = 0; i < count && !chosen; i++)
		if (kernels[i].is_available())
			chosen = &kernels[i];
	assert(chosen);
}

/* By tables, 8 bytes at a time. */
static uint64_t take_bytes(enum crc_kind kind, uint64_t crc, const uint8_t *data, size_t len)
{
	const uint64_t(*t)[256] = made[kind].by_byte;
	for (; len >= 8; data += 8, len -= 8) {
		crc ^= get_le64(data);
		crc = t[7][crc & 0xff] ^ t[6][crc >> 8 & 0xff] ^ t[5][crc >> 16 & 0xff] ^
			t[4][crc >> 24 & 0xff] ^ t[3][crc >> 32 & 0xff] ^ t[2][crc >> 40 & 0xff] ^
			t[1][crc >> 48 & 0xff] ^ t[0][crc >> 56];
	}
	for (; len > 0; data++, len--)
		crc = t[0][(crc ^ *data) & 0xff] ^ crc >> 8;
	return crc;
}

static uint64_t update(const struct crc_kernel *kernel, enum crc_kind kind, uint64_t crc,
	const uint8_t *data, size_t len)
{
	crc ^= mask_of(kind);
	if (kernel->fold && len >= kernel->len_min) {
		uint8_t rest[16];
		size_t fold_len = len - len % sizeof rest;
		kernel->fold(&made[kind].constants, crc, data, fold_len, rest);
		crc = take_bytes(kind, 0, rest, sizeof rest);
		data += fold_len;
		len -= fold_len;
	}
	return take_bytes(kind, crc, data, len) ^ mask_of(kind);
}

uint64_t crc_update(enum crc_kind kind, uint64_t crc, const void *buf, size_t len)
{
	assert(kind < CRC_KIND_COUNT && (crc & ~mask_of(kind)) == 0);
	pthread_once(&made_once, make_all);
	return update(chosen, kind, crc, buf, len);
}

uint64_t crc_update_with(const struct crc_kernel *kernel, enum crc_kind kind, uint64_t crc,
	const void *buf, size_t len)
{
	assert(kind < CRC_KIND_COUNT && (crc & ~mask_of(kind)) == 0);
	pthread_once(&made_once, make_all);
	return update(kernel, kind, crc, buf, len);
}

uint64_t crc_combine(enum crc_kind kind, uint64_t crc_a, uint64_t crc_b, uint64_t b_len)
{
	assert(kind < CRC_KIND_COUNT);
	/* x^(8n) as (x^n)^8, because 8n may not fit. */
	uint64_t shift = power_of_x(kind, b_len);
	for (int i = 0; i < 3; i++)
		shift = multiply(kind, shift, shift);
	return multiply(kind, shift, crc_a) ^ crc_b;
}
