/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/task_book.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "storage/repair/scrub_record.h"
#include "storage/repair/steering.h"

const char *const book_work_names[BOOK_WORKS] = {
	[BOOK_REPAIR] = "repair", [BOOK_MOVE] = "move", [BOOK_RECODE] = "recode"};

#define DONE_FORMAT(number) "{\"shards\":%" number ",\"bytes\":%" number ",\"failed\":%" number

static const struct crew_done *counted_by(const struct task_book *book, unsigned work)
{
	static const enum crew_work works[BOOK_WORKS] = {
		[BOOK_REPAIR] = CREW_REPAIR, [BOOK_MOVE] = CREW_MOVE, [BOOK_RECODE] = CREW_RECODE};
	return &book->crew->works[works[work]];
}

void task_book_init(struct task_book *book, struct store_loop *store, const struct crew *crew,
	void (*changed)(struct task_book *book))
{
	memset(book, 0, sizeof *book);
	book->store = store;
	book->crew = crew;
	book->changed = changed;
}

/* --- proposing -------------------------------------------------------------------------------- */

static void proposal_done(struct index_proposal *proposal)
{
	struct task_book *book = CONTAINER_OF(proposal, struct task_book, proposal);
	assert(book->is_proposed);
	book->is_proposed = false;
	book->is_read = false;
	book->changed(book);
}

static void propose(
	struct task_book *book, uint64_t id, const char *name, const char *text, bool is_end)
{
	struct command command = {.type = COMMAND_TASK_PUT};
	command.task_put.id = id;
	command.task_put.name = bytes_of(name);
	command.task_put.text = bytes_of(text);
	command.task_put.is_end = is_end;
	book->proposal = (struct index_proposal){
		.loop = book->store->loop, .bytes = book->command, .done = proposal_done};
	enum err err = command_encode(
		&command, book->command, sizeof book->command, &book->proposal.len);
	assert(err == ERR_OK);
	book->is_proposed = true;
	index_propose(book->store->store->index, &book->proposal);
}

/* --- what is open ----------------------------------------------------------------------------- */

/* A task that is met for the first time goes on from what its row says (B2). */
static void take_task(struct task_book *book, unsigned work, const struct row_task *row)
{
	char text[ROW_TASK_TEXT_LEN_MAX + 1];
	struct book_task *task = &book->tasks[work];
	struct crew_done done = {0};
	if (task->id == row->id)
		return;
	memcpy(text, row->text.len > 0 ? row->text.data : (const uint8_t *)"", row->text.len);
	text[row->text.len] = '\0';
	if (sscanf(text, DONE_FORMAT(SCNu64), &done.shards, &done.bytes, &done.failed) != 3)
		done = (struct crew_done){0};
	*task = (struct book_task){.id = row->id,
		.began_ms = row->began_ms,
		.done = done,
		.counted = task->counted,
		.told = done,
		.told_ms = loop_now_ms(book->store->loop)};
}

/* Has every drive that the task is about had its pass? */
static enum err judge_drive(struct task_book *book, const struct row_task *task, uint16_t drive,
	bool *io_is_over, struct scrub_counts *io_counts)
{
	struct scrub_record record;
	enum err err = scrub_record_read(book->store->reader, drive, &record);
	if (err)
		return err;
	if (!record.is_there || record.ended_ms == 0 || record.task < task->id)
		*io_is_over = false;
	else
		scrub_counts_add(io_counts, &record.counts);
	return ERR_OK;
}

/* (B3) */
static enum err judge_scrub(struct task_book *book, const struct row_task *task, uint16_t only)
{
	struct row_drive drive;
	struct scrub_counts counts = {0};
	bool is_over = true, is_any = false;
	enum err err = ERR_OK;
	for (uint32_t from = 1; from <= UINT16_MAX; from = drive.number + 1u) {
		err = index_drive_next(book->store->reader, from, &drive);
		if (err)
			break;
		if ((drive.state != DRIVE_ROW_IN && drive.state != DRIVE_ROW_DRAINING) ||
			(only != 0 && drive.number != only))
			continue;
		is_any = true;
		err = judge_drive(book, task, drive.number, &is_over, &counts);
		if (err)
			return err;
	}
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	if (!is_over || book->is_proposed)
		return ERR_OK;
	book->scrub = task->id;
	memcpy(book->scrub_name, task->name.data, task->name.len);
	book->scrub_name[task->name.len] = '\0';
	scrub_counts_format(&counts, is_any ? scrub_counts_verdict(&counts) : "gone",
		book->scrub_text, sizeof book->scrub_text);
	return ERR_OK;
}

static enum err read_task(struct task_book *book, const struct row_task *task, bool *is_open)
{
	uint16_t drive;
	if (task->ended_ms != 0)
		return ERR_OK;
	if (steering_is_scrub(task->name, &drive))
		return judge_scrub(book, task, drive);
	for (unsigned work = 0; work < BOOK_WORKS; work++) {
		if (!bytes_is_text(task->name, book_work_names[work]))
			continue;
		take_task(book, work, task);
		is_open[work] = true;
	}
	return ERR_OK;
}

enum err task_book_read(struct task_book *book)
{
	struct row_task task = {.id = 0};
	bool is_open[BOOK_WORKS] = {false};
	enum err err = ERR_OK;
	if (!book->is_proposed)
		book->scrub = 0;
	while (err == ERR_OK) {
		err = index_task_next(book->store->reader, task.id + 1, &task);
		if (err == ERR_OK)
			err = read_task(book, &task, is_open);
	}
	if (err != ERR_NOT_FOUND)
		return err;
	for (unsigned work = 0; work < BOOK_WORKS; work++)
		if (!is_open[work])
			book->tasks[work].id = 0;
	book->is_read = !book->is_proposed;
	return ERR_OK;
}

void task_book_forget(struct task_book *book)
{
	for (unsigned work = 0; work < BOOK_WORKS; work++)
		book->tasks[work] = (struct book_task){.counted = *counted_by(book, work)};
	book->scrub = 0;
	book->is_read = false;
}

/* --- tending ---------------------------------------------------------------------------------- */

static void count(struct book_task *task, const struct crew_done *counted)
{
	task->done.shards += counted->shards - task->counted.shards;
	task->done.bytes += counted->bytes - task->counted.bytes;
	task->done.failed += counted->failed - task->counted.failed;
	task->counted = *counted;
}

static void format_task(const struct task_book *book, const struct book_task *task,
	const struct book_need *need, const char *verdict, char *text, size_t cap)
{
	size_t len = snprintf(text, cap,
		DONE_FORMAT(PRIu64) ",\"kind\":\"%s\",\"blocked\":%" PRIu64 ",\"lost\":%" PRIu64,
		task->done.shards, task->done.bytes, task->done.failed, need->kind, need->blocked,
		need->lost);
	if (book->store->peers) {
		len += snprintf(text + len, cap - len, ",\"by\":\"");
		for (unsigned i = 0; i < sizeof book->store->peers->self.bytes; i++)
			len += snprintf(
				text + len, cap - len, "%02x", book->store->peers->self.bytes[i]);
		len += snprintf(text + len, cap - len, "\"");
	}
	if (verdict)
		len += snprintf(text + len, cap - len, ",\"verdict\":\"%s\"", verdict);
	snprintf(text + len, cap - len, "}");
}

/* True: a proposal is on its way. */
static bool tend(struct task_book *book, unsigned work, const struct book_need *need)
{
	struct book_task *task = &book->tasks[work];
	struct book_task none = {0};
	char text[ROW_TASK_TEXT_LEN_MAX];
	uint64_t now_ms = loop_now_ms(book->store->loop);
	const char *name = book_work_names[work];
	if (task->id == 0 && !need->is_there) {
		task->counted = *counted_by(book, work);
	} else if (task->id == 0) {
		format_task(book, &none, need, NULL, text, sizeof text);
		propose(book, 0, name, text, false);
	} else if (!need->is_there) {
		format_task(book, task, need, "whole", text, sizeof text);
		propose(book, task->id, name, text, true);
		trace_event(book->store->store->trace, TRACE_INFO, 0, "task %" PRIu64 " ended: %s",
			task->id, text);
	} else if (now_ms - task->told_ms >= BOOK_TELL_MS &&
		memcmp(&task->done, &task->told, sizeof task->done) != 0) {
		task->told = task->done;
		task->told_ms = now_ms;
		format_task(book, task, need, NULL, text, sizeof text);
		propose(book, task->id, name, text, false);
	}
	return book->is_proposed;
}

void task_book_tend(struct task_book *book, const struct book_need *needs)
{
	for (unsigned work = 0; work < BOOK_WORKS; work++)
		if (book->tasks[work].id != 0)
			count(&book->tasks[work], counted_by(book, work));
	if (!book->is_read || book->is_proposed)
		return;
	for (unsigned work = 0; work < BOOK_WORKS; work++)
		if (tend(book, work, &needs[work]))
			return;
	if (book->scrub == 0)
		return;
	propose(book, book->scrub, book->scrub_name, book->scrub_text, true);
	book->scrub = 0;
}
