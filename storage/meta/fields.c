/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/fields.h"

#define VARINT_LEN_MAX 4
#define LEN_MAX ((1u << 28) - 1) /* what four bytes of seven bits hold */

/* --- writing ---------------------------------------------------------------------------------- */

void fields_append(struct fields_out *out, const void *data, size_t len)
{
	if (out->is_full || len > out->cap - out->len) {
		out->is_full = true;
		return;
	}
	if (len > 0)
		memcpy(out->data + out->len, data, len);
	out->len += len;
}

static size_t varint_encode(uint8_t *p, size_t v)
{
	size_t len = 0;
	while (v >= 128) {
		p[len++] = v | 128;
		v >>= 7;
	}
	p[len++] = v;
	return len;
}

static void append_head(struct fields_out *out, uint8_t tag, size_t len)
{
	uint8_t head[1 + VARINT_LEN_MAX] = {tag};
	if (len > LEN_MAX) {
		out->is_full = true;
		return;
	}
	fields_append(out, head, 1 + varint_encode(head + 1, len));
}

static void append_bytes(struct fields_out *out, uint8_t tag, const uint8_t *data, size_t len)
{
	append_head(out, tag, len);
	fields_append(out, data, len);
}

static void append_integer(struct fields_out *out, uint8_t tag, uint64_t v)
{
	uint8_t bytes[8];
	put_le64(bytes, v);
	size_t len = 8 - __builtin_clzll(v) / 8;
	append_bytes(out, tag, bytes, len);
}

/* Leaves one byte for the length of what follows; close_length() puts it there. */
static size_t open_length(struct fields_out *out)
{
	fields_append(out, "", 1);
	return out->len;
}

static void close_length(struct fields_out *out, size_t start)
{
	if (out->is_full)
		return;
	uint8_t varint[VARINT_LEN_MAX];
	size_t len = out->len - start;
	if (len > LEN_MAX) {
		out->is_full = true;
		return;
	}
	size_t varint_len = varint_encode(varint, len);
	if (varint_len - 1 > out->cap - out->len) {
		out->is_full = true;
		return;
	}
	memmove(out->data + start - 1 + varint_len, out->data + start, len);
	memcpy(out->data + start - 1, varint, varint_len);
	out->len += varint_len - 1;
}

static size_t trimmed_len(const uint8_t *data, size_t len)
{
	while (len > 0 && data[len - 1] == 0)
		len--;
	return len;
}

/* Appends an embedded struct; one that has no fields set is left out unless it holds a place. */
static void append_struct(
	struct fields_out *out, const struct field *field, const uint8_t *member, bool holds_place)
{
	size_t before = out->len;
	fields_append(out, &field->tag, 1);
	size_t start = open_length(out);
	fields_encode(out, field->fields, member);
	if (out->is_full)
		return;
	if (out->len == start && !holds_place)
		out->len = before;
	else
		close_length(out, start);
}

static void append_structs(struct fields_out *out, const struct field *field, const uint8_t *member)
{
	size_t kept = out->len;
	for (uint32_t i = 0; i < field->max; i++) {
		size_t before = out->len;
		append_struct(out, field, member + i * field->fields->struct_len, true);
		if (out->len - before > 2)
			kept = out->len;
	}
	if (!out->is_full)
		out->len = kept;
}

static void append_field(struct fields_out *out, const struct field *field, const uint8_t *member)
{
	uint64_t v = 0;
	switch (field->kind) {
	case FIELD_U8:
		v = *member;
		break;
	case FIELD_U16: {
		uint16_t v16;
		memcpy(&v16, member, sizeof v16);
		v = v16;
		break;
	}
	case FIELD_U32: {
		uint32_t v32;
		memcpy(&v32, member, sizeof v32);
		v = v32;
		break;
	}
	case FIELD_U64:
		memcpy(&v, member, sizeof v);
		break;
	case FIELD_BOOL:
		v = *(const bool *)member;
		break;
	case FIELD_BYTES: {
		const struct bytes *bytes = (const void *)member;
		assert(bytes->len <= field->max);
		if (bytes->len > 0)
			append_bytes(out, field->tag, bytes->data, bytes->len);
		return;
	}
	case FIELD_FIXED: {
		size_t len = trimmed_len(member, field->max);
		if (len > 0)
			append_bytes(out, field->tag, member, len);
		return;
	}
	case FIELD_STRUCT:
		append_struct(out, field, member, false);
		return;
	case FIELD_STRUCTS:
		append_structs(out, field, member);
		return;
	default:
		assert(!"a kind of field");
	}
	if (v != 0)
		append_integer(out, field->tag, v);
}

void fields_encode(struct fields_out *out, const struct fields *fields, const void *record)
{
	const uint8_t *base = record;
	for (size_t i = 0; i < fields->count; i++)
		append_field(out, &fields->fields[i], base + fields->fields[i].offset);
}

void fields_list_append(struct fields_out *out, const struct fields *fields, const void *record)
{
	size_t before = out->len;
	size_t start = open_length(out);
	fields_encode(out, fields, record);
	close_length(out, start);
	if (out->is_full)
		out->len = before;
}

/* --- reading ---------------------------------------------------------------------------------- */

static enum err take_varint(struct bytes *in, size_t *ret_v)
{
	size_t v = 0;
	for (size_t i = 0; i < VARINT_LEN_MAX && i < in->len; i++) {
		v |= (size_t)(in->data[i] & 127) << (7 * i);
		if (in->data[i] < 128) {
			*in = bytes_from(*in, i + 1);
			*ret_v = v;
			return ERR_OK;
		}
	}
	return ERR_INVALID;
}

/* Takes length and value off. */
static enum err take_value(struct bytes *in, struct bytes *ret_value)
{
	size_t len;
	enum err err = take_varint(in, &len);
	if (err != ERR_OK)
		return err;
	if (len > in->len)
		return ERR_INVALID;
	*ret_value = bytes_make(in->data, len);
	*in = bytes_from(*in, len);
	return ERR_OK;
}

static enum err read_integer(struct bytes value, uint64_t max, uint64_t *ret_v)
{
	if (value.len > 8)
		return ERR_INVALID;
	uint64_t v = 0;
	for (size_t i = 0; i < value.len; i++)
		v |= (uint64_t)value.data[i] << (8 * i);
	if (v > max)
		return ERR_INVALID;
	*ret_v = v;
	return ERR_OK;
}

static enum err read_number(const struct field *field, struct bytes value, uint8_t *member)
{
	static const uint64_t max[] = {
		[FIELD_U8] = UINT8_MAX,
		[FIELD_U16] = UINT16_MAX,
		[FIELD_U32] = UINT32_MAX,
		[FIELD_U64] = UINT64_MAX,
		[FIELD_BOOL] = 1,
	};
	uint64_t v;
	enum err err = read_integer(value, max[field->kind], &v);
	if (err != ERR_OK)
		return err;
	uint16_t v16 = v;
	uint32_t v32 = v;
	switch (field->kind) {
	case FIELD_U8:
		*member = v;
		break;
	case FIELD_U16:
		memcpy(member, &v16, sizeof v16);
		break;
	case FIELD_U32:
		memcpy(member, &v32, sizeof v32);
		break;
	case FIELD_U64:
		memcpy(member, &v, sizeof v);
		break;
	default:
		*(bool *)member = v;
	}
	return ERR_OK;
}

static enum err read_field(
	const struct field *field, struct bytes value, uint32_t occurrence, uint8_t *member)
{
	switch (field->kind) {
	case FIELD_BYTES:
		if (value.len > field->max)
			return ERR_INVALID;
		*(struct bytes *)member = value;
		return ERR_OK;
	case FIELD_FIXED:
		if (value.len > field->max)
			return ERR_INVALID;
		memset(member, 0, field->max);
		if (value.len > 0)
			memcpy(member, value.data, value.len);
		return ERR_OK;
	case FIELD_STRUCT:
		return fields_decode(field->fields, value, member);
	case FIELD_STRUCTS:
		if (occurrence >= field->max)
			return ERR_INVALID;
		return fields_decode(
			field->fields, value, member + occurrence * field->fields->struct_len);
	default:
		return read_number(field, value, member);
	}
}

/* The field with that tag; looks behind the one found last first, where it is in our own bytes. */
static const struct field *find_field(const struct fields *fields, uint8_t tag, size_t *at)
{
	for (size_t i = 0; i < fields->count; i++) {
		size_t index = *at + i < fields->count ? *at + i : *at + i - fields->count;
		if (fields->fields[index].tag == tag) {
			*at = index;
			return &fields->fields[index];
		}
	}
	return NULL;
}

enum err fields_decode(const struct fields *fields, struct bytes in, void *ret_record)
{
	uint8_t *base = ret_record;
	memset(base, 0, fields->struct_len);
	size_t at = 0;
	const struct field *last = NULL;
	uint32_t occurrence = 0;
	while (in.len > 0) {
		uint8_t tag = in.data[0];
		in = bytes_from(in, 1);
		struct bytes value;
		enum err err = take_value(&in, &value);
		if (err != ERR_OK)
			return err;
		const struct field *field = find_field(fields, tag, &at);
		if (!field)
			continue;
		occurrence = field == last ? occurrence + 1 : 0;
		last = field;
		err = read_field(field, value, occurrence, base + field->offset);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

enum err fields_list_next(const struct fields *fields, struct bytes *list, void *ret_record)
{
	if (list->len == 0)
		return ERR_END;
	struct bytes value;
	enum err err = take_value(list, &value);
	if (err != ERR_OK)
		return err;
	return fields_decode(fields, value, ret_record);
}

enum err fields_list_count(struct bytes list, size_t *ret_count)
{
	size_t count = 0;
	while (list.len > 0) {
		struct bytes value;
		enum err err = take_value(&list, &value);
		if (err != ERR_OK)
			return err;
		count++;
	}
	*ret_count = count;
	return ERR_OK;
}
