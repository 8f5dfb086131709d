/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/log_set.h"

#include <xxhash.h>

#include "storage/small_file.h"

#define SET_NAME "log-set"

enum {
	SET_MEMBERS_OFFSET = 56,
	SET_SUM_OFFSET = SET_MEMBERS_OFFSET + LOG_COPIES_MAX * ID_LEN,
	SET_LEN = SET_SUM_OFFSET + 8,
	SET_VERSION = 1,
};

static const char set_magic[8] = "rubusset";

bool log_set_has(const struct log_set *set, struct id home)
{
	for (uint32_t i = 0; i < set->member_count; i++)
		if (id_is_equal(set->members[i], home))
			return true;
	return false;
}

static bool is_carried(const struct log_set *set, struct id home)
{
	for (uint32_t i = 0; i < set->carried_count; i++)
		if (id_is_equal(set->members[i], home))
			return true;
	return false;
}

static enum err decode(const uint8_t in[SET_LEN], struct log_set *ret_set)
{
	if (memcmp(in, set_magic, 8) != 0 ||
		get_le64(in + SET_SUM_OFFSET) != XXH3_64bits(in, SET_SUM_OFFSET))
		return ERR_CORRUPT;
	if (get_le32(in + 8) != SET_VERSION)
		return ERR_VERSION;
	struct log_set set = {.member_count = get_le32(in + 12),
		.number = get_le64(in + 32),
		.previous = get_le64(in + 40),
		.carried_count = get_le32(in + 48)};
	if (set.member_count > LOG_COPIES_MAX || set.carried_count > set.member_count ||
		set.number == 0)
		return ERR_CORRUPT;
	memcpy(set.node.bytes, in + 16, ID_LEN);
	memcpy(set.members, in + SET_MEMBERS_OFFSET, sizeof set.members);
	*ret_set = set;
	return ERR_OK;
}

enum err log_set_read(struct disk *disk, struct log_set *ret_set)
{
	uint8_t in[SET_LEN];
	enum err err = small_file_read(disk, SET_NAME, in, sizeof in);
	if (err != ERR_OK)
		return err;
	return decode(in, ret_set);
}

enum err log_set_write(struct disk *disk, const struct log_set *set)
{
	assert(set->number > 0 && set->member_count <= LOG_COPIES_MAX);
	uint8_t out[SET_LEN] = {0};
	memcpy(out, set_magic, 8);
	put_le32(out + 8, SET_VERSION);
	put_le32(out + 12, set->member_count);
	memcpy(out + 16, set->node.bytes, ID_LEN);
	put_le64(out + 32, set->number);
	put_le64(out + 40, set->previous);
	put_le32(out + 48, set->carried_count);
	memcpy(out + SET_MEMBERS_OFFSET, set->members, sizeof set->members);
	put_le64(out + SET_SUM_OFFSET, XXH3_64bits(out, SET_SUM_OFFSET));
	return small_file_write(disk, SET_NAME, out, sizeof out);
}

/* --- who rules -------------------------------------------------------------------------------- */

static bool is_same(const struct log_set *a, const struct log_set *b)
{
	return a->previous == b->previous && a->member_count == b->member_count &&
		memcmp(a->members, b->members, sizeof a->members) == 0;
}

static bool does_rule(const struct log_set *highest, const struct log_set_found *found)
{
	if (!found->has_set)
		return false;
	if (found->set.number == highest->number)
		return log_set_has(highest, found->home);
	return found->set.number == highest->previous && is_carried(highest, found->home) &&
		log_set_has(&found->set, found->home);
}

/* The highest number that one of its own members has. */
static uint64_t find_older(const struct log_set_found *found, size_t count)
{
	uint64_t older = 0;
	for (size_t i = 0; i < count; i++)
		if (found[i].has_set && found[i].set.number > older &&
			log_set_has(&found[i].set, found[i].home))
			older = found[i].set.number;
	return older;
}

enum err log_set_choose(const struct log_set_found *found, size_t count, bool accepts_older,
	bool *ret_rules, uint64_t *ret_number, uint64_t *ret_older)
{
	const struct log_set *highest = NULL;
	bool is_unclear = false;
	for (size_t i = 0; i < count; i++) {
		const struct log_set *set = &found[i].set;
		ret_rules[i] = false;
		if (!found[i].has_set || (highest && set->number < highest->number))
			continue;
		if (!highest || set->number > highest->number)
			is_unclear = false;
		else
			is_unclear |= !is_same(set, highest);
		highest = set;
	}
	if (!highest)
		return ERR_NOT_FOUND;
	*ret_number = highest->number;
	*ret_older = find_older(found, count);
	bool has_ruler = false;
	for (size_t i = 0; i < count && !is_unclear; i++)
		has_ruler |= ret_rules[i] = does_rule(highest, &found[i]);
	if (has_ruler)
		return ERR_OK;
	if (!accepts_older || *ret_older == 0)
		return ERR_QUORUM;
	/* One of them only: that two are the same is what nobody knows. */
	for (size_t i = 0; i < count; i++) {
		ret_rules[i] = found[i].has_set && found[i].set.number == *ret_older &&
			log_set_has(&found[i].set, found[i].home);
		if (ret_rules[i])
			return ERR_OK;
	}
	return ERR_QUORUM;
}
