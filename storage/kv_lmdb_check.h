/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_KV_LMDB_CHECK_H
#define STORAGE_KV_LMDB_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/err.h"

/* Files up to this length are read whole at each open: 0.6 s when they are in memory, about 2.5 s
 * from an SSD. */
#define KV_LMDB_CHECK_LEN (1u << 30)

/* Judges an LMDB file before it is mapped: LMDB trusts the numbers in its pages, and a page behind
 * the end of the file is a SIGBUS. All of it is read if it is short, is_suspect, or no longer than
 * KV_LMDB_CHECK_LEN. A file that is not there, or empty, is fine. ret_bad_rows, if not NULL, gets
 * the count of rows with a wrong checksum, which are then no error; reading them is. Blocks.
 * Errors: ERR_CORRUPT; ERR_VERSION, another format of LMDB; ERR_IO, ERR_DENIED, ERR_NO_MEMORY. */
MUST_USE enum err kv_lmdb_check(const char *path, bool is_suspect, uint64_t *ret_bad_rows);

#endif
