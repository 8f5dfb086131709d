/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>
#include <unistd.h>

#include "gateway/digest/blocks.h"
#include "gateway/digest/hash_lanes.h"
#include "tests/lib/test.h"

/* MD5 and SHA-256 of the same blocks at once, against OpenSSL's one after the other. */

enum { BLOCKS_MAX = 40 };

static const struct hash_twin_kernel *kernel;
static uint32_t md5[HASH_TWINS_MAX][MD5_WORDS], sha256[HASH_TWINS_MAX][SHA256_WORDS];
static uint32_t right_md5[HASH_TWINS_MAX][MD5_WORDS], right_sha256[HASH_TWINS_MAX][SHA256_WORDS];

/* Any state will do. */
static void fill_states(uint64_t *random)
{
	test_random_fill(random, md5, sizeof md5);
	test_random_fill(random, sha256, sizeof sha256);
	memcpy(right_md5, md5, sizeof md5);
	memcpy(right_sha256, sha256, sizeof sha256);
}

/* The states of those that did not take part are as they were. */
static void check_states(void)
{
	ck_assert_mem_eq(md5, right_md5, sizeof md5);
	ck_assert_mem_eq(sha256, right_sha256, sizeof sha256);
}

START_TEST(every_count_and_length_gives_what_openssl_gives)
{
	static uint8_t data[HASH_TWINS_MAX][BLOCKS_MAX * HASH_BLOCK_LEN + 64];
	unsigned count = _i;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		uint64_t random = seed;
		struct hash_twin_run runs[HASH_TWINS_MAX];
		size_t shortest = SIZE_MAX;
		test_random_fill(&random, data, sizeof data);
		fill_states(&random);
		for (unsigned i = 0; i < count; i++) {
			const uint8_t *start = data[i] + test_random(&random) % 64;
			size_t block_count = 1 + test_random(&random) % BLOCKS_MAX;
			if (block_count < shortest)
				shortest = block_count;
			runs[i] = (struct hash_twin_run){md5[i], sha256[i], start, block_count};
		}
		for (unsigned i = 0; i < count; i++) {
			blocks_md5(right_md5[i], runs[i].data, shortest);
			blocks_sha256(right_sha256[i], runs[i].data, shortest);
		}
		struct hash_twin_run before[HASH_TWINS_MAX];
		memcpy(before, runs, count * sizeof *runs);
		hash_lanes_run_twins(kernel, runs, count);
		check_states();
		for (unsigned i = 0; i < count; i++) {
			ck_assert_uint_eq(runs[i].block_count, before[i].block_count - shortest);
			ck_assert_ptr_eq(runs[i].data, before[i].data + shortest * HASH_BLOCK_LEN);
		}
	}
}
END_TEST

START_TEST(no_stream_is_read_beyond_its_blocks)
{
	size_t page_len = (size_t)sysconf(_SC_PAGESIZE);
	struct hash_twin_run runs[HASH_TWINS_MAX];
	uint64_t random = 1;
	unsigned count = _i;
	fill_states(&random);
	for (unsigned i = 0; i < count; i++) {
		uint8_t *page = mmap(NULL, 2 * page_len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ck_assert_ptr_ne(page, MAP_FAILED);
		ck_assert_int_eq(mprotect(page + page_len, page_len, PROT_NONE), 0);
		uint8_t *start = page + page_len - 3 * HASH_BLOCK_LEN;
		test_random_fill(&random, start, 3 * HASH_BLOCK_LEN);
		runs[i] = (struct hash_twin_run){md5[i], sha256[i], start, 3};
		blocks_md5(right_md5[i], start, 3);
		blocks_sha256(right_sha256[i], start, 3);
	}
	hash_lanes_run_twins(kernel, runs, count);
	check_states();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hash_twins");
	TCase *tcase = tcase_create("hash_twins");
	kernel = hash_lanes_choose_twins();
	if (kernel) {
		int end = (int)kernel->stream_count + 1;
		tcase_add_loop_test(tcase, every_count_and_length_gives_what_openssl_gives, 1, end);
		tcase_add_loop_test(tcase, no_stream_is_read_beyond_its_blocks, 1, end);
	}
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
