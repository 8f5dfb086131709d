/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_KV_LMDB_SUSPECT_H
#define STORAGE_KV_LMDB_SUSPECT_H

#include <limits.h>
#include <stdbool.h>

#include "storage/err.h"

/* A file "suspect" beside a map: something was wrong with it while it was open, so the next open
 * reads all of it before it is trusted (kv_lmdb_check.h). */
#define SUSPECT_MAPS_MAX 64

struct suspect {
	char path[PATH_MAX]; /* of the file */
};

/* Sets the path; tells whether the file is there. Errors: ERR_INVALID, the path is too long. */
MUST_USE enum err suspect_init(struct suspect *suspect, const char *dir, bool *ret_is_there);

/* From here on kv_lmdb_mark_all() knows it; the struct stays until suspect_forget(). More than
 * SUSPECT_MAPS_MAX are not known. */
void suspect_register(struct suspect *suspect);
void suspect_forget(struct suspect *suspect);

/* Makes the file, if it can be made; safe in a signal handler. */
void suspect_mark(const struct suspect *suspect);

/* Removes it. */
void suspect_clear(const struct suspect *suspect);

#endif
