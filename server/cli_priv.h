/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CLI_PRIV_H
#define SERVER_CLI_PRIV_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "server/config.h"
#include "storage/err.h"

/* The parts of the command line.
 *
 * One table (cli_commands.c, cli_commands_s3.c) says what can be typed: parsing, --help, the man
 * page and what is suggested for a word that is not known come from it, and so cannot differ from
 * it.
 *
 * (C1) What was asked for goes to stdout; everything else goes to stderr.
 * (C2) With --json stdout gets exactly one JSON document, also when the command fails.
 * (C3) What is wrong is one line on stderr that ends with what to do next.
 * (C4) The exit status tells programs the kind of a failure: enum cli_exit. */
#define CLI_SCHEMA_VERSION 1 /* of what --json prints; raised when a field changes its meaning */
#define CLI_MESSAGE_LEN 1024
#define CLI_ARGUMENTS_MAX 3
#define CLI_WORDS_MAX 8 /* of arguments, with repeated ones */
#define CLI_OPTIONS_MAX 13
#define CLI_TEXT_LEN 64 /* of a formatted size or time */
#define CLI_PATH_LEN 4096

#define CLI_EXIT_TABLE(X) \
	X(OK, 0, "ok", "The command did what it was asked for.") \
	X(FAILED, 1, "failed", "Something else went wrong; the message says what.") \
	X(USAGE, 2, "usage", "The command line is not one that rubus knows.") \
	X(NETWORK, 3, "network", "No node answers; try again when one runs.") \
	X(DENIED, 4, "denied", "The user may not do this.") \
	X(NOT_FOUND, 5, "not_found", "What was named is not there.") \
	X(CONFLICT, 6, "conflict", "It is there already, in use, or not empty.") \
	X(UNSUPPORTED, 7, "unsupported", "This version cannot do it.") \
	X(BAD_CONFIG, 78, "bad_configuration", \
		"The configuration file or the environment is wrong.") \
	X(INTERRUPTED, 130, "interrupted", "The command was interrupted.")

enum cli_exit {
#define X(name, number, word, help) CLI_##name = number,
	CLI_EXIT_TABLE(X)
#undef X
};

struct cli;

struct cli_option {
	const char *name; /* without its dashes */
	const char *value; /* what its value is called; NULL: it has none */
	const char *help; /* NULL: not shown */
};

struct cli_argument {
	const char *name; /* in capitals; its small letters name it in requests */
	const char *help;
	bool is_optional;
	bool is_repeated; /* the last one: a list in requests */
};

struct cli_command {
	const char *noun;
	const char *verb; /* NULL: the noun alone is the command */
	const char *summary; /* one line, no full stop */
	const char *details; /* a paragraph more; may be NULL */
	struct cli_argument arguments[CLI_ARGUMENTS_MAX]; /* the rest has no name */
	const struct cli_option *options[CLI_OPTIONS_MAX]; /* the rest is NULL */
	enum cli_exit (*run)(struct cli *cli);
};

/* A command line that was understood. */
struct cli {
	const struct cli_command *command; /* NULL: only help or the version is asked for */
	const char *noun; /* whose help is asked for; may be NULL */
	const char *arguments[CLI_WORDS_MAX]; /* those of argv */
	const char *values[CLI_OPTIONS_MAX]; /* by place in the command; "" for a switch */
	bool is_json;
	bool wants_help, wants_version;
	FILE *out, *err; /* borrowed */
};

/* --- the table and its readers ---------------------------------------------------------------- */

/* The i-th command, in the order of the help; NULL behind the last. */
const struct cli_command *cli_command_at(size_t i);

/* Those about what clients of S3 have and use, cli_commands_s3.c. */
extern const struct cli_command cli_s3_commands[];
extern const size_t cli_s3_command_count;

/* What commands have that ask the node of this machine. */
extern const struct cli_option cli_option_config, cli_option_dir, cli_option_json;
#define CLI_NODE_OPTIONS &cli_option_config, &cli_option_dir, &cli_option_json

/* Understands a command line. ret_cli->out and err are left alone. Texts of argv are borrowed.
 * message has CLI_MESSAGE_LEN bytes. Errors: ERR_INVALID. */
MUST_USE enum err cli_parse(int argc, char **argv, struct cli *ret_cli, char *message);

/* The value of an option; NULL when it was not given. The command must have the option. */
const char *cli_value(const struct cli *cli, const char *option);

/* Does the command have the option at all? */
bool cli_has_option(const struct cli *cli, const char *option);

/* A command by its words; verb may be NULL. NULL when there is none. */
const struct cli_command *cli_find_command(const char *noun, const char *verb);
bool cli_is_noun(const char *noun);

/* Writes the help of all commands, of a noun, of a command; and the man page of the program. */
void cli_help_program(FILE *out);
void cli_help_noun(FILE *out, const char *noun);
void cli_help_command(FILE *out, const struct cli_command *command);
void cli_help_man(FILE *out);

/* --- saying what is wrong --------------------------------------------------------------------- */

/* Says in one line what is wrong (C3), in JSON too (C2), and returns the status. */
__attribute__((format(printf, 3, 4))) enum cli_exit cli_fail(
	struct cli *cli, enum cli_exit status, const char *format, ...);

/* The status for an error of the world. */
enum cli_exit cli_exit_of(enum err err);
const char *cli_exit_word(enum cli_exit status);

/* --- showing what was asked for --------------------------------------------------------------- */

enum cli_kind {
	CLI_KIND_TEXT,
	CLI_KIND_STATE, /* a text in colour */
	CLI_KIND_COUNT,
	CLI_KIND_LEN, /* bytes, shown in KiB, MiB ... */
	CLI_KIND_RATE, /* bytes per second */
	CLI_KIND_TIME, /* milliseconds since 1970 */
};

struct cli_column {
	const char *title;
	const char *field; /* of the JSON object */
	enum cli_kind kind;
};

/* Takes an object and prints it as a document, or prints one line for each column that it has. */
void cli_print_object(
	struct cli *cli, const struct cli_column *columns, size_t count, json_t *object);

/* Takes an array of objects and prints it as a document under a name, or as a table. */
void cli_print_list(struct cli *cli, const char *name, const struct cli_column *columns,
	size_t count, json_t *array);

/* Prints the table alone; borrows the array. */
void cli_print_table(
	struct cli *cli, const struct cli_column *columns, size_t count, const json_t *array);

/* The same, as branches: objects may have "children". */
void cli_print_tree(
	struct cli *cli, const struct cli_column *columns, size_t count, const json_t *array);

/* Prints a line for each column that an object (borrowed) has. */
void cli_print_fields(
	struct cli *cli, const struct cli_column *columns, size_t count, const json_t *object);

/* Takes an object and prints it with the number of the schema. */
void cli_print_document(struct cli *cli, json_t *object);

/* Texts of CLI_TEXT_LEN bytes: "1.5 GiB", "2026-01-31T12:00:00Z". */
void cli_format_len(uint64_t len, char *ret_text);
void cli_format_time(int64_t ms, char *ret_text);

/* --- what commands share ---------------------------------------------------------------------- */

/* The path of the configuration file: --config, --dir, $RUBUS_CONFIG, or the usual one. Says what
 * is wrong itself. */
enum cli_exit cli_config_path(struct cli *cli, char *ret_path);

/* Loads it; gives the configuration. Says what is wrong itself. */
enum cli_exit cli_load_config(struct cli *cli, struct config **ret_config);

/* Makes a node of a configuration. Says what is wrong itself. */
enum cli_exit cli_init_node(struct cli *cli, const struct config *config);

/* Did the environment bring the first key, so that we have none to show? */
bool cli_is_root_key_given(void);

/* What is run by serve and demo. */
struct node;
struct cli_service {
	const struct config *config; /* borrowed */
	/* Prints what there is to know once the node serves. */
	void (*announce)(struct cli *cli, const struct cli_service *service, struct node *node);
	void *arg;
	const char *port_hint; /* said behind a port that is in use; may be NULL */
};

/* Runs a node in the foreground until SIGINT or SIGTERM. Says what is wrong itself. */
enum cli_exit cli_serve(struct cli *cli, const struct cli_service *service);

/* Asks the node of this machine and gives what it answered. Says what is wrong itself. */
enum cli_exit cli_ask(struct cli *cli, const char *call, json_t **ret_result);

/* The same, with a request that was made by cli_make_request() and added to: it is taken. */
json_t *cli_make_request(const struct cli *cli, const char *call);
enum cli_exit cli_ask_request(struct cli *cli, json_t *request, json_t **ret_result);

/* Asks the node of this machine and shows the object, or the list under a name, that it gives. Says
 * what is wrong itself. */
enum cli_exit cli_show_object(
	struct cli *cli, const char *call, const struct cli_column *columns, size_t count);
enum cli_exit cli_show_list(struct cli *cli, const char *call, const char *name,
	const struct cli_column *columns, size_t count);

/* --- the commands ----------------------------------------------------------------------------- */

enum cli_exit cli_run_help(struct cli *cli);
enum cli_exit cli_run_demo(struct cli *cli);
enum cli_exit cli_run_init(struct cli *cli);
enum cli_exit cli_run_import(struct cli *cli);
enum cli_exit cli_run_index_rebuild(struct cli *cli);
enum cli_exit cli_run_index_salvage(struct cli *cli);
enum cli_exit cli_run_serve(struct cli *cli);
enum cli_exit cli_run_config_check(struct cli *cli);
enum cli_exit cli_run_key_create(struct cli *cli);
enum cli_exit cli_run_key_list(struct cli *cli);
enum cli_exit cli_run_key_show(struct cli *cli);
enum cli_exit cli_run_key_rotate(struct cli *cli);
enum cli_exit cli_run_key_disable(struct cli *cli);
enum cli_exit cli_run_key_enable(struct cli *cli);
enum cli_exit cli_run_key_delete(struct cli *cli);
enum cli_exit cli_run_bucket_list(struct cli *cli);
enum cli_exit cli_run_bucket_create(struct cli *cli);
enum cli_exit cli_run_bucket_show(struct cli *cli);
enum cli_exit cli_run_bucket_delete(struct cli *cli);
enum cli_exit cli_run_key_policy(struct cli *cli);
enum cli_exit cli_run_user_create(struct cli *cli);
enum cli_exit cli_run_user_list(struct cli *cli);
enum cli_exit cli_run_user_show(struct cli *cli);
enum cli_exit cli_run_user_set(struct cli *cli);
enum cli_exit cli_run_user_disable(struct cli *cli);
enum cli_exit cli_run_user_enable(struct cli *cli);
enum cli_exit cli_run_user_delete(struct cli *cli);
enum cli_exit cli_run_user_policy(struct cli *cli);
enum cli_exit cli_run_bucket_set(struct cli *cli);
enum cli_exit cli_run_bucket_allow(struct cli *cli);
enum cli_exit cli_run_bucket_deny(struct cli *cli);
enum cli_exit cli_run_status(struct cli *cli);
enum cli_exit cli_run_drive_list(struct cli *cli);
enum cli_exit cli_run_df(struct cli *cli);
enum cli_exit cli_run_join(struct cli *cli);
enum cli_exit cli_run_token_create(struct cli *cli);
enum cli_exit cli_run_node_list(struct cli *cli);
enum cli_exit cli_run_quorum(struct cli *cli);
enum cli_exit cli_run_layout_plan(struct cli *cli);
enum cli_exit cli_run_layout_apply(struct cli *cli);
enum cli_exit cli_run_layout_show(struct cli *cli);
enum cli_exit cli_run_layout_simulate(struct cli *cli);
enum cli_exit cli_run_layout_diff(struct cli *cli);
enum cli_exit cli_run_layout_revert(struct cli *cli);
enum cli_exit cli_run_layout_history(struct cli *cli);
enum cli_exit cli_run_drive_add(struct cli *cli);
enum cli_exit cli_run_drive_drain(struct cli *cli);
enum cli_exit cli_run_drive_remove(struct cli *cli);
enum cli_exit cli_run_drive_gone(struct cli *cli);
enum cli_exit cli_run_drive_replace(struct cli *cli);
enum cli_exit cli_run_node_drain(struct cli *cli);
enum cli_exit cli_run_node_remove(struct cli *cli);
enum cli_exit cli_run_node_show(struct cli *cli);
enum cli_exit cli_run_node_maintenance(struct cli *cli);
enum cli_exit cli_run_node_can_stop(struct cli *cli);
enum cli_exit cli_run_drive_safe_to_remove(struct cli *cli);
enum cli_exit cli_run_tree(struct cli *cli);
enum cli_exit cli_run_health(struct cli *cli);
enum cli_exit cli_run_health_explain(struct cli *cli);
enum cli_exit cli_run_cluster_recover(struct cli *cli);
enum cli_exit cli_run_cluster_confirm(struct cli *cli);
enum cli_exit cli_run_node_gone(struct cli *cli);
enum cli_exit cli_run_node_gone_after(struct cli *cli);
enum cli_exit cli_run_cluster_stop(struct cli *cli);
enum cli_exit cli_run_net_test(struct cli *cli);
enum cli_exit cli_run_time_check(struct cli *cli);
enum cli_exit cli_run_tasks(struct cli *cli);
enum cli_exit cli_run_tasks_follow(struct cli *cli);
enum cli_exit cli_run_repair_status(struct cli *cli);
enum cli_exit cli_run_repair_report(struct cli *cli);
enum cli_exit cli_run_repair_pause(struct cli *cli);
enum cli_exit cli_run_repair_resume(struct cli *cli);
enum cli_exit cli_run_repair_speed(struct cli *cli);
enum cli_exit cli_run_scrub_start(struct cli *cli);
enum cli_exit cli_run_scrub_status(struct cli *cli);
enum cli_exit cli_run_scrub_pause(struct cli *cli);
enum cli_exit cli_run_scrub_resume(struct cli *cli);
enum cli_exit cli_run_scrub_speed(struct cli *cli);
enum cli_exit cli_run_scrub_period(struct cli *cli);

/* Prints how a cluster is (borrowed), above the status of the node. */
void cli_print_cluster(struct cli *cli, const json_t *cluster);

#endif
