/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/drive/location.h"

void location_key_encode(struct extent_id extent, uint8_t index, uint8_t ret_key[LOCATION_KEY_LEN])
{
	ret_key[0] = LOCATION_TAG;
	extent_id_encode(extent, ret_key + 1);
	ret_key[1 + EXTENT_ID_LEN] = index;
}

enum err location_key_decode(struct bytes key, struct extent_id *ret_extent, uint8_t *ret_index)
{
	if (key.len != LOCATION_KEY_LEN || key.data[0] != LOCATION_TAG)
		return ERR_NOT_FOUND;
	*ret_extent = extent_id_decode(key.data + 1);
	*ret_index = key.data[1 + EXTENT_ID_LEN];
	return ERR_OK;
}

void location_encode(struct location location, uint8_t ret_value[LOCATION_VALUE_LEN])
{
	put_le64(ret_value, location.segment);
	put_le64(ret_value + 8, location.generation);
	put_le64(ret_value + 16, location.offset);
	put_le64(ret_value + 24, location.record_len);
}

enum err location_decode(struct bytes value, struct location *ret_location)
{
	if (value.len != LOCATION_VALUE_LEN)
		return ERR_CORRUPT;
	*ret_location = (struct location){
		.segment = get_le64(value.data),
		.generation = get_le64(value.data + 8),
		.offset = get_le64(value.data + 16),
		.record_len = get_le64(value.data + 24),
	};
	return ERR_OK;
}

void segment_row_key_encode(uint64_t number, uint8_t ret_key[SEGMENT_ROW_KEY_LEN])
{
	ret_key[0] = SEGMENT_ROW_TAG;
	put_be64(ret_key + 1, number);
}

enum err segment_row_key_decode(struct bytes key, uint64_t *ret_number)
{
	if (key.len != SEGMENT_ROW_KEY_LEN || key.data[0] != SEGMENT_ROW_TAG)
		return ERR_NOT_FOUND;
	*ret_number = get_be64(key.data + 1);
	return ERR_OK;
}

void segment_row_encode(const struct segment_row *row, uint8_t ret_value[SEGMENT_ROW_VALUE_LEN])
{
	put_le64(ret_value, row->generation);
	put_le64(ret_value + 8, row->seed);
	put_le64(ret_value + 16, row->token);
	put_le64(ret_value + 24, row->end);
	put_le64(ret_value + 32, row->live_len);
	put_le64(ret_value + 40, row->punched_len);
}

enum err segment_row_decode(struct bytes value, struct segment_row *ret_row)
{
	if (value.len != SEGMENT_ROW_VALUE_LEN)
		return ERR_CORRUPT;
	*ret_row = (struct segment_row){
		.generation = get_le64(value.data),
		.seed = get_le64(value.data + 8),
		.token = get_le64(value.data + 16),
		.end = get_le64(value.data + 24),
		.live_len = get_le64(value.data + 32),
		.punched_len = get_le64(value.data + 40),
	};
	return ERR_OK;
}

void mark_encode(struct place mark, uint8_t ret_value[MARK_VALUE_LEN])
{
	put_le64(ret_value, mark.segment);
	put_le64(ret_value + 8, mark.generation);
	put_le64(ret_value + 16, mark.offset);
}

enum err mark_decode(struct bytes value, struct place *ret_mark)
{
	if (value.len != MARK_VALUE_LEN)
		return ERR_CORRUPT;
	*ret_mark = (struct place){
		.segment = get_le64(value.data),
		.generation = get_le64(value.data + 8),
		.offset = get_le64(value.data + 16),
	};
	return ERR_OK;
}
