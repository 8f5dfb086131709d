/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_KV_LMDB_H
#define STORAGE_KV_LMDB_H

#include "storage/kv.h"

/* The kv in one LMDB file, memory-mapped by this process. The file's number is there so that an
 * index can be split into several later. */
#define KV_LMDB_FILE "index-0000.mdb"

/* Opens the map in a directory, which is made if it is not there; map_len is how far the file may
 * grow, rounded up to pages, and is address space, not memory. Blocks. The same directory is never
 * opened twice in one process. Errors: ERR_CORRUPT, not a map of ours or a damaged one;
 * ERR_VERSION, written by a newer version; ERR_NO_SPACE, ERR_DENIED, ERR_READ_ONLY, ERR_NO_MEMORY,
 * ERR_IO.
 *
 * The file is judged before it is mapped: its length and what it begins with, and all of it if it
 * is short, small, or marked by an earlier life.
 *
 * Reads can raise SIGBUS when the drive fails below the map; who runs the process handles that. */
MUST_USE enum err kv_lmdb_open(const char *dir, uint64_t map_len, struct kv **ret_kv);

/* Opens a map that kv_lmdb_open() says is damaged, if the damage is only in rows whose checksum is
 * wrong, and counts these. Reading one of them is ERR_CORRUPT; if it is its key that changed, the
 * row is not found. Reads all of the map. Errors: as kv_lmdb_open(). */
MUST_USE enum err kv_lmdb_open_damaged(
	const char *dir, uint64_t map_len, uint64_t *ret_bad_rows, struct kv **ret_kv);

/* Renames a damaged map, which is not open, to "….damaged", in place of an older one. Blocks.
 * Errors: those of the file system. */
MUST_USE enum err kv_lmdb_set_aside(const char *dir);

/* Marks all maps that are open, so that the next open reads all of them before they are trusted.
 * Safe in a signal handler. */
void kv_lmdb_mark_all(void);

#endif
