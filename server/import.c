/* SPDX-License-Identifier: Apache-2.0 */
/* One thread lists and merges; jobs copy what it finds. They meet at a short queue. */
#include "server/import.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/import_work.h"
#include "server/thread.h"

/* --- listing ---------------------------------------------------------------------------------- */

/* Both sides of one bucket, each a row ahead. */
struct merge {
	struct import_work *work;
	struct s3_client *source, *target;
	struct s3_listing *from, *ours;
	struct bytes bucket, to;
	const struct s3_listing_row *from_row, *ours_row; /* NULL: at the end */
};

/* A row is asked for again if the service was not there for a moment. */
static enum err next_row(
	struct merge *merge, struct s3_listing *listing, const struct s3_listing_row **ret_row)
{
	enum err err = ERR_OK;
	*ret_row = NULL;
	for (unsigned i = 0; i < IMPORT_TRIES; i++) {
		err = s3_listing_next(listing, ret_row);
		if (!import_may_try_again(err) || !import_pause(merge->work, i))
			break;
	}
	if (err)
		*ret_row = NULL;
	return err == ERR_END ? ERR_OK : err;
}

static bool is_same(const struct s3_listing_row *from, const struct s3_listing_row *ours)
{
	if (from->is_marker || ours->is_marker)
		return from->is_marker && ours->is_marker;
	if (from->size != ours->size)
		return false;
	if (strcmp(from->etag, ours->etag) == 0)
		return true;
	bool is_md5 = import_is_md5(from->etag) && import_is_md5(ours->etag);
	return !is_md5 && ours->modified_ms >= from->modified_ms;
}

static enum err add_version(struct import_item *item, const struct s3_listing_row *row)
{
	if (item->version_count == item->version_cap) {
		size_t cap = item->version_cap ? 2 * item->version_cap : 1;
		struct import_version *versions = realloc(item->versions, cap * sizeof *versions);
		if (!versions)
			return ERR_NO_MEMORY;
		item->versions = versions;
		item->version_cap = cap;
	}
	struct import_version *version = &item->versions[item->version_count];
	*version = (struct import_version){.size = row->size, .is_marker = row->is_marker};
	memcpy(version->etag, row->etag, sizeof version->etag);
	version->id = row->id[0] ? strdup(row->id) : NULL;
	if (row->id[0] && !version->id)
		return ERR_NO_MEMORY;
	item->version_count++;
	return ERR_OK;
}

static enum err merge_object(struct merge *merge)
{
	struct import_item *item;
	bool has_it = false;
	enum err err = ERR_OK;
	const struct s3_listing_row *row = merge->from_row;
	while (!err && merge->ours_row && bytes_compare(merge->ours_row->key, row->key) < 0)
		err = next_row(merge, merge->ours, &merge->ours_row);
	if (!err && merge->ours_row && bytes_is_equal(merge->ours_row->key, row->key))
		has_it = is_same(row, merge->ours_row);
	if (err)
		return err;
	import_count_listed(merge->work, 1, has_it ? 1 : 0);
	if (!has_it) {
		err = import_item_new(merge->bucket, merge->to, row->key, &item);
		if (err)
			return err;
		err = add_version(item, row);
		if (err)
			import_item_free(item);
		else
			err = import_give(merge->work, item);
	}
	return err ? err : next_row(merge, merge->from, &merge->from_row);
}

/* The rows of ours of a key, newest first; the next one stands at another key. */
static enum err gather_ours(
	struct merge *merge, struct bytes key, struct s3_listing_row **ret_rows, size_t *ret_count)
{
	enum err err = ERR_OK;
	size_t count = 0, cap = 0;
	struct s3_listing_row *rows = NULL;
	while (!err && merge->ours_row && bytes_compare(merge->ours_row->key, key) <= 0) {
		bool is_ours = bytes_is_equal(merge->ours_row->key, key);
		if (is_ours && count == cap) {
			cap = cap ? 2 * cap : 4;
			struct s3_listing_row *more = realloc(rows, cap * sizeof *rows);
			err = !more || cap > 2 * IMPORT_VERSIONS_MAX ? ERR_NO_MEMORY : ERR_OK;
			rows = more ? more : rows;
		}
		if (!err && is_ours)
			rows[count++] = *merge->ours_row;
		if (!err)
			err = next_row(merge, merge->ours, &merge->ours_row);
	}
	*ret_rows = rows;
	*ret_count = count;
	return err;
}

/* How many of the oldest versions are there already. false: there are others (M3). */
static bool count_same(const struct import_item *item, const struct s3_listing_row *ours,
	size_t ours_count, size_t *ret_count)
{
	*ret_count = ours_count;
	if (ours_count > item->version_count)
		return false;
	for (size_t i = 0; i < ours_count; i++) {
		const struct import_version *version = &item->versions[item->version_count - 1 - i];
		struct s3_listing_row from = {
			.size = version->size, .is_marker = version->is_marker};
		memcpy(from.etag, version->etag, sizeof from.etag);
		if (!is_same(&from, &ours[ours_count - 1 - i]))
			return false;
	}
	return true;
}

/* All versions of one key. */
static enum err merge_versions(struct merge *merge)
{
	struct import_item *item;
	struct s3_listing_row *ours = NULL;
	size_t ours_count = 0, same_count;
	enum err err = import_item_new(merge->bucket, merge->to, merge->from_row->key, &item);
	if (err)
		return err;
	while (!err && merge->from_row && bytes_is_equal(merge->from_row->key, item->name.key)) {
		if (item->version_count == IMPORT_VERSIONS_MAX)
			err = ERR_LIMIT;
		else
			err = add_version(item, merge->from_row);
		if (!err)
			err = next_row(merge, merge->from, &merge->from_row);
	}
	if (!err)
		err = gather_ours(merge, item->name.key, &ours, &ours_count);
	if (err) {
		import_item_free(item);
		free(ours);
		return err;
	}
	bool is_fine = count_same(item, ours, ours_count, &same_count);
	free(ours);
	import_count_listed(merge->work, item->version_count, is_fine ? same_count : 0);
	if (!is_fine)
		import_count_failed(merge->work, &item->name, item->version_count,
			"the key has other versions here already");
	if (!is_fine || same_count == item->version_count) {
		import_item_free(item);
		return ERR_OK;
	}
	import_item_drop_oldest(item, same_count);
	return import_give(merge->work, item);
}

static enum err merge_bucket(struct merge *merge, const struct import_options *options, bool is_new)
{
	enum s3_listing_kind kind = options->with_versions ? S3_LISTING_VERSIONS
							   : S3_LISTING_OBJECTS;
	struct bytes prefix = bytes_of(options->prefix), none = bytes_make(NULL, 0);
	merge->from_row = merge->ours_row = NULL;
	merge->from = merge->ours = NULL;
	enum err err = s3_listing_new(
		merge->source, kind, merge->bucket, prefix, none, &merge->from);
	if (!err)
		err = s3_listing_new(merge->target, kind, merge->to, prefix, none, &merge->ours);
	if (!err)
		err = next_row(merge, merge->from, &merge->from_row);
	/* A dry run does not make the bucket. */
	if (!err && !(is_new && options->is_dry))
		err = next_row(merge, merge->ours, &merge->ours_row);
	while (!err && merge->from_row)
		err = options->with_versions ? merge_versions(merge) : merge_object(merge);
	s3_listing_free(merge->from);
	s3_listing_free(merge->ours);
	return err;
}

/* --- buckets ---------------------------------------------------------------------------------- */

static enum err keep_versions(struct merge *merge)
{
	struct s3_call call = {.method = "PUT",
		.bucket = merge->to,
		.query = "versioning",
		.body = bytes_of("<VersioningConfiguration><Status>Enabled</Status>"
				 "</VersioningConfiguration>")};
	enum err err = s3_client_call(merge->target, &call);
	return err ? err : s3_client_drop(merge->target);
}

/* There is a bucket for it. *ret_is_new: there was none. */
static enum err prepare_bucket(
	struct merge *merge, const struct import_options *options, bool *ret_is_new)
{
	struct s3_call head = {.method = "HEAD", .bucket = merge->to};
	struct s3_call make = {.method = "PUT", .bucket = merge->to};
	enum err err = s3_client_call(merge->target, &head);
	*ret_is_new = err == ERR_NOT_FOUND;
	if (*ret_is_new && !options->is_dry) {
		err = s3_client_call(merge->target, &make);
		if (!err)
			err = s3_client_drop(merge->target);
	} else if (*ret_is_new) {
		err = ERR_OK;
	}
	if (!err && options->with_versions && !options->is_dry)
		err = keep_versions(merge);
	return err;
}

static enum err import_bucket(
	struct merge *merge, const struct import_options *options, struct bytes bucket)
{
	bool is_new;
	merge->bucket = bucket;
	merge->to = options->to ? bytes_of(options->to) : bucket;
	enum err err = prepare_bucket(merge, options, &is_new);
	if (!err) {
		import_count_bucket(merge->work, is_new);
		err = merge_bucket(merge, options, is_new);
	}
	return err;
}

/* A bucket that cannot be listed to its end is a failure of that bucket. */
static enum err import_all(struct merge *merge, const struct import_options *options)
{
	struct s3_listing *listing;
	const struct s3_listing_row *row;
	struct bytes none = bytes_make(NULL, 0);
	if (options->bucket)
		return import_bucket(merge, options, bytes_of(options->bucket));
	enum err err = s3_listing_new(
		merge->source, S3_LISTING_BUCKETS, none, none, none, &listing);
	if (err)
		return err;
	while (!(err = next_row(merge, listing, &row)) && row) {
		merge->source->message[0] = merge->target->message[0] = '\0';
		err = import_bucket(merge, options, row->key);
		if (err == ERR_CANCELED || err == ERR_NO_MEMORY)
			break;
		if (err) {
			struct import_name name = {
				.source_bucket = row->key, .key = bytes_make(NULL, 0)};
			import_count_failed(merge->work, &name, 1,
				merge->source->message[0] ? merge->source->message
							  : merge->target->message);
		}
	}
	s3_listing_free(listing);
	return err;
}

/* --- a run ------------------------------------------------------------------------------------ */

static void *list_thread(void *arg)
{
	struct import_work *work = arg;
	const struct import_options *options = work->options;
	struct s3_client *clients = calloc(2, sizeof *clients);
	enum err err = ERR_NO_MEMORY;
	thread_set_name("import-list");
	if (clients) {
		s3_client_init(&clients[0], &options->source);
		s3_client_init(&clients[1], &options->target);
		struct merge merge = {.work = work, .source = &clients[0], .target = &clients[1]};
		err = import_all(&merge, options);
		if (err)
			snprintf(work->message, sizeof work->message, "%s",
				clients[0].message[0]           ? clients[0].message
					: clients[1].message[0] ? clients[1].message
								: err_text(err));
		s3_client_fini(&clients[0]);
		s3_client_fini(&clients[1]);
	}
	free(clients);
	import_end(work, err);
	return NULL;
}

enum err import_run(const struct import_options *options,
	void (*told)(void *arg, const struct import_report *report, uint64_t moved_len), void *arg,
	struct import_report *ret_report, char *message)
{
	assert(options->jobs >= 1 && options->jobs <= IMPORT_JOBS_MAX);
	struct import_options own = *options;
	struct import_work *work;
	pthread_t lister, jobs[IMPORT_JOBS_MAX];
	unsigned job_count = 0;
	memset(ret_report, 0, sizeof *ret_report);
	own.source.place.stop = own.target.place.stop = options->stop;
	enum err err = import_work_new(&own, &work);
	if (err)
		return err;
	err = thread_start(&lister, list_thread, work);
	bool is_listing = !err;
	while (!err && job_count < own.jobs) {
		err = thread_start(&jobs[job_count], import_job, work);
		job_count += err ? 0 : 1;
	}
	if (err)
		import_end(work, err);
	import_watch(work, told, arg);
	if (is_listing)
		pthread_join(lister, NULL);
	for (unsigned i = 0; i < job_count; i++)
		pthread_join(jobs[i], NULL);
	err = import_work_end(work, ret_report, message);
	return err;
}
