/* SPDX-License-Identifier: Apache-2.0 */
/* Random ring changes under extents, against drives that are a table in memory: where the index
 * says that a shard is, it is. All rows are counted anew after every few commands, a replay of the
 * log gives the same rows, and in the end everything is where the last ring wants it.
 * INDEX_MOVES_SEEDS says how many seeds are run. */
#include "storage/meta/index_ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "storage/ring/ring_order.h"
#include "storage/ring/ring_plan.h"
#include "tests/lib/index_audit.h"
#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

enum { SEEDS = 6 };
enum { DRIVES = 7, SLOTS = 4, WIDTH = 3, EXTENTS = 120, STEPS = 700 };

struct thing {
	struct extent_id id;
	uint16_t slot;
	bool is_there;
	bool on[DRIVES + 1][WIDTH];
};

static struct {
	uint64_t seed;
	struct thing things[EXTENTS];
	unsigned count;
	uint16_t gone;
	struct ring_snapshot *stale; /* what a writer knows */
	uint8_t old_slots[2 * SLOTS * WIDTH]; /* for a way back */
	unsigned moves, flips, cancels, repairs, emptied;
} m;

static uint64_t below(uint64_t n)
{
	return test_random(&m.seed) % n;
}

static bool is_on(const struct thing *thing, uint16_t drive, uint8_t shard)
{
	return drive != 0 && drive != m.gone && thing->on[drive][shard];
}

/* --- commands --------------------------------------------------------------------------------- */

static void add_drive(unsigned number)
{
	struct command add = {.type = COMMAND_DRIVE_ADD};
	add.drive_add.drive.bytes[0] = number;
	add.drive_add.node.bytes[0] = number;
	add.drive_add.weight = 1000;
	ck_assert_uint_eq(rig_propose(&rig, &add).id, number);
}

static enum command_code propose_ring(enum command_type type, const struct ring *ring)
{
	static uint8_t bytes[2 * SLOTS * WIDTH + 100];
	struct command command = {.type = type};
	command.ring_set.ring.data = bytes;
	ck_assert_ok(ring_encode(ring, bytes, sizeof bytes, &command.ring_set.ring.len));
	return rig_code(&rig, &command);
}

static size_t list_drives(struct ring_drive_info *drives)
{
	size_t count = 0;
	for (uint16_t i = 1; i <= DRIVES; i++) {
		if (i == m.gone)
			continue;
		drives[count] = (struct ring_drive_info){.number = i, .weight = 1000};
		drives[count++].node.bytes[0] = i;
	}
	return count;
}

static void do_put(void)
{
	char name[16];
	uint8_t drives[2 * WIDTH];
	static uint8_t list[200];
	struct fields_out out = {.data = list, .cap = sizeof list};
	if (m.count == EXTENTS)
		return;
	struct thing *thing = &m.things[m.count];
	const struct ring *ring = ring_snapshot_ring(m.stale);
	*thing = (struct thing){.id = {index_session(rig.index), next_counter++}};
	thing->slot = ring_slot(ring, thing->id);
	unsigned failed = below(4 * WIDTH);
	for (uint8_t i = 0; i < WIDTH; i++) {
		uint16_t drive = i == failed ? 0 : ring_snapshot_goal(m.stale, thing->slot, i);
		put_le16(drives + 2 * i, drive);
		thing->on[drive][i] = drive != 0;
	}
	struct command_extent extent = {.extent = thing->id,
		.k = 1,
		.m = 2,
		.unit_len = 65536,
		.len = 4096,
		.drives = bytes_make(drives, sizeof drives)};
	command_extent_append(&out, &extent);
	snprintf(name, sizeof name, "key %u", m.count);
	struct command command = put_command(name, "", 1);
	command.object_put.body = (struct command_body){.len = 4096,
		.stored_len = 4096,
		.etag = etag_of(1),
		.extents = bytes_make(list, out.len)};
	enum command_code code = rig_code(&rig, &command);
	if (code == COMMAND_LOST || code == COMMAND_REFUSED)
		return; /* it named what is gone, or too little */
	ck_assert_uint_eq(code, COMMAND_OK);
	thing->is_there = true;
	m.count++;
}

static void do_delete(void)
{
	char name[16];
	unsigned at = below(m.count + 1);
	if (at == m.count || !m.things[at].is_there)
		return;
	snprintf(name, sizeof name, "key %u", at);
	delete_key(name);
	if (below(2) == 0) { /* else it waits as garbage, and is moved as the others are */
		rig_collect(&rig);
		ck_assert_ok(index_view_begin(rig.reader));
		for (unsigned i = 0; i < m.count; i++) {
			struct row_extent row;
			m.things[i].is_there = index_extent_get(rig.reader, m.things[i].slot,
						       m.things[i].id, &row) == ERR_OK;
		}
		index_view_end(rig.reader);
	}
}

static struct ring_snapshot *target(void)
{
	struct ring_snapshot *snapshot;
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_ring_target(rig.reader, &snapshot);
	index_view_end(rig.reader);
	ck_assert(err == ERR_OK || err == ERR_NOT_FOUND);
	return err == ERR_OK ? snapshot : NULL;
}

/* A target of some of the drives, or the way back. */
static void do_target(bool may_go_back)
{
	struct ring_drive_info drives[DRIVES];
	static uint8_t slots[2 * SLOTS * WIDTH];
	size_t count = list_drives(drives);
	struct ring_snapshot *now = index_ring(rig.index), *old = target();
	static uint8_t arrived[2 * SLOTS * WIDTH];
	struct ring ring, next;
	ring_snapshot_arrived(now, arrived, &ring);
	drives[below(count)].weight = 0;
	drives[below(count)].weight = 300;
	struct ring_plan_request request = {.old = &ring,
		.drives = drives,
		.drive_count = count,
		.profile = {1, 2},
		.domain = RING_DOMAIN_NODE,
		.slot_count = SLOTS};
	ck_assert_ok(ring_plan(&request, slots, &next));
	if (may_go_back && below(2) == 0)
		memcpy(slots, m.old_slots, sizeof slots);
	else
		memcpy(m.old_slots, ring.slots, sizeof slots);
	ring_order_untangle(&ring, &next, slots, drives, count);
	next.version = (old ? ring_snapshot_ring(old)->version : ring.version) + 1;
	enum command_code code = propose_ring(COMMAND_RING_TARGET, &next);
	ck_assert(code == COMMAND_OK ||
		(may_go_back && (code == COMMAND_STALE || code == COMMAND_REFUSED)));
	ring_snapshot_unref(now);
	ring_snapshot_unref(old);
}

static struct command_result propose_move(enum command_type type, struct command_ring_move item)
{
	static uint8_t list[64];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command command = {.type = type};
	command_ring_move_append(&out, &item);
	command.move_begin.moves = bytes_make(list, out.len);
	return rig_propose(&rig, &command);
}

static void do_begin(void)
{
	struct command_ring_move item = {.slot = below(SLOTS), .shard = below(WIDTH)};
	m.moves += propose_move(COMMAND_MOVE_BEGIN, item).code == COMMAND_OK;
}

static bool find_move(struct index_move *move)
{
	uint16_t slot = below(SLOTS);
	uint8_t shard = below(WIDTH);
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_move_next(rig.reader, slot, shard, move);
	index_view_end(rig.reader);
	return err == ERR_OK;
}

/* Copies some, and says so. */
static void do_advance(void)
{
	struct index_move move;
	if (!find_move(&move) || move.row.is_ended || move.row.to == m.gone)
		return;
	struct command command = {.type = COMMAND_MOVE_ADVANCE};
	struct command_move_advance *advance = &command.move_advance;
	*advance = (struct command_move_advance){.slot = move.slot,
		.shard = move.shard,
		.since = move.row.since - (below(20) == 0),
		.cursor = move.row.cursor,
		.up_to = move.row.cursor,
		.is_end = true};
	size_t count = 1 + below(8);
	struct extent_id at = {move.row.cursor.session, move.row.cursor.counter + 1};
	struct row_extent row;
	ck_assert_ok(index_view_begin(rig.reader));
	while (index_extent_next(rig.reader, move.slot, at, &at, &row) == ERR_OK) {
		advance->is_end = false;
		if (count-- == 0)
			break;
		advance->up_to = at;
		advance->is_end = true;
		for (unsigned i = 0; i < m.count && move.row.to != 0; i++)
			if (extent_id_is_equal(m.things[i].id, at))
				m.things[i].on[move.row.to][move.shard] = true;
		at.counter++;
	}
	index_view_end(rig.reader);
	enum command_code code = rig_code(&rig, &command);
	if (advance->since != move.row.since)
		ck_assert_uint_eq(code, COMMAND_STALE);
	else
		ck_assert(code == COMMAND_OK || code == COMMAND_EARLY);
}

static void do_end(enum command_type type)
{
	struct index_move move;
	if (!find_move(&move))
		return;
	struct command_ring_move item = {
		.slot = move.slot, .shard = move.shard, .since = move.row.since};
	enum command_code code = propose_move(type, item).code;
	if (code == COMMAND_OK && type == COMMAND_MOVE_FLIP) {
		ck_assert(move.row.is_ended && move.row.left == 0);
		m.flips++;
	}
	m.cancels += code == COMMAND_OK && type == COMMAND_MOVE_CANCEL;
}

/* Brings the shards of an extent home. */
static void do_repair(void)
{
	const struct thing *from = &m.things[below(EXTENTS)];
	struct index_place place = {.slot = from->slot, .extent = from->id};
	struct row_extent row;
	static uint8_t list[400];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command command = {.type = COMMAND_EXTENT_UPDATE};
	struct ring_snapshot *ring = index_ring(rig.index);
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_exception_next(rig.reader, &place, 1000, &row);
	for (size_t i = 0; err == ERR_OK && i < row_exception_count(&row); i++) {
		struct row_exception exception = row_exception_at(&row, i);
		struct command_shard_move move = {.slot = place.slot,
			.extent = place.extent,
			.shard = exception.shard,
			.from = exception.drive,
			.drive = ring_snapshot_goal(ring, place.slot, exception.shard)};
		for (unsigned j = 0; j < m.count && move.drive != 0; j++)
			if (extent_id_is_equal(m.things[j].id, place.extent))
				m.things[j].on[move.drive][move.shard] = true;
		if (move.drive != 0)
			command_shard_move_append(&out, &move);
	}
	index_view_end(rig.reader);
	ring_snapshot_unref(ring);
	command.extent_update.moves = bytes_make(list, out.len);
	if (out.len > 0)
		m.repairs += rig_code(&rig, &command) == COMMAND_OK;
}

/* Frees what a drive need not have. */
static void do_empty(void)
{
	struct index_leftover leftover;
	struct ring_snapshot *ring = index_ring(rig.index);
	ck_assert_ok(index_report(rig.index));
	rig_run(&rig);
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_leftover_next(rig.reader, below(SLOTS), 0, 0, &leftover);
	for (unsigned i = 0; i < m.count && err == ERR_OK; i++) {
		struct thing *thing = &m.things[i];
		struct row_extent row;
		if (thing->slot == leftover.slot && thing->is_there &&
			index_extent_get(rig.reader, thing->slot, thing->id, &row) == ERR_OK &&
			!index_shard_belongs(
				ring, thing->slot, &row, leftover.shard, leftover.drive))
			thing->on[leftover.drive][leftover.shard] = false;
	}
	index_view_end(rig.reader);
	ring_snapshot_unref(ring);
	if (err != ERR_OK)
		return;
	struct command_ring_move item = {.slot = leftover.slot,
		.shard = leftover.shard,
		.drive = leftover.drive,
		.since = leftover.row.since};
	enum command_code code = propose_move(COMMAND_MOVE_EMPTIED, item).code;
	ck_assert_uint_eq(code, COMMAND_OK);
	m.emptied++;
}

static enum command_code set_state(uint16_t drive, enum row_drive_state state)
{
	struct command command = {.type = COMMAND_DRIVE_UPDATE};
	command.drive_update.number = drive;
	command.drive_update.set = DRIVE_SET_STATE;
	command.drive_update.state = state;
	return rig_code(&rig, &command);
}

static void do_lose(void)
{
	if (m.gone != 0)
		return;
	m.gone = 1 + below(DRIVES);
	ck_assert_uint_eq(set_state(m.gone, DRIVE_ROW_GONE), COMMAND_OK);
	ck_assert_uint_eq(set_state(m.gone, DRIVE_ROW_IN), COMMAND_REFUSED);
	struct command command = {.type = COMMAND_SPAN_BEGIN};
	command.span_begin.drive = m.gone;
	ck_assert_uint_eq(rig_propose(&rig, &command).count, 0);
	do_target(false);
}

/* --- what must hold --------------------------------------------------------------------------- */

static void check_shard(const struct ring_snapshot *ring, const struct thing *thing,
	const struct row_extent *row, uint8_t shard)
{
	struct ring_places places;
	const struct ring_moving *move = ring_snapshot_move(ring, thing->slot, shard);
	index_shard_places(ring, thing->slot, thing->id, row, shard, &places);
	bool is_found = places.count == 0;
	for (uint8_t i = 0; i < places.count; i++)
		is_found |= is_on(thing, places.drives[i], shard);
	/* What the gone drive of a move took along is perhaps on the new one. */
	bool is_lost = move && move->from == m.gone && !ring_moving_has_passed(move, thing->id);
	is_lost |= move && move->to == m.gone;
	ck_assert_msg(is_found || (is_lost && row->exceptions.len < 3 * WIDTH),
		"seed %lu: shard %u of extent %lu is not where it must be", (unsigned long)m.seed,
		shard, (unsigned long)thing->id.counter);
}

static void check_places(void)
{
	struct ring_snapshot *ring = index_ring(rig.index);
	ck_assert_ok(index_view_begin(rig.reader));
	for (unsigned i = 0; i < m.count; i++) {
		struct row_extent row;
		if (!m.things[i].is_there)
			continue;
		ck_assert_ok(index_extent_get(rig.reader, m.things[i].slot, m.things[i].id, &row));
		for (uint8_t shard = 0; shard < WIDTH; shard++)
			check_shard(ring, &m.things[i], &row, shard);
	}
	index_view_end(rig.reader);
	ring_snapshot_unref(ring);
}

/* The log gives the same rows again. */
static void check_replay(void)
{
	struct index_state_hash before, after;
	index_state_hash(rig.index, &before);
	rig_reopen(&rig, true);
	next_counter = 1;
	index_state_hash(rig.index, &after);
	for (int table = TABLE_EXTENT; table < 256; table++)
		if (table < TABLE_SESSION || table > TABLE_GARBAGE)
			ck_assert_msg(before.tables[table] == after.tables[table],
				"table %02x after a replay", table);
}

static void check_sums(uint64_t extents)
{
	struct index_slot_sums sums;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_slot_sums(rig.reader, 3, &sums));
	index_view_end(rig.reader);
	ck_assert_uint_eq(sums.extents, extents);
	ck_assert_uint_eq(sums.under_extents, extents);
	ck_assert_uint_eq(sums.under_len, extents * 4096);
	ck_assert_uint_eq(sums.exceptions + sums.missing + sums.lost, 0);
}

static void finish(void)
{
	struct ring_snapshot *wanted = target();
	for (unsigned round = 0; wanted && round < 20000; round++) {
		do_begin();
		do_advance();
		do_end(COMMAND_MOVE_FLIP);
		do_end(COMMAND_MOVE_CANCEL);
		do_repair();
		do_empty();
		ring_snapshot_unref(wanted);
		wanted = target();
	}
	ck_assert_msg(!wanted, "the target is never reached");
	for (unsigned round = 0; round < 400; round++) {
		do_repair();
		do_empty();
	}
	struct ring_snapshot *ring = index_ring(rig.index);
	uint64_t there = 0;
	for (unsigned i = 0; i < m.count; i++) {
		there += m.things[i].is_there;
		for (uint8_t shard = 0; shard < WIDTH && m.things[i].is_there; shard++)
			ck_assert(is_on(&m.things[i],
				ring_drive(ring_snapshot_ring(ring), m.things[i].slot, shard),
				shard));
	}
	ring_snapshot_unref(ring);
	ck_assert(!has_rows(TABLE_MOVE) && !has_rows(TABLE_SPAN) && !has_rows(TABLE_LEFTOVER) &&
		!has_rows(TABLE_DRIVE_COUNTS));
	check_sums(there);
	if (m.gone != 0)
		ck_assert_uint_eq(set_state(m.gone, DRIVE_ROW_REMOVED), COMMAND_OK);
}

static void do_something(void)
{
	uint64_t which = below(100);
	if (which < 20)
		do_put();
	else if (which < 24)
		do_delete();
	else if (which < 28)
		do_target(true);
	else if (which < 48)
		do_begin();
	else if (which < 68)
		do_advance();
	else if (which < 76)
		do_end(COMMAND_MOVE_FLIP);
	else if (which < 79)
		do_end(COMMAND_MOVE_CANCEL);
	else if (which < 86)
		do_repair();
	else if (which < 92)
		do_empty();
	else if (which == 92 && below(8) == 0)
		do_lose();
	else if (which < 96) {
		ring_snapshot_unref(m.stale);
		m.stale = index_ring(rig.index);
	}
}

static void setup(void)
{
	static uint8_t slots[2 * SLOTS * WIDTH];
	struct ring_drive_info drives[DRIVES];
	struct ring ring;
	rig_open(&rig);
	for (unsigned i = 1; i <= DRIVES; i++)
		add_drive(i);
	ck_assert_ok(ring_plan_initial(drives, list_drives(drives), (struct ring_profile){1, 2},
		RING_DOMAIN_NODE, SLOTS, slots, &ring));
	ck_assert_uint_eq(propose_ring(COMMAND_RING_SET, &ring), COMMAND_OK);
	memcpy(m.old_slots, slots, sizeof slots);
	struct command command = create_command("bucket", "owner");
	bucket = rig_propose(&rig, &command).id;
	next_counter = 1;
	m.stale = index_ring(rig.index);
}

static void run_seed(uint64_t seed)
{
	memset(&m, 0, sizeof m);
	m.seed = seed;
	setup();
	for (unsigned i = 0; i < STEPS; i++) {
		do_something();
		check_places();
		if (i % 64 == 0)
			index_audit(rig.index, rig.reader);
	}
	check_replay();
	index_audit(rig.index, rig.reader);
	finish();
	index_audit(rig.index, rig.reader);
	ring_snapshot_unref(m.stale);
	rig_close(&rig);
}

START_TEST(a_shard_is_where_the_index_says_while_the_ring_changes)
{
	const char *text = getenv("INDEX_MOVES_SEEDS");
	uint64_t count = text ? strtoull(text, NULL, 10) : SEEDS;
	unsigned moves = 0, flips = 0, cancels = 0, repairs = 0, emptied = 0;
	for (uint64_t seed = 1; seed <= count; seed++) {
		run_seed(seed * 1000003);
		moves += m.moves;
		flips += m.flips;
		cancels += m.cancels;
		repairs += m.repairs;
		emptied += m.emptied;
	}
	printf("%u moves, %u flips, %u turned, %u repairs, %u emptied\n", moves, flips, cancels,
		repairs, emptied);
	ck_assert(moves > 0 && flips > 0 && cancels > 0 && repairs > 0 && emptied > 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_moves");
	TCase *tc = tcase_create("index_moves");
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, a_shard_is_where_the_index_says_while_the_ring_changes);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
