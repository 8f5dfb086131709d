/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: a proposal has its effect once, whatever is repeated.
 *
 * (S1) A session is one row while it is open. What is not there is closed, for ever: ids of
 * sessions are places in the log. (S2) The result of each sequence is a row until the session says
 * that it is no longer needed, and a little longer: rows go in batches. (S3) A sequence below
 * result_low is refused: its result was known. One RESULTS_MAX above it is refused too, so that the
 * rows of a session are bounded.
 */
#include "storage/meta/apply_priv.h"

#define RESULTS_MAX 1024
#define FORGET_MIN 32 /* results that go together */
#define FORGET_MAX 128

static bool find_session(
	struct apply *apply, uint64_t session, struct row_key *ret_key, struct row_session *ret_row)
{
	row_key_id(ret_key, TABLE_SESSION, session);
	return apply_get_session(apply, ret_key, ret_row);
}

/* Removes results that the proposer has seen, some at a time (S2). */
static void forget_results(struct apply *apply, const struct row_key *session_key,
	struct row_session *row, const struct command *command)
{
	uint64_t low = command->result_low;
	if (low > command->sequence)
		low = command->sequence;
	if (low < row->result_low + FORGET_MIN)
		return;
	if (low > row->result_low + FORGET_MAX)
		low = row->result_low + FORGET_MAX;
	for (uint64_t sequence = row->result_low; sequence < low; sequence++) {
		struct row_key key;
		row_key_result(&key, command->session, sequence);
		apply_remove(apply, &key);
	}
	row->result_low = low;
	apply_put_session(apply, session_key, row);
}

bool apply_session_enter(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct row_key key;
	struct row_session row;
	apply->session = command->session;
	apply->open_low = 0;
	if (command->session == 0)
		return true;
	if (!find_session(apply, command->session, &key, &row)) {
		result->code = COMMAND_NO_SESSION;
		apply->session = 0;
		return false;
	}
	if (command->sequence < row.result_low) {
		result->code = COMMAND_NO_RESULT;
		return false;
	}
	if (command->sequence - row.result_low >= RESULTS_MAX) {
		result->code = COMMAND_REFUSED;
		return false;
	}
	struct row_key result_key;
	struct bytes value;
	row_key_result(&result_key, command->session, command->sequence);
	if (apply_get(apply, &result_key, &value)) {
		apply_decode_is_ok(apply, command_result_decode(value, result));
		return false;
	}
	apply->open_low = row.open_low;
	forget_results(apply, &key, &row, command);
	return true;
}

void apply_session_leave(
	struct apply *apply, const struct command *command, const struct command_result *result)
{
	if (apply->session == 0)
		return; /* none, or closed by this very command */
	uint8_t buf[COMMAND_RESULT_LEN_MAX];
	size_t len = command_result_encode(result, buf);
	struct row_key key;
	row_key_result(&key, apply->session, command->sequence);
	apply_put_new(apply, &key, bytes_make(buf, len));
}

/* --- commands --------------------------------------------------------------------------------- */

static void close_session(struct apply *apply, const struct row_key *key, uint64_t session)
{
	apply_remove(apply, key);
	apply_garbage_add(apply, GARBAGE_SESSION, session, &(struct row_garbage){0});
	if (session == apply->session)
		apply->session = 0;
}

void apply_session_close_all(struct apply *apply, struct id node)
{
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_SESSION);
	while (apply_seek(apply, &key, 1, &found, &value)) {
		struct row_session row;
		if (!APPLY_DECODE(apply, session, value, &row))
			return;
		uint64_t session = get_be64(found.data + 1);
		row_key_id(&key, TABLE_SESSION, session);
		if (memcmp(&row.node, &node, sizeof node) == 0)
			close_session(apply, &key, session);
		row_key_id(&key, TABLE_SESSION, session + 1);
	}
}

void apply_session_open(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_session_open *open = &command->session_open;
	struct row_key key;
	struct bytes found, value;
	row_key_begin(&key, TABLE_SESSION);
	while (apply_seek(apply, &key, 1, &found, &value)) {
		struct row_session row;
		if (!APPLY_DECODE(apply, session, value, &row))
			return;
		uint64_t session = get_be64(found.data + 1);
		row_key_id(&key, TABLE_SESSION, session);
		bool is_same_node = memcmp(&row.node, &open->node, sizeof row.node) == 0;
		if (is_same_node && row.start == open->start) {
			result->id = session;
			return;
		}
		if (is_same_node)
			close_session(apply, &key, session);
		row_key_id(&key, TABLE_SESSION, session + 1);
	}
	result->id = row_id_make(apply_place(apply, 0));
	struct row_session row = {
		.node = open->node,
		.start = open->start,
		.opened_ms = apply->time_ms,
		.open_low = 1,
		.read_low = apply->place.index,
		.result_low = 1,
	};
	row_key_id(&key, TABLE_SESSION, result->id);
	apply_new_session(apply, &key, &row);
}

void apply_session_close(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	struct row_key key;
	struct row_session row;
	uint64_t session = command->session_close.session;
	if (find_session(apply, session, &key, &row))
		close_session(apply, &key, session);
	else
		result->code = COMMAND_NO_SESSION;
}

void apply_session_report(
	struct apply *apply, const struct command *command, struct command_result *result)
{
	const struct command_session_report *report = &command->session_report;
	struct row_key key;
	struct row_session row;
	if (!find_session(apply, command->session, &key, &row)) {
		result->code = COMMAND_NO_SESSION;
		return;
	}
	if (report->read_low > apply->place.index) {
		result->code = COMMAND_REFUSED; /* nobody reads the future */
		return;
	}
	if (report->open_low > row.open_low)
		row.open_low = report->open_low;
	if (report->read_low > row.read_low)
		row.read_low = report->read_low;
	apply_put_session(apply, &key, &row);
}
