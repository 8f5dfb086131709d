/* SPDX-License-Identifier: Apache-2.0 */
/* Proposals of this node, and the session that makes them exactly-once.
 *
 * (P1) Sequences are given in the order in which proposals leave, and never more than
 *      COMMAND_IN_FLIGHT_MAX above the lowest without an answer; the others wait here.
 * (P2) A proposal has one session for all its life, and that of the extents it names. If that was
 * closed it ends with ERR_CLOSED, and the next session is opened at once. (P3) One that finds no
 * session for INDEX_PATIENCE_MS ends with ERR_UNAVAILABLE: it never left. (P4) One that not all
 * members know never leaves: a member that does not could not apply it.
 */
#include "storage/meta/index_priv.h"

/* --- lists ------------------------------------------------------------------------------------ */

static void list_append(struct proposal_list *list, struct index_proposal *proposal)
{
	proposal->next = NULL;
	proposal->prev = list->last;
	if (list->last)
		list->last->next = proposal;
	else
		list->first = proposal;
	list->last = proposal;
	list->count++;
}

static void list_unlink(struct proposal_list *list, struct index_proposal *proposal)
{
	if (proposal->prev)
		proposal->prev->next = proposal->next;
	else
		list->first = proposal->next;
	if (proposal->next)
		proposal->next->prev = proposal->prev;
	else
		list->last = proposal->prev;
	list->count--;
}

/* --- leaving ---------------------------------------------------------------------------------- */

static void proposal_failed_run(struct task *task)
{
	struct index_proposal *proposal = CONTAINER_OF(task, struct index_proposal, task);
	proposal->done(proposal);
}

/* Ends one that never left. */
static void end_unsent(struct index_proposal *proposal, enum err err)
{
	proposal->err = err;
	proposal->task = (struct task){.run = proposal_failed_run};
	loop_post(proposal->loop, &proposal->task);
}

static void proposal_done(struct proposal *inner);

/* Lets as many go as may go (P1). */
void index_propose_send(struct index *index)
{
	uint64_t session = atomic_load(&index->session);
	while (session != 0 && index->waiting.first) {
		struct index_proposal *first = index->in_flight.first;
		uint64_t low = first ? first->sequence : index->next_sequence;
		if (index->next_sequence >= low + COMMAND_IN_FLIGHT_MAX)
			return;
		struct index_proposal *proposal = index->waiting.first;
		list_unlink(&index->waiting, proposal);
		if (proposal->made_in != 0 && proposal->made_in != session) {
			end_unsent(proposal, ERR_CLOSED);
			continue;
		}
		proposal->session = session;
		proposal->sequence = index->next_sequence++;
		list_append(&index->in_flight, proposal);
		command_stamp(proposal->bytes, session, proposal->sequence, low);
		proposal->proposal = (struct proposal){
			.loop = proposal->loop,
			.command = bytes_make(proposal->bytes, proposal->len),
			.done = proposal_done,
		};
		consensus_propose(index->setup.consensus, &proposal->proposal);
	}
}

bool index_may_grow(struct index *index)
{
	return index_space_ask(&index->space);
}

void index_propose(struct index *index, struct index_proposal *proposal)
{
	assert(index->magic == INDEX_MAGIC);
	assert(proposal->loop && proposal->done && proposal->bytes);
	assert(proposal->len >= COMMAND_HEADER_LEN && proposal->len <= COMMAND_LEN_MAX);
	proposal->index = index;
	proposal->err = ERR_OK;
	proposal->due_ns = clock_mono_ns(index->setup.clock) +
		INDEX_PATIENCE_MS * UINT64_C(1000000);
	if (command_type_version(proposal->bytes[1]) > atomic_load(&index->command_version)) {
		end_unsent(proposal, ERR_VERSION);
		return;
	}
	if (command_is_growth(proposal->bytes) && !index_may_grow(index)) {
		end_unsent(proposal, ERR_NO_SPACE);
		return;
	}
	pthread_mutex_lock(&index->lock);
	bool has_failed = index_err(index) != ERR_OK;
	if (!has_failed) {
		list_append(&index->waiting, proposal);
		index_propose_send(index);
	}
	pthread_mutex_unlock(&index->lock);
	if (has_failed)
		end_unsent(proposal, ERR_UNAVAILABLE);
}

void index_propose_expire(struct index *index)
{
	uint64_t now_ns = clock_mono_ns(index->setup.clock);
	pthread_mutex_lock(&index->lock);
	struct index_proposal *expired = NULL;
	while (index->waiting.first && index->waiting.first->due_ns <= now_ns) {
		struct index_proposal *proposal = index->waiting.first;
		list_unlink(&index->waiting, proposal);
		proposal->next = expired;
		expired = proposal;
	}
	pthread_mutex_unlock(&index->lock);
	while (expired) {
		struct index_proposal *next = expired->next;
		end_unsent(expired, ERR_UNAVAILABLE);
		expired = next;
	}
}

void index_propose_failed(struct index *index)
{
	pthread_mutex_lock(&index->lock);
	struct index_proposal *proposal = index->waiting.first;
	index->waiting = (struct proposal_list){0};
	pthread_mutex_unlock(&index->lock);
	while (proposal) {
		struct index_proposal *next = proposal->next;
		end_unsent(proposal, ERR_UNAVAILABLE);
		proposal = next;
	}
	index_session_tell(index, index_err(index));
}

/* --- answers ---------------------------------------------------------------------------------- */

/* What was on its way under the session has its answers to come. Under the lock. */
static void forget_session(struct index *index)
{
	atomic_store(&index->session, 0);
	while (index->in_flight.first) {
		struct index_proposal *proposal = index->in_flight.first;
		list_unlink(&index->in_flight, proposal);
		list_append(&index->orphans, proposal);
	}
}

static void read_answer(struct index_proposal *proposal)
{
	const struct proposal *inner = &proposal->proposal;
	proposal->err = inner->err;
	if (inner->err != ERR_OK)
		return;
	proposal->err = command_result_decode(
		bytes_make(inner->result, inner->result_len), &proposal->result);
	if (proposal->err == ERR_OK && proposal->result.code == COMMAND_NO_SESSION)
		proposal->err = ERR_CLOSED;
}

static void proposal_done(struct proposal *inner)
{
	struct index_proposal *proposal = CONTAINER_OF(inner, struct index_proposal, proposal);
	struct index *index = proposal->index;
	assert(index->magic == INDEX_MAGIC);
	read_answer(proposal);
	pthread_mutex_lock(&index->lock);
	bool is_current = proposal->session == atomic_load(&index->session);
	list_unlink(is_current ? &index->in_flight : &index->orphans, proposal);
	bool is_closed = is_current && proposal->err == ERR_CLOSED;
	if (is_closed)
		forget_session(index);
	index_propose_send(index);
	pthread_mutex_unlock(&index->lock);
	if (is_closed) {
		trace_event(index->setup.trace, TRACE_WARNING, 0, "the session was closed");
		index_session_open(index);
	}
	proposal->done(proposal);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void report_done(struct index_proposal *proposal)
{
	struct index *index = CONTAINER_OF(proposal, struct index, report);
	pthread_mutex_lock(&index->lock);
	index->is_reporting = false;
	if (proposal->err != ERR_OK)
		index->open_low_reported = index->read_low_reported = 0; /* perhaps not */
	pthread_mutex_unlock(&index->lock);
}

bool index_report_is_due(struct index *index)
{
	uint64_t open_low, read_low;
	index_lows(index, &open_low, &read_low);
	pthread_mutex_lock(&index->lock);
	bool is_due = open_low > index->open_low_reported;
	pthread_mutex_unlock(&index->lock);
	return is_due;
}

enum err index_report_past(struct index *index, uint64_t log_index)
{
	struct command command = {.type = COMMAND_SESSION_REPORT};
	struct command_session_report *report = &command.session_report;
	index_lows(index, &report->open_low, &report->read_low);
	pthread_mutex_lock(&index->lock);
	bool is_busy = index->is_reporting;
	bool has_risen = report->open_low > index->open_low_reported ||
		(report->read_low > index->read_low_reported &&
			index->read_low_reported <= log_index);
	if (!is_busy && has_risen) {
		index->is_reporting = true;
		index->open_low_reported = report->open_low;
		index->read_low_reported = report->read_low;
	}
	pthread_mutex_unlock(&index->lock);
	if (is_busy || !has_risen)
		return is_busy ? ERR_BUSY : ERR_OK;
	index->report = (struct index_proposal){
		.loop = index->setup.apply,
		.bytes = index->report_bytes,
		.done = report_done,
	};
	enum err err = command_encode(
		&command, index->report_bytes, sizeof index->report_bytes, &index->report.len);
	assert(err == ERR_OK);
	index_propose(index, &index->report);
	return ERR_OK;
}

enum err index_report(struct index *index)
{
	return index_report_past(index, UINT64_MAX);
}

void index_set_command_version(struct index *index, uint16_t version)
{
	atomic_store(&index->command_version, version);
}

uint16_t index_known_command_version(const struct index *index)
{
	return atomic_load(&index->command_version);
}

void index_propose_init(struct index *index)
{
	atomic_store(&index->command_version, COMMAND_VERSION);
	index->next_sequence = 1;
	atomic_store(&index->next_extent, 1);
}
