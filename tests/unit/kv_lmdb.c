/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/kv_lmdb.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/kv_random.h"
#include "tests/lib/test.h"

#define MAP_LEN (64u << 20)
enum { FLIPS = 60 };

static char dir[PATH_MAX];
static struct kv *kv;
static struct kv_reader *reader;

static void setup(void)
{
	test_dir_make(dir);
	ck_assert_ok(kv_lmdb_open(dir, MAP_LEN, &kv));
	ck_assert_ok(kv_reader_open(kv, &reader));
}

static void teardown(void)
{
	kv_reader_close(reader);
	kv_close(kv);
	test_dir_remove(dir);
}

static void reopen(uint64_t map_len)
{
	kv_reader_close(reader);
	kv_close(kv);
	reader = NULL;
	kv = NULL;
	ck_assert_ok(kv_lmdb_open(dir, map_len, &kv));
	ck_assert_ok(kv_reader_open(kv, &reader));
}

static void put_now(struct bytes key, struct bytes value)
{
	ck_assert_ok(kv_write_begin(kv));
	ck_assert_ok(kv_put(kv, key, value));
	ck_assert_ok(kv_commit(kv));
}

static void remove_now(struct bytes key)
{
	ck_assert_ok(kv_write_begin(kv));
	ck_assert_ok(kv_remove(kv, key));
	ck_assert_ok(kv_commit(kv));
}

static void ck_assert_bytes(struct bytes got, struct bytes expected)
{
	ck_assert_uint_eq(got.len, expected.len);
	ck_assert(bytes_is_equal(got, expected));
}

START_TEST(random_keys_of_all_lengths_behave_like_a_sorted_map)
{
	uint64_t random = 7;
	struct model committed = {0}, open = {0};
	uint8_t buf[KV_KEY_LEN_MAX];
	for (int round = 0; round < 60; round++) {
		model_copy(&open, &committed);
		ck_assert_ok(kv_write_begin(kv));
		kv_random_change(kv, &random, &open, 40);
		if (test_random(&random) % 4 == 0) {
			kv_abort(kv);
		} else {
			ck_assert_ok(kv_commit(kv));
			model_copy(&committed, &open);
		}
		if (round % 10 == 9)
			reopen(MAP_LEN);
		ck_assert_ok(kv_reader_begin(reader));
		kv_random_scan(reader, &committed, bytes_make(NULL, 0));
		for (int i = 0; i < 30; i++) {
			struct bytes key = kv_random_key(&random, buf), value;
			const struct model_row *row = model_get(&committed, key);
			enum err err = kv_get(reader, key, &value);
			ck_assert_int_eq(err, row ? ERR_OK : ERR_NOT_FOUND);
			if (row)
				ck_assert_bytes(value, row->value);
			if (i % 10 == 0)
				kv_random_scan(reader, &committed, key);
		}
		kv_reader_end(reader);
	}
	model_free(&open);
	model_free(&committed);
}
END_TEST

START_TEST(keys_of_1024_bytes_with_1000_in_common_are_one_scan)
{
	struct model model = {0};
	uint8_t key[1024];
	memset(key, 'x', sizeof key);
	ck_assert_ok(kv_write_begin(kv));
	for (int i = 0; i < 200; i++) {
		put_be32(key + 1000, i * 2654435761u);
		struct bytes value = bytes_make(key + 1000, 4);
		ck_assert_ok(kv_put(kv, bytes_make(key, sizeof key), value));
		model_put(&model, bytes_make(key, sizeof key), value);
	}
	ck_assert_ok(kv_commit(kv));
	ck_assert_ok(kv_reader_begin(reader));
	kv_random_scan(reader, &model, bytes_make(NULL, 0));
	kv_random_scan(reader, &model, bytes_make(key, sizeof key));
	kv_random_scan(reader, &model, bytes_make(key, 1003));
	kv_reader_end(reader);
	model_free(&model);
}
END_TEST

START_TEST(removing_every_key_leaves_no_branch_behind)
{
	uint64_t empty = kv_used(kv), random = 11;
	struct model model = {0};
	ck_assert_ok(kv_write_begin(kv));
	kv_random_change(kv, &random, &model, 300);
	ck_assert_ok(kv_commit(kv));
	ck_assert_uint_gt(kv_used(kv), empty);
	ck_assert_ok(kv_write_begin(kv));
	for (size_t i = 0; i < model.count; i++)
		ck_assert_ok(kv_remove(kv, model.rows[i].key));
	ck_assert_ok(kv_commit(kv));
	/* A branch row of 500 bytes each would take more than the one leaf of an empty map. */
	ck_assert_uint_eq(kv_used(kv), empty);
	model_free(&model);
}
END_TEST

START_TEST(removing_a_key_that_is_not_there_is_fine)
{
	uint8_t key[2000];
	memset(key, 'k', sizeof key);
	remove_now(bytes_make(key, 10));
	remove_now(bytes_make(key, sizeof key));
	put_now(bytes_make(key, 1500), bytes_of("v"));
	remove_now(bytes_make(key, sizeof key));
	struct bytes value;
	ck_assert_ok(kv_reader_begin(reader));
	ck_assert_ok(kv_get(reader, bytes_make(key, 1500), &value));
	kv_reader_end(reader);
}
END_TEST

START_TEST(a_reader_sees_nothing_later_than_its_beginning)
{
	struct bytes value;
	put_now(bytes_of("a"), bytes_of("1"));
	ck_assert_ok(kv_reader_begin(reader));
	put_now(bytes_of("a"), bytes_of("2"));
	put_now(bytes_of("b"), bytes_of("2"));
	ck_assert_ok(kv_get(reader, bytes_of("a"), &value));
	ck_assert_bytes(value, bytes_of("1"));
	ck_assert_err(kv_get(reader, bytes_of("b"), &value), ERR_NOT_FOUND);
	kv_reader_end(reader);
	ck_assert_ok(kv_reader_begin(reader));
	ck_assert_ok(kv_get(reader, bytes_of("b"), &value));
	kv_reader_end(reader);
}
END_TEST

START_TEST(two_readers_on_one_thread_have_their_own_snapshots)
{
	struct kv_reader *other;
	struct bytes value;
	ck_assert_ok(kv_reader_open(kv, &other));
	ck_assert_ok(kv_reader_begin(reader));
	put_now(bytes_of("a"), bytes_of("1"));
	ck_assert_ok(kv_reader_begin(other));
	ck_assert_err(kv_get(reader, bytes_of("a"), &value), ERR_NOT_FOUND);
	ck_assert_ok(kv_get(other, bytes_of("a"), &value));
	kv_reader_end(other);
	kv_reader_end(reader);
	kv_reader_close(other);
}
END_TEST

START_TEST(a_full_map_is_no_space_and_keeps_the_last_commit)
{
	static uint8_t big[KV_VALUE_LEN_MAX];
	put_now(bytes_of("kept"), bytes_of("v"));
	reopen(256 << 10);
	ck_assert_ok(kv_write_begin(kv));
	enum err err = ERR_OK;
	for (int i = 0; i < 100 && err == ERR_OK; i++) {
		uint8_t key[4];
		put_be32(key, i);
		err = kv_put(kv, bytes_make(key, 4), bytes_make(big, sizeof big));
	}
	ck_assert_err(err, ERR_NO_SPACE);
	ck_assert_err(kv_put(kv, bytes_of("x"), bytes_of("y")), ERR_NO_SPACE);
	ck_assert_err(kv_commit(kv), ERR_NO_SPACE);
	struct bytes key, value;
	ck_assert_ok(kv_reader_begin(reader));
	ck_assert_ok(kv_seek(reader, bytes_make(NULL, 0), &key, &value));
	ck_assert_bytes(key, bytes_of("kept"));
	ck_assert_err(kv_next(reader, &key, &value), ERR_NOT_FOUND);
	kv_reader_end(reader);
	put_now(bytes_of("again"), bytes_of("v"));
}
END_TEST

/* Changes one byte of the file wherever the pattern stands; answers how often it did. */
static int damage(const char *pattern)
{
	char path[PATH_MAX + 32];
	snprintf(path, sizeof path, "%s/" KV_LMDB_FILE, dir);
	int fd = open(path, O_RDWR), found = 0;
	ck_assert_int_ge(fd, 0);
	struct stat st;
	ck_assert_int_eq(fstat(fd, &st), 0);
	char *data = malloc(st.st_size);
	ck_assert_int_eq(pread(fd, data, st.st_size, 0), st.st_size);
	char *p = data;
	while ((p = memmem(p, data + st.st_size - p, pattern, strlen(pattern)))) {
		ck_assert_int_eq(pwrite(fd, "!", 1, p - data), 1);
		found++;
		p++;
	}
	free(data);
	close(fd);
	return found;
}

/* What a map is damaged in while it is open is told too, and the next open looks at all of it. */
static void reopen_damaged(void)
{
	kv_reader_close(reader);
	kv_close(kv);
	reader = NULL;
	kv = NULL;
	ck_assert_err(kv_lmdb_open(dir, MAP_LEN, &kv), ERR_CORRUPT);
	ck_assert_ok(kv_lmdb_set_aside(dir));
	ck_assert_ok(kv_lmdb_open(dir, MAP_LEN, &kv));
	ck_assert_ok(kv_reader_open(kv, &reader));
}

START_TEST(a_damaged_value_is_told_and_never_given)
{
	struct bytes key, value;
	put_now(bytes_of("a"), bytes_of("precious-bytes"));
	ck_assert_int_gt(damage("precious"), 0);
	ck_assert_ok(kv_reader_begin(reader));
	ck_assert_err(kv_get(reader, bytes_of("a"), &value), ERR_CORRUPT);
	ck_assert_err(kv_seek(reader, bytes_of("a"), &key, &value), ERR_CORRUPT);
	kv_reader_end(reader);
	reopen_damaged();
}
END_TEST

START_TEST(a_value_under_a_damaged_key_is_told)
{
	struct bytes key, value;
	put_now(bytes_of("precious-key"), bytes_of("v"));
	ck_assert_int_gt(damage("precious"), 0);
	ck_assert_ok(kv_reader_begin(reader));
	ck_assert_err(kv_seek(reader, bytes_make(NULL, 0), &key, &value), ERR_CORRUPT);
	kv_reader_end(reader);
	reopen_damaged();
}
END_TEST

START_TEST(a_file_that_is_no_map_is_refused)
{
	ck_assert_int_gt(damage("rubus-kv"), 0);
	kv_reader_close(reader);
	kv_close(kv);
	ck_assert_err(kv_lmdb_open(dir, MAP_LEN, &kv), ERR_CORRUPT);
	char path[PATH_MAX + 32];
	snprintf(path, sizeof path, "%s/" KV_LMDB_FILE, dir);
	FILE *file = fopen(path, "w");
	for (int i = 0; i < 4096; i++)
		fputs("nonsense", file);
	fclose(file);
	ck_assert_err(kv_lmdb_open(dir, MAP_LEN, &kv), ERR_CORRUPT);
	test_dir_remove(dir);
	setup();
}
END_TEST

/* A writer that is killed at any moment leaves the last commit or the one before. Each commit
 * writes the same number under every key. */
static void write_until_killed(void)
{
	struct kv *child;
	if (kv_lmdb_open(dir, MAP_LEN, &child) != ERR_OK)
		_exit(1);
	uint8_t key[900];
	memset(key, 'k', sizeof key);
	for (uint64_t round = 1;; round++) {
		if (kv_write_begin(child) != ERR_OK)
			_exit(1);
		for (int i = 0; i < 20; i++) {
			key[sizeof key - 1] = i;
			struct bytes value = bytes_make(&round, sizeof round);
			if (kv_put(child, bytes_make(key, sizeof key), value) != ERR_OK)
				_exit(1);
		}
		if (kv_commit(child) != ERR_OK)
			_exit(1);
	}
}

START_TEST(a_killed_writer_leaves_whole_commits)
{
	uint64_t last = 0;
	for (int i = 0; i < 5; i++) {
		kv_reader_close(reader);
		kv_close(kv);
		pid_t pid = fork();
		if (pid == 0)
			write_until_killed();
		usleep(30000 + 7000 * i);
		kill(pid, SIGKILL);
		int status;
		waitpid(pid, &status, 0);
		ck_assert(WIFSIGNALED(status));
		ck_assert_ok(kv_lmdb_open(dir, MAP_LEN, &kv));
		ck_assert_ok(kv_reader_open(kv, &reader));
		ck_assert_ok(kv_reader_begin(reader));
		struct bytes key, value;
		enum err err = kv_seek(reader, bytes_make(NULL, 0), &key, &value);
		int count = 0;
		uint64_t first = 0;
		for (; err == ERR_OK; err = kv_next(reader, &key, &value), count++) {
			ck_assert_uint_eq(value.len, 8);
			if (count == 0)
				memcpy(&first, value.data, 8);
			ck_assert_mem_eq(value.data, &first, 8);
		}
		ck_assert_err(err, ERR_NOT_FOUND);
		ck_assert(count == 20 || (count == 0 && last == 0));
		last = first;
		kv_reader_end(reader);
	}
	ck_assert_uint_gt(last, 0);
}
END_TEST

/* --- damage anywhere -------------------------------------------------------------------------- */

static void map_path(char path[PATH_MAX + 32])
{
	snprintf(path, PATH_MAX + 32, "%s/" KV_LMDB_FILE, dir);
}

/* A map with branches, big values and free pages. Leaves it closed. */
static void fill(struct model *model, uint64_t random)
{
	for (int round = 0; round < 12; round++) {
		ck_assert_ok(kv_write_begin(kv));
		kv_random_change(kv, &random, model, 30);
		ck_assert_ok(kv_commit(kv));
	}
	kv_reader_close(reader);
	kv_close(kv);
	reader = NULL;
	kv = NULL;
}

/* In a process of its own, because nothing may end it: opens the map, and if it opens, reads all of
 * it, which is right, and writes. Returns 1 if it was refused. */
static int use_in_child(const struct model *model)
{
	pid_t pid = fork();
	if (pid == 0) {
		alarm(20);
		enum err err = kv_lmdb_open(dir, MAP_LEN, &kv);
		if (err != ERR_OK)
			_exit(err == ERR_CORRUPT || err == ERR_VERSION ? 3 : 4);
		ck_assert_ok(kv_reader_open(kv, &reader));
		ck_assert_ok(kv_reader_begin(reader));
		kv_random_scan(reader, model, bytes_make(NULL, 0));
		kv_reader_end(reader);
		put_now(bytes_of("another"), bytes_of("row"));
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
	ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
	return WEXITSTATUS(status) == 3;
}

/* The file as it was, in memory. */
struct image {
	char path[PATH_MAX + 32];
	uint8_t *bytes;
	size_t len;
};

static void image_take(struct image *image)
{
	map_path(image->path);
	FILE *file = fopen(image->path, "r");
	struct stat st;
	ck_assert_int_eq(fstat(fileno(file), &st), 0);
	image->len = st.st_size;
	image->bytes = malloc(image->len);
	ck_assert_uint_eq(fread(image->bytes, 1, image->len, file), image->len);
	fclose(file);
}

static void image_put(const struct image *image, size_t len)
{
	FILE *file = fopen(image->path, "w");
	ck_assert_uint_eq(fwrite(image->bytes, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

START_TEST(any_bit_that_changes_is_found_or_does_no_harm)
{
	struct model model = {0};
	struct image image;
	uint64_t random = 100 + _i;
	int refused = 0;
	fill(&model, random);
	image_take(&image);
	ck_assert_int_eq(use_in_child(&model), 0);
	for (int i = 0; i < FLIPS; i++) {
		/* Every second one in the first bytes of a page, which LMDB trusts most. */
		size_t at = test_random(&random) % image.len;
		if (i % 2)
			at = at / 4096 * 4096 + test_random(&random) % 48;
		uint8_t bit = 1 << test_random(&random) % 8;
		image.bytes[at] ^= bit;
		image_put(&image, image.len);
		refused += use_in_child(&model);
		image.bytes[at] ^= bit;
	}
	ck_assert_int_gt(refused, FLIPS / 10);
	ck_assert_int_lt(refused, FLIPS);
	free(image.bytes);
	model_free(&model);
}
END_TEST

START_TEST(a_map_that_was_cut_off_is_refused_or_whole)
{
	struct model model = {0};
	struct image image;
	fill(&model, 50);
	image_take(&image);
	int refused = 0, count = 0;
	for (size_t len = 100; len < image.len; len += 4096 * 7 + 333, count++) {
		image_put(&image, len);
		refused += use_in_child(&model);
	}
	ck_assert_int_gt(refused, count / 2);
	free(image.bytes);
	model_free(&model);
}
END_TEST

static void mark_and_end(int number)
{
	(void)number;
	kv_lmdb_mark_all();
	_exit(42);
}

START_TEST(a_map_cut_off_while_it_is_open_is_marked_and_judged)
{
	struct model model = {0};
	char path[PATH_MAX + 32], suspect[PATH_MAX + 32];
	map_path(path);
	snprintf(suspect, sizeof suspect, "%s/suspect", dir);
	fill(&model, 51);
	pid_t pid = fork();
	if (pid == 0) {
		struct sigaction action = {.sa_handler = mark_and_end};
		sigaction(SIGBUS, &action, NULL);
		ck_assert_ok(kv_lmdb_open(dir, MAP_LEN, &kv));
		ck_assert_ok(kv_reader_open(kv, &reader));
		ck_assert_ok(kv_reader_begin(reader));
		ck_assert_int_eq(truncate(path, 8192), 0);
		kv_random_scan(reader, &model, bytes_make(NULL, 0));
		_exit(1);
	}
	int status;
	waitpid(pid, &status, 0);
	ck_assert_int_eq(WEXITSTATUS(status), 42);
	ck_assert_int_eq(access(suspect, F_OK), 0);
	ck_assert_err(kv_lmdb_open(dir, MAP_LEN, &kv), ERR_CORRUPT);
	ck_assert_ok(kv_lmdb_set_aside(dir));
	ck_assert_ok(kv_lmdb_open(dir, MAP_LEN, &kv));
	ck_assert_int_ne(access(suspect, F_OK), 0);
	ck_assert_ok(kv_reader_open(kv, &reader));
	model_free(&model);
}
END_TEST

START_TEST(a_map_with_damaged_rows_can_be_opened_for_the_others)
{
	struct bytes value;
	uint64_t bad_rows;
	put_now(bytes_of("a"), bytes_of("precious-bytes"));
	put_now(bytes_of("b"), bytes_of("others"));
	kv_reader_close(reader);
	kv_close(kv);
	ck_assert_int_gt(damage("precious"), 0);
	ck_assert_err(kv_lmdb_open(dir, MAP_LEN, &kv), ERR_CORRUPT);
	ck_assert_ok(kv_lmdb_open_damaged(dir, MAP_LEN, &bad_rows, &kv));
	ck_assert_uint_eq(bad_rows, 1);
	ck_assert_ok(kv_reader_open(kv, &reader));
	ck_assert_ok(kv_reader_begin(reader));
	ck_assert_err(kv_get(reader, bytes_of("a"), &value), ERR_CORRUPT);
	ck_assert_ok(kv_get(reader, bytes_of("b"), &value));
	ck_assert_bytes(value, bytes_of("others"));
	kv_reader_end(reader);
}
END_TEST

START_TEST(a_map_whose_pages_are_damaged_is_never_opened)
{
	char path[PATH_MAX + 32];
	uint64_t bad_rows;
	map_path(path);
	struct model model = {0};
	fill(&model, 52);
	model_free(&model);
	ck_assert_int_eq(truncate(path, 8192), 0);
	ck_assert_err(kv_lmdb_open_damaged(dir, MAP_LEN, &bad_rows, &kv), ERR_CORRUPT);
	ck_assert_ok(kv_lmdb_set_aside(dir));
	ck_assert_ok(kv_lmdb_open(dir, MAP_LEN, &kv));
	ck_assert_ok(kv_reader_open(kv, &reader));
}
END_TEST

START_TEST(a_map_that_is_suspect_and_whole_is_trusted_again)
{
	char suspect[PATH_MAX + 32];
	snprintf(suspect, sizeof suspect, "%s/suspect", dir);
	put_now(bytes_of("a"), bytes_of("1"));
	ck_assert_int_ne(access(suspect, F_OK), 0);
	kv_lmdb_mark_all();
	ck_assert_int_eq(access(suspect, F_OK), 0);
	reopen(MAP_LEN);
	ck_assert_int_ne(access(suspect, F_OK), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kv_lmdb");
	TCase *tcase = tcase_create("kv_lmdb");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, random_keys_of_all_lengths_behave_like_a_sorted_map);
	tcase_add_test(tcase, keys_of_1024_bytes_with_1000_in_common_are_one_scan);
	tcase_add_test(tcase, removing_every_key_leaves_no_branch_behind);
	tcase_add_test(tcase, removing_a_key_that_is_not_there_is_fine);
	tcase_add_test(tcase, a_reader_sees_nothing_later_than_its_beginning);
	tcase_add_test(tcase, two_readers_on_one_thread_have_their_own_snapshots);
	tcase_add_test(tcase, a_full_map_is_no_space_and_keeps_the_last_commit);
	tcase_add_test(tcase, a_damaged_value_is_told_and_never_given);
	tcase_add_test(tcase, a_value_under_a_damaged_key_is_told);
	tcase_add_test(tcase, a_file_that_is_no_map_is_refused);
	tcase_add_test(tcase, a_killed_writer_leaves_whole_commits);
	tcase_add_loop_test(tcase, any_bit_that_changes_is_found_or_does_no_harm, 0, 2);
	tcase_add_test(tcase, a_map_that_was_cut_off_is_refused_or_whole);
	tcase_add_test(tcase, a_map_cut_off_while_it_is_open_is_marked_and_judged);
	tcase_add_test(tcase, a_map_that_is_suspect_and_whole_is_trusted_again);
	tcase_add_test(tcase, a_map_with_damaged_rows_can_be_opened_for_the_others);
	tcase_add_test(tcase, a_map_whose_pages_are_damaged_is_never_opened);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
