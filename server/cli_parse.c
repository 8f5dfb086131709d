/* SPDX-License-Identifier: Apache-2.0 */
/* Understands a command line by the table of commands. Options may stand anywhere. */
#include <stdarg.h>
#include <string.h>

#include "server/cli_priv.h"
#include "storage/bytes.h"

#define WORDS_MAX (2 + CLI_WORDS_MAX)
#define GIVEN_MAX 16
#define SUGGESTION_DISTANCE_MAX 2

/* What was typed, before it is known which command it is for. */
struct typed {
	const char *words[WORDS_MAX];
	size_t word_count;
	const struct cli_option *options[GIVEN_MAX];
	const char *values[GIVEN_MAX];
	size_t option_count;
};

__attribute__((format(printf, 2, 3))) static enum err refuse(char *message, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(message, CLI_MESSAGE_LEN, format, args);
	va_end(args);
	return ERR_INVALID;
}

/* --- suggestions ------------------------------------------------------------------------------ */

#define SUGGESTION_LEN_MAX 32

/* How many letters must be put in, left out or changed to make one word of the other. */
static unsigned count_changes(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	unsigned row[SUGGESTION_LEN_MAX + 1];
	if (a_len > SUGGESTION_LEN_MAX || b_len > SUGGESTION_LEN_MAX)
		return SUGGESTION_LEN_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned least = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < least)
				least = row[j] + 1;
			if (row[j - 1] + 1 < least)
				least = row[j - 1] + 1;
			row[j] = least;
		}
	}
	return row[b_len];
}

struct suggestion {
	const char *typed;
	const char *best;
	unsigned changes;
};

static void suggest(struct suggestion *suggestion, const char *candidate)
{
	unsigned changes = count_changes(suggestion->typed, candidate);
	if (changes > SUGGESTION_DISTANCE_MAX || changes >= strlen(candidate))
		return;
	if (suggestion->best && changes >= suggestion->changes)
		return;
	suggestion->best = candidate;
	suggestion->changes = changes;
}

/* --- the table's words ------------------------------------------------------------------------ */

const struct cli_command *cli_find_command(const char *noun, const char *verb)
{
	for (size_t i = 0; cli_command_at(i); i++) {
		const struct cli_command *command = cli_command_at(i);
		if (strcmp(command->noun, noun) != 0)
			continue;
		if (!command->verb || (verb && strcmp(command->verb, verb) == 0))
			return command;
	}
	return NULL;
}

bool cli_is_noun(const char *noun)
{
	for (size_t i = 0; cli_command_at(i); i++)
		if (strcmp(cli_command_at(i)->noun, noun) == 0)
			return true;
	return false;
}

static const struct cli_option *find_option_of(
	const struct cli_command *command, const char *name, size_t len)
{
	for (size_t j = 0; j < CLI_OPTIONS_MAX && command->options[j]; j++)
		if (strlen(command->options[j]->name) == len &&
			strncmp(command->options[j]->name, name, len) == 0)
			return command->options[j];
	return NULL;
}

/* An option of the command, if one was typed before it; else of any. */
static const struct cli_option *find_option(const struct typed *typed, const char *name, size_t len)
{
	const struct cli_option *option = NULL;
	const struct cli_command *command = typed->word_count == 0
		? NULL
		: cli_find_command(typed->words[0], typed->word_count > 1 ? typed->words[1] : NULL);
	if (command)
		option = find_option_of(command, name, len);
	for (size_t i = 0; !option && cli_command_at(i); i++)
		option = find_option_of(cli_command_at(i), name, len);
	return option;
}

static int place_of(const struct cli_command *command, const char *name)
{
	for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i]; i++)
		if (strcmp(command->options[i]->name, name) == 0)
			return i;
	return -1;
}

bool cli_has_option(const struct cli *cli, const char *option)
{
	return place_of(cli->command, option) >= 0;
}

const char *cli_value(const struct cli *cli, const char *option)
{
	int place = place_of(cli->command, option);
	assert(place >= 0);
	return cli->values[place];
}

/* --- taking words and options apart ----------------------------------------------------------- */

static enum err refuse_option(const char *typed, size_t len, char *message)
{
	char name[SUGGESTION_LEN_MAX + 1];
	snprintf(name, sizeof name, "%.*s", (int)len, typed);
	struct suggestion suggestion = {.typed = name};
	suggest(&suggestion, "help");
	suggest(&suggestion, "version");
	for (size_t i = 0; cli_command_at(i); i++)
		for (size_t j = 0; j < CLI_OPTIONS_MAX && cli_command_at(i)->options[j]; j++)
			if (cli_command_at(i)->options[j]->help)
				suggest(&suggestion, cli_command_at(i)->options[j]->name);
	if (suggestion.best)
		return refuse(message, "there is no option --%s; did you mean --%s?", name,
			suggestion.best);
	return refuse(message, "there is no option --%s; see rubus --help", name);
}

/* Takes one option, and its value when that is the next word: then *io_i is moved on. */
static enum err take_option(
	int argc, char **argv, int *io_i, struct typed *typed, struct cli *cli, char *message)
{
	const char *name = argv[*io_i] + 2;
	size_t len = strcspn(name, "=");
	if (strcmp(name, "help") == 0) {
		cli->wants_help = true;
		return ERR_OK;
	}
	if (strcmp(name, "version") == 0) {
		cli->wants_version = true;
		return ERR_OK;
	}
	const struct cli_option *option = find_option(typed, name, len);
	if (!option)
		return refuse_option(name, len, message);
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	if (!option->value && value)
		return refuse(message, "--%s has no value; write --%s", option->name, option->name);
	if (option->value && !value) {
		if (*io_i + 1 == argc)
			return refuse(message, "--%s needs a value; write --%s %s", option->name,
				option->name, option->value);
		value = argv[++*io_i];
	}
	if (typed->option_count == GIVEN_MAX)
		return refuse(message, "too many options; see rubus --help");
	typed->options[typed->option_count] = option;
	typed->values[typed->option_count++] = value ? value : "";
	return ERR_OK;
}

static enum err take_words(
	int argc, char **argv, struct typed *typed, struct cli *cli, char *message)
{
	bool are_options_over = false;
	for (int i = 1; i < argc; i++) {
		enum err err = ERR_OK;
		if (are_options_over || argv[i][0] != '-' || argv[i][1] == '\0') {
			if (typed->word_count == WORDS_MAX)
				return refuse(message, "too many words; see rubus --help");
			typed->words[typed->word_count++] = argv[i];
		} else if (strcmp(argv[i], "--") == 0) {
			are_options_over = true;
		} else if (strcmp(argv[i], "-h") == 0) {
			cli->wants_help = true;
		} else if (strncmp(argv[i], "--", 2) != 0) {
			err = refuse(
				message, "there is no option %.32s; see rubus --help", argv[i]);
		} else {
			err = take_option(argc, argv, &i, typed, cli, message);
		}
		if (err)
			return err;
	}
	return ERR_OK;
}

/* --- finding the command ---------------------------------------------------------------------- */

static enum err refuse_noun(const char *word, char *message)
{
	struct suggestion suggestion = {.typed = word};
	for (size_t i = 0; cli_command_at(i); i++)
		suggest(&suggestion, cli_command_at(i)->noun);
	if (suggestion.best)
		return refuse(message, "there is no command '%.32s'; did you mean 'rubus %s'?",
			word, suggestion.best);
	return refuse(message, "there is no command '%.32s'; see rubus help", word);
}

static enum err refuse_verb(const char *noun, const char *verb, char *message)
{
	if (!verb)
		return refuse(
			message, "rubus %s needs one word more; see rubus help %s", noun, noun);
	struct suggestion suggestion = {.typed = verb};
	for (size_t i = 0; cli_command_at(i); i++)
		if (strcmp(cli_command_at(i)->noun, noun) == 0 && cli_command_at(i)->verb)
			suggest(&suggestion, cli_command_at(i)->verb);
	if (suggestion.best)
		return refuse(message,
			"there is no command '%s %.32s'; did you mean 'rubus %s %s'?", noun, verb,
			noun, suggestion.best);
	return refuse(
		message, "there is no command '%s %.32s'; see rubus help %s", noun, verb, noun);
}

static void format_name(const struct cli_command *command, char *name, size_t cap)
{
	snprintf(name, cap, "%s%s%s", command->noun, command->verb ? " " : "",
		command->verb ? command->verb : "");
}

static enum err take_arguments(
	const struct typed *typed, size_t from, struct cli *cli, char *message)
{
	char name[48];
	const struct cli_command *command = cli->command;
	format_name(command, name, sizeof name);
	size_t i = 0;
	for (; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++) {
		if (from + i < typed->word_count)
			cli->arguments[i] = typed->words[from + i];
		else if (!command->arguments[i].is_optional && !cli->wants_help)
			return refuse(message, "%s is not named; write: rubus %s %s",
				command->arguments[i].name, name, command->arguments[i].name);
	}
	if (i > 0 && command->arguments[i - 1].is_repeated)
		for (; from + i < typed->word_count && i < CLI_WORDS_MAX; i++)
			cli->arguments[i] = typed->words[from + i];
	if (from + i < typed->word_count)
		return refuse(message, "'%.64s' is one word too many; see rubus help %s",
			typed->words[from + i], name);
	return ERR_OK;
}

static enum err place_options(const struct typed *typed, struct cli *cli, char *message)
{
	char name[48];
	format_name(cli->command, name, sizeof name);
	for (size_t i = 0; i < typed->option_count; i++) {
		const struct cli_option *option = typed->options[i];
		int place = place_of(cli->command, option->name);
		if (place < 0)
			return refuse(message, "rubus %s has no option --%s; see rubus help %s",
				name, option->name, name);
		if (cli->values[place])
			return refuse(message, "--%s is given twice; leave one out", option->name);
		cli->values[place] = typed->values[i];
	}
	return ERR_OK;
}

/* --json is obeyed as soon as it is seen, so that what is wrong is said in JSON too. */
static void find_json(const struct typed *typed, struct cli *cli)
{
	for (size_t i = 0; i < typed->option_count; i++)
		cli->is_json |= strcmp(typed->options[i]->name, "json") == 0;
}

enum err cli_parse(int argc, char **argv, struct cli *ret_cli, char *message)
{
	struct typed typed = {0};
	struct cli *cli = ret_cli;
	FILE *out = cli->out, *errors = cli->err;
	*cli = (struct cli){.out = out, .err = errors};
	enum err err = take_words(argc, argv, &typed, cli, message);
	find_json(&typed, cli);
	if (err || (typed.word_count == 0 && (cli->wants_help || cli->wants_version)))
		return err;
	if (typed.word_count == 0)
		return refuse(message, "no command is named; see rubus help");
	const char *noun = typed.words[0];
	const char *verb = typed.word_count > 1 ? typed.words[1] : NULL;
	if (!cli_is_noun(noun))
		return refuse_noun(noun, message);
	cli->noun = noun;
	cli->command = cli_find_command(noun, verb);
	if (!cli->command)
		return cli->wants_help && !verb ? ERR_OK : refuse_verb(noun, verb, message);
	err = take_arguments(&typed, cli->command->verb ? 2 : 1, cli, message);
	return err ? err : place_options(&typed, cli, message);
}
