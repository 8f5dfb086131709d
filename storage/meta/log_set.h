/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_LOG_SET_H
#define STORAGE_META_LOG_SET_H

#include "storage/disk.h"
#include "storage/id.h"

/* The in-sync set: which copies of a node's log have everything that was acknowledged.
 *
 * A set has a number, and is kept in a file "log-set" in each *home*: the state directory, whose id
 * is zero, and each drive. The file is one of its own and not a field of the superblock, because
 * the superblock belongs to the drive's loop, and a log may be changed before a drive is opened, or
 * after it was fenced.
 *
 *   log-set   "rubusset" 8, version 4, member count 4, node 16, number 8, previous number 8,
 *             carried count 4, 0 (4), three members of 16 bytes, XXH3 of these 8
 *
 * Members that are *carried* were of the previous set already; they come first.
 *
 * (S1) A set is written to all homes that can be reached before anything is acknowledged that not
 *      all members of the set before it have: first to the homes that are no members, then to the
 *      members. A set without carried members is written to its members first.
 * (S2) The highest number found anywhere counts. A home rules if it is a member of that set and has
 *      it itself, or is a carried member and has the one before: then nothing was acknowledged yet
 *      that it does not have.
 * (S3) If no home rules, or two sets have the highest number, nobody knows what is missing: the
 *      caller has to accept what is older.
 */
#define LOG_COPIES_MAX 3
#define LOG_HOMES_MAX 17

struct log_set {
	struct id node;
	uint64_t number, previous;
	uint32_t member_count, carried_count;
	struct id members[LOG_COPIES_MAX];
};

/* What one home says. */
struct log_set_found {
	struct id home;
	bool has_set;
	struct log_set set;
};

/* Errors: ERR_NOT_FOUND; ERR_CORRUPT; ERR_VERSION; those of the disk. Block. */
MUST_USE enum err log_set_read(struct disk *disk, struct log_set *ret_set);
MUST_USE enum err log_set_write(struct disk *disk, const struct log_set *set);

bool log_set_has(const struct log_set *set, struct id home);

/* Says which homes rule (S2), the highest number found, and the highest that a member with an older
 * set has, 0: none. accepts_older: if none rules, those with that one do. Errors: ERR_NOT_FOUND,
 * there is no set; ERR_QUORUM (S3). */
MUST_USE enum err log_set_choose(const struct log_set_found *found, size_t count,
	bool accepts_older, bool *ret_rules, uint64_t *ret_number, uint64_t *ret_older);

#endif
