/* SPDX-License-Identifier: Apache-2.0 */
/* Opening this node's session, and another when that one was closed.
 *
 * Where there is no quorum, nothing can be opened; so it is tried again, with the same nonce, until
 * it succeeds: a try whose outcome was not known may have opened the session, and the next one then
 * gets that. Meanwhile proposals wait, each for as long as its patience lasts.
 */
#include "storage/meta/index_priv.h"

#define RETRY_MS 500

void index_session_tell(struct index *index, enum err err)
{
	void (*opened)(void *arg, enum err err) = index->opened;
	index->opened = NULL;
	if (opened)
		opened(index->opened_arg, err);
}

static void session_opened(struct proposal *inner);

static void propose_open(struct index *index)
{
	index->open = (struct proposal){
		.loop = index->setup.apply,
		.command = bytes_make(index->open_bytes, index->open_len),
		.done = session_opened,
	};
	consensus_propose(index->setup.consensus, &index->open);
}

static void use_session(struct index *index, uint64_t session)
{
	timer_cancel(index->setup.apply, &index->open_timer);
	pthread_mutex_lock(&index->lock);
	index->is_opening = false;
	index->next_sequence = 1;
	index->open_low_reported = 0;
	index->read_low_reported = 0;
	atomic_store(&index->session, session);
	index_propose_send(index);
	pthread_mutex_unlock(&index->lock);
	trace_event(index->setup.trace, TRACE_INFO, 0, "session %llx is open",
		(unsigned long long)session);
	index_session_tell(index, ERR_OK);
}

static void session_opened(struct proposal *inner)
{
	struct index *index = CONTAINER_OF(inner, struct index, open);
	struct command_result result;
	enum err err = inner->err;
	index->is_open_sent = false;
	if (err == ERR_UNAVAILABLE || err == ERR_UNKNOWN)
		return; /* the timer tries again */
	if (err == ERR_OK)
		err = command_result_decode(bytes_make(inner->result, inner->result_len), &result);
	if (err == ERR_OK && result.code != COMMAND_OK)
		err = command_code_err(result.code);
	if (err == ERR_OK)
		use_session(index, result.id);
	else
		index_fail(index, err);
}

static void open_timer_fired(struct timer *timer)
{
	struct index *index = CONTAINER_OF(timer, struct index, open_timer);
	if (index_err(index) != ERR_OK)
		return;
	index_propose_expire(index);
	if (!index->is_open_sent) {
		index->is_open_sent = true;
		propose_open(index);
	}
	timer_set(index->setup.apply, timer, RETRY_MS);
}

static void begin(struct task *task)
{
	struct index *index = CONTAINER_OF(task, struct index, open_task);
	struct command command = {.type = COMMAND_SESSION_OPEN};
	command.session_open.node = index->setup.node;
	do
		command.session_open.start = random_u64(index->setup.random);
	while (command.session_open.start == 0);
	enum err err = command_encode(
		&command, index->open_bytes, sizeof index->open_bytes, &index->open_len);
	assert(err == ERR_OK);
	index->open_timer.fire = open_timer_fired;
	open_timer_fired(&index->open_timer);
}

void index_session_open(struct index *index)
{
	pthread_mutex_lock(&index->lock);
	bool is_opening = index->is_opening;
	index->is_opening = true;
	pthread_mutex_unlock(&index->lock);
	if (is_opening)
		return;
	index->open_task.run = begin;
	loop_post(index->setup.apply, &index->open_task);
}
