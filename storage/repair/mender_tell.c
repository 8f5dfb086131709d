/* SPDX-License-Identifier: Apache-2.0 */
/* How far the mender is, for who asks. */
#include "storage/repair/mender_priv.h"

static enum mender_task task_of(const struct mender *mender)
{
	if (!mender->is_responsible)
		return MENDER_ELSEWHERE;
	if (mender->has_exceptions && mender->retry_ms == 0)
		return MENDER_REPAIRING;
	if (mender->has_moves)
		return MENDER_MOVING;
	if (mender->has_others && mender->recode.retry_ms == 0)
		return MENDER_RECODING;
	return mender_has_work(mender) ? MENDER_BLOCKED : MENDER_NOTHING;
}

static uint64_t smooth(uint64_t before, uint64_t rate)
{
	return before == 0 ? rate : before - before / 4 + rate / 4;
}

static void measure_rate(struct mender *mender)
{
	uint64_t ms = mender_now_ms(mender) - mender->rate_ms;
	if (ms < 1000)
		return;
	uint64_t len = mender_written_len(mender);
	uint64_t rate = (len - mender->rate_len) * 1000 / ms;
	mender->rate = smooth(mender->rate, rate);
	for (unsigned work = 0; work < BOOK_WORKS; work++) {
		uint64_t done = mender->book.tasks[work].counted.bytes;
		rate = (done - mender->work_lens[work]) * 1000 / ms;
		mender->work_rates[work] = smooth(mender->work_rates[work], rate);
		mender->work_lens[work] = done;
	}
	mender->rate_len = len;
	mender->rate_ms += ms;
}

static void tell_works(const struct mender *mender, struct mender_status *status)
{
	uint64_t left[BOOK_WORKS] = {
		[BOOK_REPAIR] = mender->has_exceptions ? mender->sums.exceptions : 0,
		[BOOK_MOVE] = mender->has_moves ? mender->moves.shards : 0};
	uint64_t bytes_left[BOOK_WORKS] = {left[BOOK_REPAIR] * mender->moves.shard_len,
		left[BOOK_MOVE] * mender->moves.shard_len,
		mender->has_others ? mender->off_written_len : 0};
	for (unsigned work = 0; work < BOOK_WORKS; work++) {
		const struct book_task *task = &mender->book.tasks[work];
		status->works[work] = (struct mender_work){.id = task->id,
			.began_ms = task->began_ms,
			.done = task->done,
			.shards_left = left[work],
			.bytes_left = bytes_left[work],
			.bytes_per_second = mender->work_rates[work]};
	}
}

/* What people want holds for all nodes; what the process was told, for this one. */
static void steer(struct mender *mender)
{
	const struct steering *steering = &mender->steering;
	uint64_t speed = mender->wants_speed;
	if (steering->repair_speed > 0 && (speed == 0 || speed > steering->repair_speed))
		speed = steering->repair_speed;
	throttle_set(&mender->throttle, speed, mender->wants_pause || steering->is_repair_paused);
	scrub_steer(&mender->scrub, steering, mender->wants_pause || steering->is_scrub_paused);
	mender->status.speed_max = speed;
	mender->status.is_paused = mender->throttle.is_paused;
}

static void tell_work(const struct mender *mender, struct mender_status *status)
{
	bool is_any = mender->is_responsible && mender_has_work(mender);
	uint64_t left = mender->sums.exceptions + mender->moves.shards;
	status->began_ms = is_any ? mender->began_ms : 0;
	status->shards_left = is_any ? left : 0;
	status->bytes_left = is_any ? left * mender->moves.shard_len + mender->off_written_len : 0;
	status->shards_done = mender->is_working ? mender_done_count(mender) - mender->done_before
						 : 0;
	status->bytes_done = mender->is_working ? mender_written_len(mender) - mender->len_before
						: 0;
	status->blocked = is_any ? mender->repair.last.blocked + mender->recode.blocked : 0;
	status->lost = is_any ? mender->repair.last.lost : 0;
	status->under_profile_extents = is_any ? mender->off.off_extents : 0;
	status->under_profile_len = is_any ? mender->off.off_len : 0;
	status->bare_len = is_any ? mender->off.bare_len : 0;
	status->bytes_per_second = is_any ? mender->rate : 0;
	status->eta_ms = !is_any   ? 0
		: mender->rate > 0 ? status->bytes_left / (mender->rate / 1000 + 1)
				   : UINT64_MAX;
}

void mender_tell(struct mender *mender)
{
	measure_rate(mender);
	pthread_mutex_lock(&mender->lock);
	struct mender_status *status = &mender->status;
	steer(mender);
	tell_works(mender, status);
	scrub_tell(&mender->scrub, &status->scrub_now);
	status->task = task_of(mender);
	status->is_responsible = mender->is_responsible;
	status->throttle_rate = mender->throttle.rate;
	status->scrub = mender->scrub.counters;
	tell_work(mender, status);
	pthread_mutex_unlock(&mender->lock);
}
