/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/sim_mover.h"

#include <stdlib.h>

#include "erasure/checksum.h"
#include "erasure/stripe.h"
#include "storage/shard/shard_wire.h"
#include "tests/lib/test.h"

enum { ROWS = 4, LIST = 64, COPY_MS = 60000 };

static uint64_t below(struct sim_mover *mover, uint64_t n)
{
	return test_random(&mover->random) % n;
}

/* --- copying one shard ------------------------------------------------------------------------ */

enum copy_state { PROBING, OPENING, READING, APPENDING, SEALING, FREEING, OVER };

struct copy {
	enum copy_state state;
	struct store_loop *store;
	struct site from, to;
	uint16_t slot;
	struct shard_info info;
	struct site_read read;
	struct site_write write;
	struct site_append append;
	struct site_free free;
	uint64_t offset;
	size_t len;
	uint64_t sums[SHARD_SUMS_MAX];
	bool was_there;
	enum err err;
	uint8_t buf[SHARD_TRANSFER_LEN_MAX] __attribute__((aligned(4096)));
};

static void end_copy(struct copy *copy, enum err err)
{
	copy->err = err;
	copy->state = OVER;
}

static void read_chunk(struct copy *copy)
{
	uint64_t left = copy->info.shard_len - copy->offset;
	copy->len = left < sizeof copy->buf ? left : sizeof copy->buf;
	site_read_start(&copy->read, copy->offset, copy->len, copy->buf, false);
}

static void freed(struct site_free *site_free, enum err err)
{
	ck_assert_ok(err);
	end_copy(CONTAINER_OF(site_free, struct copy, free), ERR_NOT_FOUND);
}

static void appended(struct site_append *append, enum err err)
{
	struct copy *copy = CONTAINER_OF(append, struct copy, append);
	copy->offset += copy->len;
	if (err) {
		site_read_fini(&copy->read);
		site_write_abort(&copy->write);
		end_copy(copy, err);
	} else if (copy->offset < copy->info.shard_len) {
		copy->state = READING;
		read_chunk(copy);
	} else {
		site_read_fini(&copy->read);
		copy->state = SEALING;
		site_write_seal(&copy->write);
	}
}

/* What was dismantled meanwhile is not wanted. */
static void sealed(struct site_write *write, enum err err)
{
	struct copy *copy = CONTAINER_OF(write, struct copy, write);
	struct row_extent row;
	if (err) {
		end_copy(copy, err);
		return;
	}
	ck_assert_ok(index_view_begin(copy->store->reader));
	err = index_extent_get(copy->store->reader, copy->slot, copy->info.extent, &row);
	index_view_end(copy->store->reader);
	if (err != ERR_NOT_FOUND) {
		end_copy(copy, err);
		return;
	}
	copy->state = FREEING;
	copy->free.loop = copy->store->loop;
	copy->free.done = freed;
	site_free_start(&copy->free, &copy->to, copy->info.extent, copy->info.index);
}

static void chunk_read(struct site_read *read, enum err err);

static void opened(struct site_write *write, enum err err)
{
	struct copy *copy = CONTAINER_OF(write, struct copy, write);
	if (err) {
		end_copy(copy, err);
		return;
	}
	copy->state = READING;
	copy->read.loop = copy->store->loop;
	copy->read.done = chunk_read;
	site_read_init(&copy->read, &copy->from, copy->info.extent, copy->info.index);
	read_chunk(copy);
}

static void open_write(struct copy *copy)
{
	copy->state = OPENING;
	copy->write.loop = copy->store->loop;
	copy->write.ready = opened;
	copy->write.sealed = sealed;
	enum err err = site_write_open(&copy->write, &copy->to, &copy->info);
	if (err != ERR_BUSY)
		opened(&copy->write, err);
}

static void chunk_read(struct site_read *read, enum err err)
{
	struct copy *copy = CONTAINER_OF(read, struct copy, read);
	if (copy->state == PROBING) {
		site_read_fini(&copy->read);
		copy->was_there = err == ERR_OK;
		if (err == ERR_NOT_FOUND)
			open_write(copy);
		else
			end_copy(copy, err);
		return;
	}
	if (err) {
		site_read_fini(&copy->read);
		site_write_abort(&copy->write);
		end_copy(copy, err);
		return;
	}
	uint64_t seed = shard_checksum_seed(copy->info.extent, copy->info.index);
	checksum_blocks(copy->buf, copy->len, seed, copy->offset / BLOCK_LEN, copy->sums);
	copy->state = APPENDING;
	copy->append.done = appended;
	site_write_append(&copy->write, &copy->append, copy->buf, copy->len, copy->sums,
		checksum_block_count(copy->len));
}

static void start_copy(void *arg)
{
	struct copy *copy = arg;
	uint16_t from = copy->from.number, to = copy->to.number;
	reach_find(copy->store, from, &copy->from);
	reach_find(copy->store, to, &copy->to);
	if (!site_is_there(&copy->from) || !site_is_there(&copy->to)) {
		end_copy(copy, ERR_UNAVAILABLE);
		return;
	}
	copy->read.loop = copy->store->loop;
	copy->read.done = chunk_read;
	site_read_init(&copy->read, &copy->to, copy->info.extent, copy->info.index);
	read_chunk(copy); /* a put may have written it there */
}

static bool is_copied(void *arg)
{
	return ((struct copy *)arg)->state == OVER;
}

/* Brings a shard to a drive, if it is not there. Errors: it was not possible now. */
static enum err copy_shard(struct sim_mover *mover, uint16_t slot, struct extent_id extent,
	const struct row_extent *row, uint8_t shard, uint16_t from, uint16_t to)
{
	struct geometry geometry;
	ck_assert(stripe_geometry_init(&geometry, row->k, row->m, row->unit_len, row->len));
	struct copy *copy = sim_must(aligned_alloc(4096, round_up(sizeof *copy, 4096)));
	*copy = (struct copy){.slot = slot, .from.number = from, .to.number = to};
	copy->store = &mover->nodes[below(mover, mover->node_count)]->life->loops[0];
	copy->info = (struct shard_info){.extent = extent,
		.index = shard,
		.k = row->k,
		.m = row->m,
		.unit_len = row->unit_len,
		.extent_len = row->len,
		.shard_len = stripe_shard_len(&geometry)};
	sim_call(mover->sim, copy->store->loop, start_copy, copy);
	ck_assert(sim_run_until(mover->sim, is_copied, copy, COPY_MS));
	enum err err = copy->err;
	mover->copied += err == ERR_OK && !copy->was_there;
	mover->there += err == ERR_OK && copy->was_there;
	free(copy);
	return err;
}

/* --- commands --------------------------------------------------------------------------------- */

static bool propose(struct sim_mover *mover, const struct command *command)
{
	struct command_result result = {0};
	enum err err = sim_store_propose(mover->nodes[0], command, &result);
	ck_assert_msg(result.code == COMMAND_OK || result.code == COMMAND_STALE ||
			result.code == COMMAND_EARLY || result.code == COMMAND_LIMIT ||
			result.code == COMMAND_NO_BODY,
		"command %u: %s, code %u", command->type, err_name(err), result.code);
	mover->early += result.code == COMMAND_EARLY;
	return err == ERR_OK;
}

static struct bytes list_one(const struct command_ring_move *move, uint8_t *buf, size_t cap)
{
	struct fields_out out = {.data = buf, .cap = cap};
	command_ring_move_append(&out, move);
	return bytes_make(buf, out.len);
}

static bool propose_one(
	struct sim_mover *mover, enum command_type type, const struct command_ring_move *move)
{
	uint8_t buf[64];
	struct command command = {.type = type};
	struct bytes list = list_one(move, buf, sizeof buf);
	if (type == COMMAND_MOVE_BEGIN)
		command.move_begin.moves = list;
	else if (type == COMMAND_MOVE_FLIP)
		command.move_flip.moves = list;
	else if (type == COMMAND_MOVE_CANCEL)
		command.move_cancel.moves = list;
	else
		command.move_emptied.leftovers = list;
	return propose(mover, &command);
}

static bool begin_moves(struct sim_mover *mover)
{
	const struct ring *ring = ring_snapshot_ring(mover->ring);
	const struct ring *target = mover->target ? ring_snapshot_ring(mover->target) : NULL;
	bool is_any = false;
	for (uint32_t slot = 0; target && slot < ring->slot_count; slot++) {
		for (uint8_t shard = 0; shard < ring->width; shard++) {
			if (ring_drive(ring, slot, shard) == ring_drive(target, slot, shard) ||
				ring_snapshot_move(mover->ring, slot, shard))
				continue;
			is_any = true;
			struct command_ring_move move = {.slot = slot, .shard = shard};
			if (below(mover, 4) == 0)
				mover->begun += propose_one(mover, COMMAND_MOVE_BEGIN, &move);
		}
	}
	return is_any;
}

/* --- one move --------------------------------------------------------------------------------- */

struct found {
	struct extent_id extent;
	struct row_extent row;
	uint8_t exceptions[3 * ROW_SHARDS_MAX];
};

/* The next rows of a slot; returns how many. */
static unsigned find_rows(struct sim_mover *mover, uint16_t slot, struct extent_id from,
	struct found *rows, unsigned max)
{
	unsigned count = 0;
	ck_assert_ok(index_view_begin(mover->nodes[0]->reader));
	while (count < max &&
		index_extent_next(mover->nodes[0]->reader, slot, from, &rows[count].extent,
			&rows[count].row) == ERR_OK) {
		struct found *found = &rows[count++];
		from = found->extent;
		from.counter++;
		if (found->row.exceptions.len > 0)
			memcpy(found->exceptions, found->row.exceptions.data,
				found->row.exceptions.len);
		found->row.exceptions.data = found->exceptions;
	}
	index_view_end(mover->nodes[0]->reader);
	return count;
}

static bool has_exception(const struct row_extent *row, uint8_t shard)
{
	for (size_t i = 0; i < row_exception_count(row); i++)
		if (row_exception_at(row, i).shard == shard)
			return true;
	return false;
}

static void bring_home(struct sim_mover *mover, uint16_t slot, const struct found *found, size_t at)
{
	struct row_exception exception = row_exception_at(&found->row, at);
	uint16_t goal = ring_snapshot_goal(mover->ring, slot, exception.shard);
	ck_assert_msg(exception.drive != 0, "a shard is missing, though nothing fails");
	if (exception.drive != goal &&
		copy_shard(mover, slot, found->extent, &found->row, exception.shard,
			exception.drive, goal) != ERR_OK)
		return;
	uint8_t buf[64];
	struct fields_out out = {.data = buf, .cap = sizeof buf};
	struct command_shard_move move = {.slot = slot,
		.extent = found->extent,
		.shard = exception.shard,
		.from = exception.drive,
		.drive = goal};
	command_shard_move_append(&out, &move);
	struct command command = {.type = COMMAND_EXTENT_UPDATE};
	command.extent_update.moves = bytes_make(buf, out.len);
	mover->homed += propose(mover, &command);
}

/* What late puts wrote elsewhere comes to where the ring wants it. */
static void bring_all_home(struct sim_mover *mover, uint16_t slot)
{
	struct extent_id from = {0, 0};
	struct found rows[ROWS];
	unsigned count;
	while ((count = find_rows(mover, slot, from, rows, ROWS)) > 0) {
		for (unsigned i = 0; i < count; i++)
			for (size_t j = 0; j < row_exception_count(&rows[i].row); j++)
				bring_home(mover, slot, &rows[i], j);
		from = rows[count - 1].extent;
		from.counter++;
	}
}

static void advance_move(struct sim_mover *mover, const struct ring_moving *move)
{
	struct found rows[ROWS];
	unsigned max = 1 + below(mover, ROWS);
	struct extent_id from = move->cursor;
	from.counter++;
	unsigned count = find_rows(mover, move->slot, from, rows, max);
	for (unsigned i = 0; i < count; i++)
		if (move->shard < rows[i].row.k + rows[i].row.m &&
			!has_exception(&rows[i].row, move->shard) &&
			copy_shard(mover, move->slot, rows[i].extent, &rows[i].row, move->shard,
				move->from, move->to) != ERR_OK)
			return; /* it may be being dismantled, or the move be unknown there yet */
	if (count < max) { /* who comes behind these was written to the new drive, or is noted */
		struct command end = {.type = COMMAND_MOVE_ADVANCE};
		end.move_advance = (struct command_move_advance){.slot = move->slot,
			.shard = move->shard,
			.since = move->since,
			.cursor = move->cursor,
			.is_end = true};
		if (!propose(mover, &end))
			bring_all_home(mover, move->slot);
		return;
	}
	struct command command = {.type = COMMAND_MOVE_ADVANCE};
	command.move_advance = (struct command_move_advance){.slot = move->slot,
		.shard = move->shard,
		.since = move->since,
		.cursor = move->cursor,
		.up_to = rows[count - 1].extent};
	if (!propose(mover, &command))
		bring_all_home(mover, move->slot);
}

static void work_on(struct sim_mover *mover, const struct ring_moving *move)
{
	struct command_ring_move item = {
		.slot = move->slot, .shard = move->shard, .since = move->since};
	bool may_turn = mover->target &&
		ring_drive(ring_snapshot_ring(mover->target), move->slot, move->shard) ==
			move->from;
	if (may_turn && below(mover, 2) == 0) {
		mover->turned += propose_one(mover, COMMAND_MOVE_CANCEL, &item);
	} else if (!move->is_ended) {
		advance_move(mover, move);
	} else if (propose_one(mover, COMMAND_MOVE_FLIP, &item)) {
		mover->flipped++;
	} else {
		bring_all_home(mover, move->slot);
	}
}

/* --- leftovers -------------------------------------------------------------------------------- */

struct freeing {
	struct site_free op;
	struct site site;
	struct store_loop *store;
	struct shard_entry entry;
	bool is_done;
};

static void shard_freed(struct site_free *op, enum err err)
{
	ck_assert_ok(err);
	CONTAINER_OF(op, struct freeing, op)->is_done = true;
}

static void start_free(void *arg)
{
	struct freeing *freeing = arg;
	freeing->op.loop = freeing->store->loop;
	freeing->op.done = shard_freed;
	site_free_start(&freeing->op, &freeing->site, freeing->entry.extent, freeing->entry.index);
}

static bool is_freed(void *arg)
{
	return ((struct freeing *)arg)->is_done;
}

static void report(void *arg)
{
	err_ignore(index_report(arg)); /* or it is on its way */
}

/* May the drive forget the shard? ERR_BUSY: it is not known yet. */
static enum err judge(struct sim_mover *mover, const struct index_leftover *left,
	struct extent_id extent, bool *ret_is_free)
{
	struct index_reader *reader = mover->nodes[0]->reader;
	struct row_extent row;
	bool is_settled;
	ck_assert_ok(index_view_begin(reader));
	ck_assert_ok(index_extent_is_settled(reader, extent, &is_settled));
	enum err err = index_extent_get(reader, left->slot, extent, &row);
	*ret_is_free = err == ERR_NOT_FOUND ||
		!index_shard_belongs(mover->ring, left->slot, &row, left->shard, left->drive);
	index_view_end(reader);
	return err == ERR_NOT_FOUND && !is_settled ? ERR_BUSY : ERR_OK;
}

static void free_one(struct sim_mover *mover, struct sim_store *node, struct drive *drive,
	uint16_t number, const struct shard_entry *entry)
{
	struct freeing freeing = {.store = &node->life->loops[0],
		.site = {.number = number, .drive = drive},
		.entry = *entry};
	sim_call(mover->sim, node->loops[0], start_free, &freeing);
	ck_assert(sim_run_until(mover->sim, is_freed, &freeing, COPY_MS));
	mover->freed++;
}

/* Frees what the leftover names of a part of the drive's list. False: it is too early for one. */
static bool empty_part(struct sim_mover *mover, const struct index_leftover *left,
	struct sim_store *node, struct drive *drive, const struct shard_entry *entries,
	size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool is_free;
		if (entries[i].index != left->shard ||
			ring_slot(ring_snapshot_ring(mover->ring), entries[i].extent) != left->slot)
			continue;
		if (judge(mover, left, entries[i].extent, &is_free) != ERR_OK)
			return false;
		if (is_free)
			free_one(mover, node, drive, left->drive, &entries[i]);
	}
	return true;
}

static bool empty_drive(struct sim_mover *mover, const struct index_leftover *left,
	struct sim_store *node, struct drive *drive)
{
	struct extent_id from = {0, 0};
	struct shard_entry entries[LIST];
	size_t count;
	uint8_t index = 0;
	for (;;) {
		ck_assert_ok(drive_list(drive, from, index, entries, LIST, &count));
		if (count == 0)
			return true;
		if (!empty_part(mover, left, node, drive, entries, count))
			return false;
		from = entries[count - 1].extent;
		index = entries[count - 1].index + 1;
	}
}

static void empty(struct sim_mover *mover, const struct index_leftover *left)
{
	for (unsigned i = 0; i < mover->node_count; i++) {
		struct sim_store *node = mover->nodes[i];
		struct drive *drive = store_drive(&node->life->store, left->drive);
		if (drive && !empty_drive(mover, left, node, drive))
			return;
	}
	struct command_ring_move item = {.slot = left->slot,
		.shard = left->shard,
		.drive = left->drive,
		.since = left->row.since};
	mover->emptied += propose_one(mover, COMMAND_MOVE_EMPTIED, &item);
}

/* Empties the first leftover behind a place of chance. */
static bool empty_one(struct sim_mover *mover)
{
	struct index_reader *reader = mover->nodes[0]->reader;
	struct index_leftover left;
	uint64_t read_low;
	ck_assert_ok(index_view_begin(reader));
	enum err err = index_leftover_next(reader, below(mover, SIM_STORE_SLOTS), 0, 0, &left);
	if (err == ERR_NOT_FOUND)
		err = index_leftover_next(reader, 0, 0, 0, &left);
	ck_assert_ok(index_read_low(reader, &read_low));
	index_view_end(reader);
	if (err == ERR_NOT_FOUND)
		return false;
	ck_assert_ok(err);
	if (left.row.since < read_low) {
		empty(mover, &left);
		return true;
	}
	for (unsigned i = 0; i < mover->node_count; i++)
		sim_call(mover->sim, mover->nodes[i]->loops[0], report, mover->nodes[i]->index);
	return true;
}

/* --- a step ----------------------------------------------------------------------------------- */

static void look(struct sim_mover *mover)
{
	struct index_reader *reader = mover->nodes[0]->reader;
	ck_assert_ok(index_view_begin(reader));
	ck_assert_ok(index_ring_view(reader, &mover->ring));
	enum err err = index_ring_target(reader, &mover->target);
	if (err != ERR_OK) {
		ck_assert_err(err, ERR_NOT_FOUND);
		mover->target = NULL;
	}
	index_view_end(reader);
}

bool sim_mover_step(struct sim_mover *mover)
{
	size_t count;
	look(mover);
	const struct ring_moving *moves = ring_snapshot_moves(mover->ring, &count);
	bool is_any = count > 0;
	if (count > 0)
		work_on(mover, &moves[below(mover, count)]);
	if (below(mover, 4) == 0 || count == 0)
		is_any |= begin_moves(mover) | empty_one(mover);
	ring_snapshot_unref(mover->ring);
	ring_snapshot_unref(mover->target);
	return is_any;
}
