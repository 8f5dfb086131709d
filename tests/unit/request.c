/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request.h"

#include "storage/meta/index_priv.h"
#include "tests/lib/gateway_rig.h"
#include "tests/lib/test.h"

static struct gateway_rig rig;

static void setup(void)
{
	gateway_rig_open(&rig);
}

static void teardown(void)
{
	gateway_rig_close(&rig);
}

static void assert_error(const char *method, const char *target, unsigned status, const char *code)
{
	ck_assert_uint_eq(gateway_rig_ask(&rig, method, target), status);
	ck_assert_str_eq(gateway_rig_code(&rig), code);
}

/* --- who it is -------------------------------------------------------------------------------- */

START_TEST(a_signed_request_is_answered)
{
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ID"), "alice");
}
END_TEST

START_TEST(a_request_without_a_signature_is_denied)
{
	static const char *const targets[] = {"/", "/garden", "/garden/key", "/garden?unheard"};
	gateway_rig_bucket(&rig, "garden");
	for (size_t i = 0; i < ARRAY_COUNT(targets); i++) {
		gateway_rig_make(&rig, "GET", targets[i]);
		fake_exchange_header(&rig.fake, "host", "s3.test");
		gateway_rig_run(&rig);
		ck_assert_uint_eq(rig.fake.response.status, 403);
		ck_assert_str_eq(gateway_rig_code(&rig), "AccessDenied");
	}
}
END_TEST

START_TEST(a_stranger_learns_that_a_bucket_is_not_there)
{
	gateway_rig_make(&rig, "GET", "/garden");
	fake_exchange_header(&rig.fake, "host", "s3.test");
	gateway_rig_run(&rig);
	ck_assert_uint_eq(rig.fake.response.status, 404);
	ck_assert_str_eq(gateway_rig_code(&rig), "NoSuchBucket");
}
END_TEST

START_TEST(a_stranger_learns_the_region_from_head)
{
	gateway_rig_bucket(&rig, "garden");
	gateway_rig_make(&rig, "HEAD", "/garden");
	fake_exchange_header(&rig.fake, "host", "s3.test");
	gateway_rig_run(&rig);
	ck_assert_uint_eq(rig.fake.response.status, 403);
	ck_assert_str_eq(fake_exchange_answer_header(&rig.fake, "x-amz-bucket-region"), RIG_REGION);
	ck_assert_uint_eq(rig.fake.answer_len, 0);
}
END_TEST

START_TEST(an_unknown_key_is_told_so)
{
	rig.sign.key_id = "AKNOBODY";
	assert_error("GET", "/", 403, "InvalidAccessKeyId");
}
END_TEST

START_TEST(a_wrong_secret_gets_the_string_that_was_to_be_signed)
{
	rig.sign.secret = "another";
	assert_error("GET", "/", 403, "SignatureDoesNotMatch");
	ck_assert_ptr_nonnull(fake_exchange_element(&rig.fake, "StringToSign"));
	ck_assert_ptr_nonnull(fake_exchange_element(&rig.fake, "CanonicalRequest"));
}
END_TEST

START_TEST(a_disabled_key_is_refused_by_the_next_request)
{
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
	gateway_rig_key(&rig, "alice", ACCESS_KEY_DISABLED, AUTH_ROLE_OWNER, 0, "");
	assert_error("GET", "/", 403, "InvalidAccessKeyId");
}
END_TEST

START_TEST(a_changed_secret_is_the_only_one_from_then_on)
{
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
	gateway_rig_key(&rig, "Alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0, "");
	assert_error("GET", "/", 403, "SignatureDoesNotMatch");
	rig.sign.secret = "secret-Alice";
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
}
END_TEST

START_TEST(an_expired_key_is_refused)
{
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, rig.wall_ms, "");
	assert_error("GET", "/", 403, "InvalidAccessKeyId");
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, rig.wall_ms + 1, "");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
}
END_TEST

START_TEST(a_key_with_a_policy_that_nobody_weighs_grants_nothing)
{
	gateway_rig_key(&rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0, "{}");
	assert_error("GET", "/", 403, "AccessDenied");
}
END_TEST

START_TEST(a_session_token_is_not_ours)
{
	gateway_rig_make(&rig, "GET", "/");
	fake_exchange_header(&rig.fake, "x-amz-security-token", "token");
	sign_request(&rig.fake, &rig.sign, NULL);
	gateway_rig_run(&rig);
	ck_assert_str_eq(gateway_rig_code(&rig), "InvalidToken");
}
END_TEST

START_TEST(a_clock_that_was_not_set_refuses_everything)
{
	rig.wall_ms = 1000;
	assert_error("GET", "/", 503, "ServiceUnavailable");
}
END_TEST

/* --- what they may ---------------------------------------------------------------------------- */

START_TEST(a_bucket_of_another_owner_is_denied)
{
	gateway_rig_bucket(&rig, "garden");
	gateway_rig_be(&rig, "bob");
	assert_error("GET", "/garden?location", 403, "AccessDenied");
	assert_error("DELETE", "/garden", 403, "AccessDenied");
}
END_TEST

START_TEST(an_admin_may_enter_every_bucket)
{
	gateway_rig_bucket(&rig, "garden");
	gateway_rig_be(&rig, "admin");
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden?location"), 200);
}
END_TEST

START_TEST(a_bucket_that_is_not_there_has_its_name_in_the_error)
{
	assert_error("GET", "/nowhere?location", 404, "NoSuchBucket");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "BucketName"), "nowhere");
}
END_TEST

START_TEST(the_expected_owner_must_be_the_owner)
{
	gateway_rig_bucket(&rig, "garden");
	static const char *const owners[] = {"alice", "bob"};
	for (size_t i = 0; i < 2; i++) {
		gateway_rig_make(&rig, "GET", "/garden?location");
		fake_exchange_header(&rig.fake, "x-amz-expected-bucket-owner", owners[i]);
		sign_request(&rig.fake, &rig.sign, NULL);
		gateway_rig_run(&rig);
		ck_assert_uint_eq(rig.fake.response.status, i == 0 ? 200 : 403);
	}
}
END_TEST

START_TEST(a_bucket_in_the_host_name_is_found)
{
	gateway_rig_bucket(&rig, "garden");
	rig.gateway.settings.domains[0] = bytes_of("test");
	rig.gateway.settings.domain_count = 1;
	/* The signer's host is s3.test. */
	assert_error("GET", "/?location", 404, "NoSuchBucket");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "BucketName"), "s3");
}
END_TEST

/* --- the form of answers ---------------------------------------------------------------------- */

START_TEST(the_request_id_is_the_same_in_header_and_document)
{
	assert_error("GET", "/nowhere?location", 404, "NoSuchBucket");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "RequestId"),
		fake_exchange_answer_header(&rig.fake, "x-amz-request-id"));
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "HostId"),
		fake_exchange_answer_header(&rig.fake, "x-amz-id-2"));
	ck_assert_str_eq(fake_exchange_answer_header(&rig.fake, "content-type"), "application/xml");
}
END_TEST

START_TEST(a_failed_head_has_no_body)
{
	ck_assert_uint_eq(gateway_rig_ask(&rig, "HEAD", "/nowhere"), 404);
	ck_assert_uint_eq(rig.fake.answer_len, 0);
}
END_TEST

START_TEST(a_body_that_is_not_wanted_is_not_read)
{
	gateway_rig_bucket(&rig, "garden");
	rig.sign.secret = "another";
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?acl", "<x/>"), 403);
	ck_assert_uint_eq(rig.fake.reads, 0);
	gateway_rig_be(&rig, "alice");
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden?accelerate", "<x/>"), 501);
	ck_assert_uint_eq(rig.fake.reads, 0);
}
END_TEST

START_TEST(a_method_without_an_operation_is_not_allowed)
{
	gateway_rig_bucket(&rig, "garden");
	assert_error("POST", "/garden/key", 405, "MethodNotAllowed");
	ck_assert_str_eq(fake_exchange_element(&rig.fake, "ResourceType"), "OBJECT");
}
END_TEST

START_TEST(a_target_that_is_no_path_is_an_invalid_uri)
{
	assert_error("GET", "/a%zz", 400, "InvalidURI");
}
END_TEST

START_TEST(more_requests_than_may_be_wait_for_their_turn)
{
	struct fake_exchange fakes[5];
	rig.sign.wall_ms = rig.wall_ms;
	for (size_t i = 0; i < 5; i++) {
		fake_exchange_init(&fakes[i], &rig.rig.loop.loop, "GET", "/");
		sign_request(&fakes[i], &rig.sign, NULL);
		fake_exchange_start(&fakes[i], &rig.loop.handler);
	}
	ck_assert(!fakes[4].is_answered);
	ck_assert_uint_eq(rig.loop.counters.in_progress, 4);
	rig_run(&rig.rig);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_uint_eq(fakes[i].response.status, 200);
		fake_exchange_fini(&fakes[i]);
	}
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/"), 200);
}
END_TEST

START_TEST(a_client_that_goes_away_leaves_nothing_behind)
{
	gateway_rig_make(&rig, "GET", "/");
	sign_request(&rig.fake, &rig.sign, NULL);
	rig.fake.gone_after = 1;
	gateway_rig_run(&rig);
	ck_assert(rig.fake.is_ended);
	ck_assert_uint_eq(rig.loop.counters.in_progress, 0);
}
END_TEST

static enum err find_little_space(struct disk *disk, struct disk_space *ret_space)
{
	(void)disk;
	*ret_space = (struct disk_space){.total = 1000, .free = 99};
	return ERR_OK;
}

/* Has the index see a file system with less room than its log wants. */
static void fill_disk(void)
{
	static const struct disk_ops ops = {.space = find_little_space};
	static struct disk disk = {.ops = &ops, .path = "full"};
	struct index *index = rig.rig.index;
	struct index_space_setup setup = {.disk = &disk,
		.kv = index->setup.kv,
		.loop = &rig.rig.loop.loop,
		.clock = &rig.clock,
		.trace = index->setup.trace,
		.log_len = 100};
	index_space_init(&index->space, &setup);
}

START_TEST(without_room_for_the_index_a_body_is_refused_before_it_is_read)
{
	gateway_rig_bucket(&rig, "garden");
	fill_disk();
	ck_assert_uint_eq(gateway_rig_send(&rig, "PUT", "/garden/rose", "red"), 507);
	ck_assert_str_eq(gateway_rig_code(&rig), "XRubusStorageFull");
	ck_assert_uint_eq(rig.fake.reads, 0);
	assert_error("POST", "/garden/rose?uploads", 507, "XRubusStorageFull");
	assert_error("PUT", "/meadow", 507, "XRubusStorageFull");
}
END_TEST

START_TEST(without_room_for_the_index_reads_and_deletes_are_served)
{
	uint64_t bucket = gateway_rig_bucket(&rig, "garden");
	gateway_rig_put(&rig, bucket, "rose", "red");
	fill_disk();
	ck_assert_uint_eq(gateway_rig_ask(&rig, "GET", "/garden"), 200);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "HEAD", "/garden/rose"), 200);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "DELETE", "/garden/rose"), 204);
	ck_assert_uint_eq(gateway_rig_ask(&rig, "DELETE", "/garden"), 204);
}
END_TEST

START_TEST(counters_know_the_route)
{
	gateway_rig_ask(&rig, "GET", "/");
	ck_assert_uint_eq(rig.loop.counters.requests[0], 1);
	ck_assert_str_eq(route_table[0].operation, "ListBuckets");
	assert_error("GET", "/nowhere?location", 404, "NoSuchBucket");
	ck_assert_uint_eq(rig.loop.counters.errors_4xx, 1);
}
END_TEST

static TCase *make_case(Suite *suite, const char *name)
{
	TCase *made = tcase_create(name);
	tcase_add_checked_fixture(made, setup, teardown);
	suite_add_tcase(suite, made);
	return made;
}

int main(void)
{
	Suite *suite = suite_create("request");
	TCase *who = make_case(suite, "who it is");
	tcase_add_test(who, a_signed_request_is_answered);
	tcase_add_test(who, a_request_without_a_signature_is_denied);
	tcase_add_test(who, a_stranger_learns_that_a_bucket_is_not_there);
	tcase_add_test(who, a_stranger_learns_the_region_from_head);
	tcase_add_test(who, an_unknown_key_is_told_so);
	tcase_add_test(who, a_wrong_secret_gets_the_string_that_was_to_be_signed);
	tcase_add_test(who, a_disabled_key_is_refused_by_the_next_request);
	tcase_add_test(who, a_changed_secret_is_the_only_one_from_then_on);
	tcase_add_test(who, an_expired_key_is_refused);
	tcase_add_test(who, a_key_with_a_policy_that_nobody_weighs_grants_nothing);
	tcase_add_test(who, a_session_token_is_not_ours);
	tcase_add_test(who, a_clock_that_was_not_set_refuses_everything);
	TCase *may = make_case(suite, "what they may");
	tcase_add_test(may, a_bucket_of_another_owner_is_denied);
	tcase_add_test(may, an_admin_may_enter_every_bucket);
	tcase_add_test(may, a_bucket_that_is_not_there_has_its_name_in_the_error);
	tcase_add_test(may, the_expected_owner_must_be_the_owner);
	tcase_add_test(may, a_bucket_in_the_host_name_is_found);
	TCase *form = make_case(suite, "the form of answers");
	tcase_add_test(form, the_request_id_is_the_same_in_header_and_document);
	tcase_add_test(form, a_failed_head_has_no_body);
	tcase_add_test(form, a_body_that_is_not_wanted_is_not_read);
	tcase_add_test(form, a_method_without_an_operation_is_not_allowed);
	tcase_add_test(form, a_target_that_is_no_path_is_an_invalid_uri);
	tcase_add_test(form, more_requests_than_may_be_wait_for_their_turn);
	tcase_add_test(form, a_client_that_goes_away_leaves_nothing_behind);
	tcase_add_test(form, without_room_for_the_index_a_body_is_refused_before_it_is_read);
	tcase_add_test(form, without_room_for_the_index_reads_and_deletes_are_served);
	tcase_add_test(form, counters_know_the_route);
	return test_run(suite);
}
