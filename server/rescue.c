/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rescue.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/disk_file.h"
#include "server/init.h"
#include "server/loop.h"
#include "server/loop_call.h"
#include "server/node.h"
#include "server/random_real.h"
#include "server/rescue_late.h"
#include "server/rescue_list.h"
#include "server/worker_threads.h"
#include "storage/kv_lmdb.h"
#include "storage/meta/log.h"
#include "storage/meta/log_mirror.h"

#define MAP_LEN (UINT64_C(1) << 38)
#define LOG_TERM 1
#define HELD_WHY "the index was made anew from an archive on the drives"

__attribute__((format(printf, 3, 4))) static enum err refuse(
	char *message, enum err err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(message, IDENTITY_MESSAGE_LEN, format, args);
	va_end(args);
	return err;
}

static void tell_nobody(
	struct trace *trace, enum trace_level level, uint64_t request_id, const char *text)
{
	(void)trace;
	(void)level;
	(void)request_id;
	(void)text;
}

/* What goes wrong is said by the command itself. */
static const struct trace_ops quiet_ops = {.event = tell_nobody};
static struct trace quiet = {.ops = &quiet_ops, .level = TRACE_ERROR};

/* --- the log ---------------------------------------------------------------------------------- */

/* A log that goes on behind an index which nothing else is left of. */
struct new_log {
	struct log *log;
	struct loop *loop;
	struct log_op op;
	struct task begin, stopped;
	struct completion completion;
	uint64_t log_index;
	enum err err;
};

static void log_stopped(struct task *task)
{
	struct new_log *new = CONTAINER_OF(task, struct new_log, stopped);
	completion_end(&new->completion, new->err);
}

static void log_marked(struct log_op *op, enum err err)
{
	struct new_log *new = CONTAINER_OF(op, struct new_log, op);
	new->err = err;
	log_stop(new->log, new->loop, &new->stopped);
}

static void begin_log(struct task *task)
{
	struct new_log *new = CONTAINER_OF(task, struct new_log, begin);
	new->op.done = log_marked;
	log_mark_snapshot(new->log, &new->op, new->log_index, LOG_TERM);
}

static enum err mark_log(struct log_setup *setup, struct server_loop *loop, uint64_t log_index)
{
	struct new_log new = {.loop = server_loop_base(loop), .log_index = log_index};
	new.begin.run = begin_log;
	new.stopped.run = log_stopped;
	setup->loop = new.loop;
	enum err err = log_open(setup, NULL, NULL, &new.log);
	if (err)
		return err;
	completion_init(&new.completion);
	err = server_loop_start(loop);
	if (!err) {
		loop_post(new.loop, &new.begin);
		err = completion_wait(&new.completion);
		server_loop_stop(loop);
		server_loop_join(loop);
	}
	log_close(new.log);
	return err;
}

static void remove_name(void *arg, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "log/%.50s", name);
	err_ignore(disk_remove(arg, path)); /* what stays is found by log_create() */
}

/* An earlier try may have left one. */
static enum err remove_log(struct disk *disk)
{
	enum err err = disk_remove(disk, "log-state");
	if (!err || err == ERR_NOT_FOUND)
		err = disk_list(disk, "log", remove_name, disk);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err make_log(const char *state_dir, const struct identity *identity, uint64_t log_index)
{
	struct server_loop_options options = {.is_ringless = true};
	struct worker_threads *workers = NULL;
	struct server_loop *loop = NULL;
	struct disk *disk = NULL;
	struct log_setup setup = {
		.node = identity->node, .segment_len = NODE_LOG_SEGMENT_LEN, .trace = &quiet};
	enum err err = random_real_open(&setup.random);
	if (!err)
		err = worker_threads_new("worker", 1, &workers);
	if (!err)
		err = server_loop_new(0, "log", &options, &loop);
	if (!err)
		err = server_disk_new(state_dir, worker_threads_worker(workers), &disk);
	if (!err)
		err = remove_log(disk);
	setup.disk = setup.state_disk = disk;
	setup.worker = workers ? worker_threads_worker(workers) : NULL;
	if (!err)
		err = log_create(&setup);
	if (!err)
		err = mark_log(&setup, loop, log_index);
	worker_threads_free(workers);
	if (disk)
		server_disk_free(disk);
	server_loop_free(loop);
	return err;
}

/* --- the index -------------------------------------------------------------------------------- */

struct rescue {
	const struct config *config;
	const struct rescue_options *options;
	struct rescue_list *list;
	const struct rescue_drive *source; /* whose archive it is */
	struct archive_found found;
	struct archive_restored restored;
	struct archive_end end;
	json_t *late; /* what the drives have from behind the end */
	struct kv *kv;
	unsigned damaged; /* archives that could not be read to their end */
};

static void tell_progress(void *arg, const struct archive_restored *so_far)
{
	struct rescue *rescue = arg;
	rescue->restored = *so_far;
	if (rescue->options->progress)
		rescue->options->progress(rescue->options->arg, so_far->rows, so_far->bytes);
}

/* The newest archive that can be read to its end; each that cannot is passed over. */
static enum err restore(struct rescue *rescue, char *message)
{
	enum err err;
	do {
		err = archive_restore(
			rescue->source->disk, &rescue->found, rescue->kv, tell_progress, rescue);
		if (err != ERR_CORRUPT && err != ERR_IO)
			break;
		rescue->damaged++;
		enum err next = rescue_list_next(rescue->list, &rescue->source, &rescue->found);
		if (next)
			return refuse(message, ERR_CORRUPT,
				"no archive on the drives can be read to its end; bring the drives "
				"back that are missing");
	} while (true);
	return err;
}

static enum err make_index(struct rescue *rescue, char *message)
{
	char path[IDENTITY_PATH_LEN];
	enum err err = identity_path(rescue->config->state_dir, "index", path);
	if (!err)
		err = kv_lmdb_open(path, MAP_LEN, &rescue->kv);
	if (err == ERR_CORRUPT) {
		err = kv_lmdb_set_aside(path);
		if (!err)
			err = kv_lmdb_open(path, MAP_LEN, &rescue->kv);
	}
	if (!err)
		err = restore(rescue, message);
	if (!err)
		err = archive_seal(rescue->kv, &rescue->found, HELD_WHY, &rescue->end);
	kv_close(rescue->kv);
	rescue->kv = NULL;
	return err;
}

/* (R4) */
static enum err give_up_log(const struct rescue *rescue, struct id node)
{
	struct log_home homes[LOG_HOMES_MAX] = {0};
	unsigned count = 1;
	enum err err = server_disk_new(rescue->config->state_dir, NULL, &homes[0].disk);
	if (err)
		return err;
	for (unsigned i = 0; i < rescue->list->count; i++) {
		const struct rescue_drive *drive = &rescue->list->drives[i];
		if (drive->disk)
			homes[count++] = (struct log_home){
				.disk = drive->disk, .id = drive->identity.drive};
	}
	err = log_mirror_supersede(homes, count, node);
	server_disk_free(homes[0].disk);
	return err;
}

/* --- the report ------------------------------------------------------------------------------- */

static json_t *drive_json(const struct rescue_drive *drive)
{
	json_t *json = json_pack("{s:s, s:s}", "path", drive->path, "state", drive->why);
	if (drive->had_archive)
		json_object_update_new(json,
			json_pack("{s:I, s:I, s:I, s:I}", "generation",
				(json_int_t)drive->first.generation, "log_index",
				(json_int_t)archive_log_index(drive->first.sequence), "full_ms",
				(json_int_t)drive->first.full_ms, "end_ms",
				(json_int_t)drive->first.end_ms));
	return json;
}

static json_t *report_json(const struct rescue *rescue)
{
	json_t *drives = json_array();
	for (unsigned i = 0; i < rescue->list->count; i++)
		json_array_append_new(drives, drive_json(&rescue->list->drives[i]));
	return json_pack("{s:o, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:o}",
		"late", rescue->late, "dry_run", rescue->options->is_dry, "state_dir",
		rescue->config->state_dir, "archive", rescue->source->path, "generation",
		(json_int_t)rescue->found.generation, "full_ms", (json_int_t)rescue->found.full_ms,
		"end_ms", (json_int_t)rescue->found.end_ms, "log_index",
		(json_int_t)archive_log_index(rescue->found.sequence), "newest_known",
		(json_int_t)rescue->list->newest, "rows", (json_int_t)rescue->restored.rows,
		"bytes", (json_int_t)rescue->restored.bytes, "epoch", (json_int_t)rescue->end.epoch,
		"damaged", (int)rescue->damaged, "drives", drives);
}

/* Kept for whoever asks later what was done; that it cannot be is no reason to fail. */
static void keep_report(const struct config *config, json_t *report)
{
	char path[IDENTITY_PATH_LEN];
	if (identity_path(config->state_dir, RESCUE_REPORT_NAME, path) == ERR_OK)
		err_ignore(json_dump_file(report, path, JSON_INDENT(2)) == 0 ? ERR_OK : ERR_IO);
}

/* --- the whole -------------------------------------------------------------------------------- */

static enum err refuse_none(const struct rescue *rescue, char *message)
{
	const struct rescue_list *list = rescue->list;
	if (list->newest > 0)
		return refuse(message, ERR_NOT_FOUND,
			"the newest archive is generation %" PRIu64 ", on drives that are not "
			"here (%s); bring one of them back",
			list->newest, list->newest_drives);
	return refuse(message, ERR_NOT_FOUND,
		"none of the %u drives of the configuration has an archive of the index",
		list->count);
}

static enum err rescue_state(struct rescue *rescue, char *message)
{
	struct identity identity = {0};
	enum err err = init_restore_identity(
		rescue->config, rescue->source->path, &identity, message);
	if (!err)
		err = make_index(rescue, message);
	if (!err)
		err = make_log(rescue->config->state_dir, &identity, rescue->end.log_index);
	if (!err)
		err = give_up_log(rescue, identity.node);
	struct identity_epoch epoch = {.number = rescue->end.epoch};
	if (!err)
		err = identity_put_epoch(rescue->config->state_dir, &epoch, message);
	identity.is_joined = false; /* (R3) */
	if (!err)
		err = init_finish_identity(rescue->config, &identity, message);
	identity_fini(&identity);
	return err;
}

enum err rescue_index(const struct config *config, const struct rescue_options *options,
	json_t **ret_report, char *message)
{
	struct rescue rescue = {.config = config, .options = options};
	message[0] = '\0';
	if (!options->is_dry && identity_is_there(config->state_dir))
		return refuse(message, ERR_EXISTS,
			"%.300s has the state of a node: start it with rubus serve; if it "
			"cannot be used, move it away first",
			config->state_dir);
	enum err err = rescue_list_open(config, options->gives_up_log, &rescue.list, message);
	if (!err)
		err = rescue_list_next(rescue.list, &rescue.source, &rescue.found);
	if (err == ERR_NOT_FOUND && !message[0])
		err = refuse_none(&rescue, message);
	if (!err && !options->is_dry)
		err = rescue_state(&rescue, message);
	if (!err && !(rescue.late = rescue_late_look(rescue.list, &rescue.found)))
		err = ERR_NO_MEMORY;
	if (!err) {
		*ret_report = report_json(&rescue);
		if (!options->is_dry)
			keep_report(config, *ret_report);
	} else if (!message[0]) {
		refuse(message, err, "%.300s: %s", config->state_dir, err_text(err));
	}
	rescue_list_close(rescue.list);
	return err;
}
