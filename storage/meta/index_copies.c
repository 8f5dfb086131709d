/* SPDX-License-Identifier: Apache-2.0 */
/* When copies of the index are made, and what the log has to keep for them. */
#include <limits.h>

#include "storage/meta/index_copy.h"

enum {
	LOG_SHARE = 8, /* of the index: what the log grows by between copies */
	GIVE_UP = 8, /* times the length at which a copy was due (C3) */
};

static uint64_t due_len(const struct index_copies *copies)
{
	return copies->setup.log_len_max + kv_used(copies->setup.kv) / LOG_SHARE;
}

/* The log index up to which each member has a copy (C1). */
static uint64_t low_index(const struct index_copies *copies)
{
	struct log_mirror_status status;
	log_mirror_status(copies->setup.mirror, &status);
	uint64_t low = UINT64_MAX;
	for (unsigned i = 0; i < status.in_sync; i++) {
		uint64_t copied = atomic_load(&copies->copied[status.homes[i]]);
		low = copied < low ? copied : low;
	}
	return status.in_sync > 0 ? low : 0;
}

static void release(struct index_copies *copies)
{
	struct consensus_info info;
	consensus_info(copies->setup.consensus, &info);
	uint64_t low = low_index(copies);
	bool is_hopeless = info.live_len >= GIVE_UP * due_len(copies) &&
		atomic_load(&copies->err) != ERR_OK;
	if (low > copies->complete || is_hopeless)
		low = copies->complete;
	consensus_release(copies->setup.consensus, low);
}

static void make_run(struct work *work)
{
	struct index_copies *copies = CONTAINER_OF(work, struct index_copies, work);
	copies->work_err = index_copy_write(copies->setup.kv, copies->setup.node, copies->disks,
		copies->count, &copies->is_canceled, copies->errs, &copies->made);
}

static void make_done(struct work *work)
{
	struct index_copies *copies = CONTAINER_OF(work, struct index_copies, work);
	enum err err = copies->work_err;
	copies->is_running = false;
	for (unsigned i = 0; i < copies->count && copies->work_err == ERR_OK; i++) {
		if (copies->errs[i] == ERR_OK)
			atomic_store(&copies->copied[copies->homes[i]], copies->made);
		else
			err = copies->errs[i];
	}
	atomic_store(&copies->err, err);
	copies->floor = UINT64_MAX;
	bool is_canceled = err == ERR_CANCELED;
	trace_event(copies->setup.trace, err == ERR_OK || is_canceled ? TRACE_INFO : TRACE_WARNING,
		0, "index: copies beside the log, up to log index %llu: %s",
		(unsigned long long)copies->made, err_text(err));
	release(copies);
}

static void make(struct index_copies *copies)
{
	struct log_mirror_status status;
	log_mirror_status(copies->setup.mirror, &status);
	copies->count = status.in_sync;
	for (unsigned i = 0; i < status.in_sync; i++) {
		copies->homes[i] = status.homes[i];
		copies->disks[i] = status.disks[i];
	}
	if (copies->count == 0)
		return;
	copies->is_running = true;
	worker_submit(copies->setup.worker, &copies->work);
}

/* Is it time (C1), (C2)? After a try the log has to grow before the next one. */
static bool is_due(struct index_copies *copies, const struct consensus_info *info)
{
	if (copies->floor == UINT64_MAX)
		copies->floor = info->live_len;
	if (info->live_len < copies->floor)
		copies->floor = info->live_len;
	bool has_grown = info->live_len >= copies->floor + copies->setup.log_len_max / 2;
	if (low_index(copies) + 1 < info->first_index)
		return atomic_load(&copies->err) == ERR_OK || has_grown;
	return info->live_len >= due_len(copies) && has_grown;
}

void index_copies_committed(struct index_copies *copies, uint64_t log_index)
{
	struct consensus_info info;
	consensus_info(copies->setup.consensus, &info);
	copies->complete = log_index;
	release(copies);
	if (!copies->is_running && !atomic_load(&copies->is_canceled) && is_due(copies, &info))
		make(copies);
}

void index_copies_cancel(struct index_copies *copies)
{
	atomic_store(&copies->is_canceled, true);
}

void index_copies_init(struct index_copies *copies, const struct index_copies_setup *setup)
{
	*copies = (struct index_copies){.setup = *setup};
	copies->work = (struct work){.run = make_run, .done = make_done, .loop = setup->loop};
	struct log_mirror_status status;
	log_mirror_status(setup->mirror, &status);
	for (unsigned i = 0; i < status.in_sync; i++) {
		unsigned home = status.homes[i];
		uint64_t copied;
		if (index_copy_peek(status.disks[i], setup->node, &copied) == ERR_OK)
			atomic_store(&copies->copied[home], copied);
	}
}

/* --- at a start ------------------------------------------------------------------------------- */

/* The home of the newest copy that fits the log and was not tried, or UINT_MAX. */
static unsigned find_newest(const struct index_copies_setup *setup, uint64_t log_first,
	uint64_t log_end, const bool *tried)
{
	struct log_mirror_status status;
	log_mirror_status(setup->mirror, &status);
	uint64_t best = 0;
	unsigned best_home = UINT_MAX;
	for (unsigned i = 0; i < status.in_sync; i++) {
		unsigned home = status.homes[i];
		uint64_t copied;
		if (tried[home] || index_copy_peek(status.disks[i], setup->node, &copied) != ERR_OK)
			continue;
		if (copied + 1 < log_first || copied >= log_end || copied < best)
			continue;
		best = copied;
		best_home = home;
	}
	return best_home;
}

static enum err restore_newest(const struct index_copies_setup *setup, uint64_t log_first,
	uint64_t log_end, bool *tried, unsigned *ret_home)
{
	unsigned home = find_newest(setup, log_first, log_end, tried);
	if (home == UINT_MAX)
		return ERR_NOT_FOUND;
	tried[home] = true;
	*ret_home = home;
	return index_copy_restore(setup->homes[home].disk, setup->node, setup->kv);
}

bool index_copies_can_restore(const struct index_copies_setup *setup)
{
	static const bool tried[LOG_HOMES_MAX];
	struct consensus_info info;
	consensus_info(setup->consensus, &info);
	return info.first_index == 1 ||
		find_newest(setup, info.first_index, info.commit_index + 1, tried) != UINT_MAX;
}

enum err index_copies_restore(
	const struct index_copies_setup *setup, bool *ret_is_restored, unsigned *ret_home)
{
	struct consensus_info info;
	consensus_info(setup->consensus, &info);
	uint64_t log_first = info.first_index, log_end = info.commit_index + 1, applied;
	bool tried[LOG_HOMES_MAX] = {false};
	enum err err = index_copy_applied(setup->kv, &applied);
	if (err != ERR_OK)
		return err;
	if (applied >= log_end && !setup->accepts_older)
		return ERR_CORRUPT;
	bool is_lost = applied == 0 && log_end > 1;
	*ret_is_restored = is_lost || applied + 1 < log_first || applied >= log_end;
	*ret_home = UINT_MAX;
	if (!*ret_is_restored && applied > 0)
		return ERR_OK;
	if (log_first == 1) /* it has rows if a restore was cut off */
		return index_copy_clear(setup->kv);
	do
		err = restore_newest(setup, log_first, log_end, tried, ret_home);
	while (err == ERR_CORRUPT || err == ERR_IO);
	return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}
