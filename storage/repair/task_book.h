/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_TASK_BOOK_H
#define STORAGE_REPAIR_TASK_BOOK_H

#include "storage/repair/crew.h"

/* The book of what the mender does for all nodes: which tasks are open in the index, how far they
 * are, and what came of them (storage/meta/apply_task.c).
 *
 * (B1) A task is begun when there is something to do, and ended when there is nothing left; its
 * text then has the verdict. (B2) How far an open task is, is written down every BOOK_TELL_MS at
 * most, and only after something was done. A mender that takes over goes on counting from there.
 * (B3) Tasks of the scrub are begun by people; they end when the records of all drives that they
 * are about say so. A drive that is not in service any more is not waited for.
 */
#define BOOK_TELL_MS 60000

enum book_work { BOOK_REPAIR, BOOK_MOVE, BOOK_RECODE, BOOK_WORKS };
extern const char *const book_work_names[BOOK_WORKS]; /* of their tasks */

/* An open task. */
struct book_task {
	uint64_t id; /* 0: it is not open */
	uint64_t began_ms;
	struct crew_done done; /* since it began, by all who did it */
	struct crew_done counted; /* of the crew's, what is in done or was done for others */
	struct crew_done told; /* as the index has it */
	uint64_t told_ms;
};

/* What is to be done now. */
struct book_need {
	bool is_there; /* something is left to do, or is being done */
	const char *kind; /* as people call it */
	uint64_t blocked, lost; /* shards that cannot be mended now; extents that cannot be read */
};

struct task_book {
	struct store_loop *store;
	const struct crew *crew;
	void (*changed)(struct task_book *book); /* soon: a proposal has ended */
	struct book_task tasks[BOOK_WORKS];
	bool is_read;
	uint64_t scrub; /* a scrub task that has come to its end; 0: none */
	char scrub_name[ROW_TASK_NAME_LEN_MAX + 1];
	char scrub_text[ROW_TASK_TEXT_LEN_MAX];
	struct index_proposal proposal;
	bool is_proposed;
	uint8_t command[ROW_TASK_TEXT_LEN_MAX + 256];
};

void task_book_init(struct task_book *book, struct store_loop *store, const struct crew *crew,
	void (*changed)(struct task_book *book));

/* Reads what is open. Under a view; whenever something was applied. */
MUST_USE enum err task_book_read(struct task_book *book);

/* Another node does it now. */
void task_book_forget(struct task_book *book);

/* Brings the index up to date, a step at a time. needs has BOOK_WORKS. */
void task_book_tend(struct task_book *book, const struct book_need *needs);

#endif
