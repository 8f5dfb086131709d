/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of a range that are canceled after each step of the world, of bodies of every form. */
#include <stdlib.h>

#include "gateway/sse.h"
#include "storage/object/unpack.h"
#include "tests/lib/object_rig.h"
#include "tests/lib/test.h"

#define DATA_LEN 700000
#define SHORT_LEN 1000 /* of a body that is in the index */
#define WAIT_MS 60000

static struct object_rig rig;
static uint8_t *data;

/* One read. Its owner says a task later that a piece was sent. */
struct reading {
	struct unpack unpack;
	uint64_t start, end, next; /* in the body */
	bool is_canceled, is_done;
	enum err err;
	struct task task;
	bool is_posted;
	bool is_held; /* the owner keeps its pieces */
};

static struct reading reading;

static void setup(void)
{
	object_rig_open(&rig, 1);
	data = malloc(DATA_LEN);
	ck_assert_ptr_nonnull(data);
	for (size_t i = 0; i < DATA_LEN; i++)
		data[i] = "a rubus grows by the wall "[(i * 7 + i / 13 % 3) % 26];
}

static void teardown(void)
{
	object_rig_close(&rig);
	free(data);
}

static void put(bool is_zipped, bool is_sealed, size_t len)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = rig.bucket;
	command.bucket_update.set = BUCKET_SET_CONFIG;
	command.bucket_update.config_kind = BUCKET_CONFIG_COMPRESSION;
	command.bucket_update.config = is_zipped ? bytes_make("\1\1", 2) : (struct bytes){0};
	object_rig_propose(&rig, &command);
	object_rig_make(&rig, "PUT", "/bkt/o");
	if (is_sealed)
		fake_exchange_header(&rig.fake, "x-amz-server-side-encryption", "AES256");
	fake_exchange_body(&rig.fake, data, len);
	ck_assert_uint_eq(object_rig_run(&rig, "UNSIGNED-PAYLOAD"), 200);
}

static enum err open_key(struct unpack *unpack, struct bytes encryption, struct frame_key *ret_key)
{
	(void)unpack;
	struct sse_customer customer = {0};
	return sse_open(&rig.gateway, &customer, encryption, ret_key);
}

static void send_piece(struct task *task)
{
	(void)task;
	reading.is_posted = false;
	if (!reading.is_canceled)
		unpack_sent(&reading.unpack);
}

static void piece_came(struct unpack *unpack, const uint8_t *bytes, size_t len)
{
	(void)unpack;
	ck_assert(!reading.is_canceled && !reading.is_done && !reading.is_posted);
	ck_assert_uint_le(len, reading.end - reading.next);
	ck_assert(memcmp(bytes, data + reading.next, len) == 0);
	reading.next += len;
	if (reading.is_held)
		return;
	reading.is_posted = true;
	loop_post(rig.client, &reading.task);
}

static void unpack_ended(struct unpack *unpack, enum err err)
{
	(void)unpack;
	ck_assert(!reading.is_done);
	reading.is_done = true;
	reading.err = err;
}

static void start(void *arg)
{
	(void)arg;
	struct object_info info;
	ck_assert_ok(index_view_begin(rig.store_loop.reader));
	ck_assert_ok(index_version_find(rig.store_loop.reader, rig.bucket, bytes_of("o"), &info));
	struct unpack_setup unpack_setup = {
		.store = &rig.store_loop,
		.body = info.row.body,
		.start = reading.start,
		.len = reading.end - reading.start,
		.request_id = 1,
		.open = open_key,
		.piece = piece_came,
		.done = unpack_ended,
	};
	unpack_start(&reading.unpack, &unpack_setup);
	index_view_end(rig.store_loop.reader);
}

static void cancel(void *arg)
{
	(void)arg;
	reading.is_canceled = true;
	unpack_cancel(&reading.unpack);
}

static bool is_over(void *arg)
{
	(void)arg;
	return reading.is_done && !reading.is_posted;
}

/* Reads nearly all of the object and cancels that after so many steps; did it end before? */
static bool read_and_cancel(size_t len, unsigned steps, bool is_held)
{
	memset(&reading, 0, sizeof reading);
	reading.start = reading.next = 10;
	reading.end = len - 10;
	reading.is_held = is_held;
	reading.task.run = send_piece;
	sim_call(rig.sim, rig.client, start, NULL);
	for (unsigned i = 0; i < steps && !reading.is_done; i++)
		ck_assert(sim_step(rig.sim) || is_held); /* then nothing goes on */
	bool has_ended = reading.is_done;
	if (!has_ended)
		sim_call(rig.sim, rig.client, cancel, NULL);
	ck_assert_msg(sim_run_until(rig.sim, is_over, NULL, WAIT_MS),
		"canceled after %u steps, it never ended", steps);
	ck_assert_err(reading.err, has_ended ? ERR_OK : ERR_CANCELED);
	ck_assert(!has_ended || reading.next == reading.end);
	return has_ended;
}

static void cancel_at_every_step(bool is_zipped, bool is_sealed, size_t len)
{
	put(is_zipped, is_sealed, len);
	unsigned steps = 0;
	while (!read_and_cancel(len, steps, false))
		steps++;
	ck_assert_uint_gt(steps, 0);
	for (unsigned i = 0; i <= steps; i++)
		ck_assert(!read_and_cancel(len, i, true));
}

START_TEST(a_plain_read_ends_whenever_it_is_canceled)
{
	cancel_at_every_step(false, false, DATA_LEN);
}
END_TEST

START_TEST(a_zipped_read_ends_whenever_it_is_canceled)
{
	cancel_at_every_step(true, false, DATA_LEN);
}
END_TEST

START_TEST(a_sealed_read_ends_whenever_it_is_canceled)
{
	cancel_at_every_step(false, true, DATA_LEN);
}
END_TEST

START_TEST(a_zipped_and_sealed_read_ends_whenever_it_is_canceled)
{
	cancel_at_every_step(true, true, DATA_LEN);
}
END_TEST

START_TEST(a_read_of_a_body_in_the_index_ends_whenever_it_is_canceled)
{
	cancel_at_every_step(false, false, SHORT_LEN);
	cancel_at_every_step(true, true, SHORT_LEN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unpack");
	TCase *tcase = tcase_create("cancel");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_plain_read_ends_whenever_it_is_canceled);
	tcase_add_test(tcase, a_zipped_read_ends_whenever_it_is_canceled);
	tcase_add_test(tcase, a_sealed_read_ends_whenever_it_is_canceled);
	tcase_add_test(tcase, a_zipped_and_sealed_read_ends_whenever_it_is_canceled);
	tcase_add_test(tcase, a_read_of_a_body_in_the_index_ends_whenever_it_is_canceled);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
