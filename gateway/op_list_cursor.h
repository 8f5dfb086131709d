/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_LIST_CURSOR_H
#define GATEWAY_OP_LIST_CURSOR_H

#include "gateway/listing.h"
#include "storage/meta/index.h"

/* The versions of a bucket as rows of a listing: all of them, or the current ones that are not
 * delete markers.
 *
 * Delete markers and older versions that are passed over cost time and give no row. After
 * OP_LIST_STEPS_MAX of them a step ends with ERR_BUSY: then the view ends, and the same step is
 * made again in a new one, which goes on where this one stopped. */
#define OP_LIST_STEPS_MAX 2000

struct op_list_cursor {
	struct listing_cursor base;
	struct index_version_cursor versions;
	bool is_all; /* all versions */
	unsigned steps; /* rows passed over in this view */
	bool is_skipping; /* the last step was not finished: all up to skipped is done */
	size_t skipped_len;
	uint8_t skipped[ROW_KEY_LEN_MAX];
	uint8_t sub[16];
};

/* Rows of a bucket in the order of keys; with is_all every version, newest first. */
void op_list_cursor_init(struct op_list_cursor *cursor, bool is_all);

/* Under a new view. The listing was paused before, or is new. */
void op_list_cursor_resume(
	struct op_list_cursor *cursor, struct index_reader *reader, uint64_t bucket);

/* The row that the cursor is on. */
static inline const struct object_info *op_list_cursor_row(const struct op_list_cursor *cursor)
{
	return &cursor->versions.object;
}

/* The sub of a version's row, in buf of at least 16 bytes, and the other way. */
struct bytes op_list_sub_encode(struct version_id version, bool is_null, uint8_t *buf);
void op_list_sub_decode(struct bytes sub, struct version_id *ret_version, bool *ret_is_null);

#endif
