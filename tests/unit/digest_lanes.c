/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/digest/digest_lanes.h"

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "gateway/digest/crc.h"
#include "gateway/digest/hash_lanes.h"
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
	struct timer *timer; /* the one that is set */
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
	ck_assert(!fake->timer || fake->timer == timer);
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

static bool run_one(struct fake *fake, bool is_task_first)
{
	if (is_task_first)
		return fake_run_task(fake) || fake_run_work(fake) || fake_fire_timer(fake);
	return fake_run_work(fake) || fake_run_task(fake) || fake_fire_timer(fake);
}

/* Uploads of random lengths in random pieces, on two loops that run in random order. */
static void run_uploads(const struct hash_kernel *md5, const struct hash_kernel *sha256,
	uint64_t seed, const char *where)
{
	struct fake fakes[2];
	struct digest_hall hall;
	struct digest_lanes lanes[2];
	static struct upload uploads[UPLOADS_MAX];
	uint64_t random = seed;
	size_t count = 1 + test_random(&random) % UPLOADS_MAX;
	digest_hall_init(&hall);
	for (unsigned i = 0; i < 2; i++) {
		fake_init(&fakes[i]);
		digest_lanes_init(&lanes[i], &hall, &fakes[i].loop, &fakes[i].worker);
		lanes[i].md5 = md5;
		lanes[i].sha256 = sha256;
		lanes[i].lane_count = md5->lane_count;
	}
	for (size_t i = 0; i < count; i++) {
		unsigned kinds = test_random(&random) % 4 == 0 ? test_random(&random) & DIGEST_ALL
							       : DIGEST_MD5 | DIGEST_SHA256;
		size_t len = test_random(&random) % (i % 4 == 0 ? 300000 : 3000);
		size_t piece_len_max = (size_t)1 << (4 + test_random(&random) % 13);
		digest_lanes_enter(&lanes[i % 2]);
		upload_start(&uploads[i], &lanes[i % 2], kinds, data + test_random(&random) % 1000,
			len, piece_len_max > len / 3 ? piece_len_max : len / 3, seed + i);
	}
	for (bool is_more = true; is_more;) {
		struct fake *one = &fakes[test_random(&random) % 2];
		struct fake *other = one == fakes ? &fakes[1] : &fakes[0];
		bool is_task_first = test_random(&random) % 2;
		is_more = run_one(one, is_task_first) || run_one(other, is_task_first);
	}
	for (size_t i = 0; i < count; i++) {
		struct digest_values got, want;
		digest_lanes_leave(&lanes[i % 2]);
		ck_assert_uint_eq(uploads[i].offset, uploads[i].len);
		values_by_openssl(uploads[i].data, uploads[i].len, &want);
		digest_stream_final(&uploads[i].stream, &got);
		assert_values(&got, &want, where);
	}
	for (unsigned i = 0; i < 2; i++)
		digest_lanes_fini(&lanes[i]);
	digest_hall_fini(&hall);
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
	struct digest_hall hall;
	struct digest_lanes lanes;
	struct upload uploads[2];
	fake_init(&fake);
	digest_hall_init(&hall);
	digest_lanes_init(&lanes, &hall, &fake.loop, &fake.worker);
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
	digest_hall_fini(&hall);
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

/* Two loops, and uploads that have just been there, half of them on each. */
struct pair {
	struct digest_hall hall;
	struct fake fakes[2];
	struct digest_lanes lanes[2];
	struct upload uploads[20];
	unsigned count;
};

static bool pair_run(struct pair *pair)
{
	bool has_run = false;
	while (fake_run_task(&pair->fakes[0]) || fake_run_task(&pair->fakes[1]))
		has_run = true;
	return has_run;
}

static bool pair_fire(struct pair *pair)
{
	pair->fakes[0].now_ms = pair->fakes[1].now_ms += 3;
	bool has_fired = fake_fire_timer(&pair->fakes[0]);
	return fake_fire_timer(&pair->fakes[1]) || has_fired;
}

static void pair_start(struct pair *pair, unsigned count)
{
	pair->count = count;
	digest_hall_init(&pair->hall);
	for (unsigned i = 0; i < 2; i++) {
		struct fake *fake = &pair->fakes[i];
		fake_init(fake);
		digest_lanes_init(&pair->lanes[i], &pair->hall, &fake->loop, &fake->worker);
	}
	for (unsigned i = 0; i < count; i++) {
		struct digest_lanes *lanes = &pair->lanes[i % 2];
		pair->uploads[i] = (struct upload){.lanes = lanes, .data = data};
		digest_stream_init(&pair->uploads[i].stream, DIGEST_MD5);
		digest_lanes_enter(lanes);
		submit_piece(&pair->uploads[i], 64 * 1024);
	}
	pair_run(pair);
	while (pair_fire(pair))
		pair_run(pair);
	for (unsigned i = 0; i < count; i++)
		ck_assert_uint_eq(pair->uploads[i].done_count, 1);
}

/* Every upload has what it was given. */
static void pair_end(struct pair *pair)
{
	for (unsigned i = 0; i < 2; i++)
		digest_lanes_fini(&pair->lanes[i]);
	digest_hall_fini(&pair->hall);
	for (unsigned i = 0; i < pair->count; i++)
		assert_upload(&pair->uploads[i]);
}

START_TEST(a_long_job_waits_for_the_bodies_of_all_loops)
{
	struct pair pair;
	struct upload *uploads = pair.uploads;
	pair_start(&pair, 4);
	for (unsigned i = 0; i < 3; i++) {
		submit_piece(&uploads[i], 64 * 1024);
		pair_run(&pair);
		for (unsigned j = 0; j <= i; j++)
			ck_assert_uint_eq(uploads[j].done_count, 1);
	}
	ck_assert(pair.fakes[0].timer && !pair.fakes[1].timer); /* the first one's loop holds */
	submit_piece(&uploads[3], 64 * 1024);
	ck_assert(fake_run_task(&pair.fakes[1])); /* it finds all, and does all */
	ck_assert_uint_eq(uploads[1].done_count, 2);
	ck_assert_uint_eq(uploads[3].done_count, 2);
	ck_assert_uint_eq(uploads[0].done_count, 1); /* its own loop has to say so */
	ck_assert(fake_run_task(&pair.fakes[0]));
	ck_assert_uint_eq(uploads[0].done_count, 2);
	pair_run(&pair);
	ck_assert_uint_eq(uploads[2].done_count, 2);
	pair_end(&pair);
}
END_TEST

START_TEST(a_hold_ends_by_itself)
{
	struct pair pair;
	pair_start(&pair, 4);
	submit_piece(&pair.uploads[1], 64 * 1024);
	submit_piece(&pair.uploads[2], 64 * 1024);
	pair_run(&pair);
	ck_assert_uint_eq(pair.uploads[1].done_count, 1);
	ck_assert(pair_fire(&pair));
	pair_run(&pair);
	ck_assert_uint_eq(pair.uploads[1].done_count, 2);
	ck_assert_uint_eq(pair.uploads[2].done_count, 2);
	pair_end(&pair);
}
END_TEST

/* What waits while a batch is worked on, and what is more than lanes, is looked after. */
START_TEST(no_job_is_left_behind_by_a_batch)
{
	struct pair pair;
	pair_start(&pair, 20);
	pair.lanes[0].lane_count = pair.lanes[1].lane_count = 4;
	for (unsigned i = 0; i < 10; i++)
		submit_piece(&pair.uploads[i], 140 * 1024);
	ck_assert(fake_run_task(&pair.fakes[0]));
	for (unsigned i = 10; i < 20; i++)
		submit_piece(&pair.uploads[i], 140 * 1024);
	pair_run(&pair);
	while (pair_fire(&pair))
		pair_run(&pair);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_eq(pair.uploads[i].done_count, 2);
	pair_end(&pair);
}
END_TEST

START_TEST(a_job_does_not_wait_for_bodies_that_have_left)
{
	struct pair pair;
	pair_start(&pair, 2);
	digest_lanes_leave(&pair.lanes[1]);
	submit_piece(&pair.uploads[0], 64 * 1024);
	ck_assert(fake_run_task(&pair.fakes[0]));
	ck_assert_uint_eq(pair.uploads[0].done_count, 2);
	pair_end(&pair);
}
END_TEST

START_TEST(a_short_job_does_not_wait)
{
	struct pair pair;
	struct upload *uploads = pair.uploads;
	pair_start(&pair, 4);
	submit_piece(&uploads[0], 64 * 1024);
	pair_run(&pair);
	submit_piece(&uploads[2], 64 * 1024 - 1);
	pair_run(&pair);
	ck_assert_uint_eq(uploads[2].done_count, 2);
	ck_assert_uint_eq(uploads[0].done_count, 1); /* and nothing but its time ends the hold */
	ck_assert(pair_fire(&pair));
	pair_run(&pair);
	ck_assert_uint_eq(uploads[0].done_count, 2);
	pair_end(&pair);
}
END_TEST

START_TEST(waiting_in_vain_becomes_rare)
{
	struct pair pair;
	unsigned waits = 0;
	pair_start(&pair, 4);
	for (unsigned i = 0; i < 7; i++) {
		struct upload *upload = &pair.uploads[i % 2];
		submit_piece(upload, 64 * 1024);
		pair_run(&pair);
		waits += upload->done_count == 1 + i / 2;
		if (pair_fire(&pair))
			pair_run(&pair);
		ck_assert_uint_eq(upload->done_count, 2 + i / 2);
	}
	ck_assert_uint_eq(waits, 3); /* the first, after 1 more, after 3 more */
	pair_end(&pair);
}
END_TEST

START_TEST(long_jobs_leave_the_loop_its_turns)
{
	struct fake fake;
	struct digest_hall hall;
	struct digest_lanes lanes;
	struct upload uploads[2];
	unsigned turn_count = 0;
	fake_init(&fake);
	digest_hall_init(&hall);
	digest_lanes_init(&lanes, &hall, &fake.loop, &fake.worker);
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
	digest_hall_fini(&hall);
}
END_TEST

START_TEST(a_second_job_of_a_stream_in_flight_is_our_mistake)
{
	struct fake fake;
	struct digest_hall hall;
	struct digest_lanes lanes;
	struct digest_stream stream;
	fake_init(&fake);
	digest_hall_init(&hall);
	digest_lanes_init(&lanes, &hall, &fake.loop, &fake.worker);
	digest_stream_init(&stream, DIGEST_MD5);
	struct digest_job first = {
		.stream = &stream, .buf = data, .len = 1, .done = upload_job_done};
	struct digest_job second = first;
	digest_lanes_submit(&lanes, &first);
	digest_lanes_submit(&lanes, &second);
}
END_TEST

int main(void)
{
	uint64_t random = 1;
	test_random_fill(&random, data, sizeof data);
	Suite *suite = suite_create("digest_lanes");
	TCase *tc = tcase_create("lanes");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, lanes_of_every_kernel_give_what_openssl_gives);
	tcase_add_test(tc, a_body_long_alone_goes_to_a_worker_until_another_comes);
	tcase_add_test(tc, a_long_job_waits_for_the_bodies_of_all_loops);
	tcase_add_test(tc, a_hold_ends_by_itself);
	tcase_add_test(tc, no_job_is_left_behind_by_a_batch);
	tcase_add_test(tc, a_job_does_not_wait_for_bodies_that_have_left);
	tcase_add_test(tc, a_short_job_does_not_wait);
	tcase_add_test(tc, waiting_in_vain_becomes_rare);
	tcase_add_test(tc, long_jobs_leave_the_loop_its_turns);
	tcase_add_test_raise_signal(tc, a_second_job_of_a_stream_in_flight_is_our_mistake, SIGABRT);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
