/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_post.h"

#include "gateway/request_stranger.h"
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
static uint64_t bucket;

static void setup(void)
{
	gateway_rig_open(&rig);
	bucket = gateway_rig_bucket(&rig, "garden");
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

/* --- memory ----------------------------------------------------------------------------------- */

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

/* --- secrets ---------------------------------------------------------------------------------- */

#define SSE "x-amz-server-side-encryption-customer-"
#define KEY "a key of 32 bytes, of a customer"
#define KEY_TEXT "YSBrZXkgb2YgMzIgYnl0ZXMsIG9mIGEgY3VzdG9tZXI="
#define KEY_FIELDS \
	PLAIN_FIELD(SSE "algorithm", "AES256") \
	PLAIN_FIELD(SSE "key", KEY_TEXT) PLAIN_FIELD(SSE "key-md5", "XD/17VF2deNvl65pKcf0uw==")

/* Lets everybody put into the bucket. */
static void open_bucket(void)
{
	static const char blob[] =
		"\1{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\","
		"\"Principal\":\"*\",\"Action\":\"s3:PutObject\","
		"\"Resource\":\"arn:aws:s3:::garden/*\"}}";
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_CONFIG;
	command.bucket_update.config_kind = BUCKET_CONFIG_POLICY;
	command.bucket_update.config = bytes_of(blob);
	ck_assert_uint_eq(rig_code(&rig.rig, &command), COMMAND_OK);
}

static bool has_key(const void *data, size_t len)
{
	return memmem(data, len, KEY, strlen(KEY)) || memmem(data, len, KEY_TEXT, strlen(KEY_TEXT));
}

/* What fails at the end of the file, after all fields were judged, and before anything of it is
 * written; and what fails before. */
static const struct {
	bool is_open_bucket;
	unsigned status;
	const char *code;
} failures[] = {{true, 400, "MalformedPOSTRequest"}, {false, 403, "AccessDenied"}};

START_TEST(a_form_that_fails_leaves_no_key_of_a_customer)
{
	rig.gateway.settings.sse_c_without_tls = true;
	if (failures[_i].is_open_bucket)
		open_bucket();
	exhaust_pool();
	uint8_t *text = buffers[buffer_count - 1];
	give_one();
	post(MULTIPART, PLAIN_FIELD("key", "rose") KEY_FIELDS FILE_FIELD);
	assert_refused(failures[_i].status, failures[_i].code);
	ck_assert_ok(pool_take(&rig.loop.text_pool, POOL_64K, 1, &buffers[buffer_count]));
	ck_assert_ptr_eq(buffers[buffer_count++], text);
	ck_assert(!has_key(text, REQUEST_TEXT_LEN));
	ck_assert_ptr_nonnull(rig.loop.free_requests);
	ck_assert(!has_key(rig.loop.free_requests, sizeof *rig.loop.free_requests));
}
END_TEST

/* --- strangers -------------------------------------------------------------------------------- */

static const struct {
	const char *target, *type, *begun;
} strangers[] = {
	{"/garden", MULTIPART, PLAIN_FIELD("key", "rose") BOUNDARY "content-"},
	{"/", "application/x-www-form-urlencoded", "Action=GetCaller"},
};

/* Hands over what a stranger sends of a body of which no more comes. */
static void begin(struct fake_exchange *fake, size_t i)
{
	fake_exchange_init(fake, &rig.rig.loop.loop, "POST", strangers[i].target);
	fake_exchange_header(fake, "host", "s3.test");
	fake_exchange_header(fake, "content-type", strangers[i].type);
	fake_exchange_body(fake, strangers[i].begun, strlen(strangers[i].begun));
	fake->body_err = ERR_BUSY;
	fake_exchange_start(fake, &rig.loop.handler);
	rig_run(&rig.rig);
}

START_TEST(strangers_that_wait_leave_room_for_others)
{
	static struct fake_exchange first, second;
	begin(&first, _i);
	ck_assert(!first.is_answered);
	begin(&second, 1 - _i);
	ck_assert_uint_eq(second.response.status, 503);
	ck_assert_str_eq(fake_exchange_element(&second, "Code"), "SlowDown");
	fake_exchange_fini(&second);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
	post(MULTIPART, PLAIN_FIELD("key", "rose") FILE_FIELD END); /* it need not wait */
	assert_refused(403, "AccessDenied");
	rig_pass(&rig.rig, 2 * STRANGER_MS_MAX);
	fake_exchange_fini(&first);
}
END_TEST

START_TEST(a_stranger_waits_for_so_long_and_no_longer)
{
	static struct fake_exchange fake;
	for (unsigned time = 0; time < 2; time++) {
		begin(&fake, _i);
		rig_pass(&rig.rig, STRANGER_MS_MAX);
		ck_assert(!fake.is_answered);
		rig_pass(&rig.rig, 1);
		ck_assert(fake.is_ended);
		ck_assert_uint_eq(fake.response.status, 400);
		ck_assert_str_eq(fake_exchange_element(&fake, "Code"), "RequestTimeout");
		fake_exchange_fini(&fake);
	}
}
END_TEST

START_TEST(a_form_whose_fields_were_judged_is_no_stranger)
{
	open_bucket();
	gateway_rig_make(&rig, "POST", "/garden");
	fake_exchange_header(&rig.fake, "host", "s3.test");
	fake_exchange_header(&rig.fake, "content-type", MULTIPART);
	const char *body = PLAIN_FIELD("key", "rose") FILE_FIELD;
	fake_exchange_body(&rig.fake, body, strlen(body));
	rig.fake.x.body_len += 100;
	rig.fake.body_err = ERR_BUSY;
	rig.fake.is_slow = true; /* it begins as one */
	fake_exchange_start(&rig.fake, &rig.loop.handler);
	rig_run(&rig.rig);
	rig_pass(&rig.rig, STRANGER_MS_MAX + 1);
	ck_assert(!rig.fake.is_answered);
	ck_assert_uint_eq(rig.loop.stranger_count, 0);
	rig.fake.x.gone(&rig.fake.x);
	rig_run(&rig.rig);
	ck_assert(rig.fake.is_ended);
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
	TCase *secrets = tcase_create("secrets");
	tcase_add_checked_fixture(secrets, setup, teardown);
	suite_add_tcase(suite, secrets);
	tcase_add_loop_test(
		secrets, a_form_that_fails_leaves_no_key_of_a_customer, 0, ARRAY_COUNT(failures));
	TCase *strange = tcase_create("strangers");
	tcase_add_checked_fixture(strange, setup, teardown);
	suite_add_tcase(suite, strange);
	tcase_add_loop_test(
		strange, strangers_that_wait_leave_room_for_others, 0, ARRAY_COUNT(strangers));
	tcase_add_loop_test(
		strange, a_stranger_waits_for_so_long_and_no_longer, 0, ARRAY_COUNT(strangers));
	tcase_add_test(strange, a_form_whose_fields_were_judged_is_no_stranger);
	return test_run(suite);
}
