/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that read a body, and whose client goes away after each step of the world. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/object_rig.h"
#include "tests/lib/test.h"

#define DATA_LEN 700000
#define SSE "x-amz-server-side-encryption"
#define WAIT_MS 60000

static struct object_rig rig;
static uint8_t *data;
static char part[256]; /* where a part goes */

static void setup(void)
{
	object_rig_open(&rig, 1);
	data = malloc(DATA_LEN);
	ck_assert_ptr_nonnull(data);
	for (size_t i = 0; i < DATA_LEN; i++)
		data[i] = i * 7 + i / 256;
}

static void teardown(void)
{
	object_rig_close(&rig);
	free(data);
}

static void put(bool is_sealed)
{
	object_rig_make(&rig, "PUT", "/bkt/o");
	if (is_sealed)
		fake_exchange_header(&rig.fake, SSE, "AES256");
	fake_exchange_body(&rig.fake, data, DATA_LEN);
	ck_assert_uint_eq(object_rig_run(&rig, "UNSIGNED-PAYLOAD"), 200);
}

static void begin_upload(bool is_sealed)
{
	object_rig_make(&rig, "POST", "/bkt/u?uploads");
	if (is_sealed)
		fake_exchange_header(&rig.fake, SSE, "AES256");
	ck_assert_uint_eq(object_rig_run(&rig, NULL), 200);
	const char *id = fake_exchange_element(&rig.fake, "UploadId");
	ck_assert_ptr_nonnull(id);
	snprintf(part, sizeof part, "/bkt/u?partNumber=1&uploadId=%s", id);
}

/* --- requests --------------------------------------------------------------------------------- */

static void make_get(void)
{
	object_rig_make(&rig, "GET", "/bkt/o");
}

static void make_copy(void)
{
	object_rig_make(&rig, "PUT", "/bkt/copy");
	fake_exchange_header(&rig.fake, "x-amz-copy-source", "bkt/o");
	fake_exchange_header(&rig.fake, SSE, "AES256");
}

static void make_part_copy(void)
{
	object_rig_make(&rig, "PUT", part);
	fake_exchange_header(&rig.fake, "x-amz-copy-source", "bkt/o");
	fake_exchange_header(&rig.fake, "x-amz-copy-source-range", "bytes=10-600000");
}

static void leave(void *arg)
{
	(void)arg;
	rig.fake.is_gone = true;
	rig.fake.x.gone(&rig.fake.x);
}

static bool is_over(void *arg)
{
	(void)arg;
	return rig.fake.is_ended && rig.loop.counters.in_progress == 0;
}

/* Makes a request and goes away after so many steps; did it end before? */
static bool ask_and_leave(void (*make)(void), unsigned steps)
{
	const uint64_t *get_bytes = &rig.store_loop.counters.get_bytes;
	uint64_t old_len = *get_bytes;
	make();
	rig.sign.wall_ms = clock_wall_ms(sim_node_clock(rig.node));
	sign_request(&rig.fake, &rig.sign, NULL);
	object_rig_start(&rig, &rig.fake);
	for (unsigned i = 0; i < steps && !rig.fake.is_ended; i++)
		ck_assert(sim_step(rig.sim));
	bool has_ended = rig.fake.is_ended;
	uint64_t read_len = *get_bytes - old_len;
	if (!has_ended)
		sim_call(rig.sim, rig.client, leave, NULL);
	ck_assert_msg(sim_run_until(rig.sim, is_over, NULL, WAIT_MS),
		"left after %u steps, it never ended", steps);
	if (read_len > 0) /* no more is read than was when it left */
		ck_assert_uint_eq(*get_bytes - old_len, read_len);
	ck_assert(!has_ended || rig.fake.response.status == 200);
	return has_ended;
}

static void leave_at_every_step(void (*make)(void))
{
	unsigned steps = 0;
	while (!ask_and_leave(make, steps))
		steps++;
	ck_assert_uint_gt(steps, 0);
}

START_TEST(a_get_ends_whenever_its_client_leaves)
{
	put(false);
	leave_at_every_step(make_get);
	put(true);
	leave_at_every_step(make_get);
}
END_TEST

START_TEST(a_copy_of_bytes_ends_whenever_its_client_leaves)
{
	put(false);
	leave_at_every_step(make_copy);
}
END_TEST

START_TEST(a_copy_of_a_part_ends_whenever_its_client_leaves)
{
	put(false);
	begin_upload(false);
	leave_at_every_step(make_part_copy);
}
END_TEST

START_TEST(a_copy_of_the_bytes_of_a_part_ends_whenever_its_client_leaves)
{
	put(false);
	begin_upload(true);
	leave_at_every_step(make_part_copy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("op_gone");
	TCase *tcase = tcase_create("leave");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_get_ends_whenever_its_client_leaves);
	tcase_add_test(tcase, a_copy_of_bytes_ends_whenever_its_client_leaves);
	tcase_add_test(tcase, a_copy_of_a_part_ends_whenever_its_client_leaves);
	tcase_add_test(tcase, a_copy_of_the_bytes_of_a_part_ends_whenever_its_client_leaves);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
