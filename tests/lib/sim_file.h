/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_FILE_H
#define TESTS_LIB_SIM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/sim.h"

/* One file of a simulated disk: what its readers see, what the platter has for certain, and the
 * list of changes in between.
 *
 * (C1) The stable image and all changes in their order give the visible image.
 * (C2) A change that is durable is in every image after a crash; a doomed one in none; each other
 *      one is kept, lost or, if it is a write, torn at 512-byte borders.
 * (C3) Changes at the head of the list that are durable or doomed are settled at once, so a file
 *      that is synced keeps no list.
 */
struct sim_file;

enum sim_change { SIM_CHANGE_WRITE, SIM_CHANGE_TRUNCATE, SIM_CHANGE_ALLOCATE, SIM_CHANGE_PUNCH };

/* Makes an empty file with one reference; number names it in traces. */
struct sim_file *sim_file_new(uint64_t number);
void sim_file_ref(struct sim_file *file);
void sim_file_unref(struct sim_file *file);

uint64_t sim_file_number(const struct sim_file *file);
uint64_t sim_file_size(const struct sim_file *file);

/* Pages of 4 KiB that the file takes up, and that a change of the range would take in addition. */
uint64_t sim_file_pages(const struct sim_file *file);
uint64_t sim_file_holes(const struct sim_file *file, uint64_t offset, uint64_t len);

/* Reads what is visible; returns how many bytes there are up to the end. */
size_t sim_file_read(const struct sim_file *file, void *buf, size_t len, uint64_t offset);

/* Changes what is visible. data is for writes, and copied. TRUNCATE takes the length as offset. */
void sim_file_change(struct sim_file *file, enum sim_change kind, uint64_t offset, const void *data,
	uint64_t len, bool is_durable);

/* The number of the newest change, and making durable all up to it. */
uint64_t sim_file_mark(const struct sim_file *file);
void sim_file_flush(struct sim_file *file, uint64_t mark);

/* A failed sync: each change that is not durable is forgotten by later syncs, or not, by chance. */
void sim_file_doom(struct sim_file *file, struct sim *sim);

/* The power fails: what is visible is then what the platter has (C2). */
void sim_file_crash(struct sim_file *file, struct sim *sim);

/* Turns one bit over, in what is visible and on the platter. Returns false where no page is. */
bool sim_file_flip(struct sim_file *file, uint64_t offset, unsigned bit);

/* Writes only some of the sectors, by chance; for writes cut short. */
void sim_file_tear(
	struct sim_file *file, struct sim *sim, uint64_t offset, const void *data, size_t len);

#endif
