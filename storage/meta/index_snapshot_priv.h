/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_SNAPSHOT_PRIV_H
#define STORAGE_META_INDEX_SNAPSHOT_PRIV_H

#include "storage/meta/index_snapshot.h"
#include "storage/meta/state_hash.h"

/* Shared by index_snapshot.c (the seam), index_snapshot_export.c and index_snapshot_import.c. */
#define FRAME_HEAD_LEN 24
#define FRAME_SUM_OFFSET 16
#define FRAME_ROW_HEAD_LEN 8
#define FRAME_FIRST_LEN 16
#define FRAME_VERSION 1
static_assert(FRAME_HEAD_LEN + FRAME_ROW_HEAD_LEN + KV_KEY_LEN_MAX + KV_VALUE_LEN_MAX <
		SNAPSHOT_CHUNK_LEN,
	"a row fits");

enum frame_kind { /* on the wire */
	FRAME_FIRST = 1,
	FRAME_ROWS = 2,
	FRAME_LAST = 3,
};

uint64_t frame_sum(const uint8_t *frame, size_t len);

struct snapshot_export {
	struct kv *kv;
	struct index *index;
	struct kv_reader *reader; /* NULL: none is open */
	enum frame_kind next; /* 0: the last frame was given */
	bool has_row; /* key and value are of the next one */
	bool has_sought;
	struct bytes key, value;
	uint64_t number, row_count, used;
	uint64_t sequence, time_ms;
	uint8_t hash[STATE_HASH_LEN_MAX];
	size_t hash_len;
};

/* All block. Errors: ERR_BUSY (Z4); of the kv. */
MUST_USE enum err snapshot_export_open(struct snapshot_export *export, uint64_t *ret_index);
MUST_USE enum err snapshot_export_read(
	struct snapshot_export *export, uint8_t *buf, size_t *ret_len);
void snapshot_export_close(struct snapshot_export *export);

struct snapshot_import {
	struct snapshot_stage *stage;
	struct kv *kv; /* NULL: none is open */
	bool is_staged; /* something is there that may have to go */
	bool is_finished;
	enum frame_kind seen; /* the kind of the last frame; 0: none yet */
	uint64_t number, row_count;
	uint64_t sequence, time_ms;
	struct state_hash hash; /* that was sent */
	uint8_t last_key[KV_KEY_LEN_MAX];
	size_t last_key_len;
};

/* All block. Errors: ERR_CORRUPT (Z1, Z2); ERR_VERSION; of the kv and of the stage. */
MUST_USE enum err snapshot_import_begin(struct snapshot_import *import);
MUST_USE enum err snapshot_import_write(struct snapshot_import *import, struct bytes frame);
MUST_USE enum err snapshot_import_finish(struct snapshot_import *import, uint64_t index);
MUST_USE enum err snapshot_import_install(struct snapshot_import *import);
void snapshot_import_drop(struct snapshot_import *import);

#endif
