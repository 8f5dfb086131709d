/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/notice_sweep.h"

#include <assert.h>
#include <string.h>

#include "gateway/notifier.h"
#include "storage/repair/duty.h"

static void look_later(struct notice_sweep *sweep, uint64_t delay_ms)
{
	timer_set(sweep->store->loop, &sweep->timer, delay_ms);
}

static bool is_too_old(const struct notice_sweep *sweep, const struct row_notice *notice)
{
	uint64_t now_ms = (uint64_t)clock_wall_ms(sweep->store->store->clock);
	return notice->time_ms + NOTIFIER_KEEP_MS + NOTICE_SWEEP_LATE_MS < now_ms;
}

/* The last of the first notices of a queue that are too old; of as many as one command removes.
 * Errors: ERR_NOT_FOUND, none is. */
static enum err find_old(
	struct notice_sweep *sweep, struct bytes target, struct version_id *ret_place)
{
	struct version_id place = {0};
	struct index_notice notice;
	unsigned count = 0;
	enum err err = ERR_OK;
	while (count < COMMAND_NOTICE_STEP) {
		err = index_notice_next(sweep->store->reader, target, place, &notice);
		if (err || !is_too_old(sweep, &notice.row))
			break;
		place = notice.place;
		count++;
	}
	if (err && err != ERR_NOT_FOUND)
		return err;
	if (count == 0)
		return ERR_NOT_FOUND;
	*ret_place = place;
	return ERR_OK;
}

static void make_command(struct notice_sweep *sweep, struct bytes target, struct version_id place)
{
	struct command command = {.type = COMMAND_NOTICE_DONE};
	command.notice_done.target = target;
	command.notice_done.place = place;
	enum err err = command_encode(
		&command, sweep->command, sizeof sweep->command, &sweep->proposal.len);
	assert(err == ERR_OK);
}

/* Looks at the next queue, under a view. ERR_OK: a command is made; ERR_BUSY: it is passed, and
 * there may be another; ERR_NOT_FOUND: there is none, or another node's work. */
static enum err look(struct notice_sweep *sweep)
{
	struct duty duty;
	struct bytes found;
	struct row_notice_queue queue;
	struct version_id place;
	enum err err = duty_look(sweep->store, &duty);
	if (err)
		return err;
	if (!duty.is_mine)
		return ERR_NOT_FOUND;
	err = index_notice_queue_next(
		sweep->store->reader, bytes_make(sweep->from, sweep->from_len), &found, &queue);
	if (err)
		return err;
	if (found.len > NOTICE_TARGET_LEN_MAX)
		return ERR_CORRUPT;
	memcpy(sweep->from, found.data, found.len);
	sweep->from_len = found.len;
	err = find_old(sweep, bytes_make(sweep->from, sweep->from_len), &place);
	if (err == ERR_OK) {
		make_command(sweep, bytes_make(sweep->from, sweep->from_len), place);
	} else if (err == ERR_NOT_FOUND) {
		sweep->from[sweep->from_len++] = 0; /* just behind it */
		err = ERR_BUSY;
	}
	return err;
}

static void proposal_done(struct index_proposal *proposal)
{
	struct notice_sweep *sweep = CONTAINER_OF(proposal, struct notice_sweep, proposal);
	bool is_done = proposal->err == ERR_OK && proposal->result.code == COMMAND_OK;
	sweep->is_proposed = false;
	look_later(sweep, is_done || sweep->is_stopping ? 0 : NOTICE_SWEEP_RETRY_MS);
}

static void advance(struct notice_sweep *sweep)
{
	struct index_reader *reader = sweep->store->reader;
	if (sweep->is_proposed)
		return;
	if (sweep->is_stopping) {
		timer_cancel(sweep->store->loop, &sweep->timer);
		sweep->stopped(sweep);
		return;
	}
	enum err err = index_view_begin(reader);
	if (err == ERR_OK) {
		err = look(sweep);
		index_view_end(reader);
	}
	if (err == ERR_OK) {
		sweep->is_proposed = true;
		index_propose(sweep->store->store->index, &sweep->proposal);
	} else if (err == ERR_BUSY) {
		look_later(sweep, 0);
	} else {
		sweep->from_len = 0;
		look_later(sweep, NOTICE_SWEEP_IDLE_MS);
	}
}

static void timer_fired(struct timer *timer)
{
	advance(CONTAINER_OF(timer, struct notice_sweep, timer));
}

void notice_sweep_start(struct notice_sweep *sweep, struct store_loop *store)
{
	*sweep = (struct notice_sweep){.store = store};
	sweep->timer.fire = timer_fired;
	sweep->proposal.loop = store->loop;
	sweep->proposal.bytes = sweep->command;
	sweep->proposal.done = proposal_done;
	look_later(sweep, NOTICE_SWEEP_IDLE_MS);
}

void notice_sweep_stop(struct notice_sweep *sweep, void (*stopped)(struct notice_sweep *sweep))
{
	sweep->is_stopping = true;
	sweep->stopped = stopped;
	look_later(sweep, 0);
}
