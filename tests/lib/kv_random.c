/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/kv_random.h"

#include "tests/lib/test.h"

static void ck_assert_bytes(struct bytes got, struct bytes expected)
{
	ck_assert_uint_eq(got.len, expected.len);
	ck_assert(bytes_is_equal(got, expected));
}

void kv_random_scan(struct kv_reader *reader, const struct model *model, struct bytes from)
{
	struct bytes key, value;
	size_t i = model_seek(model, from);
	enum err err = kv_seek(reader, from, &key, &value);
	for (; i < model->count; i++) {
		ck_assert_ok(err);
		ck_assert_bytes(key, model->rows[i].key);
		ck_assert_bytes(value, model->rows[i].value);
		err = kv_next(reader, &key, &value);
	}
	ck_assert_err(err, ERR_NOT_FOUND);
}

struct bytes kv_random_key(uint64_t *random, uint8_t *buf)
{
	static const size_t borders[] = {1, 3, 509, 510, 511, 512, 1011, 1012, 1013, 1024, 1513,
		1514, 1515, 2016, 2199, 2200};
	size_t len = test_random(random) % 2 ? borders[test_random(random) % ARRAY_COUNT(borders)]
					     : 1 + test_random(random) % KV_KEY_LEN_MAX;
	memset(buf, 'a' + test_random(random) % 2, len);
	for (int i = test_random(random) % 3; i > 0; i--)
		buf[test_random(random) % len] = "\0\1b\377"[test_random(random) % 4];
	if (test_random(random) % 2)
		buf[len - 1] = test_random(random);
	return bytes_make(buf, len);
}

static struct bytes random_value(uint64_t *random, uint8_t *buf)
{
	uint64_t kind = test_random(random) % 20;
	size_t cap = kind == 0 ? 9000 : kind < 3 ? 1 : 200;
	size_t len = test_random(random) % cap;
	test_random_fill(random, buf, len);
	return bytes_make(buf, len);
}

void kv_random_change(struct kv *kv, uint64_t *random, struct model *model, int changes)
{
	static uint8_t key_buf[KV_KEY_LEN_MAX], value_buf[KV_VALUE_LEN_MAX];
	for (int i = 0; i < changes; i++) {
		struct bytes key = kv_random_key(random, key_buf);
		uint64_t what = test_random(random) % 10;
		if (what < 3 && model->count > 0) {
			const struct model_row *row =
				&model->rows[test_random(random) % model->count];
			memcpy(key_buf, row->key.data, row->key.len);
			key = bytes_make(key_buf, row->key.len);
		}
		if (what < 4) {
			ck_assert_ok(kv_remove(kv, key));
			model_remove(model, key);
		} else {
			struct bytes value = random_value(random, value_buf);
			ck_assert_ok(kv_put(kv, key, value));
			model_put(model, key, value);
		}
	}
}
