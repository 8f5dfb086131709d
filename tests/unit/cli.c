/* SPDX-License-Identifier: Apache-2.0 */
#include "server/cli_priv.h"

#include <stdlib.h>
#include <string.h>

#include "storage/bytes.h"
#include "tests/lib/test.h"

static struct cli cli;
static char message[CLI_MESSAGE_LEN];
static char *out_text, *errors_text;
static size_t out_len, errors_len;

static void set_up(void)
{
	memset(&cli, 0, sizeof cli);
	cli.out = open_memstream(&out_text, &out_len);
	cli.err = open_memstream(&errors_text, &errors_len);
	message[0] = '\0';
	unsetenv("RUBUS_CONFIG");
}

static void tear_down(void)
{
	fclose(cli.out);
	fclose(cli.err);
	free(out_text);
	free(errors_text);
}

/* Parses "rubus" and the words of a line. */
static enum err parse(const char *line)
{
	static char copy[512];
	static char program[] = "rubus";
	static char *argv[32];
	int argc = 1;
	argv[0] = program;
	snprintf(copy, sizeof copy, "%s", line);
	char *rest = copy;
	for (char *word; (word = strsep(&rest, " "));)
		if (*word)
			argv[argc++] = word;
	return cli_parse(argc, argv, &cli, message);
}

static void ck_refused(const char *line, const char *why)
{
	ck_assert_err(parse(line), ERR_INVALID);
	ck_assert_msg(strstr(message, why), "'%s' says: %s", line, message);
	ck_assert_ptr_null(strchr(message, '\n'));
}

/* --- parsing ---------------------------------------------------------------------------------- */

START_TEST(a_noun_and_a_verb_name_a_command)
{
	ck_assert_ok(parse("key show RB1"));
	ck_assert_str_eq(cli.command->noun, "key");
	ck_assert_str_eq(cli.command->verb, "show");
	ck_assert_str_eq(cli.arguments[0], "RB1");
	ck_assert_ptr_null(cli_value(&cli, "config"));
	ck_assert(!cli.is_json);
}
END_TEST

START_TEST(options_stand_anywhere_in_both_spellings)
{
	ck_assert_ok(parse("--json --config=/a key --owner me create --role admin"));
	ck_assert_str_eq(cli.command->verb, "create");
	ck_assert_str_eq(cli_value(&cli, "config"), "/a");
	ck_assert_str_eq(cli_value(&cli, "owner"), "me");
	ck_assert_str_eq(cli_value(&cli, "role"), "admin");
	ck_assert(cli.is_json);
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
	ck_assert_ok(parse("key show -- --json"));
	ck_assert_str_eq(cli.arguments[0], "--json");
	ck_assert(!cli.is_json);
}
END_TEST

START_TEST(a_word_that_is_not_known_gets_a_suggestion)
{
	ck_refused("statsu", "did you mean 'rubus status'?");
	ck_refused("bucket lst", "did you mean 'rubus bucket list'?");
	ck_refused("status --jsno", "did you mean --json?");
	ck_refused("frobnicate", "see rubus help");
	ck_refused("key frobnicate", "see rubus help key");
	ck_refused("status --frobnicate", "see rubus --help");
	ck_refused("status -x", "-x");
}
END_TEST

START_TEST(an_option_of_another_command_is_refused)
{
	ck_refused("status --owner me", "rubus status has no option --owner");
	ck_refused("init --dir x", "rubus init has no option --dir");
}
END_TEST

START_TEST(an_option_is_given_once_and_whole)
{
	ck_refused("status --config /a --config /b", "--config is given twice");
	ck_refused("status --config", "--config needs a value");
	ck_refused("status --json=yes", "--json has no value");
}
END_TEST

START_TEST(words_are_neither_missing_nor_too_many)
{
	ck_refused("", "no command is named");
	ck_refused("key", "needs one word more");
	ck_refused("key show", "ID is not named");
	ck_refused("key show a b", "'b' is one word too many");
	ck_refused("status now", "'now' is one word too many");
	ck_refused("a b c d e f g h i j k l m n", "too many words");
}
END_TEST

START_TEST(json_is_obeyed_when_the_rest_is_wrong)
{
	ck_refused("statsu --json", "did you mean");
	ck_assert(cli.is_json);
}
END_TEST

START_TEST(help_is_understood_everywhere)
{
	ck_assert_ok(parse("--help"));
	ck_assert(cli.wants_help && !cli.command);
	ck_assert_ok(parse("key --help"));
	ck_assert(cli.wants_help && !cli.command);
	ck_assert_str_eq(cli.noun, "key");
	ck_assert_ok(parse("key show -h"));
	ck_assert(cli.wants_help && cli.command);
	ck_assert_ok(parse("--version"));
	ck_assert(cli.wants_version);
}
END_TEST

/* --- the table -------------------------------------------------------------------------------- */

START_TEST(every_command_is_found_by_its_own_words)
{
	for (size_t i = 0; cli_command_at(i); i++) {
		const struct cli_command *command = cli_command_at(i);
		ck_assert_ptr_eq(cli_find_command(command->noun, command->verb), command);
		ck_assert_ptr_nonnull(command->run);
		/* A summary is one line of help, without the stop that is added to it. */
		ck_assert_uint_le(strlen(command->summary), 52);
		ck_assert(command->summary[strlen(command->summary) - 1] != '.');
	}
}
END_TEST

START_TEST(an_option_is_of_the_kind_that_its_command_has)
{
	/* One has a name, the other is a switch. */
	ck_assert_ok(parse("bucket create b --owner me"));
	ck_assert_str_eq(cli_value(&cli, "owner"), "me");
	ck_assert_ok(parse("bucket allow --owner b --key K"));
	ck_assert_str_eq(cli_value(&cli, "owner"), "");
	ck_assert_str_eq(cli.arguments[0], "b");
}
END_TEST

START_TEST(a_repeated_argument_takes_all_that_is_left)
{
	ck_assert_ok(parse("bucket set b quota-bytes=1 quota-objects=2 owner=me"));
	ck_assert_str_eq(cli.arguments[1], "quota-bytes=1");
	ck_assert_str_eq(cli.arguments[3], "owner=me");
	ck_refused("bucket set b", "SETTING is not named");
}
END_TEST

START_TEST(every_command_but_help_takes_json)
{
	for (size_t i = 0; cli_command_at(i); i++) {
		cli.command = cli_command_at(i);
		ck_assert_msg(cli_has_option(&cli, "json") == (cli.command->run != cli_run_help),
			"%s", cli.command->noun);
	}
}
END_TEST

/* --- help ------------------------------------------------------------------------------------- */

START_TEST(help_and_man_page_name_every_command)
{
	cli_help_program(cli.out);
	fflush(cli.out);
	for (size_t i = 0; cli_command_at(i); i++)
		ck_assert_ptr_nonnull(strstr(out_text, cli_command_at(i)->summary));
	cli_help_man(cli.err);
	fflush(cli.err);
	for (size_t i = 0; cli_command_at(i); i++) {
		char title[64], escaped[2 * sizeof title];
		snprintf(title, sizeof title, ".SS rubus %s%s%s", cli_command_at(i)->noun,
			cli_command_at(i)->verb ? " " : "",
			cli_command_at(i)->verb ? cli_command_at(i)->verb : "");
		size_t len = 0;
		for (const char *c = title; *c; c++) {
			if (*c == '-') /* else it is a hyphen that may not be typed */
				escaped[len++] = '\\';
			escaped[len++] = *c;
		}
		escaped[len] = '\0';
		ck_assert_msg(strstr(errors_text, escaped), "%s", escaped);
	}
}
END_TEST

START_TEST(help_has_no_line_over_80_columns)
{
	cli_help_program(cli.out);
	for (size_t i = 0; cli_command_at(i); i++)
		cli_help_command(cli.out, cli_command_at(i));
	fflush(cli.out);
	for (char *line = out_text; *line; line += strcspn(line, "\n") + 1)
		ck_assert_uint_le(strcspn(line, "\n"), 80);
}
END_TEST

START_TEST(no_line_of_the_man_page_is_taken_for_a_request)
{
	static const char *const requests[] = {
		"TH", "SH", "SS", "TP", "PP", "B", "I", "BR", "RI", "\\\""};
	cli_help_man(cli.out);
	fflush(cli.out);
	for (char *line = out_text; *line; line += strcspn(line, "\n") + 1) {
		ck_assert(*line != '\'');
		if (*line != '.')
			continue;
		size_t len = strcspn(line + 1, " \n");
		bool is_known = false;
		for (size_t i = 0; i < ARRAY_COUNT(requests); i++)
			is_known |= strlen(requests[i]) == len &&
				strncmp(requests[i], line + 1, len) == 0;
		ck_assert_msg(is_known, "%.40s", line);
	}
}
END_TEST

/* --- results ---------------------------------------------------------------------------------- */

static void ck_len(uint64_t len, const char *text)
{
	char buf[CLI_TEXT_LEN];
	cli_format_len(len, buf);
	ck_assert_str_eq(buf, text);
}

START_TEST(sizes_are_shown_in_units_that_people_read)
{
	ck_len(0, "0 B");
	ck_len(1023, "1023 B");
	ck_len(1024, "1.0 KiB");
	ck_len(1536, "1.5 KiB");
	ck_len((1 << 20) - 1, "1.0 MiB");
	ck_len(UINT64_C(5) << 40, "5.0 TiB");
	ck_len(UINT64_MAX, "16.0 EiB");
}
END_TEST

START_TEST(times_are_shown_in_utc)
{
	char buf[CLI_TEXT_LEN];
	cli_format_time(1767225600000, buf);
	ck_assert_str_eq(buf, "2026-01-01T00:00:00Z");
}
END_TEST

/* The only document on stdout. */
static json_t *only_document(void)
{
	fflush(cli.out);
	json_error_t error;
	json_t *document = json_loads(out_text, 0, &error);
	ck_assert_msg(document != NULL, "%s: %s", error.text, out_text);
	ck_assert_int_eq(json_integer_value(json_object_get(document, "schema_version")),
		CLI_SCHEMA_VERSION);
	return document;
}

START_TEST(a_failure_is_one_line_and_one_document)
{
	cli.is_json = true;
	ck_assert_int_eq(cli_fail(&cli, CLI_NOT_FOUND, "no %s\n\033[2J", "such thing"), 5);
	json_t *document = only_document();
	json_t *error = json_object_get(document, "error");
	ck_assert_str_eq(json_string_value(json_object_get(error, "code")), "not_found");
	ck_assert_int_eq(json_integer_value(json_object_get(error, "exit_status")), 5);
	json_decref(document);
	fflush(cli.err);
	ck_assert_str_eq(errors_text, "rubus: no such thing??[2J\n");
}
END_TEST

static const struct cli_column columns[] = {
	{"NAME", "name", CLI_KIND_TEXT},
	{"SIZE", "len", CLI_KIND_LEN},
	{"WHEN", "when", CLI_KIND_TIME},
};

static json_t *two_rows(void)
{
	return json_pack("[{s:s, s:i, s:I}, {s:s}]", "name", "photos", "len", 2048, "when",
		(json_int_t)1767225600000, "name", "evil\033[2Jname");
}

START_TEST(a_table_is_for_people)
{
	cli_print_list(&cli, "things", columns, ARRAY_COUNT(columns), two_rows());
	fflush(cli.out);
	ck_assert_ptr_nonnull(strstr(out_text, "NAME"));
	ck_assert_ptr_nonnull(strstr(out_text, "2.0 KiB  2026-01-01T00:00:00Z"));
	/* What is not known is a dash, and what a terminal would obey is not printed. */
	ck_assert_ptr_nonnull(strstr(out_text, "-"));
	ck_assert_ptr_null(strchr(out_text, '\033'));
}
END_TEST

START_TEST(a_list_is_one_document_with_exact_numbers)
{
	cli.is_json = true;
	cli_print_list(&cli, "things", columns, ARRAY_COUNT(columns), two_rows());
	json_t *document = only_document();
	json_t *things = json_object_get(document, "things");
	ck_assert_uint_eq(json_array_size(things), 2);
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_array_get(things, 0), "len")), 2048);
	json_decref(document);
}
END_TEST

START_TEST(an_empty_list_is_said_on_stderr_only)
{
	cli_print_list(&cli, "things", columns, ARRAY_COUNT(columns), json_array());
	fflush(cli.out);
	fflush(cli.err);
	ck_assert_uint_eq(out_len, 0);
	ck_assert_str_eq(errors_text, "There are no things.\n");
}
END_TEST

START_TEST(every_error_of_the_world_has_a_status)
{
	for (int i = 1; i < ERR_COUNT; i++) {
		enum cli_exit status = cli_exit_of(i);
		ck_assert(status != CLI_OK);
		ck_assert_ptr_nonnull(cli_exit_word(status));
	}
	ck_assert_int_eq(cli_exit_of(ERR_OK), CLI_OK);
	ck_assert_int_eq(cli_exit_of(ERR_CLOSED), CLI_NETWORK);
	ck_assert_int_eq(cli_exit_of(ERR_DENIED), CLI_DENIED);
	ck_assert_int_eq(cli_exit_of(ERR_NOT_EMPTY), CLI_CONFLICT);
}
END_TEST

/* --- the configuration ------------------------------------------------------------------------ */

static void ck_path(const char *line, const char *expected)
{
	char path[CLI_PATH_LEN];
	ck_assert_ok(parse(line));
	ck_assert_int_eq(cli_config_path(&cli, path), CLI_OK);
	ck_assert_str_eq(path, expected);
}

START_TEST(the_configuration_is_named_by_option_then_variable)
{
	ck_path("status", "/etc/rubus/rubus.yaml");
	setenv("RUBUS_CONFIG", "/from/variable", 1);
	ck_path("status", "/from/variable");
	ck_path("status --config /from/option", "/from/option");
	ck_path("status --dir demo", "demo/rubus.yaml");
	char path[CLI_PATH_LEN];
	ck_assert_ok(parse("status --dir demo --config /a"));
	ck_assert_int_eq(cli_config_path(&cli, path), CLI_USAGE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli");
	TCase *tcase = tcase_create("cli");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_noun_and_a_verb_name_a_command);
	tcase_add_test(tcase, options_stand_anywhere_in_both_spellings);
	tcase_add_test(tcase, two_dashes_end_the_options);
	tcase_add_test(tcase, a_word_that_is_not_known_gets_a_suggestion);
	tcase_add_test(tcase, an_option_of_another_command_is_refused);
	tcase_add_test(tcase, an_option_is_given_once_and_whole);
	tcase_add_test(tcase, words_are_neither_missing_nor_too_many);
	tcase_add_test(tcase, json_is_obeyed_when_the_rest_is_wrong);
	tcase_add_test(tcase, help_is_understood_everywhere);
	tcase_add_test(tcase, every_command_is_found_by_its_own_words);
	tcase_add_test(tcase, an_option_is_of_the_kind_that_its_command_has);
	tcase_add_test(tcase, a_repeated_argument_takes_all_that_is_left);
	tcase_add_test(tcase, every_command_but_help_takes_json);
	tcase_add_test(tcase, help_and_man_page_name_every_command);
	tcase_add_test(tcase, help_has_no_line_over_80_columns);
	tcase_add_test(tcase, no_line_of_the_man_page_is_taken_for_a_request);
	tcase_add_test(tcase, sizes_are_shown_in_units_that_people_read);
	tcase_add_test(tcase, times_are_shown_in_utc);
	tcase_add_test(tcase, a_failure_is_one_line_and_one_document);
	tcase_add_test(tcase, a_table_is_for_people);
	tcase_add_test(tcase, a_list_is_one_document_with_exact_numbers);
	tcase_add_test(tcase, an_empty_list_is_said_on_stderr_only);
	tcase_add_test(tcase, every_error_of_the_world_has_a_status);
	tcase_add_test(tcase, the_configuration_is_named_by_option_then_variable);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
