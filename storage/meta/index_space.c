/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/index_space.h"

#define LOOK_NS UINT64_C(1000000000)
#define MARGIN_MAX (UINT64_C(1) << 30)
#define SHARE_MAX (UINT64_C(4) << 30)
#define MIB(len) ((unsigned long long)((len) >> 20))

static uint64_t without(uint64_t len, uint64_t spare)
{
	return len > spare ? len - spare : 0;
}

/* What has to be free (N1). Spare pages are of use to commits, not to the log. */
static uint64_t wanted_len(uint64_t log_len, uint64_t kv_len, uint64_t total, uint64_t spare)
{
	uint64_t need = log_len + without(kv_len, spare);
	uint64_t share = without(total / 20 < SHARE_MAX ? total / 20 : SHARE_MAX, spare);
	return need > share ? need : share;
}

static uint64_t with_margin(uint64_t len)
{
	return len + (len / 8 < MARGIN_MAX ? len / 8 : MARGIN_MAX);
}

uint64_t index_space_kept(uint64_t log_len, uint64_t kv_len, uint64_t total)
{
	return with_margin(wanted_len(log_len, kv_len, total, 0));
}

static void tell(struct index_space *space, bool is_low)
{
	unsigned long long free = MIB(atomic_load(&space->free));
	unsigned long long wanted = MIB(atomic_load(&space->wanted));
	const char *path = atomic_load(&space->is_log_low) ? space->setup.log_disk->path
							   : space->setup.disk->path;
	if (is_low)
		trace_event(space->setup.trace, TRACE_WARNING, 0,
			"the file system of the index in %s has %llu MiB free of the %llu MiB "
			"that writes need: only deletes are taken until there is room",
			path, free, wanted);
	else
		trace_event(space->setup.trace, TRACE_INFO, 0,
			"the file system of the index in %s has %llu MiB free: writes are taken "
			"again",
			path, free);
}

/* What the log may still allocate. */
static uint64_t log_need(const struct index_space_setup *setup)
{
	struct consensus_info info = {0};
	if (setup->consensus)
		consensus_info(setup->consensus, &info);
	bool is_known = info.live_len > 0 && info.live_len <= info.log_len;
	return without(setup->log_len, is_known ? info.log_len - info.live_len : 0);
}

/* Has a disk that is the log's alone too little for it? Then that is what is told. */
static bool is_log_disk_low(const struct index_space_setup *setup, bool was_low,
	struct disk_space *ret_space, uint64_t *ret_wanted)
{
	struct disk_space space;
	uint64_t wanted = log_need(setup);
	if (!setup->log_disk || disk_space(setup->log_disk, &space) != ERR_OK ||
		space.free >= (was_low ? with_margin(wanted) : wanted))
		return false;
	*ret_space = space;
	*ret_wanted = wanted;
	return true;
}

static void look_now(struct index_space *space)
{
	const struct index_space_setup *setup = &space->setup;
	struct disk_space disk;
	atomic_store(&space->looked_ns, clock_mono_ns(setup->clock));
	if (disk_space(setup->disk, &disk) != ERR_OK)
		return; /* what was seen last still stands; the disk's errors show in writes */
	uint64_t spare = kv_spare(setup->kv);
	uint64_t log_len = setup->log_disk ? 0 : log_need(setup);
	uint64_t wanted = wanted_len(log_len, setup->kv_len, disk.total, spare);
	bool was_low = atomic_load(&space->is_low);
	bool is_low = disk.free < (was_low ? with_margin(wanted) : wanted);
	bool is_log_low = !is_low && is_log_disk_low(setup, was_low, &disk, &wanted);
	is_low |= is_log_low;
	atomic_store(&space->is_log_low, is_log_low);
	atomic_store(&space->total, disk.total);
	atomic_store(&space->free, disk.free);
	atomic_store(&space->spare, spare);
	atomic_store(&space->wanted, wanted);
	atomic_store(&space->is_low, is_low);
	if (was_low != is_low)
		tell(space, is_low);
}

static void look_run(struct task *task)
{
	struct index_space *space = CONTAINER_OF(task, struct index_space, task);
	atomic_store(&space->is_posted, false);
	look_now(space);
}

void index_space_init(struct index_space *space, const struct index_space_setup *setup)
{
	space->setup = *setup;
	space->task = (struct task){.run = look_run};
	if (setup->disk)
		look_now(space);
}

void index_space_look(struct index_space *space)
{
	if (space->setup.disk && !atomic_exchange(&space->is_posted, true))
		loop_post(space->setup.loop, &space->task);
}

bool index_space_ask(struct index_space *space)
{
	if (!space->setup.disk)
		return true;
	uint64_t since = clock_mono_ns(space->setup.clock) - atomic_load(&space->looked_ns);
	/* A look on another thread may be later than our clock says; that is early enough. */
	if ((int64_t)since >= (int64_t)LOOK_NS)
		index_space_look(space);
	return !atomic_load(&space->is_low);
}
