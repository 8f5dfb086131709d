/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_post.h"

#include "gateway/request.h"
#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

#define BOUNDARY "--flower\r\n"
#define PLAIN_FIELD(name, value) \
	BOUNDARY "content-disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_FIELD \
	BOUNDARY "content-disposition: form-data; name=\"file\"; filename=\"rose\"\r\n\r\nred\r\n"
#define END "--flower--\r\n"

static struct gateway_rig rig;
static uint8_t *buffers[POOL_SLAB_LEN / REQUEST_TEXT_LEN];
static size_t buffer_count;

static void setup(void)
{
	gateway_rig_open(&rig);
	gateway_rig_bucket(&rig, "garden");
}

static void give_one(void)
{
	pool_give(&rig.loop.text_pool, buffers[--buffer_count]);
}

static void teardown(void)
{
	while (buffer_count > 0)
		give_one();
	gateway_rig_close(&rig);
}

/* Takes all text buffers that the loop lends. */
static void exhaust_pool(void)
{
	for (buffer_count = 0; buffer_count < ARRAY_COUNT(buffers); buffer_count++)
		ck_assert_ok(pool_take(&rig.loop.text_pool, POOL_64K, 1, &buffers[buffer_count]));
}

/* Hands over a form and runs what there is. */
static void post(const char *type, const char *body)
{
	gateway_rig_make(&rig, "POST", "/garden");
	fake_exchange_header(&rig.fake, "host", "s3.test");
	fake_exchange_header(&rig.fake, "content-type", type);
	fake_exchange_body(&rig.fake, body, strlen(body));
	fake_exchange_start(&rig.fake, &rig.loop.handler);
	rig_run(&rig.rig);
}

#define MULTIPART "multipart/form-data; boundary=flower"

static void assert_refused(unsigned status, const char *code)
{
	ck_assert(rig.fake.is_ended);
	ck_assert_uint_eq(rig.fake.response.status, status);
	ck_assert_str_eq(gateway_rig_code(&rig), code);
}

START_TEST(a_form_that_waited_for_memory_is_read_as_any_other)
{
	exhaust_pool();
	post(MULTIPART, PLAIN_FIELD("key", "rose") FILE_FIELD END);
	ck_assert(!rig.fake.is_answered);
	ck_assert_uint_eq(rig.fake.reads, 0);
	give_one();
	rig_run(&rig.rig);
	assert_refused(403, "AccessDenied");
	ck_assert_uint_gt(rig.fake.reads, 0);
}
END_TEST

START_TEST(a_form_that_waited_for_memory_is_checked_before_it_is_read)
{
	exhaust_pool();
	post("application/json", "{}");
	ck_assert(!rig.fake.is_answered);
	give_one();
	rig_run(&rig.rig);
	assert_refused(412, "PreconditionFailed");
	ck_assert_uint_eq(rig.fake.reads, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("op_post");
	TCase *memory = tcase_create("memory");
	tcase_add_checked_fixture(memory, setup, teardown);
	suite_add_tcase(suite, memory);
	tcase_add_test(memory, a_form_that_waited_for_memory_is_read_as_any_other);
	tcase_add_test(memory, a_form_that_waited_for_memory_is_checked_before_it_is_read);
	return test_run(suite);
}
