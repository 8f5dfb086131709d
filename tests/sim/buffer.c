/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/buffer.h"

#include <stdlib.h>

#include "tests/lib/model.h"
#include "tests/lib/sim.h"
#include "tests/lib/sim_kv.h"
#include "tests/lib/test.h"

/* A writer, a committer and readers whose views begin and end at any time, over a map that fails.
 * The model is the list of all commands; a view is the effect of a beginning of it, and so is what
 * a crash leaves. */
enum {
	VIEWS = 4,
	LIVES = 4,
	COMMANDS_MAX = 1500,
	ROWS_MAX = 5,
	KEYS = 60,
};

/* --seed=N runs that one; SEEDS in the environment, how many from 1 on. */
static uint64_t seed_first = 1, seed_count = 12;

struct change {
	uint16_t key;
	uint16_t value; /* 0: removed */
};

struct command {
	struct change changes[ROWS_MAX];
	int count;
};

struct rig {
	uint64_t seed, random;
	struct sim *sim;
	struct sim_node *node;
	struct loop *writer, *committer;
	struct sim_kv *sim_kv;
	struct kv *kv;
	struct buffer *buffer;
	struct buffer_view views[VIEWS], latest;
	struct command commands[COMMANDS_MAX];
	size_t count; /* commands published */
	bool is_waiting;
	int failed_count;
};

static uint64_t failures, waits, views_compared, commits;

/* --- the model -------------------------------------------------------------------------------- */

static struct bytes make_key(uint8_t buf[8], uint16_t key)
{
	buf[0] = 'k';
	put_be16(buf + 1, key);
	return bytes_make(buf, 3 + key % 4);
}

static struct bytes make_value(uint8_t buf[300], uint16_t value)
{
	memset(buf, value, 300);
	put_be16(buf, value);
	return bytes_make(buf, 2 + value % 298);
}

static void make_model(const struct rig *rig, size_t count, struct model *model)
{
	uint16_t values[KEYS] = {0};
	for (size_t i = 0; i < count; i++)
		for (int j = 0; j < rig->commands[i].count; j++)
			values[rig->commands[i].changes[j].key] = rig->commands[i].changes[j].value;
	for (uint16_t key = 0; key < KEYS; key++) {
		uint8_t key_buf[8] = {0}, value_buf[300];
		if (values[key] != 0)
			model_put(
				model, make_key(key_buf, key), make_value(value_buf, values[key]));
	}
}

/* Errors of the map pass through; a view that was read to its end is the model's. */
static void compare_view(struct rig *rig, struct buffer_view *view, const struct model *model)
{
	struct bytes key, value;
	size_t i = 0;
	enum err err = buffer_view_seek(view, bytes_of("k"), &key, &value);
	while (err == ERR_OK && key.data[0] == 'k') {
		ck_assert_msg(i < model->count && bytes_is_equal(key, model->rows[i].key) &&
				bytes_is_equal(value, model->rows[i].value),
			"seed %lu, row %zu of %zu", (unsigned long)rig->seed, i, model->count);
		i++;
		err = buffer_view_next(view, &key, &value);
	}
	if (err == ERR_IO || err == ERR_CORRUPT)
		return;
	ck_assert(err == ERR_OK || err == ERR_NOT_FOUND);
	ck_assert_uint_eq(i, model->count);
	views_compared++;
	for (uint16_t number = 0; number < KEYS; number += 7) {
		uint8_t buf[8] = {0};
		struct bytes wanted = make_key(buf, number);
		const struct model_row *row = model_get(model, wanted);
		err = buffer_view_get(view, wanted, &value);
		if (err == ERR_IO || err == ERR_CORRUPT)
			return;
		ck_assert_int_eq(err, row ? ERR_OK : ERR_NOT_FOUND);
		if (row)
			ck_assert(bytes_is_equal(value, row->value));
	}
}

/* --- one life after another ------------------------------------------------------------------- */

static void room(void *arg)
{
	((struct rig *)arg)->is_waiting = false;
}

static void failed(void *arg, enum err err)
{
	struct rig *rig = arg;
	ck_assert(err == ERR_IO || err == ERR_NO_SPACE);
	rig->failed_count++;
	failures++;
}

static void committed(void *arg, uint64_t sequence)
{
	struct rig *rig = arg;
	ck_assert_uint_le(sequence, rig->count);
	ck_assert_uint_eq(sequence, buffer_applied(rig->buffer));
	commits++;
}

static void start(struct rig *rig)
{
	rig->kv = sim_kv_open(rig->sim_kv);
	struct buffer_setup setup = {
		.kv = rig->kv,
		.writer = rig->writer,
		.committer = rig->committer,
		.applied_key = bytes_of("applied"),
		.arena_len = 64 << 10,
		.rows_max = 60,
		.command_len = 8 << 10,
		.idle_ms = 20,
		.room = room,
		.committed = committed,
		.failed = failed,
		.arg = rig,
	};
	ck_assert_ok(buffer_new(&setup, &rig->buffer));
	for (int i = 0; i < VIEWS; i++)
		ck_assert_ok(buffer_view_open(rig->buffer, &rig->views[i]));
	ck_assert_ok(buffer_view_open(rig->buffer, &rig->latest));
	/* What a crash leaves is a beginning: the log would give the rest again. */
	ck_assert_uint_le(buffer_applied(rig->buffer), rig->count);
	rig->count = buffer_applied(rig->buffer);
	rig->is_waiting = false;
	rig->failed_count = 0;
	struct model model = {0};
	make_model(rig, rig->count, &model);
	ck_assert_ok(buffer_view_begin(&rig->views[0]));
	compare_view(rig, &rig->views[0], &model);
	buffer_view_end(&rig->views[0]);
	model_free(&model);
}

static void die(struct rig *rig)
{
	sim_node_kill(rig->node);
	sim_kv_heal(rig->sim_kv);
	sim_bury(rig->buffer);
	memset(rig->views, 0, sizeof rig->views);
	memset(&rig->latest, 0, sizeof rig->latest);
}

static void commit_all(void *arg)
{
	struct rig *rig = arg;
	buffer_commit(rig->buffer);
}

static bool is_settled(void *arg)
{
	struct rig *rig = arg;
	return rig->failed_count > 0 ||
		buffer_applied(rig->buffer) == buffer_published(rig->buffer);
}

static void stop(struct rig *rig)
{
	for (int i = 0; i < VIEWS; i++)
		if (rig->views[i].has_begun)
			buffer_view_end(&rig->views[i]);
	sim_kv_heal(rig->sim_kv);
	sim_call(rig->sim, rig->writer, commit_all, rig);
	ck_assert(sim_run_until(rig->sim, is_settled, rig, 10000) || is_settled(rig));
	if (rig->failed_count > 0) {
		die(rig);
		return;
	}
	for (int i = 0; i < VIEWS; i++)
		buffer_view_close(&rig->views[i]);
	buffer_view_close(&rig->latest);
	ck_assert_ok(buffer_close(rig->buffer));
	kv_close(rig->kv);
	sim_node_kill(rig->node);
}

static void write_command(void *arg)
{
	struct rig *rig = arg;
	if (rig->is_waiting)
		return;
	enum err err = buffer_begin(rig->buffer, rig->count + 1);
	if (err == ERR_BUSY) {
		rig->is_waiting = true;
		waits++;
		return;
	}
	if (err != ERR_OK) {
		ck_assert_int_eq(rig->failed_count, 1);
		return;
	}
	struct command *command = &rig->commands[rig->count];
	command->count = test_random(&rig->random) % ROWS_MAX;
	for (int i = 0; i < command->count; i++) {
		uint8_t key_buf[8] = {0}, value_buf[300];
		struct change *change = &command->changes[i];
		change->key = test_random(&rig->random) % KEYS;
		uint16_t value = test_random(&rig->random);
		change->value = value % 3 == 0 ? 0 : value;
		struct bytes key = make_key(key_buf, change->key);
		ck_assert_ok(change->value == 0 ? buffer_remove(rig->buffer, key)
						: buffer_put(rig->buffer, key,
							  make_value(value_buf, change->value)));
	}
	if (test_random(&rig->random) % 4 == 0 &&
		buffer_view_begin_latest(&rig->latest) == ERR_OK) {
		struct model model = {0};
		make_model(rig, rig->count + 1, &model);
		compare_view(rig, &rig->latest, &model);
		buffer_view_end(&rig->latest);
		model_free(&model);
	}
	rig->count++;
	buffer_publish(rig->buffer);
}

/* A view begins, is compared again with what it was when it began, or ends. */
static void use_view(struct rig *rig)
{
	struct buffer_view *view = &rig->views[test_random(&rig->random) % VIEWS];
	if (!view->has_begun) {
		enum err err = buffer_view_begin(view);
		ck_assert(err == ERR_OK || err == ERR_IO);
		if (err != ERR_OK)
			return;
		ck_assert_uint_eq(view->snapshot, rig->count);
	}
	struct model model = {0};
	make_model(rig, view->snapshot, &model);
	compare_view(rig, view, &model);
	model_free(&model);
	if (test_random(&rig->random) % 3 > 0)
		buffer_view_end(view);
}

static void live(struct rig *rig)
{
	for (int fault = 0; fault < SIM_KV_FAULTS; fault++)
		if (test_random(&rig->random) % 6 == 0)
			sim_kv_set_odds(rig->sim_kv, fault, 1 + test_random(&rig->random) % 5);
	size_t room_left = COMMANDS_MAX - rig->count - 1;
	size_t steps = test_random(&rig->random) % 300;
	for (size_t i = 0; i < steps && i < room_left; i++) {
		sim_call(rig->sim, rig->writer, write_command, rig);
		for (int j = test_random(&rig->random) % 3; j > 0; j--)
			sim_step(rig->sim);
		if (test_random(&rig->random) % 5 == 0)
			use_view(rig);
		if (test_random(&rig->random) % 40 == 0)
			sim_run_ms(rig->sim, 30);
	}
}

START_TEST(views_and_crashes_see_a_beginning_of_the_commands)
{
	static struct rig rig;
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		rig = (struct rig){.seed = seed, .random = seed};
		rig.sim = sim_new(seed);
		rig.node = sim_node_new(rig.sim, "node");
		rig.writer = sim_node_loop(rig.node);
		rig.committer = sim_node_loop(rig.node);
		rig.sim_kv = sim_kv_new(rig.node, 0);
		for (int i = 0; i < LIVES; i++) {
			start(&rig);
			live(&rig);
			if (test_random(&rig.random) % 3 == 0)
				stop(&rig);
			else
				die(&rig);
		}
		sim_node_kill(rig.node);
		sim_kv_free(rig.sim_kv);
		sim_free(rig.sim);
	}
	if (seed_count == 1)
		return;
	ck_assert_uint_gt(failures, 0);
	ck_assert_uint_gt(waits, 0);
	ck_assert_uint_gt(commits, seed_count);
	ck_assert_uint_gt(views_compared, 10 * seed_count);
}
END_TEST

int main(int argc, char **argv)
{
	if (getenv("SEEDS"))
		seed_count = strtoull(getenv("SEEDS"), NULL, 10);
	seed_first = sim_seed_of(argc, argv, 0);
	seed_count = seed_first > 0 ? 1 : seed_count;
	seed_first = seed_first > 0 ? seed_first : 1;
	Suite *suite = suite_create("buffer");
	TCase *tcase = tcase_create("seeds");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, views_and_crashes_see_a_beginning_of_the_commands);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
