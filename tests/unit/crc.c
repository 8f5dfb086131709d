/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/crc.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/bytes.h"
#include "tests/lib/test.h"

static const struct crc_kernel *kernels;
static size_t kernel_count;

static const uint64_t polys[CRC_KIND_COUNT] = {0xedb88320, 0x82f63b78, 0x9a6c9329ac4bc9b5};
static const uint64_t masks[CRC_KIND_COUNT] = {UINT32_MAX, UINT32_MAX, UINT64_MAX};

/* The definition, bit by bit. */
static uint64_t slow_crc(enum crc_kind kind, uint64_t crc, const uint8_t *data, size_t len)
{
	crc ^= masks[kind];
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? polys[kind] : 0);
	}
	return crc ^ masks[kind];
}

START_TEST(the_check_values_of_the_catalogue_hold)
{
	ck_assert_uint_eq(crc_update(CRC_32, 0, "123456789", 9), 0xcbf43926);
	ck_assert_uint_eq(crc_update(CRC_32C, 0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc_update(CRC_64NVME, 0, "123456789", 9), 0xae8b14860a799888);
}
END_TEST

START_TEST(every_length_gives_what_the_definition_gives)
{
	const struct crc_kernel *kernel = &kernels[_i];
	uint8_t data[1500];
	uint64_t random = 7;
	if (!kernel->is_available())
		return;
	test_random_fill(&random, data, sizeof data);
	for (enum crc_kind kind = 0; kind < CRC_KIND_COUNT; kind++) {
		uint64_t start = test_random(&random) & masks[kind];
		for (size_t len = 0; len <= 1400; len += len < 600 ? 1 : 13) {
			const uint8_t *from = data + test_random(&random) % 64;
			ck_assert_msg(crc_update_with(kernel, kind, start, from, len) ==
					slow_crc(kind, start, from, len),
				"%s, kind %d, length %zu", kernel->name, kind, len);
		}
	}
}
END_TEST

START_TEST(a_long_buffer_gives_the_same_in_one_piece_and_in_many)
{
	const struct crc_kernel *kernel = &kernels[_i];
	static uint8_t data[300000];
	uint64_t random = 8;
	if (!kernel->is_available())
		return;
	test_random_fill(&random, data, sizeof data);
	for (enum crc_kind kind = 0; kind < CRC_KIND_COUNT; kind++) {
		uint64_t crc = 0;
		for (size_t offset = 0; offset < sizeof data;) {
			size_t len = test_random(&random) % 20000;
			if (len > sizeof data - offset)
				len = sizeof data - offset;
			crc = crc_update_with(kernel, kind, crc, data + offset, len);
			offset += len;
		}
		ck_assert_uint_eq(crc, crc_update_with(kernel, kind, 0, data, sizeof data));
		ck_assert_uint_eq(crc, slow_crc(kind, 0, data, sizeof data));
	}
}
END_TEST

START_TEST(nothing_is_read_beyond_the_buffer)
{
	const struct crc_kernel *kernel = &kernels[_i];
	if (!kernel->is_available())
		return;
	size_t page_len = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *page = mmap(
		NULL, 3 * page_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	ck_assert_int_eq(mprotect(page, page_len, PROT_NONE), 0);
	ck_assert_int_eq(mprotect(page + 2 * page_len, page_len, PROT_NONE), 0);
	uint64_t random = 9;
	page += page_len;
	test_random_fill(&random, page, page_len);
	for (enum crc_kind kind = 0; kind < CRC_KIND_COUNT; kind++)
		for (size_t len = 0; len <= 700; len++) {
			const uint8_t *last = page + page_len - len;
			ck_assert_uint_eq(crc_update_with(kernel, kind, 0, last, len),
				slow_crc(kind, 0, last, len));
			ck_assert_uint_eq(crc_update_with(kernel, kind, 0, page, len),
				slow_crc(kind, 0, page, len));
		}
	munmap(page - page_len, 3 * page_len);
}
END_TEST

START_TEST(combining_two_crcs_gives_that_of_the_whole)
{
	uint8_t data[5000];
	uint64_t random = 10;
	test_random_fill(&random, data, sizeof data);
	for (enum crc_kind kind = 0; kind < CRC_KIND_COUNT; kind++)
		for (int i = 0; i < 300; i++) {
			size_t len = test_random(&random) % (sizeof data + 1);
			size_t a_len = len > 0 ? test_random(&random) % (len + 1) : 0;
			uint64_t a = crc_update(kind, 0, data, a_len);
			uint64_t b = crc_update(kind, 0, data + a_len, len - a_len);
			ck_assert_uint_eq(crc_combine(kind, a, b, len - a_len),
				crc_update(kind, 0, data, len));
		}
}
END_TEST

START_TEST(combining_is_associative_for_lengths_no_buffer_has)
{
	uint64_t random = 11;
	for (enum crc_kind kind = 0; kind < CRC_KIND_COUNT; kind++)
		for (int i = 0; i < 200; i++) {
			uint64_t a = test_random(&random) & masks[kind];
			uint64_t b = test_random(&random) & masks[kind];
			uint64_t c = test_random(&random) & masks[kind];
			uint64_t b_len = test_random(&random) >> 2,
				 c_len = test_random(&random) >> 2;
			uint64_t ab = crc_combine(kind, a, b, b_len);
			uint64_t bc = crc_combine(kind, b, c, c_len);
			ck_assert_uint_eq(crc_combine(kind, ab, c, c_len),
				crc_combine(kind, a, bc, b_len + c_len));
		}
}
END_TEST

int main(void)
{
	kernels = crc_list(&kernel_count);
	for (size_t i = 0; i < kernel_count; i++)
		printf("%s: %s\n", kernels[i].name,
			kernels[i].is_available() ? "tested" : "not on this machine");

	Suite *suite = suite_create("crc");
	TCase *tc = tcase_create("crc");
	int count = (int)kernel_count;
	tcase_add_test(tc, the_check_values_of_the_catalogue_hold);
	tcase_add_loop_test(tc, every_length_gives_what_the_definition_gives, 0, count);
	tcase_add_loop_test(tc, a_long_buffer_gives_the_same_in_one_piece_and_in_many, 0, count);
	tcase_add_loop_test(tc, nothing_is_read_beyond_the_buffer, 0, count);
	tcase_add_test(tc, combining_two_crcs_gives_that_of_the_whole);
	tcase_add_test(tc, combining_is_associative_for_lengths_no_buffer_has);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
