/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/digest/base64.h"
#include "gateway/digest/crc.h"
#include "gateway/digest/digest_lanes.h"
#include "gateway/digest/digest_stream.h"
#include "gateway/digest/hash_lanes.h"
#include "gateway/digest/hex.h"
#include "gateway/digest/hmac.h"
#include "tests/lib/test.h"

/* --- what the values must be, by OpenSSL's own front --- */

static void values_by_openssl(const uint8_t *data, size_t len, struct digest_values *ret_values)
{
	*ret_values = (struct digest_values){.kinds = DIGEST_ALL};
	ck_assert(EVP_Digest(data, len, ret_values->md5, NULL, EVP_md5(), NULL));
	ck_assert(EVP_Digest(data, len, ret_values->sha256, NULL, EVP_sha256(), NULL));
	ck_assert(EVP_Digest(data, len, ret_values->sha1, NULL, EVP_sha1(), NULL));
	put_be32(ret_values->crc32, (uint32_t)crc_update(CRC_32, 0, data, len));
	put_be32(ret_values->crc32c, (uint32_t)crc_update(CRC_32C, 0, data, len));
	put_be64(ret_values->crc64nvme, crc_update(CRC_64NVME, 0, data, len));
}

static void assert_values(
	const struct digest_values *got, const struct digest_values *all, const char *where)
{
	for (unsigned kind = 1; kind & DIGEST_ALL; kind <<= 1) {
		if (!(got->kinds & kind))
			continue;
		ck_assert_msg(bytes_is_equal(digest_value(got, kind), digest_value(all, kind)),
			"%s: digest %#x differs", where, kind);
	}
}

/* --- a loop and a worker of one thread; the test runs them --- */

struct fake {
	struct loop loop;
	struct worker worker;
	struct task *first, *last;
	struct work *works[64];
	size_t work_count;
	unsigned worked_count;
	struct timer *timer; /* at most one is set */
	uint64_t now_ms;
};

static void fake_post(struct loop *loop, struct task *task)
{
	struct fake *fake = CONTAINER_OF(loop, struct fake, loop);
	task->next = NULL;
	if (fake->first)
		fake->last->next = task;
	else
		fake->first = task;
	fake->last = task;
}

static bool fake_is_current(struct loop *loop)
{
	(void)loop;
	return true;
}

static void fake_timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
	struct fake *fake = CONTAINER_OF(loop, struct fake, loop);
	ck_assert(!fake->timer);
	fake->timer = timer;
	timer->due_ms = fake->now_ms + delay_ms;
	timer->is_set = true;
}

static void fake_timer_cancel(struct loop *loop, struct timer *timer)
{
	struct fake *fake = CONTAINER_OF(loop, struct fake, loop);
	if (timer->is_set)
		fake->timer = NULL;
	timer->is_set = false;
}

static uint64_t fake_now_ms(struct loop *loop)
{
	return CONTAINER_OF(loop, struct fake, loop)->now_ms;
}

static void fake_submit(struct worker *worker, struct work *work)
{
	struct fake *fake = CONTAINER_OF(worker, struct fake, worker);
	ck_assert_uint_lt(fake->work_count, ARRAY_COUNT(fake->works));
	fake->works[fake->work_count++] = work;
}

static const struct loop_ops fake_loop_ops = {.post = fake_post,
	.timer_set = fake_timer_set,
	.timer_cancel = fake_timer_cancel,
	.now_ms = fake_now_ms,
	.is_current = fake_is_current};
static const struct worker_ops fake_worker_ops = {.submit = fake_submit};

static bool fake_run_task(struct fake *fake)
{
	struct task *task = fake->first;
	if (!task)
		return false;
	fake->first = task->next;
	task->run(task);
	return true;
}

static bool fake_fire_timer(struct fake *fake)
{
	struct timer *timer = fake->timer;
	if (!timer)
		return false;
	fake->timer = NULL;
	fake->now_ms = timer->due_ms;
	timer->is_set = false;
	timer->fire(timer);
	return true;
}

static bool fake_run_work(struct fake *fake)
{
	if (fake->work_count == 0)
		return false;
	struct work *work = fake->works[--fake->work_count];
	fake->worked_count++;
	work->run(work);
	work->done(work);
	return true;
}

static void fake_init(struct fake *fake)
{
	*fake = (struct fake){.loop.ops = &fake_loop_ops, .worker.ops = &fake_worker_ops};
}

/* --- one body, submitted in pieces of random lengths --- */

struct upload {
	struct digest_stream stream;
	struct digest_job job;
	struct digest_lanes *lanes;
	const uint8_t *data;
	size_t len, offset;
	uint64_t random;
	size_t piece_len_max;
	unsigned done_count;
};

static void upload_submit(struct upload *upload)
{
	size_t left = upload->len - upload->offset;
	size_t len = test_random(&upload->random) % (upload->piece_len_max + 1);
	upload->job.stream = &upload->stream;
	upload->job.buf = upload->data + upload->offset;
	upload->job.len = len < left ? len : left;
	upload->offset += upload->job.len;
	unsigned done_count = upload->done_count;
	digest_lanes_submit(upload->lanes, &upload->job);
	ck_assert_uint_eq(upload->done_count, done_count);
}

static void upload_job_done(struct digest_job *job)
{
	struct upload *upload = CONTAINER_OF(job, struct upload, job);
	upload->done_count++;
	if (upload->offset < upload->len)
		upload_submit(upload);
}

static void upload_start(struct upload *upload, struct digest_lanes *lanes, unsigned kinds,
	const uint8_t *data, size_t len, size_t piece_len_max, uint64_t seed)
{
	*upload = (struct upload){.lanes = lanes,
		.data = data,
		.len = len,
		.piece_len_max = piece_len_max,
		.random = seed,
		.job.done = upload_job_done};
	digest_stream_init(&upload->stream, kinds);
	upload_submit(upload);
}

enum { DATA_LEN = 600000, UPLOADS_MAX = 40 };

static uint8_t data[DATA_LEN];

static void run_uploads(const struct hash_kernel *md5, const struct hash_kernel *sha256,
	uint64_t seed, const char *where)
{
	struct fake fake;
	struct digest_lanes lanes;
	static struct upload uploads[UPLOADS_MAX];
	uint64_t random = seed;
	size_t count = 1 + test_random(&random) % UPLOADS_MAX;
	fake_init(&fake);
	digest_lanes_init(&lanes, &fake.loop, &fake.worker);
	lanes.md5 = md5;
	lanes.sha256 = sha256;
	for (size_t i = 0; i < count; i++) {
		unsigned kinds = test_random(&random) % 4 == 0 ? test_random(&random) & DIGEST_ALL
							       : DIGEST_MD5 | DIGEST_SHA256;
		size_t len = test_random(&random) % (i % 4 == 0 ? 100000 : 3000);
		size_t piece_len_max = (size_t)1 << (4 + test_random(&random) % 13);
		upload_start(&uploads[i], &lanes, kinds, data + test_random(&random) % 1000, len,
			piece_len_max > len / 50 ? piece_len_max : len / 50, seed + i);
	}
	while (test_random(&random) % 2
			? fake_run_task(&fake) || fake_run_work(&fake) || fake_fire_timer(&fake)
			: fake_run_work(&fake) || fake_run_task(&fake))
		;
	digest_lanes_fini(&lanes);
	for (size_t i = 0; i < count; i++) {
		struct digest_values got, want;
		ck_assert_uint_eq(uploads[i].offset, uploads[i].len);
		values_by_openssl(uploads[i].data, uploads[i].len, &want);
		digest_stream_final(&uploads[i].stream, &got);
		assert_values(&got, &want, where);
	}
}

START_TEST(lanes_of_every_kernel_give_what_openssl_gives)
{
	size_t md5_count, sha256_count;
	const struct hash_kernel *md5 = hash_lanes_list_md5(&md5_count);
	const struct hash_kernel *sha256 = hash_lanes_list_sha256(&sha256_count);
	for (size_t i = 0; i < md5_count; i++)
		for (size_t j = 0; j < sha256_count; j++) {
			if (!md5[i].is_available() || !sha256[j].is_available())
				continue;
			for (uint64_t seed = 1; seed <= 8; seed++) {
				char where[100];
				snprintf(where, sizeof where, "%s %s seed %d", md5[i].name,
					sha256[j].name, (int)seed);
				run_uploads(&md5[i], &sha256[j], seed, where);
			}
		}
}
END_TEST

/* Takes `len` bytes into the upload and runs what follows. Tells whether a worker did it. */
static bool is_worked(struct fake *fake, struct upload *upload, size_t len)
{
	upload->job.stream = &upload->stream;
	upload->job.buf = upload->data + upload->offset;
	upload->job.len = len;
	upload->job.done = upload_job_done;
	upload->offset += len;
	fake->worked_count = 0;
	unsigned done_count = upload->done_count;
	digest_lanes_submit(upload->lanes, &upload->job);
	ck_assert_uint_eq(upload->done_count, done_count);
	while (fake_run_task(fake) || fake_run_work(fake))
		;
	ck_assert_uint_eq(upload->done_count, done_count + 1);
	return fake->worked_count > 0;
}

static void assert_upload(struct upload *upload)
{
	struct digest_values got, want;
	values_by_openssl(data, upload->offset, &want);
	digest_stream_final(&upload->stream, &got);
	assert_values(&got, &want, "an upload");
}

START_TEST(a_body_long_alone_goes_to_a_worker_until_another_comes)
{
	struct fake fake;
	struct digest_lanes lanes;
	struct upload uploads[2];
	fake_init(&fake);
	digest_lanes_init(&lanes, &fake.loop, &fake.worker);
	for (size_t i = 0; i < ARRAY_COUNT(uploads); i++) {
		uploads[i] = (struct upload){.lanes = &lanes, .data = data};
		digest_stream_init(&uploads[i].stream, DIGEST_ALL);
	}
	for (unsigned i = 1; i <= 5; i++)
		ck_assert_uint_eq(is_worked(&fake, &uploads[0], 64 * 1024), i >= 4);
	ck_assert(!is_worked(&fake, &uploads[0], 64 * 1024 - 1)); /* too short for it */
	ck_assert(!is_worked(&fake, &uploads[1], 64 * 1024));
	ck_assert(!is_worked(&fake, &uploads[0], 64 * 1024));
	digest_lanes_fini(&lanes);
	assert_upload(&uploads[0]);
	assert_upload(&uploads[1]);
}
END_TEST

static void submit_piece(struct upload *upload, size_t len)
{
	upload->job.stream = &upload->stream;
	upload->job.buf = upload->data + upload->offset;
	upload->job.len = len;
	upload->job.done = upload_job_done;
	upload->len = upload->offset += len;
	digest_lanes_submit(upload->lanes, &upload->job);
}

static void start_uploads(struct fake *fake, struct digest_lanes *lanes, struct upload uploads[4])
{
	fake_init(fake);
	digest_lanes_init(lanes, &fake->loop, &fake->worker);
	for (size_t i = 0; i < 4; i++) {
		uploads[i] = (struct upload){.lanes = lanes, .data = data};
		digest_stream_init(&uploads[i].stream, DIGEST_MD5);
		digest_lanes_enter(lanes);
		submit_piece(&uploads[i], 64 * 1024);
	}
	while (fake_run_task(fake))
		;
	ck_assert(!fake->timer);
}

START_TEST(a_job_waits_for_half_of_the_bodies_that_are_on_their_way)
{
	struct fake fake;
	struct digest_lanes lanes;
	struct upload uploads[4];
	start_uploads(&fake, &lanes, uploads);
	submit_piece(&uploads[0], 64 * 1024);
	ck_assert(fake_run_task(&fake));
	ck_assert(fake.timer && !fake.first);
	ck_assert_uint_eq(uploads[0].done_count, 1);
	submit_piece(&uploads[1], 64 * 1024);
	ck_assert(!fake.timer);
	while (fake_run_task(&fake))
		;
	ck_assert_uint_eq(uploads[0].done_count, 2);
	ck_assert_uint_eq(uploads[1].done_count, 2);
	digest_lanes_fini(&lanes);
}
END_TEST

START_TEST(a_job_does_not_wait_for_bodies_that_have_left)
{
	struct fake fake;
	struct digest_lanes lanes;
	struct upload uploads[4];
	start_uploads(&fake, &lanes, uploads);
	digest_lanes_leave(&lanes);
	submit_piece(&uploads[0], 64 * 1024);
	ck_assert(fake_run_task(&fake));
	ck_assert(!fake.timer);
	ck_assert_uint_eq(uploads[0].done_count, 2);
	digest_lanes_fini(&lanes);
}
END_TEST

START_TEST(a_short_job_does_not_wait_and_ends_the_wait_of_others)
{
	struct fake fake;
	struct digest_lanes lanes;
	struct upload uploads[4];
	start_uploads(&fake, &lanes, uploads);
	submit_piece(&uploads[0], 4096);
	ck_assert(fake_run_task(&fake));
	ck_assert_uint_eq(uploads[0].done_count, 2);
	submit_piece(&uploads[1], 64 * 1024);
	ck_assert(fake_run_task(&fake));
	ck_assert(fake.timer);
	submit_piece(&uploads[2], 4096);
	ck_assert(!fake.timer && fake_run_task(&fake));
	ck_assert_uint_eq(uploads[1].done_count, 2);
	ck_assert_uint_eq(uploads[2].done_count, 2);
	digest_lanes_fini(&lanes);
}
END_TEST

START_TEST(waiting_in_vain_becomes_rare)
{
	struct fake fake;
	struct digest_lanes lanes;
	struct upload uploads[4];
	unsigned waits = 0;
	start_uploads(&fake, &lanes, uploads);
	for (unsigned i = 0; i < 7; i++) {
		submit_piece(&uploads[i % 2], 64 * 1024);
		while (fake_run_task(&fake))
			;
		waits += fake.timer != NULL;
		while (fake_fire_timer(&fake) || fake_run_task(&fake))
			;
		ck_assert_uint_eq(uploads[i % 2].done_count, 2 + i / 2);
	}
	ck_assert_uint_eq(waits, 3); /* the first, after 1 more, after 3 more */
	digest_lanes_fini(&lanes);
}
END_TEST

START_TEST(long_jobs_leave_the_loop_its_turns)
{
	struct fake fake;
	struct digest_lanes lanes;
	struct upload uploads[2];
	unsigned turn_count = 0;
	fake_init(&fake);
	digest_lanes_init(&lanes, &fake.loop, &fake.worker);
	for (size_t i = 0; i < 2; i++) {
		uploads[i] = (struct upload){.lanes = &lanes,
			.job = {.stream = &uploads[i].stream,
				.buf = data,
				.len = 512 * 1024,
				.done = upload_job_done}};
		digest_stream_init(&uploads[i].stream, DIGEST_CRC32C);
		digest_lanes_submit(&lanes, &uploads[i].job);
	}
	while (fake_run_task(&fake))
		turn_count++;
	ck_assert_uint_eq(turn_count, 4);
	digest_lanes_fini(&lanes);
}
END_TEST

START_TEST(a_second_job_of_a_stream_in_flight_is_our_mistake)
{
	struct fake fake;
	struct digest_lanes lanes;
	struct digest_stream stream;
	fake_init(&fake);
	digest_lanes_init(&lanes, &fake.loop, &fake.worker);
	digest_stream_init(&stream, DIGEST_MD5);
	struct digest_job first = {
		.stream = &stream, .buf = data, .len = 1, .done = upload_job_done};
	struct digest_job second = first;
	digest_lanes_submit(&lanes, &first);
	digest_lanes_submit(&lanes, &second);
}
END_TEST

START_TEST(a_stream_in_any_pieces_gives_what_openssl_gives)
{
	uint64_t random = (uint64_t)_i;
	for (int i = 0; i < 40; i++) {
		struct digest_stream stream;
		struct digest_values got, want;
		size_t len = test_random(&random) % (i % 8 == 0 ? 100000 : 400);
		const uint8_t *start = data + test_random(&random) % 100;
		digest_stream_init(&stream, DIGEST_ALL);
		for (size_t offset = 0; offset < len;) {
			size_t n = test_random(&random) % (i % 8 == 0 ? 50000 : 150);
			n = n < len - offset ? n : len - offset;
			digest_stream_update(&stream, start + offset, n);
			offset += n;
		}
		digest_stream_final(&stream, &got);
		values_by_openssl(start, len, &want);
		ck_assert_uint_eq(got.kinds, DIGEST_ALL);
		ck_assert_mem_eq(&got, &want, sizeof got);
	}
}
END_TEST

START_TEST(one_shots_give_what_openssl_gives_at_every_length)
{
	for (size_t len = 0; len <= 300; len++) {
		struct digest_values want;
		uint8_t digest[DIGEST_LEN_MAX];
		values_by_openssl(data, len, &want);
		digest_md5(data, len, digest);
		ck_assert_mem_eq(digest, want.md5, MD5_LEN);
		digest_sha1(data, len, digest);
		ck_assert_mem_eq(digest, want.sha1, SHA1_LEN);
		digest_sha256(data, len, digest);
		ck_assert_mem_eq(digest, want.sha256, SHA256_LEN);
	}
}
END_TEST

START_TEST(hmac_gives_what_openssl_gives)
{
	for (size_t key_len = 1; key_len <= 150; key_len += 7)
		for (size_t len = 0; len <= 260; len += 3) {
			uint8_t got[SHA256_LEN], want[SHA256_LEN];
			ck_assert_ptr_nonnull(HMAC(
				EVP_sha256(), data, (int)key_len, data + 500, len, want, NULL));
			hmac_sign_once(data, key_len, data + 500, len, got);
			ck_assert_mem_eq(got, want, sizeof got);
		}
}
END_TEST

START_TEST(hmac_of_nothing_with_no_key_is_known)
{
	uint8_t mac[SHA256_LEN];
	char text[2 * SHA256_LEN + 1];
	hmac_sign_once(NULL, 0, NULL, 0, mac);
	hex_encode(mac, sizeof mac, text);
	ck_assert_str_eq(text, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
END_TEST

START_TEST(crc_values_combine)
{
	static const enum digest_kind kinds[] = {DIGEST_CRC32, DIGEST_CRC32C, DIGEST_CRC64NVME};
	struct digest_values a, b, whole;
	values_by_openssl(data, 70000, &a);
	values_by_openssl(data + 70000, 12345, &b);
	values_by_openssl(data, 82345, &whole);
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		uint8_t got[CRC64_LEN];
		digest_combine(kinds[i], digest_value(&a, kinds[i]).data,
			digest_value(&b, kinds[i]).data, 12345, got);
		ck_assert_mem_eq(got, digest_value(&whole, kinds[i]).data, digest_len(kinds[i]));
	}
}
END_TEST

START_TEST(equality_looks_at_every_byte)
{
	uint8_t a[32], b[32];
	memcpy(a, data, sizeof a);
	memcpy(b, data, sizeof b);
	ck_assert(digest_is_equal(a, b, sizeof a));
	for (size_t i = 0; i < sizeof a; i++) {
		b[i] ^= 0x10;
		ck_assert(!digest_is_equal(a, b, sizeof a));
		b[i] ^= 0x10;
	}
}
END_TEST

START_TEST(hex_comes_back)
{
	char text[2 * 64 + 1];
	uint8_t back[64];
	hex_encode(data, 64, text);
	ck_assert_ok(hex_decode(bytes_of(text), back, 64));
	ck_assert_mem_eq(back, data, 64);
	ck_assert_ok(hex_decode(bytes_of("00ABcdEf"), back, 4));
	ck_assert_mem_eq(back, "\x00\xab\xcd\xef", 4);
}
END_TEST

START_TEST(hex_that_is_not_exact_is_refused)
{
	uint8_t back[2];
	ck_assert_err(hex_decode(bytes_of("012"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("01234"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("012g"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("01 3"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("@123"), back, 2), ERR_INVALID);
	ck_assert_err(hex_decode(bytes_of("0`23"), back, 2), ERR_INVALID);
}
END_TEST

START_TEST(base64_comes_back_and_is_openssls)
{
	for (size_t len = 0; len <= 100; len++) {
		char text[BASE64_LEN(100) + 1], want[BASE64_LEN(100) + 1];
		uint8_t back[100];
		size_t back_len;
		base64_encode(data, len, text);
		EVP_EncodeBlock((uint8_t *)want, data, (int)len);
		ck_assert_str_eq(text, want);
		ck_assert_ok(base64_decode(bytes_of(text), back, len, &back_len));
		ck_assert_uint_eq(back_len, len);
		ck_assert_mem_eq(back, data, len);
	}
}
END_TEST

START_TEST(base64_that_is_not_canonical_is_refused)
{
	static const char *const texts[] = {"QQ",
		"QQ=", "QQ===", "=QQ=", "====", "Q===", "QR==", "QUJ=", "QUI=QUI=", "QU I=", "QUI-",
		"QUI_", "QUI\n", "QQ==\n", "Q=Q="};
	uint8_t back[16];
	size_t len;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
		ck_assert_msg(
			base64_decode(bytes_of(texts[i]), back, sizeof back, &len) == ERR_INVALID,
			"'%s' was taken", texts[i]);
	ck_assert_err(base64_decode(bytes_of("QUJD"), back, 2, &len), ERR_LIMIT);
}
END_TEST

static TCase *case_of_streams(void)
{
	TCase *tc = tcase_create("streams");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, lanes_of_every_kernel_give_what_openssl_gives);
	tcase_add_test(tc, a_body_long_alone_goes_to_a_worker_until_another_comes);
	tcase_add_test(tc, a_job_waits_for_half_of_the_bodies_that_are_on_their_way);
	tcase_add_test(tc, a_job_does_not_wait_for_bodies_that_have_left);
	tcase_add_test(tc, a_short_job_does_not_wait_and_ends_the_wait_of_others);
	tcase_add_test(tc, waiting_in_vain_becomes_rare);
	tcase_add_test(tc, long_jobs_leave_the_loop_its_turns);
	tcase_add_test_raise_signal(tc, a_second_job_of_a_stream_in_flight_is_our_mistake, SIGABRT);
	tcase_add_loop_test(tc, a_stream_in_any_pieces_gives_what_openssl_gives, 0, 4);
	return tc;
}

static TCase *case_of_messages(void)
{
	TCase *tc = tcase_create("messages");
	tcase_add_test(tc, one_shots_give_what_openssl_gives_at_every_length);
	tcase_add_test(tc, hmac_gives_what_openssl_gives);
	tcase_add_test(tc, hmac_of_nothing_with_no_key_is_known);
	tcase_add_test(tc, crc_values_combine);
	tcase_add_test(tc, equality_looks_at_every_byte);
	tcase_add_test(tc, hex_comes_back);
	tcase_add_test(tc, hex_that_is_not_exact_is_refused);
	tcase_add_test(tc, base64_comes_back_and_is_openssls);
	tcase_add_test(tc, base64_that_is_not_canonical_is_refused);
	return tc;
}

int main(void)
{
	uint64_t random = 1;
	test_random_fill(&random, data, sizeof data);
	Suite *suite = suite_create("digest");
	suite_add_tcase(suite, case_of_streams());
	suite_add_tcase(suite, case_of_messages());
	return test_run(suite);
}
