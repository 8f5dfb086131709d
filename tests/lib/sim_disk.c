/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_disk.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/sim_disk_priv.h"

enum { SLOW_TIMES = 500 };

static const char *const call_names[SIM_CALLS] = {"open", "size", "allocate", "truncate", "read",
	"write", "sync", "punch", "sync_dir", "rename", "remove", "list", "make_dir", "space"};
static const char *const fault_names[SIM_FAULTS] = {
	"eio", "full", "lies", "lost", "misdirected", "torn", "rot", "short", "slow", "gone"};

/* The calls that a fault can befall. */
#define ALL_CALLS ((1u << SIM_CALLS) - 1)
static const unsigned calls_of[SIM_FAULTS] = {
	[SIM_EIO] = ALL_CALLS,
	[SIM_FULL] = 1u << SIM_OPEN | 1u << SIM_ALLOCATE | 1u << SIM_WRITE | 1u << SIM_MAKE_DIR,
	[SIM_LIES] = 1u << SIM_SYNC | 1u << SIM_SYNC_DIR | 1u << SIM_WRITE,
	[SIM_LOST] = 1u << SIM_WRITE,
	[SIM_MISDIRECTED] = 1u << SIM_WRITE,
	[SIM_TORN] = 1u << SIM_WRITE,
	[SIM_ROT] = 1u << SIM_READ,
	[SIM_SHORT] = 1u << SIM_LIST,
	[SIM_SLOW] = ALL_CALLS,
	[SIM_GONE] = ALL_CALLS,
};

/* --- faults and time ---------------------------------------------------------------------- */

static enum sim_fault drawn(struct sim_disk *disk, enum sim_call call)
{
	enum sim_fault found = SIM_FAULTS;
	for (unsigned i = 0; i < SIM_TRIGGERS_MAX; i++) {
		struct sim_trigger *trigger = &disk->triggers[i];
		if (trigger->left == 0 || (trigger->call != call && trigger->call != SIM_ANY_CALL))
			continue;
		if (--trigger->left == 0 && calls_of[trigger->fault] & 1u << call)
			found = trigger->fault;
	}
	for (unsigned fault = 0; fault < SIM_FAULTS && found == SIM_FAULTS; fault++)
		if (calls_of[fault] & 1u << call &&
			sim_chance(disk->sim, disk->per_mille[call][fault]))
			found = fault;
	return found;
}

/* Decides what befalls a call, and counts it. */
enum sim_fault sim_disk_meet(struct sim_disk *disk, enum sim_call call)
{
	disk->stats.calls[call]++;
	if (disk->is_gone)
		return SIM_GONE;
	enum sim_fault fault = drawn(disk, call);
	if (fault == SIM_FAULTS)
		return fault;
	disk->stats.faults[fault]++;
	if (fault == SIM_GONE)
		disk->is_gone = true;
	sim_note(disk->sim, fault_names[fault], call, 0, 0);
	return fault;
}

uint64_t sim_disk_latency_ns(struct sim_disk *disk, enum sim_call call, size_t len, bool is_slow)
{
	static const uint64_t typical_us[SIM_CALLS] = {[SIM_READ] = 80,
		[SIM_WRITE] = 40,
		[SIM_SYNC] = 900,
		[SIM_PUNCH] = 100,
		[SIM_SYNC_DIR] = 1500};
	uint64_t us = 1 + typical_us[call] + len / 2048;
	uint64_t ns = us * (500 + sim_random_below(disk->sim, 1500));
	return is_slow ? ns * disk->slow_times : ns;
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
	uint64_t pages = 0;
	const struct sim_name *name;
	for (size_t i = 0; (name = sim_names_at(disk->names, i)); i++)
		if (name->file)
			pages += sim_file_pages(name->file);
	return pages * DISK_BLOCK_LEN;
}

void sim_disk_rot_range(struct sim_disk *disk, struct sim_file *file, uint64_t offset, size_t len)
{
	if (len > 0)
		sim_file_flip(file, offset + sim_random_below(disk->sim, len),
			sim_random_below(disk->sim, 8));
}

/* --- the test's side ---------------------------------------------------------------------- */

static void node_killed(struct sim_hook *hook)
{
	struct sim_disk *disk = CONTAINER_OF(hook, struct sim_disk, hook);
	assert(disk->flight_count == 0);
	for (struct sim_handle *handle = disk->handles; handle; handle = handle->next) {
		handle->is_dead = true;
		sim_file_unref(handle->file);
		handle->file = NULL;
	}
}

struct sim_disk *sim_disk_new(struct sim_node *node, const char *path, uint64_t capacity)
{
	struct sim_disk *disk = sim_must(calloc(1, sizeof *disk));
	disk->base = (struct disk){.ops = &sim_disk_ops, .path = path};
	disk->sim = sim_node_sim(node);
	disk->node = node;
	disk->capacity = capacity;
	disk->slow_times = SLOW_TIMES;
	disk->names = sim_names_new();
	disk->hook.killed = node_killed;
	sim_node_hook(node, &disk->hook);
	return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
	if (!disk)
		return;
	assert(disk->flight_count == 0);
	sim_node_unhook(disk->node, &disk->hook);
	while (disk->handles) {
		assert(disk->handles->is_dead);
		sim_disk_close_handle(&disk->handles->base);
	}
	sim_names_free(disk->names);
	free(disk);
}

struct disk *sim_disk_base(struct sim_disk *disk)
{
	return &disk->base;
}

void sim_disk_move(struct sim_disk *disk, struct sim_node *node)
{
	assert(disk->flight_count == 0);
	sim_node_unhook(disk->node, &disk->hook);
	disk->node = node;
	sim_node_hook(node, &disk->hook);
}

void sim_disk_crash(struct sim_disk *disk)
{
	assert(disk->flight_count == 0);
	for (struct sim_handle *handle = disk->handles; handle; handle = handle->next)
		assert(handle->is_dead);
	disk->stats.crashes++;
	sim_note(disk->sim, "crash", disk->stats.crashes, 0, 0);
	sim_names_crash(disk->names, disk->sim);
	const struct sim_name *name;
	for (size_t i = 0; (name = sim_names_at(disk->names, i)); i++)
		if (name->file)
			sim_file_crash(name->file, disk->sim);
}

unsigned (*sim_disk_per_mille(struct sim_disk *disk))[SIM_FAULTS]
{
	return disk->per_mille;
}

void sim_disk_all_odds(struct sim_disk *disk, unsigned per_mille)
{
	for (unsigned call = 0; call < SIM_CALLS; call++)
		for (unsigned fault = 0; fault < SIM_FAULTS; fault++)
			if (fault != SIM_GONE && calls_of[fault] & 1u << call)
				disk->per_mille[call][fault] = per_mille;
}

void sim_disk_fail_nth(struct sim_disk *disk, enum sim_call call, uint64_t n, enum sim_fault fault)
{
	assert(n > 0 && fault < SIM_FAULTS);
	assert(call == SIM_ANY_CALL || calls_of[fault] & 1u << call);
	for (unsigned i = 0; i < SIM_TRIGGERS_MAX; i++) {
		if (disk->triggers[i].left > 0)
			continue;
		disk->triggers[i] = (struct sim_trigger){call, n, fault};
		return;
	}
	assert(!"more triggers than there is room for");
}

void sim_disk_heal(struct sim_disk *disk)
{
	memset(disk->per_mille, 0, sizeof disk->per_mille);
	memset(disk->triggers, 0, sizeof disk->triggers);
	disk->slow_times = SLOW_TIMES;
}

void sim_disk_set_slow_times(struct sim_disk *disk, unsigned times)
{
	disk->slow_times = times;
}

void sim_disk_vanish(struct sim_disk *disk)
{
	disk->is_gone = true;
	disk->stats.faults[SIM_GONE]++;
}

void sim_disk_return(struct sim_disk *disk)
{
	disk->is_gone = false;
}

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t capacity)
{
	disk->capacity = capacity;
}

bool sim_disk_rot(struct sim_disk *disk, const char *name, unsigned count)
{
	const struct sim_name *found = sim_names_find(disk->names, name);
	if (!found || !found->file || sim_file_size(found->file) == 0)
		return false;
	disk->stats.faults[SIM_ROT] += count;
	for (; count > 0; count--)
		sim_disk_rot_range(disk, found->file, 0, sim_file_size(found->file));
	return true;
}

const struct sim_disk_stats *sim_disk_stats(const struct sim_disk *disk)
{
	return &disk->stats;
}

uint64_t sim_disk_flushes(const struct sim_disk *disk)
{
	return disk->stats.calls[SIM_SYNC] + disk->stats.dsync_writes;
}

const char *sim_call_name(enum sim_call call)
{
	return call < SIM_CALLS ? call_names[call] : "any";
}

const char *sim_fault_name(enum sim_fault fault)
{
	return fault < SIM_FAULTS ? fault_names[fault] : "none";
}
