/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: from the rows of one index to the file of another. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/kv_lmdb.h"
#include "storage/meta/index_priv.h"
#include "storage/meta/index_snapshot_priv.h"
#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

#define FRAMES_MAX 64
#define KEYS 300
#define LONG_KEY_LEN 1024

struct frames {
	struct bytes frames[FRAMES_MAX]; /* owned */
	size_t count;
};

static struct snapshot_stage stage;
static struct snapshot_import import;

static void path_of(const char *dir, const char *name, char path[PATH_MAX + 64])
{
	snprintf(path, PATH_MAX + 64, "%s/%s%s", rig.dir, dir, name);
}

static enum err stage_open(struct snapshot_stage *self, struct kv **ret_kv)
{
	char path[PATH_MAX + 64];
	self->drop(self);
	path_of("next", "", path);
	return kv_lmdb_open(path, UINT64_C(1) << 30, ret_kv);
}

static enum err stage_install(struct snapshot_stage *self)
{
	char from[PATH_MAX + 64], to[PATH_MAX + 64];
	(void)self;
	path_of("next", "/" KV_LMDB_FILE, from);
	path_of("rows", "/" KV_LMDB_FILE, to);
	return rename(from, to) == 0 ? ERR_OK : ERR_IO;
}

static void stage_drop(struct snapshot_stage *self)
{
	char path[PATH_MAX + 64];
	(void)self;
	path_of("next", "/" KV_LMDB_FILE, path);
	unlink(path);
}

static bool is_staged(void)
{
	char path[PATH_MAX + 64];
	path_of("next", "/" KV_LMDB_FILE, path);
	return access(path, F_OK) == 0;
}

/* A key of 1024 bytes, of those that are escaped, which differ at the end only. */
static const char *long_key(unsigned number)
{
	static char key[LONG_KEY_LEN + 1];
	memset(key, number % 2 ? 1 : 'k', LONG_KEY_LEN);
	snprintf(key + LONG_KEY_LEN - 6, 7, "%06u", number);
	return key;
}

static void fill(unsigned from)
{
	for (unsigned i = from; i < from + KEYS; i++) {
		char key[32];
		snprintf(key, sizeof key, "key-%u", i);
		put(i % 3 == 0 ? long_key(i) : key, "some text that is kept in the index", i);
	}
	put_extents("of-extents", 3, 7);
}

static void commit(void)
{
	buffer_commit(rig.index->buffer);
	rig_run(&rig);
	ck_assert_uint_eq(buffer_applied(rig.index->buffer), buffer_published(rig.index->buffer));
}

static uint64_t export_from(struct kv *kv, struct frames *frames)
{
	struct snapshot_export export = {.kv = kv, .index = rig.index};
	uint64_t index;
	*frames = (struct frames){0};
	ck_assert_ok(snapshot_export_open(&export, &index));
	for (;;) {
		uint8_t *buf = malloc(SNAPSHOT_CHUNK_LEN);
		size_t len;
		ck_assert_ok(snapshot_export_read(&export, buf, &len));
		ck_assert_uint_le(len, SNAPSHOT_CHUNK_LEN);
		if (len == 0) {
			free(buf);
			break;
		}
		ck_assert_uint_lt(frames->count, FRAMES_MAX);
		frames->frames[frames->count++] = bytes_make(realloc(buf, len), len);
	}
	snapshot_export_close(&export);
	return index;
}

static void frames_free(struct frames *frames)
{
	for (size_t i = 0; i < frames->count; i++)
		free((void *)frames->frames[i].data);
}

/* Errors: the first one, of whatever step. */
static enum err import_all(const struct frames *frames, uint64_t index)
{
	enum err err = snapshot_import_begin(&import);
	for (size_t i = 0; err == ERR_OK && i < frames->count; i++)
		err = snapshot_import_write(&import, frames->frames[i]);
	return err == ERR_OK ? snapshot_import_finish(&import, index) : err;
}

static void setup(void)
{
	rig_setup();
	stage = (struct snapshot_stage){stage_open, stage_install, stage_drop};
	import = (struct snapshot_import){.stage = &stage};
}

static void teardown(void)
{
	snapshot_import_drop(&import);
	rig_teardown();
}

/* --- both ways -------------------------------------------------------------------------------- */

START_TEST(what_is_staged_is_what_was_exported_byte_for_byte)
{
	struct frames sent, again;
	fill(0);
	commit();
	uint64_t index = export_from(rig.kv, &sent);
	ck_assert_uint_eq(index, atomic_load(&rig.index->applied));
	ck_assert_ok(import_all(&sent, index));
	ck_assert_uint_eq(export_from(import.kv, &again), index);
	ck_assert_uint_eq(again.count, sent.count);
	for (size_t i = 0; i < sent.count; i++)
		ck_assert(bytes_is_equal(again.frames[i], sent.frames[i]));
	frames_free(&sent);
	frames_free(&again);
}
END_TEST

START_TEST(an_index_goes_on_from_what_took_its_place)
{
	struct frames frames;
	fill(0);
	commit();
	uint64_t index = export_from(rig.kv, &frames);
	put("later", "text", 1);
	delete_key("key-1");
	ck_assert_ok(import_all(&frames, index));
	ck_assert_ok(snapshot_import_install(&import));
	put("latest", "this goes into a file without a name, and is in the log", 1);
	rig_reopen(&rig, false);
	ck_assert(is_there("later") && is_there("latest") && is_there("key-2"));
	ck_assert(is_there(long_key(0)) && is_there(long_key(3)) && is_there("of-extents"));
	ck_assert(!is_there("key-1"));
	check_hash();
	frames_free(&frames);
}
END_TEST

START_TEST(an_export_is_of_one_commit_whatever_comes_after_it_began)
{
	struct snapshot_export export = {.kv = rig.kv, .index = rig.index};
	struct frames before, after = {0};
	fill(0);
	commit();
	uint64_t index;
	uint64_t applied = export_from(rig.kv, &before);
	ck_assert_ok(snapshot_export_open(&export, &index));
	ck_assert_uint_eq(index, applied);
	fill(KEYS);
	commit();
	for (size_t i = 0; i < before.count; i++) {
		uint8_t *buf = malloc(SNAPSHOT_CHUNK_LEN);
		size_t len;
		ck_assert_ok(snapshot_export_read(&export, buf, &len));
		after.frames[after.count++] = bytes_make(buf, len);
		ck_assert(bytes_is_equal(after.frames[i], before.frames[i]));
	}
	snapshot_export_close(&export);
	frames_free(&before);
	frames_free(&after);
}
END_TEST

START_TEST(nothing_is_exported_before_the_first_commit)
{
	struct snapshot_export export = {.kv = rig.kv, .index = rig.index};
	uint64_t index;
	ck_assert_err(snapshot_export_open(&export, &index), ERR_BUSY);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

START_TEST(every_frame_with_a_changed_or_missing_byte_is_refused)
{
	struct frames frames;
	fill(0);
	commit();
	uint64_t seed = 1, index = export_from(rig.kv, &frames);
	ck_assert_uint_ge(frames.count, 3);
	for (size_t at = 0; at < frames.count; at++)
		for (unsigned round = 0; round < 40; round++) {
			struct bytes whole = frames.frames[at];
			uint8_t *data = (uint8_t *)whole.data;
			size_t place = round < FRAME_HEAD_LEN ? round
							      : test_random(&seed) % whole.len;
			uint8_t bit = 1 << test_random(&seed) % 8;
			data[place] ^= bit;
			ck_assert_int_ne(import_all(&frames, index), ERR_OK);
			data[place] ^= bit;
			frames.frames[at].len = test_random(&seed) % whole.len;
			ck_assert_err(import_all(&frames, index), ERR_CORRUPT);
			frames.frames[at].len = whole.len;
		}
	ck_assert_ok(import_all(&frames, index));
	frames_free(&frames);
}
END_TEST

START_TEST(frames_that_are_missing_doubled_or_out_of_order_are_refused)
{
	struct frames frames, other;
	fill(0);
	commit();
	uint64_t index = export_from(rig.kv, &frames);
	for (size_t skip = 0; skip < frames.count; skip++) {
		other = (struct frames){0};
		for (size_t i = 0; i < frames.count; i++)
			if (i != skip)
				other.frames[other.count++] = frames.frames[i];
		ck_assert_err(import_all(&other, index), ERR_CORRUPT);
		other = (struct frames){0};
		for (size_t i = 0; i < frames.count; i++) {
			other.frames[other.count++] = frames.frames[i];
			if (i == skip)
				other.frames[other.count++] = frames.frames[i];
		}
		ck_assert_err(import_all(&other, index), ERR_CORRUPT);
	}
	ck_assert_err(import_all(&frames, index + 1), ERR_CORRUPT);
	frames_free(&frames);
}
END_TEST

/* A frame with another content and a right checksum. */
static void seal(struct bytes frame)
{
	uint8_t *data = (uint8_t *)frame.data;
	put_le64(data + FRAME_SUM_OFFSET, frame_sum(data, frame.len));
}

START_TEST(rows_of_local_or_with_another_hash_are_refused_in_spite_of_right_checksums)
{
	struct frames frames;
	fill(0);
	commit();
	uint64_t index = export_from(rig.kv, &frames);
	uint8_t *key = (uint8_t *)frames.frames[1].data + FRAME_HEAD_LEN + FRAME_ROW_HEAD_LEN;
	uint8_t table = key[0];
	key[0] = TABLE_LOCAL;
	seal(frames.frames[1]);
	ck_assert_err(import_all(&frames, index), ERR_CORRUPT);
	ck_assert_uint_eq(import.row_count, 0);
	key[0] = table;
	struct bytes last_rows = frames.frames[frames.count - 2];
	uint8_t *last = (uint8_t *)last_rows.data + last_rows.len - 1;
	*last ^= 1;
	seal(frames.frames[1]);
	seal(last_rows);
	ck_assert_err(import_all(&frames, index), ERR_CORRUPT);
	ck_assert_int_eq(import.seen, FRAME_LAST); /* the recount refused it (Z2) */
	*last ^= 1;
	seal(last_rows);
	ck_assert_ok(import_all(&frames, index));
	frames_free(&frames);
}
END_TEST

/* --- ends in between -------------------------------------------------------------------------- */

/* The process ends after so many steps: begin, each frame, finish, install. */
static void run_steps(const struct frames *frames, uint64_t index, size_t steps)
{
	if (steps-- == 0)
		return;
	ck_assert_ok(snapshot_import_begin(&import));
	for (size_t i = 0; i < frames->count; i++) {
		if (steps-- == 0)
			return;
		ck_assert_ok(snapshot_import_write(&import, frames->frames[i]));
	}
	if (steps-- == 0)
		return;
	ck_assert_ok(snapshot_import_finish(&import, index));
	if (steps-- > 0)
		ck_assert_ok(snapshot_import_install(&import));
}

START_TEST(a_start_finds_the_old_index_or_the_new_one_whatever_step_was_the_last)
{
	struct frames frames;
	fill(0);
	commit();
	uint64_t index = export_from(rig.kv, &frames);
	put("later", "text", 1);
	commit();
	for (size_t steps = 0; steps <= frames.count + 3; steps++) {
		bool is_new = steps == frames.count + 3;
		run_steps(&frames, index, steps);
		ck_assert_int_eq(is_staged(), steps > 0 && !is_new);
		kv_close(import.kv); /* and the file stays, as when the process ends */
		import = (struct snapshot_import){.stage = &stage};
		rig_reopen(&rig, false);
		ck_assert(is_there("later") && is_there("key-2") && is_there(long_key(3)));
		check_hash();
	}
	frames_free(&frames);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_snapshot");
	TCase *tcase = tcase_create("index_snapshot");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_is_staged_is_what_was_exported_byte_for_byte);
	tcase_add_test(tcase, an_index_goes_on_from_what_took_its_place);
	tcase_add_test(tcase, an_export_is_of_one_commit_whatever_comes_after_it_began);
	tcase_add_test(tcase, nothing_is_exported_before_the_first_commit);
	tcase_add_test(tcase, every_frame_with_a_changed_or_missing_byte_is_refused);
	tcase_add_test(tcase, frames_that_are_missing_doubled_or_out_of_order_are_refused);
	tcase_add_test(
		tcase, rows_of_local_or_with_another_hash_are_refused_in_spite_of_right_checksums);
	tcase_add_test(
		tcase, a_start_finds_the_old_index_or_the_new_one_whatever_step_was_the_last);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
