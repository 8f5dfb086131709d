/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of drives and moves that random changes do not meet, or not by name. */
#include "storage/meta/index_ledger.h"

#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

/* The ring, with one place of the slot of the first extent changed. */
static enum command_code set_target(uint16_t slot, uint8_t shard, uint16_t drive, uint64_t version)
{
	static uint8_t slots[RING_SLOTS_DEFAULT * 3 * 2];
	static uint8_t bytes[sizeof slots + 100];
	struct ring_snapshot *snapshot = index_ring(rig.index);
	struct ring ring = *ring_snapshot_ring(snapshot);
	memcpy(slots, ring.slots, sizeof slots);
	ring_snapshot_unref(snapshot);
	put_le16(slots + 2 * (3 * slot + shard), drive);
	ring.slots = slots;
	ring.version = version;
	struct command command = {.type = COMMAND_RING_TARGET};
	command.ring_target.ring.data = bytes;
	ck_assert_ok(ring_encode(&ring, bytes, sizeof bytes, &command.ring_target.ring.len));
	return rig_code(&rig, &command);
}

static enum command_code move(enum command_type type, struct command_ring_move item)
{
	static uint8_t list[64];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command command = {.type = type};
	command_ring_move_append(&out, &item);
	command.move_begin.moves = bytes_make(list, out.len);
	return rig_code(&rig, &command);
}

static void add_drive(uint8_t number)
{
	struct command add = {.type = COMMAND_DRIVE_ADD};
	add.drive_add.drive.bytes[0] = number;
	add.drive_add.node.bytes[0] = number;
	add.drive_add.weight = 1000;
	ck_assert_uint_eq(rig_propose(&rig, &add).id, number);
}

static struct index_piece first_piece(void)
{
	struct object_info object;
	struct index_piece piece;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of("a"), &object));
	ck_assert_ok(index_piece_find(rig.reader, object.row.body, 0, &piece));
	index_view_end(rig.reader);
	return piece;
}

static uint16_t owner_of(uint16_t slot, uint8_t shard)
{
	struct ring_snapshot *ring = index_ring(rig.index);
	uint16_t drive = ring_drive(ring_snapshot_ring(ring), slot, shard);
	ring_snapshot_unref(ring);
	return drive;
}

static uint64_t ring_version(void)
{
	struct ring_snapshot *ring = index_ring(rig.index);
	uint64_t version = ring_snapshot_ring(ring)->version;
	ring_snapshot_unref(ring);
	return version;
}

/* Until nothing of the extent is an exception: in the rig's put every shard is where it is named.
 */
static void bring_home(const struct index_piece *piece)
{
	static uint8_t list[200];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command command = {.type = COMMAND_EXTENT_UPDATE};
	for (size_t i = 0; i < row_exception_count(&piece->row); i++) {
		struct row_exception exception = row_exception_at(&piece->row, i);
		struct command_shard_move item = {.slot = piece->slot,
			.extent = piece->extent,
			.shard = exception.shard,
			.from = exception.drive,
			.drive = owner_of(piece->slot, exception.shard)};
		command_shard_move_append(&out, &item);
	}
	command.extent_update.moves = bytes_make(list, out.len);
	if (out.len > 0)
		ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}

START_TEST(a_move_flips_when_all_is_moved)
{
	add_drive(4);
	put_extents("a", 1, 1);
	struct index_piece piece = first_piece();
	bring_home(&piece);
	struct command_ring_move item = {.slot = piece.slot};
	uint16_t from = owner_of(piece.slot, 0);
	ck_assert_uint_eq(move(COMMAND_MOVE_BEGIN, item), COMMAND_STALE); /* no target */
	ck_assert_uint_eq(set_target(piece.slot, 0, 4, 3), COMMAND_STALE);
	ck_assert_uint_eq(set_target(piece.slot, 0, 4, 2), COMMAND_OK);
	ck_assert_uint_eq(move(COMMAND_MOVE_BEGIN, item), COMMAND_OK);
	ck_assert_uint_eq(move(COMMAND_MOVE_BEGIN, item), COMMAND_STALE);
	struct index_move begun;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_move_next(rig.reader, 0, 0, &begun));
	index_view_end(rig.reader);
	ck_assert(begun.row.from == from && begun.row.to == 4 && begun.row.left == 1);
	item.since = begun.row.since;
	ck_assert_uint_eq(move(COMMAND_MOVE_FLIP, item), COMMAND_EARLY);
	ck_assert_uint_eq(move(COMMAND_MOVE_CANCEL, item), COMMAND_REFUSED);
	struct command command = {.type = COMMAND_MOVE_ADVANCE};
	command.move_advance.slot = piece.slot;
	command.move_advance.since = item.since + 1;
	command.move_advance.is_end = true;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_STALE);
	command.move_advance.since = item.since;
	struct command_result result = rig_propose(&rig, &command);
	ck_assert(result.code == COMMAND_OK && result.count == 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_STALE);
	ck_assert_uint_eq(ring_version(), 1);
	ck_assert_uint_eq(move(COMMAND_MOVE_FLIP, item), COMMAND_OK);
	ck_assert_uint_eq(ring_version(), 2);
	ck_assert_uint_eq(owner_of(piece.slot, 0), 4);
	ck_assert(has_rows(TABLE_LEFTOVER) && !has_rows(TABLE_MOVE));
	/* The way back waits until the old drive was emptied. */
	ck_assert_uint_eq(set_target(piece.slot, 0, from, 3), COMMAND_OK);
	item.since = 0;
	ck_assert_uint_eq(move(COMMAND_MOVE_BEGIN, item), COMMAND_EARLY);
	rig_reopen(&rig, true);
	next_counter = 1;
	ck_assert_uint_eq(move(COMMAND_MOVE_BEGIN, item), COMMAND_EARLY);
}
END_TEST

START_TEST(an_empty_slot_changes_at_once)
{
	add_drive(4);
	struct command_ring_move item = {.slot = 5, .shard = 1};
	ck_assert_uint_eq(set_target(5, 1, 4, 2), COMMAND_OK);
	ck_assert_uint_eq(move(COMMAND_MOVE_BEGIN, item), COMMAND_OK);
	ck_assert_uint_eq(owner_of(5, 1), 4);
	ck_assert_uint_eq(ring_version(), 2);
}
END_TEST

START_TEST(moves_in_a_circle_are_not_taken)
{
	static uint8_t slots[RING_SLOTS_DEFAULT * 3 * 2];
	static uint8_t bytes[sizeof slots + 100];
	struct ring_snapshot *snapshot = index_ring(rig.index);
	struct ring ring = *ring_snapshot_ring(snapshot);
	memcpy(slots, ring.slots, sizeof slots);
	ring_snapshot_unref(snapshot);
	put_le16(slots, owner_of(0, 1));
	put_le16(slots + 2, owner_of(0, 0));
	ring.slots = slots;
	ring.version = 2;
	struct command command = {.type = COMMAND_RING_TARGET};
	command.ring_target.ring.data = bytes;
	ck_assert_ok(ring_encode(&ring, bytes, sizeof bytes, &command.ring_target.ring.len));
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_STALE);
}
END_TEST

static enum command_code update_drive(uint16_t number, uint32_t set, uint8_t state, uint64_t mount)
{
	struct command command = {.type = COMMAND_DRIVE_UPDATE};
	command.drive_update.number = number;
	command.drive_update.set = set;
	command.drive_update.state = state;
	command.drive_update.mount = mount;
	command.drive_update.node.bytes[0] = 9;
	return rig_code(&rig, &command);
}

START_TEST(a_claim_that_was_superseded_fences)
{
	struct id old = {{1}}, new = {{9}};
	ck_assert_uint_eq(update_drive(1, DRIVE_SET_MOUNT, 0, 1), COMMAND_OK);
	ck_assert_uint_eq(update_drive(1, DRIVE_SET_MOUNT, 0, 1), COMMAND_STALE);
	ck_assert_uint_eq(update_drive(1, DRIVE_SET_MOUNT, 0, 2), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_err(index_drive_claim(rig.reader, 1, old, 0), ERR_FENCED);
	ck_assert_err(index_drive_claim(rig.reader, 1, new, 1), ERR_FENCED);
	ck_assert_ok(index_drive_claim(rig.reader, 1, new, 2));
	index_view_end(rig.reader);
	ck_assert_uint_eq(update_drive(1, DRIVE_SET_STATE, DRIVE_ROW_GONE, 0), COMMAND_OK);
	ck_assert_uint_eq(update_drive(1, DRIVE_SET_MOUNT, 0, 3), COMMAND_LOCKED);
	ck_assert_uint_eq(update_drive(1, DRIVE_SET_STATE, DRIVE_ROW_IN, 0), COMMAND_REFUSED);
	ck_assert_uint_eq(
		update_drive(1, DRIVE_SET_STATE, DRIVE_ROW_REMOVED, 0), COMMAND_NOT_EMPTY);
}
END_TEST

START_TEST(a_put_that_names_a_gone_drive_is_written_again)
{
	ck_assert_uint_eq(update_drive(2, DRIVE_SET_STATE, DRIVE_ROW_GONE, 0), COMMAND_OK);
	struct command command = put_extents_command("a", 1, 1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_LOST);
	struct command begin = {.type = COMMAND_SPAN_BEGIN};
	begin.span_begin.drive = 2;
	struct command_result result = rig_propose(&rig, &begin);
	unsigned steps = 1;
	for (; result.count > 0; steps++) {
		begin.span_begin.slot = result.count;
		result = rig_propose(&rig, &begin);
	}
	ck_assert_uint_ge(steps, 2); /* some at a time */
	struct index_span span;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_span_next(rig.reader, 0, 0, &span));
	index_view_end(rig.reader);
	ck_assert(span.drive == 2 && span.left == 0);
	ck_assert_uint_eq(owner_of(span.slot, span.row.shard), 2);
}
END_TEST

START_TEST(the_epoch_only_rises)
{
	uint8_t value[8] = {5};
	struct command command = {.type = COMMAND_SETTING_PUT};
	command.setting_put.name = bytes_of(COMMAND_SETTING_EPOCH);
	command.setting_put.value = bytes_make(value, sizeof value);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_STALE);
	value[0] = 6;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	command.setting_put.value = bytes_make(NULL, 0);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
	uint64_t epoch;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_cluster_epoch(rig.reader, &epoch));
	index_view_end(rig.reader);
	ck_assert_uint_eq(epoch, 6);
}
END_TEST

START_TEST(what_all_members_know_may_be_proposed)
{
	struct command command = {.type = COMMAND_NODE_PUT};
	uint16_t version;
	command.node_put.id.bytes[0] = 1;
	command.node_put.set = NODE_SET_ABOUT;
	command.node_put.name = bytes_of("a");
	command.node_put.version_min = command.node_put.version_max = 1;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_command_version(rig.reader, &version));
	index_view_end(rig.reader);
	ck_assert_uint_eq(version, COMMAND_VERSION);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_command_version(rig.reader, &version));
	index_view_end(rig.reader);
	ck_assert_uint_eq(version, 1);
	ck_assert_uint_le(command_type_version(COMMAND_OBJECT_PUT), version);
	ck_assert_uint_gt(command_type_version(COMMAND_MOVE_BEGIN), version);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("apply_move");
	TCase *tc = tcase_create("apply_move");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, a_move_flips_when_all_is_moved);
	tcase_add_test(tc, an_empty_slot_changes_at_once);
	tcase_add_test(tc, moves_in_a_circle_are_not_taken);
	tcase_add_test(tc, a_claim_that_was_superseded_fences);
	tcase_add_test(tc, a_put_that_names_a_gone_drive_is_written_again);
	tcase_add_test(tc, the_epoch_only_rises);
	tcase_add_test(tc, what_all_members_know_may_be_proposed);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
