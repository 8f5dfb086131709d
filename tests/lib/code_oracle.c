/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/code_oracle.h"

#include <stdlib.h>
#include <sys/mman.h>

uint8_t oracle_multiply(uint8_t a, uint8_t b)
{
	unsigned product = 0;
	for (int bit = 0; bit < 8; bit++) {
		if (b >> bit & 1)
			product ^= (unsigned)a << bit;
	}
	for (int bit = 14; bit >= 8; bit--) {
		if (product >> bit & 1)
			product ^= 0x11du << (bit - 8);
	}
	return product;
}

uint8_t oracle_coefficient(unsigned r, unsigned c)
{
	unsigned power = 1;
	for (unsigned i = 0; i < r * c; i++)
		power = power << 1 ^ (power >> 7) * 0x11d;
	return power;
}

uint8_t oracle_parity(uint8_t *const units[], unsigned k, unsigned r, size_t at)
{
	uint8_t sum = 0;
	for (unsigned c = 0; c < k; c++)
		sum ^= oracle_multiply(oracle_coefficient(r, c), units[c][at]);
	return sum;
}

static uint8_t invert(uint8_t a)
{
	for (unsigned b = 1; b < 256; b++) {
		if (oracle_multiply(a, b) == 1)
			return b;
	}
	abort();
}

/* Adds row `from`, scaled so that its first set column c is cleared there, to row `to`. */
static void clear_column(uint8_t *from, uint8_t *to, unsigned columns, unsigned c)
{
	uint8_t factor = oracle_multiply(to[c], invert(from[c]));
	for (unsigned i = 0; i < columns; i++)
		to[i] ^= oracle_multiply(factor, from[i]);
}

static void swap_rows(uint8_t *a, uint8_t *b, unsigned columns)
{
	for (unsigned i = 0; i < columns; i++) {
		uint8_t kept = a[i];
		a[i] = b[i];
		b[i] = kept;
	}
}

unsigned oracle_rank(uint8_t *matrix, unsigned rows, unsigned columns)
{
	unsigned rank = 0;
	for (unsigned c = 0; c < columns && rank < rows; c++) {
		unsigned pivot = rank;
		while (pivot < rows && matrix[pivot * columns + c] == 0)
			pivot++;
		if (pivot == rows)
			continue;
		swap_rows(matrix + pivot * columns, matrix + rank * columns, columns);
		for (unsigned r = rank + 1; r < rows; r++)
			clear_column(matrix + rank * columns, matrix + r * columns, columns, c);
		rank++;
	}
	return rank;
}

enum { PAGE = 65536 }; /* no page is larger */

static size_t mapped_len(size_t len)
{
	return (len + PAGE - 1) / PAGE * PAGE;
}

uint8_t *oracle_map(size_t len)
{
	size_t mapped = mapped_len(len);
	uint8_t *start = mmap(
		NULL, mapped + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED || mprotect(start + mapped, PAGE, PROT_NONE) != 0)
		abort();
	return start + mapped - len;
}

void oracle_unmap(uint8_t *memory, size_t len)
{
	size_t mapped = mapped_len(len);
	munmap(memory + len - mapped, mapped + PAGE);
}
