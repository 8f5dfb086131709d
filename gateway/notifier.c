/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/notifier.h"

#include <stdlib.h>

#include "storage/repair/duty.h"

static void look_later(struct notifier_webhook *webhook, uint64_t delay_ms)
{
	timer_set(webhook->notifier->store->loop, &webhook->timer, delay_ms);
}

/* --- what was told goes ----------------------------------------------------------------------- */

static void proposal_done(struct index_proposal *proposal)
{
	struct notifier_webhook *webhook = CONTAINER_OF(
		proposal, struct notifier_webhook, proposal);
	bool is_done = proposal->err == ERR_OK && proposal->result.code == COMMAND_OK;
	webhook->state = NOTIFIER_LOOKING;
	if (is_done && proposal->result.count == 0)
		webhook->told = 0;
	look_later(webhook, is_done ? 0 : NOTIFIER_RETRY_MS); /* (N2) */
}

static void propose_done(struct notifier_webhook *webhook)
{
	struct command command = {.type = COMMAND_NOTICE_DONE};
	command.notice_done.target = webhook->name;
	command.notice_done.place = webhook->place;
	enum err err = command_encode(
		&command, webhook->command, sizeof webhook->command, &webhook->proposal.len);
	assert(err == ERR_OK);
	webhook->state = NOTIFIER_PROPOSING;
	webhook->proposal.loop = webhook->notifier->store->loop;
	webhook->proposal.bytes = webhook->command;
	webhook->proposal.done = proposal_done;
	index_propose(webhook->notifier->store->store->index, &webhook->proposal);
}

/* --- telling ---------------------------------------------------------------------------------- */

static void post_done(struct notifier_post *post)
{
	struct notifier_webhook *webhook = CONTAINER_OF(post, struct notifier_webhook, post);
	struct trace *trace = webhook->notifier->store->store->trace;
	webhook->state = NOTIFIER_LOOKING;
	if (post->err == ERR_OK) {
		webhook->place = webhook->posted;
		webhook->told++;
		webhook->counters.told++;
		webhook->retry_ms = 0;
		look_later(webhook, 0);
		return;
	}
	if (webhook->retry_ms == 0)
		trace_event(trace, TRACE_WARNING, 0,
			"webhook %.*s did not take a notification: %s; it is tried again",
			(int)webhook->name.len, (const char *)webhook->name.data,
			err_text(post->err));
	webhook->counters.failed++;
	webhook->retry_ms = webhook->retry_ms == 0 ? NOTIFIER_RETRY_MS : 2 * webhook->retry_ms;
	if (webhook->retry_ms > NOTIFIER_RETRY_MS_MAX)
		webhook->retry_ms = NOTIFIER_RETRY_MS_MAX;
	look_later(webhook, webhook->notifier->is_stopping ? 0 : webhook->retry_ms);
}

/* Makes the message of a notice under the view that it is borrowed of. */
static void make_message(struct notifier_webhook *webhook, const struct index_notice *notice)
{
	struct text_out out;
	text_out_init(&out, webhook->body, sizeof webhook->body);
	notice_json_put(&out, &notice->row, notice->place, webhook->notifier->region);
	assert(!out.overflowed);
	webhook->post.body = text_out_bytes(&out);
	webhook->posted = notice->place;
}

static void see_queue(struct notifier_webhook *webhook)
{
	struct row_notice_queue queue = {0};
	/* Without a row there is nothing; another error is met again by the look itself. */
	err_ignore(index_notice_queue(webhook->notifier->store->reader, webhook->name, &queue));
	webhook->counters.waiting = queue.count;
	webhook->counters.dropped = queue.dropped;
}

static bool is_too_old(const struct notifier_webhook *webhook, const struct row_notice *notice)
{
	uint64_t now_ms = (uint64_t)clock_wall_ms(webhook->notifier->store->store->clock);
	return notice->time_ms + NOTIFIER_KEEP_MS < now_ms;
}

/* The next notice, if there is one for us to tell, becomes a message; else ERR_NOT_FOUND. What is
 * too old is passed. Under a view. */
static enum err find_next(struct notifier_webhook *webhook)
{
	struct index_reader *reader = webhook->notifier->store->reader;
	struct index_notice notice;
	struct duty duty;
	enum err err = duty_look(webhook->notifier->store, &duty);
	if (err)
		return err;
	see_queue(webhook);
	if (!duty.is_mine) {
		webhook->place = (struct version_id){0};
		webhook->told = 0;
		return ERR_NOT_FOUND;
	}
	while (webhook->told < NOTIFIER_BATCH) {
		err = index_notice_next(reader, webhook->name, webhook->place, &notice);
		if (err)
			return err;
		if (!is_too_old(webhook, &notice.row)) {
			make_message(webhook, &notice);
			return ERR_OK;
		}
		webhook->place = notice.place; /* (N3) */
		webhook->told++;
		webhook->counters.given_up++;
	}
	return ERR_NOT_FOUND;
}

static void one_ended(struct notifier *notifier)
{
	if (--notifier->running > 0)
		return;
	free(notifier->webhooks);
	notifier->webhooks = NULL;
	notifier->webhook_count = 0;
	notifier->stopped(notifier);
}

static void end_one(struct notifier_webhook *webhook)
{
	timer_cancel(webhook->notifier->store->loop, &webhook->timer);
	one_ended(webhook->notifier);
}

static void sweep_stopped(struct notice_sweep *sweep)
{
	one_ended(CONTAINER_OF(sweep, struct notifier, sweep));
}

static void advance(struct notifier_webhook *webhook)
{
	struct index_reader *reader = webhook->notifier->store->reader;
	if (webhook->state != NOTIFIER_LOOKING)
		return;
	if (webhook->notifier->is_stopping) {
		end_one(webhook);
		return;
	}
	if (webhook->retry_ms > 0 && webhook->told > 0) {
		propose_done(webhook);
		return;
	}
	enum err err = index_view_begin(reader);
	if (err == ERR_OK) {
		err = find_next(webhook);
		index_view_end(reader);
	}
	if (err == ERR_OK) {
		webhook->state = NOTIFIER_POSTING;
		webhook->door->post(webhook->door, &webhook->post);
	} else if (err == ERR_NOT_FOUND && webhook->told > 0) {
		propose_done(webhook);
	} else {
		look_later(webhook, err == ERR_NOT_FOUND ? NOTIFIER_IDLE_MS : NOTIFIER_RETRY_MS);
	}
}

static void timer_fired(struct timer *timer)
{
	advance(CONTAINER_OF(timer, struct notifier_webhook, timer));
}

/* --- life ------------------------------------------------------------------------------------- */

enum err notifier_start(struct notifier *notifier, const struct notifier_setup *setup)
{
	assert(setup->webhook_count <= NOTIFIER_WEBHOOKS_MAX);
	*notifier = (struct notifier){
		.store = setup->store,
		.region = setup->region,
		.webhook_count = setup->webhook_count,
		.running = setup->webhook_count + 1,
	};
	if (setup->webhook_count > 0)
		notifier->webhooks = calloc(setup->webhook_count, sizeof *notifier->webhooks);
	if (setup->webhook_count > 0 && !notifier->webhooks)
		return ERR_NO_MEMORY;
	for (unsigned i = 0; i < setup->webhook_count; i++) {
		struct notifier_webhook *webhook = &notifier->webhooks[i];
		webhook->notifier = notifier;
		webhook->name = setup->names[i];
		webhook->door = setup->doors[i];
		webhook->timer.fire = timer_fired;
		webhook->post.loop = setup->store->loop;
		webhook->post.done = post_done;
		look_later(webhook, 0);
	}
	notice_sweep_start(&notifier->sweep, setup->store);
	return ERR_OK;
}

void notifier_stop(struct notifier *notifier, void (*stopped)(struct notifier *notifier))
{
	notifier->is_stopping = true;
	notifier->stopped = stopped;
	for (unsigned i = 0; i < notifier->webhook_count; i++)
		if (notifier->webhooks[i].state == NOTIFIER_LOOKING)
			look_later(&notifier->webhooks[i], 0);
	notice_sweep_stop(&notifier->sweep, sweep_stopped);
}
