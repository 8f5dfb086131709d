/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and tokens, seen through proposals and lookups. */
#include "tests/lib/index_rig.h"
#include "tests/lib/test.h"

#define HOUR_MS 3600000

static struct rig rig;

static struct id id_of(uint8_t number)
{
	return (struct id){{number}};
}

static struct command node_command(uint8_t number, uint8_t token)
{
	struct command command = {.type = COMMAND_NODE_PUT};
	command.node_put.id = id_of(number);
	memset(command.node_put.key, number, ROW_NODE_KEY_LEN);
	command.node_put.name = bytes_of("attic");
	command.node_put.addresses = bytes_of("10.0.0.7:9002 [fe80::1]:9002");
	command.node_put.token = id_of(token);
	return command;
}

static enum command_code put_token(uint8_t token, uint64_t life_ms)
{
	struct command command = {.type = COMMAND_TOKEN_PUT};
	command.token_put.token = id_of(token);
	command.token_put.secret = bytes_of("sealed");
	command.token_put.life_ms = life_ms;
	return rig_code(&rig, &command);
}

static enum command_code put_node(uint8_t number, uint8_t token)
{
	struct command command = node_command(number, token);
	return rig_code(&rig, &command);
}

static enum err find(uint8_t number, struct row_node *row)
{
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_node_find(rig.reader, id_of(number), row);
	index_view_end(rig.reader);
	return err;
}

static void set_up(void)
{
	rig_open(&rig);
	ck_assert_uint_eq(put_node(1, 0), COMMAND_OK); /* the first needs no token */
}

static void tear_down(void)
{
	rig_close(&rig);
}

START_TEST(a_token_admits_one_node)
{
	struct row_node row;
	ck_assert_uint_eq(put_node(2, 9), COMMAND_LOCKED);
	ck_assert_uint_eq(put_token(9, HOUR_MS), COMMAND_OK);
	ck_assert_uint_eq(put_token(9, HOUR_MS), COMMAND_EXISTS);
	uint64_t generation = index_node_generation(rig.index);
	ck_assert_uint_eq(put_node(2, 9), COMMAND_OK);
	ck_assert_uint_ne(index_node_generation(rig.index), generation);
	ck_assert_uint_eq(put_node(3, 9), COMMAND_LOCKED);
	ck_assert_uint_eq(put_node(2, 9), COMMAND_OK); /* it asks again */
	ck_assert_ok(find(2, &row));
	ck_assert_uint_eq(row.number, 2);
	ck_assert_uint_eq(row.key[5], 2);
	ck_assert_err(find(3, &row), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_token_that_is_spent_admits_nobody_in_the_name_of_a_node)
{
	struct row_node row;
	ck_assert_uint_eq(put_token(9, HOUR_MS), COMMAND_OK);
	ck_assert_uint_eq(put_node(2, 9), COMMAND_OK);
	struct command command = node_command(1, 9);
	command.node_put.set = NODE_SET_ABOUT;
	command.node_put.name = bytes_of("stranger");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_LOCKED);
	memset(command.node_put.key, 7, ROW_NODE_KEY_LEN);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
	command.node_put.id = id_of(2);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
	ck_assert_ok(index_view_begin(rig.reader));
	for (uint8_t number = 1; number <= 2; number++) {
		ck_assert_ok(index_node_find(rig.reader, id_of(number), &row));
		ck_assert(bytes_is_text(row.name, "attic"));
	}
	index_view_end(rig.reader);
}
END_TEST

START_TEST(a_node_whose_token_ended_asks_again_with_another)
{
	ck_assert_uint_eq(put_token(9, HOUR_MS), COMMAND_OK);
	ck_assert_uint_eq(put_node(2, 9), COMMAND_OK);
	rig.log.time_ms += HOUR_MS;
	ck_assert_uint_eq(put_node(2, 9), COMMAND_LOCKED);
	ck_assert_uint_eq(put_token(8, HOUR_MS), COMMAND_OK);
	ck_assert_uint_eq(put_node(2, 8), COMMAND_OK);
	ck_assert_uint_eq(put_node(3, 8), COMMAND_LOCKED);
}
END_TEST

START_TEST(a_token_ends)
{
	struct row_token row;
	ck_assert_uint_eq(put_token(9, HOUR_MS), COMMAND_OK);
	rig.log.time_ms += HOUR_MS;
	ck_assert_uint_eq(put_node(2, 9), COMMAND_LOCKED);
	ck_assert_uint_eq(put_token(8, HOUR_MS), COMMAND_OK); /* and old ones go */
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_err(index_token_get(rig.reader, id_of(9), &row), ERR_NOT_FOUND);
	ck_assert_ok(index_token_get(rig.reader, id_of(8), &row));
	index_view_end(rig.reader);
}
END_TEST

START_TEST(there_is_a_bound_for_tokens)
{
	for (unsigned i = 0; i < COMMAND_TOKENS_MAX; i++)
		ck_assert_uint_eq(put_token(10 + i, HOUR_MS), COMMAND_OK);
	ck_assert_uint_eq(put_token(9, HOUR_MS), COMMAND_LIMIT);
	struct command command = {.type = COMMAND_TOKEN_DELETE};
	command.token_delete.token = id_of(20);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_NO_KEY);
	ck_assert_uint_eq(put_token(9, HOUR_MS), COMMAND_OK);
	ck_assert_uint_eq(put_token(8, UINT64_MAX), COMMAND_REFUSED);
}
END_TEST

START_TEST(no_two_nodes_have_one_key)
{
	struct command command = node_command(2, 9);
	ck_assert_uint_eq(put_token(9, HOUR_MS), COMMAND_OK);
	memset(command.node_put.key, 1, ROW_NODE_KEY_LEN);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
	ck_assert_uint_eq(put_node(2, 9), COMMAND_OK);
}
END_TEST

START_TEST(what_is_named_is_changed)
{
	struct row_node row;
	struct command command = node_command(1, 0);
	command.node_put.name = bytes_of("cellar");
	command.node_put.state = NODE_ROW_DRAINING;
	command.node_put.away_ms = 7;
	command.node_put.set = NODE_SET_STATE | NODE_SET_AWAY;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_node_find(rig.reader, id_of(1), &row));
	ck_assert(bytes_is_text(row.name, "attic"));
	ck_assert_uint_eq(row.state, NODE_ROW_DRAINING);
	ck_assert_uint_eq(row.away_ms, 7);
	index_view_end(rig.reader);
	command.node_put.set = NODE_SET_ABOUT;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_node_next(rig.reader, 1, &row));
	ck_assert(bytes_is_text(row.name, "cellar"));
	ck_assert_uint_eq(row.away_ms, 7);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(a_node_with_drives_is_not_removed)
{
	struct row_node row;
	struct command add = {.type = COMMAND_DRIVE_ADD};
	struct command remove = {.type = COMMAND_NODE_REMOVE};
	add.drive_add.drive = id_of(77);
	add.drive_add.node = id_of(1);
	add.drive_add.weight = 1000;
	struct command_result added = rig_propose(&rig, &add);
	remove.node_remove.id = id_of(1);
	ck_assert_uint_eq(rig_code(&rig, &remove), COMMAND_NOT_EMPTY);
	struct command gone = {.type = COMMAND_DRIVE_UPDATE};
	gone.drive_update.number = added.id;
	gone.drive_update.set = DRIVE_SET_STATE;
	gone.drive_update.state = DRIVE_ROW_GONE;
	ck_assert_uint_eq(rig_code(&rig, &gone), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &remove), COMMAND_OK);
	ck_assert_uint_eq(rig_code(&rig, &remove), COMMAND_NO_KEY);
	ck_assert_err(find(1, &row), ERR_NOT_FOUND);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("apply_node");
	TCase *tc = tcase_create("apply_node");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_token_admits_one_node);
	tcase_add_test(tc, a_token_that_is_spent_admits_nobody_in_the_name_of_a_node);
	tcase_add_test(tc, a_node_whose_token_ended_asks_again_with_another);
	tcase_add_test(tc, a_token_ends);
	tcase_add_test(tc, there_is_a_bound_for_tokens);
	tcase_add_test(tc, no_two_nodes_have_one_key);
	tcase_add_test(tc, what_is_named_is_changed);
	tcase_add_test(tc, a_node_with_drives_is_not_removed);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
