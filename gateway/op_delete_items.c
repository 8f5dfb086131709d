/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_delete_items.h"

#include "gateway/names.h"
#include "gateway/op_put_conditions.h"
#include "gateway/response.h"

static_assert(S3_CODE_COUNT <= UINT8_MAX, "a code fits into an item");

static size_t item_len(size_t key_len)
{
	return round_up(sizeof(struct op_delete_item) + key_len, _Alignof(struct op_delete_item));
}

static_assert((REQUEST_TEXT_LEN / (sizeof(struct op_delete_item) + ROW_KEY_LEN_MAX + 8)) *
			OP_DELETE_BUFFERS_MAX >=
		XML_DELETE_COUNT_MAX,
	"room for all of the longest keys");

void op_delete_items_init(struct op_delete_items *items, struct pool *pool)
{
	memset(items, 0, sizeof *items);
	items->pool = pool;
}

void op_delete_items_fini(struct op_delete_items *items)
{
	for (unsigned i = 0; i < items->buffer_count; i++)
		pool_give(items->pool, items->buffers[i]);
	items->buffer_count = 0;
}

/* Room for len bytes behind the last item, or NULL. */
static struct op_delete_item *take_room(struct op_delete_items *items, size_t len)
{
	unsigned n = items->buffer_count;
	if (n == 0 || REQUEST_TEXT_LEN - items->lens[n - 1] < len) {
		if (n == OP_DELETE_BUFFERS_MAX ||
			pool_take(items->pool, POOL_64K, 1, &items->buffers[n]) != ERR_OK)
			return NULL;
		items->lens[n] = 0;
		items->buffer_count = ++n;
	}
	void *room = items->buffers[n - 1] + items->lens[n - 1];
	items->lens[n - 1] += len;
	items->count++;
	return room;
}

static void refuse(struct op_delete_item *item, enum s3_code code)
{
	item->outcome = OP_DELETE_FAILED;
	item->code = code;
}

enum s3_code op_delete_items_add(
	struct op_delete_items *items, const struct xml_delete_object *object)
{
	struct s3_error_detail detail;
	s3_error_detail_init(&detail);
	struct bytes key = object->key;
	enum s3_code key_code = names_check_key(key, &detail);
	if (key.len > ROW_KEY_LEN_MAX)
		key.len = uri_utf8_len(bytes_make(key.data, ROW_KEY_LEN_MAX));
	struct op_delete_item *item = take_room(items, item_len(key.len));
	if (!item)
		return S3_SLOW_DOWN;
	*item = (struct op_delete_item){.key_len = key.len};
	memcpy(item->key, key.data, key.len);
	if (key_code != S3_OK)
		refuse(item, key_code);
	if (object->has_version_id) {
		if (response_parse_version(object->version_id, &item->version, &item->is_null) !=
			ERR_OK)
			refuse(item, S3_NO_SUCH_VERSION);
	}
	if (object->has_etag && bytes_is_text(object->etag, "*")) {
		item->conditions.if_match_any = true;
	} else if (object->has_etag) {
		item->conditions.has_if_match = true;
		op_put_conditions_parse_etag(object->etag, &item->conditions.if_match);
	}
	if (object->has_last_modified)
		/* Compared by the second; 0 would be none. */
		item->conditions.if_match_time_ms = 1000 * object->last_modified_s + 1;
	item->conditions.has_if_match_len = object->has_size;
	item->conditions.if_match_len = object->size;
	return S3_OK;
}

struct op_delete_item *op_delete_items_next(
	const struct op_delete_items *items, struct op_delete_place *place)
{
	if (place->buffer < items->buffer_count && place->offset == items->lens[place->buffer]) {
		place->buffer++;
		place->offset = 0;
	}
	if (place->buffer >= items->buffer_count)
		return NULL;
	struct op_delete_item *item = (void *)(items->buffers[place->buffer] + place->offset);
	place->offset += item_len(item->key_len);
	return item;
}
