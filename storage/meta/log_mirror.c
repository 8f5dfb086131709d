/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a mirror, and changing its set. The disk that it is stands in log_mirror_disk.c.
 *
 * A *slot* is a copy in this life: one that was dropped keeps its slot, since a call of it may
 * still be in flight; the next copy gets another. The set is changed on the worker while the log
 * waits for its write, and by nobody else, so that there is one change at a time. Files may be
 * opened and written meanwhile by the log's own calls on another worker: these hold the lock
 * "calls" for reading, a change that makes a copy holds it for writing. */
#include "storage/meta/log_mirror.h"

#include <stdlib.h>

#include "storage/meta/log_copy.h"
#include "storage/meta/log_mirror_priv.h"

#define LOCK_NAME "log-lock"

enum { ANSWER_MS_DEFAULT = 5000 };

static bool is_drive(const struct log_home *home)
{
	static const struct id none;
	return !id_is_equal(home->id, none);
}

static const struct log_home *home_of(const struct log_mirror *mirror, unsigned slot)
{
	return &mirror->setup.homes[mirror->slots[slot].home];
}

/* --- the set ---------------------------------------------------------------------------------- */

/* Members that were in sync before come first, as they are in slots. */
static struct log_set make_set(const struct log_mirror *mirror, unsigned carried_slots)
{
	struct log_set set = {.node = mirror->setup.node,
		.number = mirror->highest + 1,
		.previous = mirror->set.number};
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		if (!mirror_slot_is_in(mirror, i))
			continue;
		set.members[set.member_count++] = home_of(mirror, i)->id;
		set.carried_count += i < carried_slots;
	}
	return set;
}

static void drop(struct log_mirror *mirror, struct id member, enum err err)
{
	for (unsigned i = 0; i < mirror->slot_count; i++)
		if (mirror_slot_is_in(mirror, i) && id_is_equal(home_of(mirror, i)->id, member))
			mirror_fail(mirror, i, err);
}

/* Was a call of the home's copy refused, or not answered? */
static bool has_failed(const struct log_mirror *mirror, unsigned home)
{
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		enum err err = atomic_load(&mirror->slots[i].err);
		if (mirror->slots[i].home == home && err != ERR_OK && err != ERR_CANCELED)
			return true;
	}
	return mirror->is_lost[home];
}

/* Writes the set to those homes that are members, or to those that are not. A home that is no
 * member and cannot be written cannot be reached (S1). Returns false if a member failed. */
static bool write_set(struct log_mirror *mirror, const struct log_set *set, bool to_members)
{
	bool is_fine = true;
	for (unsigned i = 0; i < mirror->setup.home_count; i++) {
		const struct log_home *home = &mirror->setup.homes[i];
		if (log_set_has(set, home->id) != to_members || has_failed(mirror, i))
			continue;
		enum err err = log_set_write(home->disk, set);
		if (err == ERR_OK)
			continue;
		trace_event(mirror->setup.trace, TRACE_WARNING, 0, "log: %s: log-set: %s",
			home->disk->path, err_text(err));
		if (to_members) {
			drop(mirror, home->id, err);
			is_fine = false;
		}
	}
	return is_fine;
}

static unsigned count_in(const struct log_mirror *mirror)
{
	unsigned count = 0;
	for (unsigned i = 0; i < mirror->slot_count; i++)
		count += mirror_slot_is_in(mirror, i);
	return count;
}

static unsigned count_drives(const struct log_mirror *mirror)
{
	unsigned count = 0;
	for (unsigned i = 0; i < mirror->slot_count; i++)
		count += mirror_slot_is_in(mirror, i) && is_drive(home_of(mirror, i));
	return count;
}

/* Makes the slots that are in sync the set. Members may fail meanwhile: then it is done again. */
static enum err change_set(struct log_mirror *mirror, unsigned carried_slots)
{
	for (;;) {
		struct log_set set = make_set(mirror, carried_slots);
		if (set.member_count == 0)
			return ERR_IO;
		bool is_members_first = set.carried_count == 0;
		bool is_fine = write_set(mirror, &set, is_members_first);
		is_fine = is_fine && write_set(mirror, &set, !is_members_first);
		pthread_mutex_lock(&mirror->lock);
		mirror->set = set;
		pthread_mutex_unlock(&mirror->lock);
		mirror->highest = set.number;
		/* The next one is carried by those that have this one. */
		if (is_fine)
			return ERR_OK;
		carried_slots = mirror->slot_count;
	}
}

/* --- making copies ---------------------------------------------------------------------------- */

static bool is_free_domain(const struct log_mirror *mirror, uint64_t domain)
{
	for (unsigned i = 0; i < mirror->slot_count; i++)
		if (mirror_slot_is_in(mirror, i) && is_drive(home_of(mirror, i)) &&
			home_of(mirror, i)->domain == domain)
			return false;
	return true;
}

/* A drive for one more copy, or home_count. */
static unsigned find_spare(const struct log_mirror *mirror)
{
	unsigned i = 0;
	for (; i < mirror->setup.home_count; i++) {
		const struct log_home *home = &mirror->setup.homes[i];
		bool is_used = mirror->is_lost[i];
		for (unsigned slot = 0; slot < mirror->slot_count; slot++)
			is_used |= mirror->slots[slot].home == i;
		if (!is_used && is_drive(home) && is_free_domain(mirror, home->domain))
			break;
	}
	return i;
}

/* Takes the slot in, or what failed in its place. */
static void end_join(struct log_mirror *mirror, unsigned slot, enum err err)
{
	atomic_store(&mirror->slots[slot].err, err);
	pthread_mutex_lock(&mirror->lock);
	mirror->slot_count++;
	mirror->joined += err == ERR_OK;
	pthread_mutex_unlock(&mirror->lock);
	trace_event(mirror->setup.trace, err == ERR_OK ? TRACE_INFO : TRACE_WARNING, 0,
		"log: %s: a copy of the log was made: %s", home_of(mirror, slot)->disk->path,
		err_text(err));
}

/* Tries to make one more copy; opens there what is open in the others. Errors: ERR_NOT_FOUND, there
 * is no drive for it, or no copy to make it of. */
static enum err join(struct log_mirror *mirror)
{
	unsigned from = 0, home = find_spare(mirror), slot = mirror->slot_count;
	while (from < slot && !mirror_slot_is_in(mirror, from))
		from++;
	if (home == mirror->setup.home_count || slot == LOG_SLOTS_MAX || from == slot)
		return ERR_NOT_FOUND;
	pthread_rwlock_wrlock(&mirror->calls);
	mirror->slots[slot].home = home;
	mirror->slots[slot].mirror = mirror;
	bool is_source = false;
	enum err err = log_copy_make(
		home_of(mirror, from)->disk, home_of(mirror, slot)->disk, &is_source);
	if (err == ERR_OK)
		err = mirror_open_files(mirror, slot);
	if (err != ERR_OK && is_source) /* the next try is from another one */
		mirror_fail(mirror, from, err);
	else
		end_join(mirror, slot, err);
	pthread_rwlock_unlock(&mirror->calls);
	return ERR_OK;
}

/* Gets as many copies as are wanted and can be had. */
static void fill_up(struct log_mirror *mirror)
{
	while (count_drives(mirror) < mirror->setup.copies)
		if (join(mirror) != ERR_OK)
			return;
}

/* The state directory's own log goes when it has been copied, and so do copies beyond those that
 * are wanted. */
static void leave_surplus(struct log_mirror *mirror)
{
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		bool is_own = !is_drive(home_of(mirror, i));
		if (!mirror_slot_is_in(mirror, i) || count_drives(mirror) < 1 + !is_own)
			continue;
		if (is_own || count_drives(mirror) > mirror->setup.copies)
			atomic_store(&mirror->slots[i].err, ERR_CANCELED);
	}
}

static bool is_unchanged(const struct log_mirror *mirror)
{
	struct log_set set = make_set(mirror, mirror->slot_count);
	bool is_same = mirror->set.number == mirror->highest &&
		set.member_count == mirror->set.member_count;
	for (uint32_t i = 0; i < set.member_count; i++)
		is_same &= log_set_has(&mirror->set, set.members[i]);
	return is_same;
}

/* Makes the copies that are missing, and the set of all that are in sync. A member that fails while
 * the set is written leaves room for one more copy. */
static enum err renew_set(struct log_mirror *mirror)
{
	enum err err = ERR_OK;
	for (bool is_first = true; err == ERR_OK; is_first = false) {
		unsigned carried_slots = mirror->slot_count;
		fill_up(mirror);
		leave_surplus(mirror);
		if (!is_first && is_unchanged(mirror))
			break;
		err = change_set(mirror, carried_slots);
	}
	return err;
}

/* A drive that another process uses is not ours now. The state directory has a lock of its own. */
static void lock_homes(struct log_mirror *mirror, unsigned from)
{
	for (unsigned i = from; i < mirror->setup.home_count; i++) {
		const struct log_home *home = &mirror->setup.homes[i];
		if (!is_drive(home))
			continue;
		enum err err = disk_open(
			home->disk, LOCK_NAME, DISK_CREATE | DISK_LOCK, &mirror->locks[i]);
		if (err == ERR_OK)
			continue;
		mirror->is_lost[i] = true;
		trace_event(mirror->setup.trace, TRACE_WARNING, 0, "log: %s: %s", home->disk->path,
			err_text(err));
	}
}

/* Homes that were added since. */
static void take_offers(struct log_mirror *mirror)
{
	unsigned count = mirror->setup.home_count;
	pthread_mutex_lock(&mirror->lock);
	mirror->setup.home_count = atomic_load(&mirror->offered_count);
	if (mirror->setup.home_count > count)
		mirror->setup.copies = mirror->offered_copies;
	pthread_mutex_unlock(&mirror->lock);
	lock_homes(mirror, count);
}

void mirror_change_run(struct work *work)
{
	struct log_mirror *mirror = CONTAINER_OF(work, struct log_mirror, change);
	take_offers(mirror);
	mirror->change_err = renew_set(mirror);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* What the homes say. One that cannot be read is lost, one of another node is let alone. */
static enum err read_sets(struct log_mirror *mirror, struct log_set_found *found)
{
	for (unsigned i = 0; i < mirror->setup.home_count; i++) {
		const struct log_home *home = &mirror->setup.homes[i];
		found[i] = (struct log_set_found){.home = home->id};
		if (mirror->is_lost[i])
			continue;
		enum err err = log_set_read(home->disk, &found[i].set);
		if (err == ERR_VERSION || err == ERR_NO_MEMORY)
			return err;
		found[i].has_set = err == ERR_OK;
		if (err != ERR_OK && err != ERR_NOT_FOUND)
			trace_event(mirror->setup.trace, TRACE_WARNING, 0, "log: %s: log-set: %s",
				home->disk->path, err_text(err));
		if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_CORRUPT)
			mirror->is_lost[i] = true;
		if (found[i].has_set && !id_is_equal(found[i].set.node, mirror->setup.node)) {
			found[i].has_set = false;
			mirror->is_lost[i] = true;
		}
	}
	return ERR_OK;
}

static void add_slot(struct log_mirror *mirror, unsigned home)
{
	mirror->slots[mirror->slot_count].home = home;
	mirror->slots[mirror->slot_count++].mirror = mirror;
}

/* The homes that rule become the first slots. Without a set it is the state directory. */
static enum err find_slots(struct log_mirror *mirror, struct log_mirror_found *ret_found)
{
	struct log_set_found found[LOG_HOMES_MAX];
	bool rules[LOG_HOMES_MAX];
	const struct log_mirror_setup *setup = &mirror->setup;
	lock_homes(mirror, 0);
	enum err err = read_sets(mirror, found);
	if (err != ERR_OK)
		return err;
	err = log_set_choose(found, setup->home_count, setup->accepts_older, rules,
		&ret_found->highest, &ret_found->older);
	if (err == ERR_NOT_FOUND) {
		add_slot(mirror, 0);
		return is_drive(&setup->homes[0]) || mirror->is_lost[0] ? err : ERR_OK;
	}
	for (unsigned i = 0; i < setup->home_count && err == ERR_OK; i++) {
		if (!rules[i] || mirror->slot_count == LOG_COPIES_MAX)
			continue;
		if (found[i].set.number > mirror->set.number)
			mirror->set = found[i].set;
		add_slot(mirror, i);
	}
	mirror->highest = ret_found->highest;
	return err;
}

static enum err heal(struct log_mirror *mirror, size_t count_max, uint64_t *ret_healed)
{
	struct disk *disks[LOG_COPIES_MAX];
	enum err errs[LOG_COPIES_MAX];
	unsigned slots[LOG_COPIES_MAX], count = 0;
	for (unsigned i = 0; i < mirror->slot_count; i++) {
		if (!mirror_slot_is_in(mirror, i))
			continue;
		slots[count] = i;
		disks[count++] = home_of(mirror, i)->disk;
	}
	enum err err = log_copy_heal(disks, count, mirror->setup.node, count_max, errs, ret_healed);
	if (err != ERR_OK)
		return err;
	for (unsigned i = 0; i < count; i++) {
		if (errs[i] != ERR_OK)
			mirror_fail(mirror, slots[i], errs[i]);
		err = errs[i];
	}
	return count_in(mirror) > 0 ? ERR_OK : err;
}

static enum err open_copies(struct log_mirror *mirror, struct log_mirror_found *ret_found)
{
	enum err err = find_slots(mirror, ret_found);
	if (err == ERR_OK)
		err = heal(mirror, mirror->setup.heal_count_max, &ret_found->healed);
	if (err != ERR_OK)
		return err;
	bool is_old = count_drives(mirror) == mirror->setup.copies && is_unchanged(mirror);
	if (!is_old || !write_set(mirror, &mirror->set, true) ||
		!write_set(mirror, &mirror->set, false))
		err = renew_set(mirror);
	if (err != ERR_OK)
		return err;
	const struct log_home *state = &mirror->setup.homes[0];
	bool is_left = !is_drive(state) && !log_set_has(&mirror->set, state->id);
	if (is_left) /* What stays of it is in nobody's way. */
		err_ignore(log_copy_remove(state->disk));
	return ERR_OK;
}

bool log_mirror_is_there(const struct log_home *homes, unsigned count)
{
	struct log_set set;
	for (unsigned i = 0; i < count; i++) {
		enum err err = log_set_read(homes[i].disk, &set);
		if (err == ERR_OK || err == ERR_VERSION)
			return true;
	}
	return false;
}

enum err log_mirror_supersede(const struct log_home *homes, unsigned count, struct id node)
{
	struct log_set set = {.node = node, .member_count = 1}, found;
	assert(count > 0 && !is_drive(&homes[0]));
	for (unsigned i = 0; i < count; i++)
		if (log_set_read(homes[i].disk, &found) == ERR_OK && found.number > set.previous)
			set.previous = found.number;
	if (set.previous == 0)
		return ERR_OK;
	set.number = set.previous + LOG_SET_JUMP;
	enum err err = log_set_write(homes[0].disk, &set);
	for (unsigned i = 1; err == ERR_OK && i < count; i++)
		err_ignore(log_set_write(homes[i].disk, &set)); /* outranked by that of homes[0] */
	return err;
}

enum err log_mirror_open(const struct log_mirror_setup *setup, struct log_mirror_found *ret_found,
	struct log_mirror **ret_mirror)
{
	assert(setup->home_count > 0 && setup->home_count <= LOG_HOMES_MAX);
	assert(setup->copies > 0 && setup->copies <= LOG_COPIES_MAX);
	struct log_mirror *mirror = calloc(1, sizeof *mirror);
	if (!mirror)
		return ERR_NO_MEMORY;
	*ret_found = (struct log_mirror_found){0};
	mirror->magic = MIRROR_MAGIC;
	mirror->setup = *setup;
	atomic_init(&mirror->offered_count, setup->home_count);
	if (setup->answer_ms == 0)
		mirror->setup.answer_ms = ANSWER_MS_DEFAULT;
	pthread_mutex_init(&mirror->lock, NULL);
	pthread_rwlock_init(&mirror->calls, NULL);
	mirror_init_disk(mirror);
	enum err err = open_copies(mirror, ret_found);
	if (err != ERR_OK) {
		log_mirror_close(mirror);
		return err;
	}
	trace_event(setup->trace, TRACE_INFO, 0,
		"log: %u of %u copies in sync, set %lu, %lu frames mended", count_in(mirror),
		setup->copies, (unsigned long)mirror->set.number, (unsigned long)ret_found->healed);
	*ret_mirror = mirror;
	return ERR_OK;
}

enum err log_mirror_heal(struct log_mirror *mirror, uint64_t *ret_healed)
{
	assert(mirror->magic == MIRROR_MAGIC && !mirror->files);
	enum err err = heal(mirror, SIZE_MAX, ret_healed);
	if (err == ERR_OK && !is_unchanged(mirror))
		err = renew_set(mirror);
	trace_event(mirror->setup.trace, TRACE_WARNING, 0,
		"log: a copy is damaged: %lu frames mended from the others",
		(unsigned long)*ret_healed);
	return err;
}

void log_mirror_close(struct log_mirror *mirror)
{
	if (!mirror)
		return;
	assert(mirror->magic == MIRROR_MAGIC && !mirror->files);
	for (unsigned i = 0; i < mirror->setup.home_count; i++)
		disk_close(mirror->locks[i]);
	pthread_rwlock_destroy(&mirror->calls);
	pthread_mutex_destroy(&mirror->lock);
	mirror->magic = 0;
	free(mirror);
}

enum err log_mirror_add(struct log_mirror *mirror, const struct log_home *home, unsigned copies)
{
	assert(is_drive(home) && copies > 0 && copies <= LOG_COPIES_MAX);
	unsigned count = atomic_load(&mirror->offered_count);
	if (count == LOG_HOMES_MAX)
		return ERR_LIMIT;
	pthread_mutex_lock(&mirror->lock);
	mirror->setup.homes[count] = *home; /* nobody looks behind home_count */
	mirror->offered_copies = copies;
	atomic_store(&mirror->offered_count, count + 1);
	pthread_mutex_unlock(&mirror->lock);
	return ERR_OK;
}

static void add_home(struct log_mirror_status *status, const struct log_slot *slot)
{
	status->homes[status->in_sync] = slot->home;
	status->disks[status->in_sync++] = slot->mirror->setup.homes[slot->home].disk;
}

void log_mirror_status(struct log_mirror *mirror, struct log_mirror_status *ret_status)
{
	pthread_mutex_lock(&mirror->lock);
	*ret_status = (struct log_mirror_status){.set = mirror->set.number,
		.wanted = mirror->setup.copies,
		.dropped = mirror->dropped,
		.joined = mirror->joined};
	for (unsigned i = 0; i < mirror->slot_count; i++)
		if (mirror_slot_is_in(mirror, i))
			add_home(ret_status, &mirror->slots[i]);
	pthread_mutex_unlock(&mirror->lock);
}
