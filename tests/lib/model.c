/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/model.h"

#include <stdlib.h>

static struct bytes copy(struct bytes from)
{
	uint8_t *data = malloc(from.len + 1);
	assert(data);
	if (from.len > 0)
		memcpy(data, from.data, from.len);
	return bytes_make(data, from.len);
}

static void row_free(struct model_row *row)
{
	free((void *)row->key.data);
	free((void *)row->value.data);
}

void model_free(struct model *model)
{
	for (size_t i = 0; i < model->count; i++)
		row_free(&model->rows[i]);
	free(model->rows);
	*model = (struct model){0};
}

size_t model_seek(const struct model *model, struct bytes key)
{
	size_t low = 0, high = model->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (bytes_compare(model->rows[mid].key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct model_row *model_get(const struct model *model, struct bytes key)
{
	size_t i = model_seek(model, key);
	bool is_there = i < model->count && bytes_is_equal(model->rows[i].key, key);
	return is_there ? &model->rows[i] : NULL;
}

/* With the address sanitizer memmove() goes byte by byte, which was most of the time of a test. */
__attribute__((no_sanitize("address", "undefined"))) static void make_gap(
	struct model_row *rows, size_t count)
{
	for (size_t i = count; i > 0; i--)
		rows[i] = rows[i - 1];
}

__attribute__((no_sanitize("address", "undefined"))) static void fill_gap(
	struct model_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		rows[i] = rows[i + 1];
}

void model_put(struct model *model, struct bytes key, struct bytes value)
{
	struct model_row row = {copy(key), copy(value)};
	size_t i = model_seek(model, key);
	if (i < model->count && bytes_is_equal(model->rows[i].key, key)) {
		row_free(&model->rows[i]);
		model->rows[i] = row;
		return;
	}
	if (model->count == model->cap) {
		model->cap = model->cap > 0 ? 2 * model->cap : 64;
		model->rows = realloc(model->rows, model->cap * sizeof *model->rows);
		assert(model->rows);
	}
	make_gap(model->rows + i, model->count - i);
	model->rows[i] = row;
	model->count++;
}

void model_remove(struct model *model, struct bytes key)
{
	size_t i = model_seek(model, key);
	if (i == model->count || !bytes_is_equal(model->rows[i].key, key))
		return;
	row_free(&model->rows[i]);
	model->count--;
	fill_gap(model->rows + i, model->count - i);
}

void model_copy(struct model *to, const struct model *from)
{
	model_free(to);
	for (size_t i = 0; i < from->count; i++)
		model_put(to, from->rows[i].key, from->rows[i].value);
}
