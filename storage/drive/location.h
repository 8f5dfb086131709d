/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_LOCATION_H
#define STORAGE_DRIVE_LOCATION_H

#include "storage/bytes.h"
#include "storage/err.h"
#include "storage/id.h"

/* The rows of the location table.
 *
 *	L extent index	-> where the record is
 *	S number	-> one segment: its life, and what of it is live
 *	M		-> up to where the table is complete
 *	A		-> of the read buffer: the last command in the kv
 */
struct location {
	uint64_t segment;
	uint64_t generation;
	uint64_t offset;
	uint64_t record_len;
};

struct segment_row {
	uint64_t generation;
	uint64_t seed;
	uint64_t token;
	uint64_t end; /* what lies behind was never reserved */
	uint64_t live_len; /* of records that the table names */
	uint64_t punched_len; /* given back to the file system */
};

/* A place in the order in which space is reserved: generations first, then offsets. */
struct place {
	uint64_t segment;
	uint64_t generation;
	uint64_t offset;
};

enum {
	LOCATION_KEY_LEN = 1 + EXTENT_ID_LEN + 1,
	LOCATION_VALUE_LEN = 32,
	SEGMENT_ROW_KEY_LEN = 9,
	SEGMENT_ROW_VALUE_LEN = 48,
	MARK_VALUE_LEN = 24,
};
#define LOCATION_TAG 'L'
#define SEGMENT_ROW_TAG 'S'
#define MARK_KEY "M"
#define APPLIED_KEY "A"

static inline int place_compare(struct place a, struct place b)
{
	if (a.generation != b.generation)
		return a.generation < b.generation ? -1 : 1;
	return a.offset < b.offset ? -1 : a.offset > b.offset;
}

static inline bool location_is_equal(struct location a, struct location b)
{
	return a.segment == b.segment && a.generation == b.generation && a.offset == b.offset;
}

void location_key_encode(struct extent_id extent, uint8_t index, uint8_t ret_key[LOCATION_KEY_LEN]);

/* Errors: ERR_NOT_FOUND, it is the key of another kind of row. */
MUST_USE enum err location_key_decode(
	struct bytes key, struct extent_id *ret_extent, uint8_t *ret_index);

void location_encode(struct location location, uint8_t ret_value[LOCATION_VALUE_LEN]);
MUST_USE enum err location_decode(struct bytes value, struct location *ret_location);

void segment_row_key_encode(uint64_t number, uint8_t ret_key[SEGMENT_ROW_KEY_LEN]);
MUST_USE enum err segment_row_key_decode(struct bytes key, uint64_t *ret_number);
void segment_row_encode(const struct segment_row *row, uint8_t ret_value[SEGMENT_ROW_VALUE_LEN]);
MUST_USE enum err segment_row_decode(struct bytes value, struct segment_row *ret_row);

void mark_encode(struct place mark, uint8_t ret_value[MARK_VALUE_LEN]);
MUST_USE enum err mark_decode(struct bytes value, struct place *ret_mark);

#endif
