/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gateway/digest/blocks.h"
#include "gateway/digest/digest.h"
#include "gateway/digest/hash_lanes.h"
#include "gateway/digest/hex.h"
#include "storage/bytes.h"
#include "tests/lib/test.h"

enum { RUNS_MAX = 40, BLOCKS_MAX = 40 };

static const struct hash_kernel *kernels;
static size_t kernel_count;

START_TEST(the_vectors_of_rfc_1321_hold)
{
	static const struct {
		const char *message, *digest;
	} vectors[] = {
		{"", "d41d8cd98f00b204e9800998ecf8427e"},
		{"a", "0cc175b9c0f1b6a831c399e269772661"},
		{"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
		{"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
			"57edf4a22be3c955ac49da2e2107b67a"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
		uint8_t digest[MD5_LEN];
		char text[2 * MD5_LEN + 1];
		digest_md5(vectors[i].message, strlen(vectors[i].message), digest);
		hex_encode(digest, sizeof digest, text);
		ck_assert_str_eq(text, vectors[i].digest);
	}
}
END_TEST

START_TEST(every_lane_count_and_length_gives_what_openssl_gives)
{
	const struct hash_kernel *kernel = &kernels[_i];
	static uint8_t data[RUNS_MAX][BLOCKS_MAX * HASH_BLOCK_LEN + 64];
	if (!kernel->is_available())
		return;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint64_t random = seed;
		struct hash_run runs[RUNS_MAX];
		uint32_t got[RUNS_MAX][MD5_WORDS], want[RUNS_MAX][MD5_WORDS];
		size_t run_count = seed <= RUNS_MAX ? seed : test_random(&random) % RUNS_MAX;
		test_random_fill(&random, data, sizeof data);
		for (size_t i = 0; i < run_count; i++) {
			const uint8_t *start = data[i] + test_random(&random) % 64;
			size_t block_count = test_random(&random) % (BLOCKS_MAX + 1);
			test_random_fill(&random, want[i], sizeof want[i]);
			memcpy(got[i], want[i], sizeof got[i]);
			runs[i] = (struct hash_run){got[i], start, block_count};
			blocks_md5(want[i], start, block_count);
		}
		hash_lanes_run(kernel, runs, run_count);
		for (size_t i = 0; i < run_count; i++)
			ck_assert_msg(memcmp(got[i], want[i], sizeof got[i]) == 0,
				"%s, seed %d, run %zu of %zu", kernel->name, (int)seed, i,
				run_count);
	}
}
END_TEST

START_TEST(no_lane_reads_beyond_its_blocks)
{
	const struct hash_kernel *kernel = &kernels[_i];
	if (!kernel->is_available())
		return;
	size_t page_len = (size_t)sysconf(_SC_PAGESIZE);
	struct hash_run runs[HASH_LANES_MAX];
	uint32_t got[HASH_LANES_MAX][MD5_WORDS], want[HASH_LANES_MAX][MD5_WORDS];
	uint8_t *pages[HASH_LANES_MAX];
	uint64_t random = 1;
	for (size_t i = 0; i < HASH_LANES_MAX; i++) {
		pages[i] = mmap(NULL, 2 * page_len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ck_assert_ptr_ne(pages[i], MAP_FAILED);
		ck_assert_int_eq(mprotect(pages[i] + page_len, page_len, PROT_NONE), 0);
		size_t block_count = 1 + i % 3;
		uint8_t *start = pages[i] + page_len - block_count * HASH_BLOCK_LEN;
		test_random_fill(&random, start, block_count * HASH_BLOCK_LEN);
		blocks_init_md5(got[i]);
		blocks_init_md5(want[i]);
		blocks_md5(want[i], start, block_count);
		runs[i] = (struct hash_run){got[i], start, block_count};
	}
	hash_lanes_run(kernel, runs, HASH_LANES_MAX);
	ck_assert_mem_eq(got, want, sizeof got);
	for (size_t i = 0; i < HASH_LANES_MAX; i++)
		munmap(pages[i], 2 * page_len);
}
END_TEST

START_TEST(the_chosen_kernel_is_the_first_available)
{
	const struct hash_kernel *chosen = hash_lanes_choose_md5();
	ck_assert(chosen->is_available());
	for (const struct hash_kernel *kernel = kernels; kernel < chosen; kernel++)
		ck_assert(!kernel->is_available());
	ck_assert(kernels[kernel_count - 1].is_available());
}
END_TEST

int main(void)
{
	kernels = hash_lanes_list_md5(&kernel_count);
	for (size_t i = 0; i < kernel_count; i++)
		printf("%s: %s\n", kernels[i].name,
			kernels[i].is_available() ? "tested" : "not on this machine");

	Suite *suite = suite_create("md5");
	TCase *tc = tcase_create("md5");
	tcase_add_test(tc, the_vectors_of_rfc_1321_hold);
	tcase_add_loop_test(
		tc, every_lane_count_and_length_gives_what_openssl_gives, 0, (int)kernel_count);
	tcase_add_loop_test(tc, no_lane_reads_beyond_its_blocks, 0, (int)kernel_count);
	tcase_add_test(tc, the_chosen_kernel_is_the_first_available);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
