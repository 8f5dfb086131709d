/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_IMPORT_WORK_H
#define SERVER_IMPORT_WORK_H

#include <pthread.h>

#include "server/import.h"

/* What the thread that lists, the jobs that copy and the one that waits have together.
 *
 * (W1) lock covers all but options. Nobody waits for the network with it.
 * (W2) The queue is short, so that listing is never far ahead.
 * (W3) It ends when listing has ended and the queue is empty and no job is busy; or with stop, when
 *      jobs give up what they do. */
#define IMPORT_QUEUE_MAX 256

/* One key, and the versions of it that are to be copied, newest first. */
struct import_item {
	struct import_name name; /* borrows text */
	struct import_version *versions;
	size_t version_count, version_cap;
	uint8_t text[];
};

struct import_work {
	const struct import_options *options;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct import_item *queue[IMPORT_QUEUE_MAX];
	size_t queue_from, queue_count;
	unsigned busy_count;
	bool is_listed;
	enum err err; /* why listing ended */
	char message[S3_CLIENT_MESSAGE_LEN];
	struct import_report report;
	uint64_t moved_len; /* of bodies, those that were copied in vain too */
	uint64_t begun_ns;
};

enum err import_work_new(
	const struct import_options *options, struct import_work **ret_work) MUST_USE;

/* Gives what was done and frees it; all threads have ended. */
enum err import_work_end(
	struct import_work *work, struct import_report *ret_report, char *message) MUST_USE;

enum err import_item_new(struct bytes source_bucket, struct bytes target_bucket, struct bytes key,
	struct import_item **ret_item) MUST_USE;
void import_item_free(struct import_item *item);

/* Takes the last `count` versions off. */
void import_item_drop_oldest(struct import_item *item, size_t count);

/* Gives the item to a job; waits while the queue is full. Errors: ERR_CANCELED, and then the item
 * is freed. */
enum err import_give(struct import_work *work, struct import_item *item) MUST_USE;

/* Listing has ended. */
void import_end(struct import_work *work, enum err err);

void import_count_bucket(struct import_work *work, bool is_new);
void import_count_listed(struct import_work *work, uint64_t count, uint64_t same_count);
void import_count_failed(struct import_work *work, const struct import_name *name, uint64_t count,
	const char *message);

/* Waits before the next try, longer each time. false: there is none, or all is to end. */
bool import_pause(struct import_work *work, unsigned tried);

/* The body of a job: a thread. arg is the work. */
void *import_job(void *arg);

/* Waits until all has ended, and tells about each second how it goes. */
void import_watch(struct import_work *work,
	void (*told)(void *arg, const struct import_report *report, uint64_t moved_len), void *arg);

#endif
