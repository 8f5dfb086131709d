/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_upload_bytes.h"

#include <string.h>

/* Copies what is left of the piece, as far as there is room. */
static void pump(struct op_upload_bytes *bytes)
{
	while (bytes->piece_len > 0) {
		uint8_t *buf;
		size_t cap;
		if (bytes->is_discarding || put_buffer(&bytes->put, &buf, &cap) != ERR_OK)
			return; /* room() follows, or the end of the put */
		size_t len = cap < bytes->piece_len ? cap : bytes->piece_len;
		memcpy(buf, bytes->piece, len);
		bytes->piece += len;
		bytes->piece_len -= len;
		put_filled(&bytes->put, len);
	}
	get_sent(bytes->get);
}

static struct op_upload_bytes *of_put(struct put *put)
{
	return CONTAINER_OF(put, struct op_upload_bytes, put);
}

static void room_came(struct put *put)
{
	struct op_upload_bytes *bytes = of_put(put);
	if (bytes->piece_len > 0)
		pump(bytes);
}

/* Its digests are known from the first time it was read. */
static void frame_came(struct put *put, struct put_frame *frame)
{
	put_frame_done(put, frame);
}

static void put_ended(struct put *put, enum err err)
{
	struct op_upload_bytes *bytes = of_put(put);
	bytes->is_durable = err == ERR_OK;
	bytes->is_put_active = err == ERR_OK;
	bytes->err = err;
	bytes->changed(bytes);
}

static void put_discarded(struct put *put)
{
	struct op_upload_bytes *bytes = of_put(put);
	bytes->is_put_active = false;
	bytes->changed(bytes);
}

enum err op_upload_bytes_start(struct op_upload_bytes *bytes, const struct put_setup *setup,
	struct get *get, void (*changed)(struct op_upload_bytes *bytes))
{
	struct put_setup put_setup = *setup;
	void *owner = bytes->owner;
	memset(bytes, 0, sizeof *bytes);
	bytes->owner = owner;
	bytes->get = get;
	bytes->changed = changed;
	put_setup.room = room_came;
	put_setup.frame = frame_came;
	put_setup.durable = put_ended;
	put_setup.discarded = put_discarded;
	enum err err = put_start(&bytes->put, &put_setup);
	bytes->is_put_active = err == ERR_OK;
	return err;
}

void op_upload_bytes_piece(struct op_upload_bytes *bytes, const uint8_t *data, size_t len)
{
	assert(bytes->piece_len == 0 && len > 0);
	bytes->piece = data;
	bytes->piece_len = len;
	if (bytes->is_put_active)
		pump(bytes);
}

void op_upload_bytes_drop(struct op_upload_bytes *bytes)
{
	if (!bytes->is_put_active || bytes->is_discarding)
		return;
	bytes->is_discarding = true;
	bytes->piece_len = 0;
	put_discard(&bytes->put);
}

void op_upload_bytes_take(struct op_upload_bytes *bytes)
{
	assert(bytes->is_put_active && bytes->is_durable);
	bytes->is_put_active = false;
	put_fini(&bytes->put);
}
