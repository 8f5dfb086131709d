/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_LOG_MIRROR_H
#define STORAGE_META_LOG_MIRROR_H

#include "storage/disk.h"
#include "storage/meta/log_set.h"
#include "storage/trace.h"

/* A disk that is several: the log writes to it as to one, and each write goes to a copy of the log
 * on each of two or three drives, at once. The log does not know of it.
 *
 * (M1) A write ends without an error when all members of the in-sync set have it durably, and all
 *      others are no members: that is durable, too (S1).
 * (M2) A copy is dropped when a call of it fails that succeeds in another copy, or when it did not
 *      answer for answer_ms while another did. What fails in all copies is the caller's error, and
 *      drops none.
 * (M3) In the place of a dropped copy comes one on another drive, if there is one, before the write
 *      that met the failure ends: so what is acknowledged has all the copies that are to be had.
 *      Until then, and while a set is written, writes wait.
 * (M4) A drive that failed is not tried again in this life; the next start does.
 * (M5) What two homes share is lost together: there is at most one copy in a *domain*.
 *
 * One write is in flight at a time, and no asynchronous read, flush or punch, as a log has it.
 */
struct log_mirror;

struct log_home {
	struct disk *disk; /* borrowed */
	struct id id; /* of the drive; zero: the state directory, which is the first one */
	uint64_t domain; /* of a drive */
};

/* Has the log in the state directory, homes[0], rule from now on, alone: for when the copies on
 * drives are given up. The set that says so has a number that is far above all that are found, so
 * that no drive which is away now has a higher one. Where no home has a set nothing is done: then
 * that log rules anyway. Blocks. Errors: those of the disks; a drive that cannot be written is
 * outranked, too. */
#define LOG_SET_JUMP (UINT64_C(1) << 32)
MUST_USE enum err log_mirror_supersede(
	const struct log_home *homes, unsigned count, struct id node);

struct log_mirror_setup {
	struct id node;
	struct log_home homes[LOG_HOMES_MAX]; /* that can be reached */
	unsigned home_count;
	unsigned copies; /* that are wanted, at most LOG_COPIES_MAX */
	bool accepts_older; /* (S3) */
	uint64_t answer_ms; /* 0: 5000 */
	unsigned heal_count_max; /* a log of at most so many segments is compared whole */
	struct loop *loop; /* of the log */
	struct worker *worker;
	struct trace *trace;
};

/* What an opening found. */
struct log_mirror_found {
	uint64_t highest, older; /* numbers of sets; 0: none */
	uint64_t healed; /* frames that were not in all copies */
};

/* Is there a set in any of the homes? Then the log is a mirrored one. Blocks. */
bool log_mirror_is_there(const struct log_home *homes, unsigned count);

/* Finds the copies in sync, makes them the same, makes those that are missing, and writes the set.
 * Without any set the log is moved from the state directory. Blocks; before the loops run. Errors:
 * ERR_NOT_FOUND, there is no log; ERR_QUORUM, only older copies are there (S3); ERR_FOREIGN;
 * ERR_VERSION; ERR_NO_MEMORY; what failed in the last copy. */
MUST_USE enum err log_mirror_open(const struct log_mirror_setup *setup,
	struct log_mirror_found *ret_found, struct log_mirror **ret_mirror);

/* Mends all frames that some copy has whole, for a log that did not open because of damage. Blocks;
 * no file is open. Errors: as log_mirror_open(). */
MUST_USE enum err log_mirror_heal(struct log_mirror *mirror, uint64_t *ret_healed);

/* Frees; the log is closed. Blocks; after the loops have stopped, or when nothing is in flight. */
void log_mirror_close(struct log_mirror *mirror);

/* Lends one more home: a drive that was added. With the next write it is one of those that copies
 * can be on, and as many copies are wanted as this says: that write waits until they are made (M3).
 * Any thread, one at a time. Errors: ERR_LIMIT, there are LOG_HOMES_MAX. */
MUST_USE enum err log_mirror_add(
	struct log_mirror *mirror, const struct log_home *home, unsigned copies);

/* The disk that is to be the log's, for its segments and its state file. */
struct disk *log_mirror_disk(struct log_mirror *mirror);

struct log_mirror_status {
	uint64_t set; /* number */
	unsigned wanted, in_sync;
	unsigned homes[LOG_COPIES_MAX]; /* that are in sync: as in the setup, then as added */
	struct disk *disks[LOG_COPIES_MAX]; /* theirs */
	uint64_t dropped, joined; /* since the start */
};
void log_mirror_status(
	struct log_mirror *mirror, struct log_mirror_status *ret_status); /* any
									   * thread */

#endif
