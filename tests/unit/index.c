/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, views, holds, lists and starts. */
#include "storage/meta/index.h"

#include <stdio.h>

#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

/* --- sessions --------------------------------------------------------------------------------- */

static void raw_done(struct proposal *proposal)
{
	ck_assert_err(proposal->err, ERR_OK);
}

/* Sends bytes into the log as they are, past the index's own proposals. */
static struct command_result send_raw(const uint8_t *bytes, size_t len)
{
	struct proposal proposal = {
		.loop = &rig.loop.loop, .command = bytes_make(bytes, len), .done = raw_done};
	struct command_result result;
	consensus_propose(&rig.log.consensus, &proposal);
	rig_run(&rig);
	ck_assert_ok(
		command_result_decode(bytes_make(proposal.result, proposal.result_len), &result));
	return result;
}

static struct command_result send_command(
	const struct command *command, uint64_t session, uint64_t sequence, uint64_t result_low)
{
	static uint8_t bytes[COMMAND_LEN_MAX];
	size_t len;
	ck_assert_ok(command_encode(command, bytes, sizeof bytes, &len));
	command_stamp(bytes, session, sequence, result_low);
	return send_raw(bytes, len);
}

static uint64_t open_session(uint8_t node, uint64_t start)
{
	struct command command = {.type = COMMAND_SESSION_OPEN};
	command.session_open.node.bytes[0] = node;
	command.session_open.start = start;
	struct command_result result = send_command(&command, 0, 0, 0);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result.id;
}

struct waiting {
	struct index_proposal proposal;
	bool is_done;
};

static void waiting_done(struct index_proposal *proposal)
{
	CONTAINER_OF(proposal, struct waiting, proposal)->is_done = true;
}

START_TEST(a_repeated_sequence_has_one_effect_and_one_result)
{
	uint64_t session = open_session(9, 1);
	struct command command = put_command("key", "text", 1);
	set_versioning(BUCKET_ENABLED);
	struct command_result first = send_command(&command, session, 1, 1);
	struct command_result again = send_command(&command, session, 1, 1);
	ck_assert_uint_eq(first.code, COMMAND_OK);
	ck_assert_mem_eq(&first, &again, sizeof first);
	check_counts(1, 1, 4, 0);
	send_command(&command, session, 2, 1);
	check_counts(1, 2, 8, 0);
}
END_TEST

START_TEST(results_are_kept_while_they_may_be_asked_for)
{
	uint64_t session = open_session(9, 1);
	struct command command = put_command("key", "text", 1);
	for (uint64_t sequence = 1; sequence <= 100; sequence++)
		send_command(&command, session, sequence, sequence);
	ck_assert_uint_eq(send_command(&command, session, 1, 1).code, COMMAND_NO_RESULT);
	ck_assert_uint_eq(send_command(&command, session, 99, 99).code, COMMAND_OK);
	ck_assert_uint_eq(send_command(&command, session, 100 + 1024, 100).code, COMMAND_REFUSED);
}
END_TEST

START_TEST(a_closed_session_changes_nothing)
{
	uint64_t old = open_session(9, 1);
	uint64_t new = open_session(9, 2);
	struct command command = put_command("key", "text", 1);
	ck_assert_uint_ne(old, new);
	ck_assert_uint_eq(open_session(9, 2), new); /* the same start asked twice */
	ck_assert_uint_eq(send_command(&command, old, 1, 1).code, COMMAND_NO_SESSION);
	check_counts(0, 0, 0, 0);
	ck_assert_uint_eq(send_command(&command, new, 1, 1).code, COMMAND_OK);
	struct command close = {.type = COMMAND_SESSION_CLOSE};
	close.session_close.session = new;
	ck_assert_uint_eq(send_command(&close, 0, 0, 0).code, COMMAND_OK);
	ck_assert_uint_eq(send_command(&command, new, 1, 1).code, COMMAND_NO_SESSION);
	rig_collect(&rig);
	check_counts(1, 1, 4, 0);
}
END_TEST

START_TEST(an_index_whose_session_was_closed_opens_another)
{
	struct command close = {.type = COMMAND_SESSION_CLOSE};
	uint64_t before = index_session(rig.index);
	close.session_close.session = before;
	send_command(&close, 0, 0, 0);
	struct command command = put_command("key", "text", 1);
	struct command_result result;
	ck_assert_err(rig_try(&rig, &command, &result), ERR_CLOSED);
	ck_assert_uint_ne(index_session(rig.index), before);
	ck_assert_uint_ne(index_session(rig.index), 0);
	put("key", "text", 1);
}
END_TEST

static unsigned done_count;

static void count_done(struct index_proposal *proposal)
{
	ck_assert_err(proposal->err, ERR_OK);
	ck_assert_uint_eq(proposal->result.code, COMMAND_OK);
	done_count++;
}

START_TEST(a_thousand_proposals_at_once_all_have_results)
{
	enum { COUNT = 1500 };
	static struct index_proposal proposals[COUNT];
	static uint8_t bytes[COUNT][300];
	for (int i = 0; i < COUNT; i++) {
		char key[20];
		snprintf(key, sizeof key, "key %d", i);
		struct command command = put_command(key, "1", 1);
		proposals[i] = (struct index_proposal){
			.loop = &rig.loop.loop, .bytes = bytes[i], .done = count_done};
		ck_assert_ok(
			command_encode(&command, bytes[i], sizeof bytes[i], &proposals[i].len));
		index_propose(rig.index, &proposals[i]);
	}
	rig_run(&rig);
	ck_assert_uint_eq(done_count, COUNT);
	check_counts(COUNT, COUNT, COUNT, 0);
}
END_TEST

START_TEST(garbage_in_the_log_is_refused_and_goes_by)
{
	static uint8_t bytes[300];
	uint64_t seed = 5;
	for (int i = 0; i < 500; i++) {
		test_random_fill(&seed, bytes, sizeof bytes);
		bytes[0] = COMMAND_FORMAT;
		do
			bytes[1] = test_random(&seed) % COMMAND_TYPE_COUNT;
		while (strcmp(command_type_name(bytes[1]), "?") == 0);
		command_stamp(bytes, index_session(rig.index), 100000 + i, 0);
		struct command_result result = send_raw(bytes, sizeof bytes);
		ck_assert_uint_eq(result.code, COMMAND_REFUSED);
	}
	ck_assert_uint_eq(send_raw(bytes, 5).code, COMMAND_REFUSED);
	put("key", "text", 1);
}
END_TEST

static void ignore_done(struct proposal *proposal)
{
	(void)proposal;
}

START_TEST(a_command_of_the_future_stops_the_member)
{
	static uint8_t bytes[COMMAND_HEADER_LEN] = {COMMAND_FORMAT, COMMAND_TYPE_COUNT};
	struct proposal proposal = {.loop = &rig.loop.loop,
		.command = bytes_make(bytes, sizeof bytes),
		.done = ignore_done};
	consensus_propose(&rig.log.consensus, &proposal);
	rig_run(&rig);
	ck_assert_err(proposal.err, ERR_UNKNOWN);
	ck_assert_err(rig.failed, ERR_VERSION);
	ck_assert_err(index_view_begin(rig.reader), ERR_UNAVAILABLE);
}
END_TEST

/* --- drives and the ring ---------------------------------------------------------------------- */

START_TEST(a_claim_names_the_next_mount)
{
	struct command command = {.type = COMMAND_DRIVE_UPDATE};
	command.drive_update.number = 1;
	command.drive_update.set = DRIVE_SET_MOUNT;
	command.drive_update.mount = 1;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_STALE);
	command.drive_update.mount = 2;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}
END_TEST

START_TEST(a_drive_has_one_number)
{
	struct command command = {.type = COMMAND_DRIVE_ADD};
	command.drive_add.drive.bytes[0] = 2; /* the second one of the rig */
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_EXISTS);
	ck_assert_uint_eq(result.id, 2);
	command.drive_add.drive.bytes[0] = 77;
	result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	ck_assert_uint_eq(result.id, 4);
}
END_TEST

static enum command_code set_ring(uint64_t version, bool swaps_slot, uint32_t slot)
{
	static uint8_t slots[RING_SLOTS_DEFAULT * 3 * 2];
	static uint8_t bytes[sizeof slots + 100];
	struct ring_snapshot *snapshot = index_ring(rig.index);
	struct ring ring = *ring_snapshot_ring(snapshot);
	ck_assert_uint_eq(ring.slots_len, sizeof slots);
	memcpy(slots, ring.slots, sizeof slots);
	ring_snapshot_unref(snapshot);
	ring.slots = slots;
	ring.version = version;
	if (swaps_slot) {
		uint16_t first = ring_drive(&ring, slot, 0);
		put_le16(slots + 2 * 3 * slot, ring_drive(&ring, slot, 1));
		put_le16(slots + 2 * 3 * slot + 2, first);
	}
	struct command command = {.type = COMMAND_RING_SET};
	command.ring_set.ring.data = bytes;
	ck_assert_ok(ring_encode(&ring, bytes, sizeof bytes, &command.ring_set.ring.len));
	return rig_code(&rig, &command);
}

START_TEST(a_ring_does_not_change_under_extents)
{
	struct object_info object;
	struct index_piece piece;
	ck_assert_uint_eq(set_ring(1, false, 0), COMMAND_STALE);
	ck_assert_uint_eq(set_ring(2, true, 5), COMMAND_OK);
	put_extents("a", 1, 1);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_find(rig.reader, bucket, bytes_of("a"), &object));
	ck_assert_ok(index_piece_find(rig.reader, object.row.body, 0, &piece));
	index_view_end(rig.reader);
	ck_assert_uint_eq(set_ring(3, true, piece.slot), COMMAND_NOT_EMPTY);
	ck_assert_uint_eq(set_ring(3, true, piece.slot ^ 1), COMMAND_OK);
	delete_key("a");
	rig_collect(&rig);
	ck_assert_uint_eq(set_ring(4, true, piece.slot), COMMAND_OK);
}
END_TEST

/* --- holds ------------------------------------------------------------------------------------ */

static struct row_session my_session(void)
{
	struct row_session row;
	uint64_t session;
	ck_assert_ok(index_report(rig.index));
	rig_run(&rig);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_session_next(rig.reader, index_session(rig.index), &session, &row));
	index_view_end(rig.reader);
	return row;
}

START_TEST(a_report_stops_at_the_oldest_hold)
{
	struct index_hold first, second;
	struct index_status status;
	ck_assert_ok(index_view_begin(rig.reader));
	index_hold_read(rig.reader, &first);
	uint64_t low = index_view_index(rig.reader);
	index_view_end(rig.reader);
	put("a", "text", 1);
	ck_assert_ok(index_view_begin(rig.reader));
	index_hold_read(rig.reader, &second);
	index_view_end(rig.reader);
	put("b", "text", 1);
	ck_assert_uint_eq(my_session().read_low, low);
	index_release_read(rig.reader, &first);
	ck_assert_uint_eq(my_session().read_low, second.low);
	index_release_read(rig.reader, &second);
	index_status(rig.index, &status);
	ck_assert_uint_eq(my_session().read_low, status.applied);
}
END_TEST

START_TEST(who_is_not_waited_for_does_not_report)
{
	struct index_status before, after;
	index_status(rig.index, &before);
	put("a", "text", 1);
	for (int i = 0; i < 5; i++) {
		ck_assert_ok(index_report_past(rig.index, before.applied));
		rig_run(&rig);
	}
	index_status(rig.index, &after);
	ck_assert_uint_eq(after.applied, before.applied + 2); /* the put and one report */
	ck_assert_uint_gt(my_session().read_low, before.applied);
}
END_TEST

START_TEST(extents_are_settled_when_their_hold_is_released)
{
	struct index_hold first, second;
	bool is_settled;
	index_hold_write(rig.reader, &first);
	struct extent_id extent = index_extent_id_make(rig.reader);
	index_hold_write(rig.reader, &second);
	struct extent_id later = index_extent_id_make(rig.reader);
	index_release_write(rig.reader, &second);
	my_session();
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_extent_is_settled(rig.reader, extent, &is_settled));
	ck_assert(!is_settled);
	ck_assert_ok(index_extent_is_settled(rig.reader, later, &is_settled));
	ck_assert(!is_settled); /* one low for all: later is not told apart */
	index_view_end(rig.reader);
	index_release_write(rig.reader, &first);
	my_session();
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_extent_is_settled(rig.reader, extent, &is_settled));
	ck_assert(is_settled);
	extent.session = 1 << 20; /* of a session that is gone */
	extent.counter = 1000;
	ck_assert_ok(index_extent_is_settled(rig.reader, extent, &is_settled));
	ck_assert_uint_eq(is_settled, extent.session != index_session(rig.index));
	extent.session = UINT64_MAX; /* not there yet */
	ck_assert_ok(index_extent_is_settled(rig.reader, extent, &is_settled));
	ck_assert(!is_settled);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(nothing_is_reported_that_is_known_already)
{
	struct index_status before, after;
	my_session();
	my_session();
	index_status(rig.index, &before);
	/* Each report is a log entry, which the next one could report: asked for by nobody, it
	 * ends. */
	put("a", "text", 1);
	index_status(rig.index, &before);
	rig_run(&rig);
	index_status(rig.index, &after);
	ck_assert_uint_eq(before.applied, after.applied);
}
END_TEST

/* --- starts ----------------------------------------------------------------------------------- */

START_TEST(a_start_from_any_share_of_the_rows_gives_the_same_state)
{
	struct index_state_hash before, after;
	put("a", "text", 1);
	put_extents("b", 5, 2);
	delete_key("a");
	index_state_hash(rig.index, &before);
	rig_reopen(&rig, false);
	check_hash();
	ck_assert(is_there("b") && !is_there("a"));
	rig_reopen(&rig, true); /* all of the log */
	check_hash();
	ck_assert(is_there("b") && !is_there("a"));
	index_state_hash(rig.index, &after);
	ck_assert_uint_eq(before.tables[TABLE_VERSION], after.tables[TABLE_VERSION]);
	ck_assert_uint_eq(before.tables[TABLE_EXTENT], after.tables[TABLE_EXTENT]);
	ck_assert_uint_eq(before.tables[TABLE_BODY], after.tables[TABLE_BODY]);
	struct ring_snapshot *ring = index_ring(rig.index);
	ck_assert_ptr_nonnull(ring);
	ring_snapshot_unref(ring);
	put("c", "text", 3);
	check_counts(2, 2, (5 << 20) + 4, 0);
}
END_TEST

/* --- linearizable reads ----------------------------------------------------------------------- */

static unsigned barriers_ended;

static void barrier_done(struct index_barrier *barrier, enum err err)
{
	(void)barrier;
	ck_assert_err(err, barriers_ended == 0 ? ERR_OK : ERR_UNAVAILABLE);
	barriers_ended++;
}

START_TEST(a_read_does_not_wait_for_ever_for_what_does_not_come)
{
	struct index_barrier barriers[2];
	rig_close(&rig);
	rig_open_with(&rig, &(struct index_settings){.is_alone = false});
	rig.log.ahead = 1;
	for (unsigned i = 0; i < 2; i++) {
		barriers[i] = (struct index_barrier){.loop = &rig.loop.loop, .done = barrier_done};
		ck_assert_err(index_read_barrier(rig.index, &barriers[i]), ERR_BUSY);
		rig_run(&rig);
		ck_assert_uint_eq(barriers_ended, i);
		struct command command = {.type = COMMAND_TOKEN_PUT};
		command.token_put = (struct command_token_put){
			.token = {{1}}, .secret = bytes_of("sealed"), .life_ms = 1};
		if (i == 0)
			ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	}
	rig_pass(&rig, INDEX_PATIENCE_MS - 1000);
	ck_assert_uint_eq(barriers_ended, 1);
	rig_pass(&rig, 3000);
	ck_assert_uint_eq(barriers_ended, 2);
}
END_TEST

static enum err try_in(uint64_t session)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	struct waiting one = {.proposal = {.loop = &rig.loop.loop, .bytes = rig.bytes}};
	command.bucket_create.name = bytes_of("made-in-it");
	command.bucket_create.owner = bytes_of("root");
	one.proposal.done = waiting_done;
	one.proposal.made_in = session;
	ck_assert_ok(command_encode(&command, rig.bytes, COMMAND_LEN_MAX, &one.proposal.len));
	index_propose(rig.index, &one.proposal);
	rig_run(&rig);
	ck_assert(one.is_done);
	return one.proposal.err;
}

START_TEST(what_was_made_in_a_closed_session_is_not_proposed_in_another)
{
	uint64_t session = index_session(rig.index);
	ck_assert_int_eq(try_in(session + 1), ERR_CLOSED);
	ck_assert_int_eq(try_in(session), ERR_OK);
	ck_assert_int_eq(try_in(0), ERR_OK);
}
END_TEST

START_TEST(a_command_that_not_all_members_know_is_not_proposed)
{
	struct command command = {.type = COMMAND_TOKEN_PUT};
	struct command_result result;
	command.token_put.token.bytes[0] = 1;
	command.token_put.life_ms = 1000;
	command.token_put.secret = bytes_of("sealed");
	index_set_command_version(rig.index, 1);
	ck_assert_int_eq(rig_try(&rig, &command, &result), ERR_VERSION);
	index_set_command_version(rig.index, COMMAND_VERSION);
	ck_assert_int_eq(rig_try(&rig, &command, &result), ERR_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index");
	TCase *tc = tcase_create("index");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, a_repeated_sequence_has_one_effect_and_one_result);
	tcase_add_test(tc, results_are_kept_while_they_may_be_asked_for);
	tcase_add_test(tc, a_closed_session_changes_nothing);
	tcase_add_test(tc, an_index_whose_session_was_closed_opens_another);
	tcase_add_test(tc, a_thousand_proposals_at_once_all_have_results);
	tcase_add_test(tc, garbage_in_the_log_is_refused_and_goes_by);
	tcase_add_test(tc, a_command_of_the_future_stops_the_member);
	tcase_add_test(tc, a_claim_names_the_next_mount);
	tcase_add_test(tc, a_drive_has_one_number);
	tcase_add_test(tc, a_ring_does_not_change_under_extents);
	tcase_add_test(tc, a_report_stops_at_the_oldest_hold);
	tcase_add_test(tc, who_is_not_waited_for_does_not_report);
	tcase_add_test(tc, extents_are_settled_when_their_hold_is_released);
	tcase_add_test(tc, nothing_is_reported_that_is_known_already);
	tcase_add_test(tc, a_start_from_any_share_of_the_rows_gives_the_same_state);
	tcase_add_test(tc, a_read_does_not_wait_for_ever_for_what_does_not_come);
	tcase_add_test(tc, what_was_made_in_a_closed_session_is_not_proposed_in_another);
	tcase_add_test(tc, a_command_that_not_all_members_know_is_not_proposed);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
