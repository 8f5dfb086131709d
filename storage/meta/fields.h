/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_FIELDS_H
#define STORAGE_META_FIELDS_H

#include "storage/bytes.h"
#include "storage/err.h"

/* Fields: how the rows of the index and the commands of its log are written as bytes.
 *
 * A record is a sequence of fields: tag (1 byte), length (varint, at most 4 bytes), value. A
 * descriptor maps tags to members of a struct.
 *
 * (F1) The same struct always gives the same bytes: fields go out in the order of the descriptor,
 *      integers in their shortest little-endian form, and what is zero or empty is left out.
 * (F2) A field whose tag the reader does not know is skipped by its length; a field that is not
 *      there leaves its member zero. So both older and newer writers can be read.
 * (F3) A decoder refuses what does not fit (ERR_INVALID) and never reads outside of its input.
 * (F4) A tag means the same for ever; a tag that is given up is never used again.
 */
enum field_kind {
	FIELD_U8,
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_BOOL,
	FIELD_BYTES, /* struct bytes, borrowed from the input, at most max long */
	FIELD_FIXED, /* uint8_t[max]; zeros at its end are left out */
	FIELD_STRUCT, /* an embedded struct with a descriptor of its own */
	FIELD_STRUCTS, /* an array of max embedded structs, its trailing empty ones left out */
};

struct field {
	uint8_t tag; /* 1 to 255, unique in its descriptor */
	uint8_t kind;
	uint16_t offset;
	uint32_t max; /* of FIELD_BYTES, FIELD_FIXED and FIELD_STRUCTS */
	const struct fields *fields; /* of FIELD_STRUCT and FIELD_STRUCTS */
};

struct fields {
	const struct field *fields;
	uint16_t count;
	uint16_t struct_len;
};

#define FIELD(tag, kind, type, member, max) \
	{ \
		tag, kind, offsetof(type, member), max, NULL \
	}
#define FIELD_OF(tag, kind, type, member, max, of) \
	{ \
		tag, kind, offsetof(type, member), max, of \
	}
#define FIELDS(name, type, list) const struct fields name = {list, ARRAY_COUNT(list), sizeof(type)}

/* A place that bytes are appended to. Once something did not fit, is_full stays set and nothing
 * more is written. */
struct fields_out {
	uint8_t *data; /* borrowed */
	size_t len, cap;
	bool is_full;
};

/* Appends the fields of a struct. */
void fields_encode(struct fields_out *out, const struct fields *fields, const void *record);

/* Reads a struct; bytes members are borrowed from the input. What record held before is lost, also
 * on failure. Errors: ERR_INVALID. */
MUST_USE enum err fields_decode(const struct fields *fields, struct bytes in, void *ret_record);

/* Lists: records one after the other, each behind its length (varint). Members of type struct bytes
 * hold them. */
void fields_list_append(struct fields_out *out, const struct fields *fields, const void *record);

/* Takes the first record off the list. Errors: ERR_END; ERR_INVALID. */
MUST_USE enum err fields_list_next(
	const struct fields *fields, struct bytes *list, void *ret_record);

/* How many records a list has, without reading them. Errors: ERR_INVALID. */
MUST_USE enum err fields_list_count(struct bytes list, size_t *ret_count);

/* Appends bytes as they are. */
void fields_append(struct fields_out *out, const void *data, size_t len);

#endif
