/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_kv.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

enum { KEYS = 300, STEPS = 1500 };

struct rig {
	struct sim *sim;
	struct sim_node *node;
	struct sim_kv *sim_kv;
	struct kv *kv;
	struct kv_reader *reader;
};

static void rig_open(struct rig *rig, uint64_t seed)
{
	rig->sim = sim_new(seed);
	rig->node = sim_node_new(rig->sim, "node");
	rig->sim_kv = sim_kv_new(rig->node, 0);
	rig->kv = sim_kv_open(rig->sim_kv);
	ck_assert_ok(kv_reader_open(rig->kv, &rig->reader));
}

static void rig_close(struct rig *rig)
{
	kv_reader_close(rig->reader);
	sim_kv_free(rig->sim_kv);
	sim_free(rig->sim);
}

static void rig_restart(struct rig *rig)
{
	sim_node_kill(rig->node);
	kv_reader_close(rig->reader);
	rig->kv = sim_kv_open(rig->sim_kv);
	ck_assert_ok(kv_reader_open(rig->kv, &rig->reader));
}

static struct bytes key_of(unsigned number)
{
	static char text[4][40];
	static unsigned turn;
	char *key = text[turn++ % 4];
	snprintf(key, sizeof text[0], "%0*u", 1 + number % 30, number);
	return bytes_of(key);
}

static void put(struct rig *rig, const char *key, const char *value)
{
	ck_assert_ok(kv_write_begin(rig->kv));
	ck_assert_ok(kv_put(rig->kv, bytes_of(key), bytes_of(value)));
	ck_assert_ok(kv_commit(rig->kv));
}

static bool has(struct rig *rig, const char *key, const char *value)
{
	struct bytes found;
	ck_assert_ok(kv_reader_begin(rig->reader));
	enum err err = kv_get(rig->reader, bytes_of(key), &found);
	bool is_equal = err == ERR_OK && bytes_is_text(found, value);
	kv_reader_end(rig->reader);
	return is_equal;
}

/* What the map should be: values by number; 0 is none. */
static void check_all(struct rig *rig, const unsigned *model)
{
	unsigned expected = 0, seen = 0;
	ck_assert_ok(kv_reader_begin(rig->reader));
	for (unsigned i = 0; i < KEYS; i++) {
		struct bytes value;
		enum err err = kv_get(rig->reader, key_of(i), &value);
		ck_assert_int_eq(err, model[i] ? ERR_OK : ERR_NOT_FOUND);
		if (model[i])
			ck_assert_uint_eq(get_le32(value.data), model[i]);
		expected += model[i] != 0;
	}
	struct bytes key, value;
	uint8_t last[KV_KEY_LEN_MAX];
	size_t last_len = 0;
	for (enum err err = kv_seek(rig->reader, bytes_of("0"), &key, &value); err == ERR_OK;
		err = kv_next(rig->reader, &key, &value)) {
		ck_assert_int_lt(bytes_compare(bytes_make(last, last_len), key), 0);
		memcpy(last, key.data, key.len);
		last_len = key.len;
		seen++;
	}
	kv_reader_end(rig->reader);
	ck_assert_uint_eq(seen, expected);
	ck_assert_uint_eq(sim_kv_count(rig->sim_kv), expected);
}

START_TEST(it_behaves_like_a_sorted_map_through_commits_aborts_and_kills)
{
	struct rig rig;
	rig_open(&rig, _i);
	uint64_t random = _i;
	unsigned committed[KEYS] = {0}, writing[KEYS] = {0};
	bool is_writing = false;
	for (unsigned step = 1; step <= STEPS; step++) {
		if (!is_writing)
			ck_assert_ok(kv_write_begin(rig.kv));
		is_writing = true;
		unsigned i = test_random(&random) % KEYS;
		uint64_t what = test_random(&random) % 100;
		if (what < 60) {
			uint8_t value[4];
			put_le32(value, step);
			ck_assert_ok(kv_put(rig.kv, key_of(i), bytes_make(value, 4)));
			writing[i] = step;
		} else if (what < 95) {
			ck_assert_ok(kv_remove(rig.kv, key_of(i)));
			writing[i] = 0;
		} else if (what < 98) {
			ck_assert_ok(kv_commit(rig.kv));
			memcpy(committed, writing, sizeof writing);
			is_writing = false;
		} else {
			if (what == 98)
				kv_abort(rig.kv);
			else
				rig_restart(&rig);
			memcpy(writing, committed, sizeof writing);
			is_writing = false;
		}
		if (!is_writing)
			check_all(&rig, committed);
	}
	if (is_writing)
		kv_abort(rig.kv);
	rig_close(&rig);
}
END_TEST

START_TEST(a_reader_sees_nothing_later_than_its_beginning)
{
	struct rig rig;
	rig_open(&rig, 1);
	put(&rig, "a", "1");
	put(&rig, "b", "1");
	ck_assert_ok(kv_reader_begin(rig.reader));
	put(&rig, "a", "2");
	put(&rig, "aa", "2");
	struct bytes key, value;
	ck_assert_ok(kv_get(rig.reader, bytes_of("a"), &value));
	ck_assert(bytes_is_text(value, "1"));
	ck_assert_ok(kv_seek(rig.reader, bytes_of("a"), &key, &value));
	ck_assert_ok(kv_next(rig.reader, &key, &value));
	ck_assert(bytes_is_text(key, "b"));
	ck_assert_err(kv_next(rig.reader, &key, &value), ERR_NOT_FOUND);
	kv_reader_end(rig.reader);
	ck_assert(has(&rig, "a", "2"));
	rig_close(&rig);
}
END_TEST

START_TEST(a_failed_commit_is_there_after_a_restart_or_not)
{
	unsigned there = 0;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct rig rig;
		rig_open(&rig, seed);
		put(&rig, "a", "1");
		sim_kv_fail_nth(rig.sim_kv, SIM_KV_COMMIT_IO, 1);
		ck_assert_ok(kv_write_begin(rig.kv));
		ck_assert_ok(kv_put(rig.kv, bytes_of("a"), bytes_of("2")));
		ck_assert_err(kv_commit(rig.kv), ERR_IO);
		ck_assert(has(&rig, "a", "1"));
		rig_restart(&rig);
		bool is_there = has(&rig, "a", "2");
		ck_assert(is_there || has(&rig, "a", "1"));
		there += is_there;
		rig_close(&rig);
	}
	ck_assert(there > 0 && there < 50);
}
END_TEST

START_TEST(a_full_map_refuses_and_keeps_the_last_commit)
{
	struct rig rig;
	rig_open(&rig, 1);
	put(&rig, "a", "1");
	sim_kv_set_capacity(rig.sim_kv, kv_used(rig.kv) + 10);
	ck_assert_ok(kv_write_begin(rig.kv));
	ck_assert_err(kv_put(rig.kv, bytes_of("b"), bytes_of("1")), ERR_NO_SPACE);
	ck_assert_err(kv_remove(rig.kv, bytes_of("a")), ERR_NO_SPACE);
	ck_assert_err(kv_commit(rig.kv), ERR_NO_SPACE);
	ck_assert(has(&rig, "a", "1"));
	put(&rig, "a", "22");
	ck_assert(has(&rig, "a", "22"));
	rig_close(&rig);
}
END_TEST

START_TEST(every_fault_is_injected_when_it_is_asked_for)
{
	struct rig rig;
	struct bytes key, value;
	rig_open(&rig, 1);
	put(&rig, "a", "1");
	sim_kv_fail_nth(rig.sim_kv, SIM_KV_BEGIN_IO, 2);
	ck_assert_ok(kv_reader_begin(rig.reader));
	ck_assert_err(kv_write_begin(rig.kv), ERR_IO);
	sim_kv_fail_nth(rig.sim_kv, SIM_KV_READ_IO, 1);
	ck_assert_err(kv_get(rig.reader, bytes_of("a"), &value), ERR_IO);
	sim_kv_fail_nth(rig.sim_kv, SIM_KV_CORRUPT, 1);
	ck_assert_err(kv_seek(rig.reader, bytes_of("a"), &key, &value), ERR_CORRUPT);
	kv_reader_end(rig.reader);
	sim_kv_set_odds(rig.sim_kv, SIM_KV_WRITE_IO, 1000);
	ck_assert_ok(kv_write_begin(rig.kv));
	ck_assert_err(kv_put(rig.kv, bytes_of("a"), bytes_of("2")), ERR_IO);
	kv_abort(rig.kv);
	sim_kv_heal(rig.sim_kv);
	sim_kv_fail_nth(rig.sim_kv, SIM_KV_FULL, 2);
	ck_assert_ok(kv_write_begin(rig.kv));
	ck_assert_ok(kv_put(rig.kv, bytes_of("a"), bytes_of("2")));
	ck_assert_err(kv_commit(rig.kv), ERR_NO_SPACE);
	for (unsigned fault = 0; fault < SIM_KV_COMMIT_IO; fault++)
		ck_assert_uint_eq(sim_kv_stats(rig.sim_kv)->faults[fault], 1);
	ck_assert(has(&rig, "a", "1"));
	rig_close(&rig);
}
END_TEST

START_TEST(maps_with_the_same_rows_have_the_same_hash)
{
	struct rig rig;
	rig_open(&rig, 1);
	put(&rig, "a", "1");
	uint64_t one = sim_kv_hash(rig.sim_kv);
	put(&rig, "b", "1");
	ck_assert_uint_ne(sim_kv_hash(rig.sim_kv), one);
	ck_assert_ok(kv_write_begin(rig.kv));
	ck_assert_ok(kv_remove(rig.kv, bytes_of("b")));
	ck_assert_ok(kv_commit(rig.kv));
	ck_assert_uint_eq(sim_kv_hash(rig.sim_kv), one);
	rig_close(&rig);
}
END_TEST

START_TEST(a_hundred_thousand_rows_are_no_trouble)
{
	struct rig rig;
	rig_open(&rig, 1);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_ok(kv_write_begin(rig.kv));
		for (unsigned j = 0; j < 1000; j++) {
			uint8_t key[8];
			put_be64(key, (i * 1000 + j) * UINT64_C(0x9e3779b97f4a7c15));
			ck_assert_ok(kv_put(rig.kv, bytes_make(key, sizeof key), bytes_of("v")));
		}
		ck_assert_ok(kv_commit(rig.kv));
	}
	ck_assert_uint_eq(sim_kv_count(rig.sim_kv), 100000);
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_kv");
	TCase *tc = tcase_create("sim_kv");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(
		tc, it_behaves_like_a_sorted_map_through_commits_aborts_and_kills, 1, 4);
	tcase_add_test(tc, a_reader_sees_nothing_later_than_its_beginning);
	tcase_add_test(tc, a_failed_commit_is_there_after_a_restart_or_not);
	tcase_add_test(tc, a_full_map_refuses_and_keeps_the_last_commit);
	tcase_add_test(tc, every_fault_is_injected_when_it_is_asked_for);
	tcase_add_test(tc, maps_with_the_same_rows_have_the_same_hash);
	tcase_add_test(tc, a_hundred_thousand_rows_are_no_trouble);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
