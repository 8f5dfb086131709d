/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CODE_ORACLE_H
#define TESTS_LIB_CODE_ORACLE_H

#include <stddef.h>
#include <stdint.h>

/* The code of erasure/code.h once more, from its definition, slow and without a library. */

/* The product in GF(2^8) with the polynomial 0x11d, bit by bit. */
uint8_t oracle_multiply(uint8_t a, uint8_t b);

/* The coefficient of data unit c in parity r: 2^(r*c). */
uint8_t oracle_coefficient(unsigned r, unsigned c);

/* Byte `at` of parity r of the k data units. */
uint8_t oracle_parity(uint8_t *const units[], unsigned k, unsigned r, size_t at);

/* The rank of a matrix of rows times columns, which is destroyed. */
unsigned oracle_rank(uint8_t *matrix, unsigned rows, unsigned columns);

/* Memory that ends where the address space does: the byte after the last one faults. */
uint8_t *oracle_map(size_t len);
void oracle_unmap(uint8_t *memory, size_t len);

#endif
