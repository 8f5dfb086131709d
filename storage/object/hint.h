/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_HINT_H
#define STORAGE_OBJECT_HINT_H

#include "storage/bytes.h"

/* What the record of a shard says of whom it was written for: for rescue only, when the index has
 * lost the row that named it (server/salvage.h).
 *
 *	hint   = name | place
 *	name   = bucket, '/', key
 *	place  = 0, form 1, part 2, first 8, offset 8, length 8, upload 8; little-endian
 *
 * A body that is stored as frames, compressed or encrypted, is of no use without its row: the place
 * has another form then, so that what knows only the first one takes it for none, and no length,
 * which nobody knows when the first extent is written.
 *
 * A record that was made anew by repair has the name alone, or, of a body of frames, a place in
 * which only the form is set. */
enum { HINT_PLACE_LEN = 36 };

enum hint_form { HINT_PLAIN = 1, HINT_PACKED = 2 };

#define HINT_BODY_LEN_MAX (UINT64_C(1) << 50)

/* Which part of which body an extent is. */
struct hint_place {
	bool is_packed; /* the body, which is nothing without its row; its length is not known */
	uint64_t first; /* counter of the body's first extent, of the same session; 0: not known */
	uint64_t offset; /* of the extent in the body, as stored */
	uint64_t len; /* of the body, as stored */
	uint64_t upload; /* that the body is a part of; 0: it is an object's */
	uint16_t part; /* its number there */
};

/* Writes a place behind a name of name_len bytes; the new length is returned. Where there is not
 * that much room the name stays alone. */
size_t hint_add_place(uint8_t *hint, size_t name_len, size_t cap, const struct hint_place *place);

/* Splits a hint, which may be anything. ret_name is borrowed from it. false: there is no place, or
 * one that makes no sense; all of it is the name. */
bool hint_read(struct bytes hint, struct bytes *ret_name, struct hint_place *ret_place);

#endif
