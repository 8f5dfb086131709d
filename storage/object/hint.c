/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/object/hint.h"

#include <string.h>

size_t hint_add_place(uint8_t *hint, size_t name_len, size_t cap, const struct hint_place *place)
{
	uint8_t *at = hint + name_len;
	if (cap < HINT_PLACE_LEN || name_len > cap - HINT_PLACE_LEN)
		return name_len;
	at[0] = 0;
	at[1] = place->is_packed ? HINT_PACKED : HINT_PLAIN;
	put_le16(at + 2, place->part);
	put_le64(at + 4, place->first);
	put_le64(at + 12, place->offset);
	put_le64(at + 20, place->is_packed ? 0 : place->len);
	put_le64(at + 28, place->upload);
	return name_len + HINT_PLACE_LEN;
}

static bool read_place(struct bytes bytes, struct hint_place *ret_place)
{
	const uint8_t *at = bytes.data;
	*ret_place = (struct hint_place){
		.is_packed = at[1] == HINT_PACKED,
		.part = get_le16(at + 2),
		.first = get_le64(at + 4),
		.offset = get_le64(at + 12),
		.len = get_le64(at + 20),
		.upload = get_le64(at + 28),
	};
	if (ret_place->is_packed)
		return at[0] == 0 && ret_place->len == 0 && ret_place->offset < HINT_BODY_LEN_MAX;
	return at[0] == 0 && at[1] == HINT_PLAIN && ret_place->offset < ret_place->len &&
		ret_place->len <= HINT_BODY_LEN_MAX;
}

bool hint_read(struct bytes hint, struct bytes *ret_name, struct hint_place *ret_place)
{
	*ret_name = hint;
	*ret_place = (struct hint_place){0};
	if (hint.len < HINT_PLACE_LEN)
		return false;
	struct hint_place place;
	size_t name_len = hint.len - HINT_PLACE_LEN;
	if (!read_place(bytes_make(hint.data + name_len, HINT_PLACE_LEN), &place))
		return false;
	ret_name->len = name_len;
	*ret_place = place;
	return true;
}
