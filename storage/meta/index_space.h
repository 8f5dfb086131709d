/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_SPACE_H
#define STORAGE_META_INDEX_SPACE_H

#include <stdatomic.h>

#include "storage/clock.h"
#include "storage/disk.h"
#include "storage/kv.h"
#include "storage/loop.h"
#include "storage/meta/consensus.h"
#include "storage/trace.h"

/* Is there room for the index to grow? An index whose file system is full can commit nothing, not
 * even what would make room, so what makes it grow is refused while there is still room for the
 * rest.
 *
 * (N1) It is *low* when less is free than is wanted: what the log may still allocate beyond its own
 *      free segments, and what commits may still add to the file of the kv beyond its own spare
 *      pages; and when less than a twentieth of the file system is free, or less than 4 GiB of a
 *      large one, counting spare pages.
 *      On a disk of its own the log needs that much there.
 * (N2) It stays low until an eighth more than that is free, or 1 GiB more.
 * (N3) The file system is looked at on the loop, after commits and at most once a second while
 *      somebody asks; the answer is that of the last look. Nobody asks, nothing is looked at. */
struct index_space_setup {
	struct disk *disk; /* where log and kv are; NULL: nothing is ever low */
	struct disk *log_disk; /* where the log is; NULL: there too */
	struct kv *kv;
	struct consensus *consensus; /* whose log it is; NULL: nothing is known of it */
	struct loop *loop;
	struct clock *clock;
	struct trace *trace;
	uint64_t log_len; /* what the log may need at once */
	uint64_t kv_len; /* what commits may need at once */
};

struct index_space {
	struct index_space_setup setup;
	struct task task;
	_Atomic bool is_posted;
	_Atomic bool is_low, is_log_low;
	_Atomic uint64_t looked_ns;
	_Atomic uint64_t total, free, spare, wanted; /* as of the last look */
};

/* What two commits of a read buffer may need when each row changes a page of its own, with an
 * eighth more for the pages above. */
static inline uint64_t index_space_kv_len(size_t rows_max, size_t arena_len, size_t page_len)
{
	return 2 * ((uint64_t)rows_max * page_len / 8 * 9 + arena_len);
}

/* How much others on a file system of that size have to leave free, so that it is not low because
 * of them (N2). */
uint64_t index_space_kept(uint64_t log_len, uint64_t kv_len, uint64_t total);

/* Looks once. Blocks shortly. */
void index_space_init(struct index_space *space, const struct index_space_setup *setup);

/* Looks soon (N3). Any thread. */
void index_space_look(struct index_space *space);

/* Is there room? Any thread. */
bool index_space_ask(struct index_space *space);

#endif
