/* SPDX-License-Identifier: Apache-2.0 */
#include "server/salvage_copy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/digest/digest_stream.h"
#include "server/loop_call.h"
#include "storage/object/get.h"
#include "storage/object/put.h"

/* All but the waiting is on the first loop:
 *
 *	COPYING → PROPOSING → over
 *	      ↘ ENDING ↗            what failed is put away
 */
enum copy_state { COPYING, PROPOSING, ENDING, OVER };

struct copy {
	struct node *node;
	const struct lost_object *object;
	const struct salvage_target *target;
	const _Atomic bool *is_canceled;
	struct store_loop *store;
	enum copy_state state;
	enum err err; /* the first thing that went wrong */
	bool was_read; /* all bytes were had */
	size_t body, extent; /* that is read now or next */
	bool is_get_open, is_get_canceled, is_put_open, is_put_durable, is_put_discarded;
	const uint8_t *piece; /* of the get; NULL: none */
	size_t piece_len, piece_taken;
	struct digest_stream digest;
	struct index_proposal proposal;
	struct completion completion;
	struct get get;
	struct put put;
	uint8_t command[COMMAND_LEN_MAX];
};

static void advance(struct copy *copy);

static void fail(struct copy *copy, enum err err)
{
	if (copy->err == ERR_OK)
		copy->err = err;
}

/* --- reading and writing ---------------------------------------------------------------------- */

static void pump(struct copy *copy)
{
	if (atomic_load(copy->is_canceled))
		fail(copy, ERR_CANCELED);
	while (copy->state == COPYING && copy->err == ERR_OK && copy->piece) {
		uint8_t *buf;
		size_t cap;
		if (put_buffer(&copy->put, &buf, &cap) != ERR_OK)
			return; /* room() or durable() follows */
		size_t left = copy->piece_len - copy->piece_taken;
		size_t len = cap < left ? cap : left;
		memcpy(buf, copy->piece + copy->piece_taken, len);
		digest_stream_update(&copy->digest, buf, len);
		put_filled(&copy->put, len);
		copy->piece_taken += len;
		if (copy->piece_taken < copy->piece_len)
			continue;
		copy->piece = NULL;
		get_sent(&copy->get);
	}
	if (copy->err)
		advance(copy);
}

static void got_piece(struct get *get, const uint8_t *data, size_t len)
{
	struct copy *copy = CONTAINER_OF(get, struct copy, get);
	assert(!copy->piece);
	copy->piece = data;
	copy->piece_len = len;
	copy->piece_taken = 0;
	pump(copy);
}

static void get_done(struct get *get, enum err err)
{
	struct copy *copy = CONTAINER_OF(get, struct copy, get);
	copy->is_get_open = false;
	copy->piece = NULL;
	fail(copy, err);
	advance(copy);
}

static void put_room(struct put *put)
{
	pump(CONTAINER_OF(put, struct copy, put));
}

/* Digested when it came. */
static void put_frame(struct put *put, struct put_frame *frame)
{
	put_frame_done(put, frame);
}

static void put_durable(struct put *put, enum err err)
{
	struct copy *copy = CONTAINER_OF(put, struct copy, put);
	copy->is_put_durable = copy->is_put_open = err == ERR_OK;
	fail(copy, err);
	advance(copy);
}

static void put_discarded(struct put *put)
{
	struct copy *copy = CONTAINER_OF(put, struct copy, put);
	copy->is_put_open = false;
	advance(copy);
}

/* The next extent; false: there is none. */
static bool start_get(struct copy *copy)
{
	if (copy->body < copy->object->count &&
		copy->extent == copy->object->bodies[copy->body].count) {
		copy->body++;
		copy->extent = 0;
	}
	if (copy->body == copy->object->count)
		return false;
	const struct lost_extent *from = copy->object->bodies[copy->body].extents[copy->extent++];
	struct get_extent extent = {.len = from->len, .id = from->id};
	memcpy(extent.drives, from->drives, sizeof extent.drives);
	bool is_geometry = stripe_geometry_init(
		&extent.geometry, from->k, from->m, from->unit_len, from->len);
	assert(is_geometry); /* lost_shards_next() refused any other */
	struct get_setup setup = {
		.store = copy->store,
		.extent = &extent,
		.len = extent.len,
		.piece = got_piece,
		.done = get_done,
	};
	copy->is_get_open = true;
	get_start(&copy->get, &setup);
	return true;
}

static enum err start_put(struct copy *copy)
{
	const struct lost_body *body = &copy->object->bodies[0];
	struct put_setup setup = {
		.store = copy->store,
		.hint = body->name,
		.len = copy->object->len,
		.storage_class = copy->target->class,
		.room = put_room,
		.frame = put_frame,
		.durable = put_durable,
		.discarded = put_discarded,
	};
	enum err err = put_start(&copy->put, &setup);
	copy->is_put_open = err == ERR_OK;
	return err;
}

/* --- the row ---------------------------------------------------------------------------------- */

static void over(struct copy *copy)
{
	copy->state = OVER;
	completion_end(&copy->completion, copy->err);
}

/* What is not known to be refused is left to the index, as in a put of a client. */
static void proposal_done(struct index_proposal *proposal)
{
	struct copy *copy = CONTAINER_OF(proposal, struct copy, proposal);
	enum err err = proposal->err ? proposal->err : command_code_err(proposal->result.code);
	fail(copy, err);
	if (err && err != ERR_UNKNOWN) {
		copy->state = ENDING;
		advance(copy);
		return;
	}
	copy->is_put_open = false;
	put_fini(&copy->put);
	over(copy);
}

static void propose(struct copy *copy)
{
	const struct salvage_target *target = copy->target;
	struct command command = {.type = COMMAND_OBJECT_PUT};
	struct command_object_put *put = &command.object_put;
	struct digest_values values;
	digest_stream_final(&copy->digest, &values);
	put->bucket = target->bucket;
	put->key = target->key;
	put->conditions.if_none_match_any = true;
	put->attributes.metadata = target->metadata;
	put->attributes.owner = target->owner;
	put->attributes.class = target->class;
	put_body(&copy->put, &put->body);
	memcpy(put->body.etag.md5, values.md5, sizeof put->body.etag.md5);
	copy->proposal = (struct index_proposal){
		.loop = copy->store->loop,
		.bytes = copy->command,
		.done = proposal_done,
		.made_in = put_session(&copy->put),
	};
	enum err err = command_encode(
		&command, copy->command, sizeof copy->command, &copy->proposal.len);
	if (err) {
		fail(copy, err);
		copy->state = ENDING;
		advance(copy);
		return;
	}
	copy->state = PROPOSING;
	index_propose(copy->node->index, &copy->proposal);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void unwind(struct copy *copy)
{
	copy->piece = NULL;
	if (copy->is_get_open && !copy->is_get_canceled) {
		copy->is_get_canceled = true;
		get_cancel(&copy->get);
	}
	if (copy->is_put_open && !copy->is_put_discarded) {
		copy->is_put_discarded = true;
		put_discard(&copy->put);
	}
	if (!copy->is_get_open && !copy->is_put_open)
		over(copy);
}

static void advance(struct copy *copy)
{
	if (copy->state == COPYING && copy->err)
		copy->state = ENDING;
	if (copy->state == ENDING)
		unwind(copy);
	if (copy->state != COPYING || copy->is_get_open || copy->was_read) {
		if (copy->state == COPYING && copy->was_read && copy->is_put_durable)
			propose(copy);
		return;
	}
	copy->was_read = !start_get(copy);
	if (copy->was_read && copy->is_put_durable)
		propose(copy);
}

static enum err begin(void *arg)
{
	struct copy *copy = arg;
	digest_stream_init(&copy->digest, DIGEST_MD5);
	enum err err = start_put(copy);
	if (!err)
		advance(copy);
	return err;
}

static enum err look_canceled(void *arg)
{
	struct copy *copy = arg;
	if (copy->state == COPYING && atomic_load(copy->is_canceled)) {
		fail(copy, ERR_CANCELED);
		advance(copy);
	}
	return ERR_OK;
}

enum err salvage_copy(struct node *node, const struct lost_object *object,
	const struct salvage_target *target, const _Atomic bool *is_canceled, bool *ret_was_read)
{
	static const struct timespec look_again = {.tv_sec = 1};
	struct copy *copy = calloc(1, sizeof *copy);
	if (!copy)
		return ERR_NO_MEMORY;
	copy->node = node;
	copy->object = object;
	copy->target = target;
	copy->is_canceled = is_canceled;
	copy->store = &node->store_loops[0];
	completion_init(&copy->completion);
	enum err err = loop_call(copy->store->loop, begin, copy);
	while (!err) {
		err = completion_wait_for(&copy->completion, &look_again);
		if (err != ERR_TIMEOUT)
			break;
		err = loop_call(copy->store->loop, look_canceled, copy);
	}
	*ret_was_read = copy->was_read;
	free(copy);
	return err;
}
