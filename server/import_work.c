/* SPDX-License-Identifier: Apache-2.0 */
#include "server/import_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/thread.h"

#define STEP_NS 100000000u
#define PAUSE_STEPS 5 /* before the second try; doubled for each one more */

static uint64_t now_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + time.tv_nsec;
}

static void sleep_step(void)
{
	struct timespec step = {.tv_nsec = STEP_NS};
	nanosleep(&step, NULL);
}

static bool is_stopped(const struct import_work *work)
{
	return atomic_load_explicit(work->options->stop, memory_order_relaxed);
}

enum err import_work_new(const struct import_options *options, struct import_work **ret_work)
{
	struct import_work *work = calloc(1, sizeof *work);
	if (!work)
		return ERR_NO_MEMORY;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&work->lock, NULL);
	pthread_cond_init(&work->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	work->options = options;
	work->begun_ns = now_ns();
	*ret_work = work;
	return ERR_OK;
}

enum err import_work_end(struct import_work *work, struct import_report *ret_report, char *message)
{
	enum err err = is_stopped(work) ? ERR_CANCELED : work->err;
	while (work->queue_count > 0) {
		import_item_free(work->queue[work->queue_from]);
		work->queue_from = (work->queue_from + 1) % IMPORT_QUEUE_MAX;
		work->queue_count--;
	}
	snprintf(message, S3_CLIENT_MESSAGE_LEN, "%s", work->message);
	*ret_report = work->report;
	pthread_cond_destroy(&work->changed);
	pthread_mutex_destroy(&work->lock);
	free(work);
	return err;
}

void import_report_fini(struct import_report *report)
{
	for (size_t i = 0; i < report->failure_count; i++) {
		free(report->failures[i].bucket);
		free(report->failures[i].key);
		free(report->failures[i].message);
	}
	report->failure_count = 0;
}

/* --- items ------------------------------------------------------------------------------------ */

static struct bytes append(uint8_t **to, struct bytes text)
{
	struct bytes copied = bytes_make(*to, text.len);
	if (text.len > 0)
		memcpy(*to, text.data, text.len);
	*to += text.len;
	return copied;
}

enum err import_item_new(struct bytes source_bucket, struct bytes target_bucket, struct bytes key,
	struct import_item **ret_item)
{
	struct import_item *item = calloc(
		1, sizeof *item + source_bucket.len + target_bucket.len + key.len);
	if (!item)
		return ERR_NO_MEMORY;
	uint8_t *to = item->text;
	item->name.source_bucket = append(&to, source_bucket);
	item->name.target_bucket = append(&to, target_bucket);
	item->name.key = append(&to, key);
	*ret_item = item;
	return ERR_OK;
}

void import_item_free(struct import_item *item)
{
	import_item_drop_oldest(item, item->version_count);
	free(item->versions);
	free(item);
}

void import_item_drop_oldest(struct import_item *item, size_t count)
{
	while (count-- > 0)
		free(item->versions[--item->version_count].id);
}

/* --- counting --------------------------------------------------------------------------------- */

void import_count_bucket(struct import_work *work, bool is_new)
{
	pthread_mutex_lock(&work->lock);
	work->report.bucket_count++;
	work->report.bucket_created_count += is_new;
	pthread_mutex_unlock(&work->lock);
}

void import_count_listed(struct import_work *work, uint64_t count, uint64_t same_count)
{
	pthread_mutex_lock(&work->lock);
	work->report.listed_count += count;
	work->report.same_count += same_count;
	pthread_mutex_unlock(&work->lock);
}

static char *copy_text(struct bytes text)
{
	return strndup(text.len > 0 ? (const char *)text.data : "", text.len);
}

void import_count_failed(struct import_work *work, const struct import_name *name, uint64_t count,
	const char *message)
{
	pthread_mutex_lock(&work->lock);
	struct import_report *report = &work->report;
	report->failed_count += count;
	if (report->failure_count < IMPORT_FAILURES_MAX)
		report->failures[report->failure_count++] = (struct import_failure){
			copy_text(name->source_bucket), copy_text(name->key),
			copy_text(bytes_of(message))};
	pthread_mutex_unlock(&work->lock);
}

/* --- the queue -------------------------------------------------------------------------------- */

/* Waits with the lock until something changed, or a step. */
static void wait_step(struct import_work *work)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += STEP_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&work->changed, &work->lock, &until);
}

enum err import_give(struct import_work *work, struct import_item *item)
{
	pthread_mutex_lock(&work->lock);
	while (work->queue_count == IMPORT_QUEUE_MAX && !is_stopped(work) && !work->err)
		wait_step(work);
	bool has_room = work->queue_count < IMPORT_QUEUE_MAX && !is_stopped(work) && !work->err;
	if (has_room) {
		work->queue[(work->queue_from + work->queue_count) % IMPORT_QUEUE_MAX] = item;
		work->queue_count++;
		pthread_cond_broadcast(&work->changed);
	}
	pthread_mutex_unlock(&work->lock);
	if (has_room)
		return ERR_OK;
	import_item_free(item);
	return ERR_CANCELED;
}

void import_end(struct import_work *work, enum err err)
{
	pthread_mutex_lock(&work->lock);
	work->is_listed = true;
	if (!work->err)
		work->err = err;
	pthread_cond_broadcast(&work->changed);
	pthread_mutex_unlock(&work->lock);
}

/* The next item; NULL: there will be none. */
static struct import_item *take(struct import_work *work)
{
	struct import_item *item = NULL;
	pthread_mutex_lock(&work->lock);
	while (work->queue_count == 0 && !work->is_listed && !is_stopped(work))
		wait_step(work);
	if (work->queue_count > 0 && !is_stopped(work)) {
		item = work->queue[work->queue_from];
		work->queue_from = (work->queue_from + 1) % IMPORT_QUEUE_MAX;
		work->queue_count--;
		work->busy_count++;
		pthread_cond_broadcast(&work->changed);
	}
	pthread_mutex_unlock(&work->lock);
	return item;
}

static void give_back(struct import_work *work, struct import_item *item)
{
	import_item_free(item);
	pthread_mutex_lock(&work->lock);
	work->busy_count--;
	pthread_cond_broadcast(&work->changed);
	pthread_mutex_unlock(&work->lock);
}

void import_watch(struct import_work *work,
	void (*told)(void *arg, const struct import_report *report, uint64_t moved_len), void *arg)
{
	uint64_t told_ns = now_ns();
	pthread_mutex_lock(&work->lock);
	while (!(work->is_listed && work->busy_count == 0 &&
		(work->queue_count == 0 || is_stopped(work)))) {
		wait_step(work);
		if (!told || now_ns() - told_ns < 1000000000u)
			continue;
		told_ns = now_ns();
		told(arg, &work->report, work->moved_len);
	}
	pthread_mutex_unlock(&work->lock);
}

/* --- jobs ------------------------------------------------------------------------------------- */

bool import_pause(struct import_work *work, unsigned tried)
{
	if (tried + 1 >= IMPORT_TRIES)
		return false;
	for (unsigned i = 0; i < (unsigned)PAUSE_STEPS << tried && !is_stopped(work); i++)
		sleep_step();
	return !is_stopped(work);
}

static bool pause_job(void *arg, unsigned tried)
{
	return import_pause(arg, tried);
}

/* Counts what was moved, and waits while that is more than the rate allows. */
static void moved(void *arg, size_t len)
{
	struct import_work *work = arg;
	uint64_t rate = work->options->rate, due_ns = 0;
	pthread_mutex_lock(&work->lock);
	work->moved_len += len;
	if (rate > 0)
		due_ns = work->begun_ns + (uint64_t)((double)work->moved_len / (double)rate * 1e9);
	pthread_mutex_unlock(&work->lock);
	while (now_ns() < due_ns && !is_stopped(work)) {
		uint64_t left_ns = due_ns - now_ns();
		struct timespec step = {.tv_nsec = left_ns < STEP_NS ? left_ns : STEP_NS};
		nanosleep(&step, NULL);
	}
}

static void count_copied(
	struct import_work *work, const struct import_version *version, bool is_unverified)
{
	pthread_mutex_lock(&work->lock);
	work->report.copied_count++;
	work->report.copied_len += version->size;
	work->report.unverified_count += is_unverified;
	pthread_mutex_unlock(&work->lock);
}

/* What our node did not answer may be there all the same; a second version of it would not fit any
 * more, so the next run looks. */
static enum err copy_version(struct import_work *work, struct import_copy *copy,
	const struct import_name *name, const struct import_version *version)
{
	enum err err = ERR_OK;
	if (work->options->is_dry) {
		count_copied(work, version, false);
		return ERR_OK;
	}
	for (unsigned i = 0; i < IMPORT_TRIES; i++) {
		err = import_copy_version(copy, name, version);
		bool may_be_twice = work->options->with_versions && copy->is_of_target;
		if (!import_may_try_again(err) || may_be_twice || !import_pause(work, i))
			break;
	}
	if (!err)
		count_copied(work, version, copy->is_unverified);
	return err;
}

/* A version that fails ends its key, since the order of the others would not be right. */
static void copy_item(
	struct import_work *work, struct import_copy *copy, const struct import_item *item)
{
	for (size_t i = item->version_count; i-- > 0;) {
		enum err err = copy_version(work, copy, &item->name, &item->versions[i]);
		if (is_stopped(work))
			return;
		if (err) {
			import_count_failed(work, &item->name, i + 1,
				copy->message[0] ? copy->message : err_text(err));
			return;
		}
	}
}

void *import_job(void *arg)
{
	struct import_work *work = arg;
	struct import_item *item;
	struct import_copy *copy = malloc(sizeof *copy);
	thread_set_name("import-copy");
	if (!copy) {
		import_end(work, ERR_NO_MEMORY);
		return NULL;
	}
	s3_client_init(&copy->source, &work->options->source);
	s3_client_init(&copy->side, &work->options->source);
	s3_client_init(&copy->target, &work->options->target);
	copy->moved = moved;
	copy->pause = pause_job;
	copy->arg = work;
	copy->message[0] = '\0';
	while ((item = take(work))) {
		copy_item(work, copy, item);
		give_back(work, item);
	}
	s3_client_fini(&copy->source);
	s3_client_fini(&copy->side);
	s3_client_fini(&copy->target);
	free(copy);
	return NULL;
}
