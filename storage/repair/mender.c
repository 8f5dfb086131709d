/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/mender_priv.h"

#include <assert.h>
#include <string.h>

#include "storage/repair/duty.h"
#include "storage/repair/spans.h"

static_assert(MOVER_LANES * MOVER_BATCH + REPAIR_BATCH_SHARDS <= CREW_WRITTEN_MAX,
	"all that is ordered can be judged");

static void advance(struct mender *mender);

static struct index *index_of(const struct mender *mender)
{
	return mender->setup.store->store->index;
}

static struct index_reader *reader_of(const struct mender *mender)
{
	return mender->setup.store->reader;
}

static void run_task(struct task *task)
{
	struct mender *mender = CONTAINER_OF(task, struct mender, task);
	mender->is_task_posted = false;
	advance(mender);
}

static void advance_soon(struct mender *mender)
{
	if (mender->is_task_posted)
		return;
	mender->is_task_posted = true;
	loop_post(mender->setup.store->loop, &mender->task);
}

static void crew_changed(struct crew *crew)
{
	advance_soon(CONTAINER_OF(crew, struct mender, crew));
}

static void book_changed(struct task_book *book)
{
	advance_soon(CONTAINER_OF(book, struct mender, book));
}

static void emptier_changed(struct emptier *emptier)
{
	advance_soon(CONTAINER_OF(emptier, struct mender, emptier));
}

static void timer_fired(struct timer *timer)
{
	advance(CONTAINER_OF(timer, struct mender, timer));
}

/* --- giving way ------------------------------------------------------------------------------- */

static void see_own_pools(const struct mender *mender, struct throttle_load *ret_load)
{
	const struct store_loop *store = mender->setup.store;
	*ret_load = (struct throttle_load){
		.is_any = store->put_pool.lent_len + store->get_pool.lent_len > 0,
		.is_waiting = store->put_pool.first || store->get_pool.first,
	};
}

/* Is anything read or written, so that it matters how clients fare? */
static bool is_busy(const struct mender *mender)
{
	return mender->crew.in_flight > 0 || mender->recode.in_flight > 0 ||
		scrub_is_busy(&mender->scrub);
}

static bool is_at_floor(const struct mender *mender)
{
	bool has_jobs = mender->crew.in_flight > 0 || mender->recode.in_flight > 0;
	return (!has_jobs || throttle_is_at_floor(&mender->throttle)) &&
		(!scrub_is_busy(&mender->scrub) || throttle_is_at_floor(&mender->scrub.throttle));
}

static void throttle_fired(struct timer *timer)
{
	struct mender *mender = CONTAINER_OF(timer, struct mender, throttle_timer);
	struct throttle_load load;
	if (mender->setup.load)
		mender->setup.load(mender->setup.load_arg, is_at_floor(mender), &load);
	else
		see_own_pools(mender, &load);
	throttle_look(&mender->throttle, load);
	throttle_look(&mender->scrub.throttle, load);
	if (is_busy(mender))
		timer_set(mender->setup.store->loop, &mender->throttle_timer, THROTTLE_LOOK_MS);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* What moves are for: a drive that leaves, or one that came. */
static enum err name_moves(struct mender *mender)
{
	struct row_drive drive;
	enum err err = ERR_OK;
	mender->move_kind = "move";
	for (uint32_t from = 1; from <= UINT16_MAX && err == ERR_OK; from = drive.number + 1u) {
		err = index_drive_next(reader_of(mender), from, &drive);
		if (err == ERR_OK && drive.state == DRIVE_ROW_DRAINING)
			mender->move_kind = "drain";
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err look_at_ring(struct mender *mender)
{
	struct ring_snapshot *snapshot = index_ring(index_of(mender)), *target = NULL;
	if (!snapshot)
		return ERR_UNAVAILABLE;
	size_t pending;
	(void)ring_snapshot_moves(snapshot, &pending);
	struct ring_profile profile = ring_snapshot_profile(snapshot);
	enum err err = index_profile_sums(reader_of(mender), profile, &mender->off);
	mender->has_others = err == ERR_OK && mender->off.off_extents > 0;
	mender->off_written_len = mender->off.off_len * (profile.k + profile.m) / profile.k;
	if (err == ERR_OK)
		err = index_ring_target(reader_of(mender), &target);
	if (err == ERR_NOT_FOUND)
		err = ERR_OK;
	mender->has_moves = target || pending > 0;
	if (err == ERR_OK && mender->has_moves)
		err = name_moves(mender);
	if (err == ERR_OK && (mender->has_moves || mender->has_exceptions))
		err = move_sums(reader_of(mender), snapshot,
			target ? ring_snapshot_ring(target) : NULL, &mender->moves);
	ring_snapshot_unref(target);
	ring_snapshot_unref(snapshot);
	return err;
}

static enum err look_at_ledger(struct mender *mender)
{
	if (!mender->is_responsible) {
		mender->has_moves = mender->has_exceptions = mender->has_others = false;
		return ERR_OK;
	}
	enum err err = index_slot_sums(reader_of(mender), 0, &mender->sums);
	mender->has_exceptions = err == ERR_OK && mender->sums.exceptions > 0;
	return err == ERR_OK ? look_at_ring(mender) : err;
}

/* What is wanted of it, and which tasks are open. */
static enum err look_at_tasks(struct mender *mender)
{
	enum err err = steering_read(
		reader_of(mender), mender->setup.store->store, &mender->steering);
	if (!mender->is_responsible)
		task_book_forget(&mender->book);
	else if (err == ERR_OK)
		err = task_book_read(&mender->book);
	return err;
}

/* What is not there now may be when nodes came or went. */
static void look_under_view(struct mender *mender, uint64_t applied)
{
	struct duty duty;
	enum err err = duty_look(mender->setup.store, &duty);
	uint64_t sum = duty.links_sum;
	mender->is_responsible = duty.is_mine;
	if (err == ERR_OK && applied == mender->applied && sum == mender->nodes_sum &&
		(mender->book.is_read || !mender->is_responsible))
		return;
	if (sum != mender->nodes_sum || !mender->has_exceptions)
		mender->round_due_ms = mender->retry_ms = 0;
	if (sum != mender->nodes_sum || !mender->has_others)
		recode_try_again(&mender->recode);
	mender->applied = index_view_index(reader_of(mender));
	mender->nodes_sum = sum;
	if (err || look_at_ledger(mender) != ERR_OK || look_at_tasks(mender) != ERR_OK)
		mender->applied = 0;
}

/* A drive that is given up changes the ring, and mostly a target comes next. */
static bool is_ring_new(struct mender *mender)
{
	struct ring_snapshot *ring = index_ring(index_of(mender));
	bool is_new = ring != mender->ring_seen;
	ring_snapshot_unref(mender->ring_seen);
	mender->ring_seen = ring;
	return is_new;
}

static uint64_t look_interval_ms(const struct mender *mender)
{
	if (mender->is_working)
		return MENDER_LOOK_MS;
	return mender_now_ms(mender) < mender->alert_until_ms ? MENDER_ALERT_LOOK_MS
							      : MENDER_IDLE_LOOK_MS;
}

/* Looks again when something was applied, or nodes came or went (S1). */
static void look(struct mender *mender)
{
	struct index_status status;
	if (is_ring_new(mender) && !mender->is_working) {
		mender->alert_until_ms = mender_now_ms(mender) + MENDER_ALERT_MS;
		mender->look_ms = 0;
	}
	if (mender_now_ms(mender) < mender->look_ms)
		return;
	index_status(index_of(mender), &status);
	mender->look_ms = mender_now_ms(mender) + look_interval_ms(mender);
	if (status.applied == mender->applied && !mender->setup.store->peers &&
		mender->book.is_read)
		return;
	if (index_view_begin(reader_of(mender)) != ERR_OK)
		return;
	look_under_view(mender, status.applied);
	index_view_end(reader_of(mender));
}

/* --- proposing -------------------------------------------------------------------------------- */

static void proposal_done(struct index_proposal *proposal)
{
	struct mender *mender = CONTAINER_OF(proposal, struct mender, proposal);
	assert(mender->is_proposed);
	mender->is_proposed = false;
	advance_soon(mender);
}

static void propose(struct mender *mender, const struct command *command)
{
	mender->proposal = (struct index_proposal){
		.loop = mender->setup.store->loop,
		.bytes = mender->command,
		.done = proposal_done,
	};
	enum err err = command_encode(
		command, mender->command, sizeof mender->command, &mender->proposal.len);
	assert(err == ERR_OK);
	mender->is_proposed = true;
	index_propose(index_of(mender), &mender->proposal);
}

/* Once for each look that found something new, unless there are more. */
static void begin_spans(struct mender *mender)
{
	struct command command = {.type = COMMAND_SPAN_BEGIN};
	size_t count = 0;
	if (mender->applied != 0 && mender->applied == mender->spans_applied)
		return;
	struct ring_snapshot *ring = index_ring(index_of(mender));
	if (ring)
		(void)ring_snapshot_gone(ring, &count);
	ring_snapshot_unref(ring);
	if (count == 0 || mender->is_proposed || index_view_begin(reader_of(mender)) != ERR_OK)
		return;
	bool is_found = spans_find_next(index_of(mender), reader_of(mender), &command.span_begin);
	index_view_end(reader_of(mender));
	if (is_found)
		propose(mender, &command);
	else
		mender->spans_applied = mender->applied;
}

/* --- work ------------------------------------------------------------------------------------- */

static void begin_work(struct mender *mender)
{
	mender->is_working = true;
	mender->began_ms = clock_wall_ms(mender->setup.store->store->clock);
	mender->done_before = mender_done_count(mender);
	mender->len_before = mender_written_len(mender);
	mender->rate_len = mender->len_before;
	mender->rate_ms = mender_now_ms(mender);
	mender->rate = 0;
}

/* (S4) */
static void tend_book(struct mender *mender)
{
	bool is_repairing = mender->has_exceptions || mender->repair.state != REPAIR_IDLE;
	bool is_moving = mender->has_moves || !mover_is_idle(&mender->mover);
	bool is_recoding = mender->has_others || !recode_is_idle(&mender->recode);
	struct book_need needs[BOOK_WORKS] = {
		[BOOK_REPAIR] = {.is_there = is_repairing,
			.kind = "repair",
			.blocked = mender->repair.last.blocked,
			.lost = mender->repair.last.lost},
		[BOOK_MOVE] = {.is_there = is_moving, .kind = mender->move_kind},
		[BOOK_RECODE] = {.is_there = is_recoding,
			.kind = "recode",
			.blocked = mender->recode.blocked},
	};
	task_book_tend(&mender->book, needs);
}

/* When is the next round, if the last one could not do everything? */
static void note_round(struct mender *mender)
{
	if (mender->rounds_seen == mender->repair.rounds)
		return;
	mender->rounds_seen = mender->repair.rounds;
	mender->round_took_ms = mender_now_ms(mender) - mender->round_began_ms;
	const struct repair_report *last = &mender->repair.last;
	uint64_t retry_ms = last->shards > 0 ? 0
		: mender->retry_ms == 0      ? MENDER_RETRY_MS
					     : 2 * mender->retry_ms;
	mender->retry_ms = retry_ms > MENDER_RETRY_MS_MAX ? MENDER_RETRY_MS_MAX : retry_ms;
	mender->round_due_ms = mender_now_ms(mender) + (retry_ms > 0 ? mender->retry_ms : 0);
}

/* A move does not flip while its slot has exceptions of its shard, and an exception on a drive that
 * leaves cannot come home before the move has begun: where one got on, the other looks again. */
static void relate_moves(struct mender *mender)
{
	uint64_t moves = mender->mover.report.begun + mender->mover.report.moves;
	if (mender->repaired_seen != mender->repair.report.shards) {
		mender->repaired_seen = mender->repair.report.shards;
		mover_retry(&mender->mover);
	}
	if (mender->moves_seen == moves)
		return;
	mender->moves_seen = moves;
	uint64_t soon_ms = MENDER_MOVED_ROUNDS * mender->round_took_ms;
	uint64_t due_ms = mender_now_ms(mender) +
		(soon_ms > MENDER_MOVED_MS ? soon_ms : MENDER_MOVED_MS);
	if (due_ms < mender->round_due_ms)
		mender->round_due_ms = due_ms;
}

/* What is missing comes first, as long as something can be done about it. */
static void begin_recode(struct mender *mender)
{
	bool is_repairing = mender->has_exceptions && mender->retry_ms == 0;
	if (mender->has_others && !is_repairing && recode_is_due(&mender->recode))
		recode_begin(&mender->recode, mender->has_moves ? RECODE_WIDE : RECODE_LEVELS - 1);
}

static void begin_what_is_due(struct mender *mender)
{
	bool is_allowed = mender->is_responsible && !mender->is_stopping;
	repair_allow(&mender->repair, is_allowed);
	mover_allow(&mender->mover, is_allowed);
	recode_allow(&mender->recode, is_allowed && !mender->throttle.is_paused);
	if (!is_allowed)
		return;
	note_round(mender);
	relate_moves(mender);
	begin_spans(mender);
	if (!mender->is_working && mender_has_work(mender))
		begin_work(mender);
	begin_recode(mender);
	if (mender->has_exceptions && mender->repair.state == REPAIR_IDLE &&
		mender_now_ms(mender) >= mender->round_due_ms) {
		mender->round_began_ms = mender_now_ms(mender);
		repair_begin(&mender->repair);
	}
	if (mender->is_working && !mender_has_work(mender) && mender->repair.state == REPAIR_IDLE &&
		mover_is_idle(&mender->mover) && recode_is_idle(&mender->recode))
		mender->is_working = false;
	tend_book(mender);
}

/* --- deciding --------------------------------------------------------------------------------- */

static bool is_idle(const struct mender *mender)
{
	return crew_is_idle(&mender->crew) && mender->repair.state == REPAIR_IDLE &&
		mover_is_idle(&mender->mover) && recode_is_idle(&mender->recode) &&
		mender->emptier.state == EMPTY_IDLE && scrub_is_idle(&mender->scrub) &&
		!mender->is_proposed && !mender->book.is_proposed;
}

static void finish(struct mender *mender)
{
	timer_cancel(mender->setup.store->loop, &mender->timer);
	timer_cancel(mender->setup.store->loop, &mender->throttle_timer);
	crew_rest(&mender->crew);
	recode_rest(&mender->recode);
	ring_snapshot_unref(mender->ring_seen);
	mender->ring_seen = NULL;
	mender->stopped(mender);
}

static void stop_parts(struct mender *mender)
{
	empty_stop(&mender->emptier);
	scrub_stop(&mender->scrub);
}

static void advance(struct mender *mender)
{
	struct loop *loop = mender->setup.store->loop;
	if (mender->is_stopping)
		stop_parts(mender);
	else
		look(mender);
	begin_what_is_due(mender);
	bool is_soon = repair_advance(&mender->repair);
	is_soon |= recode_advance(&mender->recode);
	uint64_t wait_ms = MENDER_LOOK_MS;
	if (mender->has_moves || !mover_is_idle(&mender->mover))
		wait_ms = mover_advance(&mender->mover);
	is_soon |= empty_advance(&mender->emptier);
	uint64_t scrub_ms = scrub_advance(&mender->scrub);
	wait_ms = scrub_ms < wait_ms ? scrub_ms : wait_ms;
	if (mender_now_ms(mender) >= mender->doubts_ms) {
		mender->doubts_ms = mender_now_ms(mender) + MENDER_DOUBTS_MS;
		crew_look(&mender->crew);
	}
	if (is_busy(mender) && !mender->throttle_timer.is_set)
		timer_set(loop, &mender->throttle_timer, THROTTLE_LOOK_MS);
	if (mender->repair.state == REPAIR_IDLE && mover_is_idle(&mender->mover) &&
		mender->crew.in_flight == 0)
		crew_rest(&mender->crew);
	if (recode_is_idle(&mender->recode))
		recode_rest(&mender->recode);
	mender_tell(mender);
	if (mender->is_stopping && is_idle(mender) && !mender->is_task_posted) {
		finish(mender);
		return;
	}
	if (is_soon)
		advance_soon(mender);
	uint64_t most_ms = look_interval_ms(mender);
	most_ms = most_ms < MENDER_LOOK_MS ? most_ms : MENDER_LOOK_MS;
	timer_set(loop, &mender->timer, wait_ms < most_ms ? wait_ms : most_ms);
}

/* --- public ----------------------------------------------------------------------------------- */

void mender_start(struct mender *mender, const struct mender_setup *setup)
{
	memset(mender, 0, sizeof *mender);
	mender->setup = *setup;
	mender->task.run = run_task;
	mender->timer.fire = timer_fired;
	mender->throttle_timer.fire = throttle_fired;
	mender->wants_speed = setup->speed_max;
	pthread_mutex_init(&mender->lock, NULL);
	throttle_init(&mender->throttle, setup->store->loop, setup->speed_max);
	crew_init(&mender->crew, setup->store, &mender->throttle,
		setup->job_max > 0 ? setup->job_max : MENDER_JOBS, crew_changed);
	repair_init(&mender->repair, &mender->crew);
	mover_init(&mender->mover, &mender->crew);
	recode_init(&mender->recode, &mender->crew);
	empty_init(&mender->emptier, setup->store, emptier_changed);
	scrub_init(&mender->scrub, &mender->crew, setup->scrub_period_ms);
	mender->steering.scrub_period_ms = UINT64_MAX;
	mender->move_kind = "move";
	task_book_init(&mender->book, setup->store, &mender->crew, book_changed);
	advance_soon(mender);
}

void mender_stop(struct mender *mender, void (*stopped)(struct mender *mender))
{
	assert(!mender->is_stopping);
	mender->is_stopping = true;
	mender->stopped = stopped;
	crew_cancel(&mender->crew);
	advance_soon(mender);
}

void mender_status(struct mender *mender, struct mender_status *ret_status)
{
	pthread_mutex_lock(&mender->lock);
	*ret_status = mender->status;
	pthread_mutex_unlock(&mender->lock);
}

void mender_set(struct mender *mender, bool is_paused, uint64_t speed_max)
{
	pthread_mutex_lock(&mender->lock);
	mender->wants_pause = is_paused;
	mender->wants_speed = speed_max;
	pthread_mutex_unlock(&mender->lock);
}
