/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a buffer: two generations over a kv.
 *
 * A view takes the generations, then the sequence it will read up to, and begins to read the kv
 * last. So every row that left a generation meanwhile is in the kv. What the kv has beyond the
 * sequence can only come from a commit that had begun by then: if there is one, the view begins
 * anew, and then sees the sequence of that commit or a later one. */
#include "storage/buffer_priv.h"

enum err buffer_view_open(struct buffer *buffer, struct buffer_view *view)
{
	*view = (struct buffer_view){0};
	enum err err = kv_reader_open(buffer->setup.kv, &view->reader);
	if (err != ERR_OK)
		return err;
	view->buffer = buffer;
	atomic_fetch_add(&buffer->view_count, 1);
	return ERR_OK;
}

void buffer_view_close(struct buffer_view *view)
{
	if (!view->buffer)
		return;
	assert(!view->has_begun);
	kv_reader_close(view->reader);
	atomic_fetch_sub(&view->buffer->view_count, 1);
	*view = (struct buffer_view){0};
}

/* --- beginning -------------------------------------------------------------------------------- */

static void take_generations(struct buffer_view *view)
{
	struct buffer *buffer = view->buffer;
	pthread_mutex_lock(&buffer->lock);
	view->generations[0] = buffer->active;
	view->generations[1] = buffer->frozen;
	for (int i = 0; i < 2; i++)
		if (view->generations[i])
			atomic_fetch_add(&view->generations[i]->view_count, 1);
	view->snapshot = atomic_load(&buffer->published);
	pthread_mutex_unlock(&buffer->lock);
}

static void drop_generations(struct buffer_view *view)
{
	for (int i = 0; i < 2; i++) {
		struct buffer_generation *generation = view->generations[i];
		view->generations[i] = NULL;
		if (generation && atomic_fetch_sub(&generation->view_count, 1) == 1)
			buffer_generation_released(view->buffer);
	}
}

enum err buffer_view_begin(struct buffer_view *view)
{
	assert(!view->has_begun);
	for (;;) {
		take_generations(view);
		enum err err = kv_reader_begin(view->reader);
		if (err != ERR_OK) {
			drop_generations(view);
			return err;
		}
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load(&view->buffer->committing) <= view->snapshot)
			break;
		kv_reader_end(view->reader);
		drop_generations(view);
	}
	view->has_begun = true;
	return ERR_OK;
}

enum err buffer_view_begin_latest(struct buffer_view *view)
{
	assert(!view->has_begun && view->buffer->is_open);
	/* The generations change on this thread only, and not before the command is published. */
	take_generations(view);
	enum err err = kv_reader_begin(view->reader);
	if (err != ERR_OK) {
		drop_generations(view);
		return err;
	}
	view->snapshot = UINT64_MAX;
	view->has_begun = true;
	return ERR_OK;
}

void buffer_view_end(struct buffer_view *view)
{
	assert(view->has_begun);
	view->has_begun = false;
	kv_reader_end(view->reader);
	drop_generations(view);
}

/* --- reading ---------------------------------------------------------------------------------- */

static const struct buffer_node *find(const struct buffer_view *view, int i, struct bytes key)
{
	if (!view->generations[i])
		return NULL;
	const struct buffer_list *list = &view->generations[i]->list;
	return buffer_list_visible(list, buffer_list_seek(list, key), view->snapshot);
}

enum err buffer_view_get(struct buffer_view *view, struct bytes key, struct bytes *ret_value)
{
	assert(view->has_begun);
	for (int i = 0; i < 2; i++) {
		const struct buffer_node *node = find(view, i, key);
		if (!node || !bytes_is_equal(buffer_node_key(node), key))
			continue;
		if (buffer_node_is_removal(node))
			return ERR_NOT_FOUND;
		*ret_value = buffer_node_value(node);
		return ERR_OK;
	}
	return kv_get(view->reader, key, ret_value);
}

/* Takes the answer of kv_seek() or kv_next(). */
static enum err keep_kv(struct buffer_view *view, enum err err)
{
	view->cursor.has_kv = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* The least key of the three sources; marks those that have it. */
static bool find_least(struct buffer_view *view, struct bytes *ret_key)
{
	struct bytes keys[3];
	bool *is_at[3] = {&view->cursor.is_at[0], &view->cursor.is_at[1], &view->cursor.is_at_kv};
	bool has[3] = {view->cursor.nodes[0], view->cursor.nodes[1], view->cursor.has_kv};
	int least = -1;
	for (int i = 0; i < 3; i++) {
		*is_at[i] = false;
		if (!has[i])
			continue;
		keys[i] = i < 2 ? buffer_node_key(view->cursor.nodes[i]) : view->cursor.kv_key;
		int order = least < 0 ? -1 : bytes_compare(keys[i], keys[least]);
		if (order > 0)
			continue;
		for (int j = 0; order < 0 && j < i; j++)
			*is_at[j] = false;
		*is_at[i] = true;
		if (order < 0)
			least = i;
	}
	if (least < 0)
		return false;
	*ret_key = keys[least];
	return true;
}

/* Moves the sources that have the current key past it. */
static enum err advance(struct buffer_view *view)
{
	for (int i = 0; i < 2; i++)
		if (view->cursor.is_at[i])
			view->cursor.nodes[i] = buffer_list_next_key(
				&view->generations[i]->list, view->cursor.nodes[i], view->snapshot);
	if (!view->cursor.is_at_kv)
		return ERR_OK;
	return keep_kv(view, kv_next(view->reader, &view->cursor.kv_key, &view->cursor.kv_value));
}

/* The first row from here on that was not removed: the newest source with its key decides. */
static enum err settle(struct buffer_view *view, struct bytes *ret_key, struct bytes *ret_value)
{
	struct bytes key;
	while (find_least(view, &key)) {
		int i = view->cursor.is_at[0] ? 0 : 1;
		const struct buffer_node *node = view->cursor.is_at[i] ? view->cursor.nodes[i]
								       : NULL;
		if (!node || !buffer_node_is_removal(node)) {
			*ret_key = key;
			*ret_value = node ? buffer_node_value(node) : view->cursor.kv_value;
			return ERR_OK;
		}
		enum err err = advance(view);
		if (err != ERR_OK)
			return err;
	}
	return ERR_NOT_FOUND;
}

enum err buffer_view_seek(
	struct buffer_view *view, struct bytes key, struct bytes *ret_key, struct bytes *ret_value)
{
	assert(view->has_begun);
	for (int i = 0; i < 2; i++)
		view->cursor.nodes[i] = find(view, i, key);
	enum err err = keep_kv(
		view, kv_seek(view->reader, key, &view->cursor.kv_key, &view->cursor.kv_value));
	return err == ERR_OK ? settle(view, ret_key, ret_value) : err;
}

enum err buffer_view_next(struct buffer_view *view, struct bytes *ret_key, struct bytes *ret_value)
{
	assert(view->has_begun);
	enum err err = advance(view);
	return err == ERR_OK ? settle(view, ret_key, ret_value) : err;
}
