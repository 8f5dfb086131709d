/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SIM_NAMES_H
#define TESTS_LIB_SIM_NAMES_H

#include "storage/err.h"
#include "tests/lib/sim_file.h"

/* The names of a simulated disk: those that are seen, those that survive a crash for certain, and
 * the changes between, each of which is kept or lost by chance (D2). */
struct sim_names;

/* A name; file is NULL for a directory. Each name holds a reference to its file. */
struct sim_name {
	char *text;
	struct sim_file *file;
};

struct sim_names *sim_names_new(void);
void sim_names_free(struct sim_names *names);

/* Is it a name that a disk takes: one or two parts, neither "." nor ".."? */
bool sim_names_is_valid(const char *text);

/* Finds a name that is seen. Borrowed until the next change; NULL if it is not there. */
const struct sim_name *sim_names_find(const struct sim_names *names, const char *text);

/* The name at an index, in byte order of their paths; NULL at the end. */
const struct sim_name *sim_names_at(const struct sim_names *names, size_t index);

/* Adds a file (of which it takes a reference of its own) or, if it is NULL, a directory.
 * Errors: ERR_EXISTS, ERR_NOT_FOUND when its directory is not there. */
MUST_USE enum err sim_names_add(struct sim_names *names, const char *text, struct sim_file *file);

/* Errors: ERR_NOT_FOUND, ERR_INVALID for a directory. */
MUST_USE enum err sim_names_rename(struct sim_names *names, const char *from, const char *to);

/* Errors: ERR_NOT_FOUND, ERR_NOT_EMPTY. */
MUST_USE enum err sim_names_remove(struct sim_names *names, const char *text);

/* Makes all changes durable. */
void sim_names_flush(struct sim_names *names);

/* The power fails: the names are those that are durable and, by chance, those that were not yet. */
void sim_names_crash(struct sim_names *names, struct sim *sim);

#endif
