/* SPDX-License-Identifier: Apache-2.0 */
/* Help and the man page, written from the table of commands. */
#include <string.h>

#include "server/cli_priv.h"
#include "server/version.h"

#define HELP_COLUMN 28
#define HELP_WIDTH 80

static const char intro[] = "an S3 object store for small machines";

static const struct {
	const char *name, *help;
} variables[] = {
	{"RUBUS_CONFIG", "The configuration file, where neither --config nor --dir is given."},
	{"RUBUS_ROOT_ACCESS_KEY, RUBUS_ROOT_SECRET_KEY",
		"The first access key, for rubus init and rubus demo. With _FILE behind the name, "
		"the name of a file that holds it. Where they are not set, a key is made."},
	{"RUBUS_NAME",
		"Lays a value over the setting NAME of the configuration file, in capitals: "
		"RUBUS_S3_ADDRESS, RUBUS_LOG_LEVEL and so on."},
	{"NO_COLOR", "When it is set and not empty, nothing is printed in colour."},
};

static const struct {
	const char *name, *help;
} files[] = {
	{"/etc/rubus/rubus.yaml", "The configuration of the node on this machine."},
	{"STATE_DIR/root.key", "Access key and secret of the first user; only its owner reads it."},
	{"STATE_DIR/tls.crt, STATE_DIR/tls.key",
		"The certificate that rubus init made. SIGHUP has it read again."},
	{"STATE_DIR/control.sock", "How rubus speaks to the node that runs; only its owner may."},
};

static const struct {
	int status;
	const char *help;
} statuses[] = {
#define X(name, number, word, help) {number, help},
	CLI_EXIT_TABLE(X)
#undef X
};

static const struct {
	const char *what, *command;
} examples[] = {
	{"Try it: four drives in one directory", "rubus demo --dir demo"},
	{"Make a node and run it", "rubus init && rubus serve"},
	{"Give an application a user and a key of its own", "rubus user create --id backups"},
	{"How much is stored, how much still fits", "rubus df"},
};

/* --- for terminals ---------------------------------------------------------------------------- */

/* Writes a text in lines of at most HELP_WIDTH columns from an indentation on; the first line is
 * already there up to a column. */
static void wrap(FILE *out, const char *text, int indent, int column)
{
	while (*text) {
		size_t len = strcspn(text, " ");
		if (column > indent && column + 1 + (int)len > HELP_WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (column < indent)
			column += fprintf(out, "%*s", indent - column, "");
		else if (column > indent)
			column += fprintf(out, " ");
		column += fprintf(out, "%.*s", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void write_entry(FILE *out, const char *name, const char *help)
{
	int column = fprintf(out, "  %s", name);
	if (column + 2 > HELP_COLUMN) {
		fputc('\n', out);
		column = 0;
	}
	wrap(out, help, HELP_COLUMN, column);
}

static void format_usage(const struct cli_command *command, char *text, size_t cap)
{
	size_t len = snprintf(text, cap, "%s%s%s", command->noun, command->verb ? " " : "",
		command->verb ? command->verb : "");
	for (size_t i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++) {
		const struct cli_argument *argument = &command->arguments[i];
		len += snprintf(text + len, cap - len, argument->is_optional ? " [%s]%s" : " %s%s",
			argument->name, argument->is_repeated ? "..." : "");
	}
}

static void write_commands(FILE *out, const char *noun)
{
	char usage[64];
	for (size_t i = 0; cli_command_at(i); i++) {
		if (noun && strcmp(cli_command_at(i)->noun, noun) != 0)
			continue;
		format_usage(cli_command_at(i), usage, sizeof usage);
		write_entry(out, usage, cli_command_at(i)->summary);
	}
}

void cli_help_program(FILE *out)
{
	fprintf(out, "rubus %s: %s\n\nusage: rubus COMMAND [OPTION]...\n\ncommands:\n",
		RUBUS_VERSION, intro);
	write_commands(out, NULL);
	fprintf(out, "\nexamples:\n");
	for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
		fprintf(out, "  %-42s%s\n", examples[i].what, examples[i].command);
	fprintf(out, "\nrubus help COMMAND says more; man rubus says all.\n");
}

void cli_help_noun(FILE *out, const char *noun)
{
	fprintf(out, "usage: rubus %s COMMAND [OPTION]...\n\ncommands:\n", noun);
	write_commands(out, noun);
}

static void format_option(const struct cli_option *option, char *text, size_t cap)
{
	snprintf(text, cap, "--%s%s%s", option->name, option->value ? " " : "",
		option->value ? option->value : "");
}

void cli_help_command(FILE *out, const struct cli_command *command)
{
	char text[64];
	format_usage(command, text, sizeof text);
	fprintf(out, "usage: rubus %s [OPTION]...\n\n", text);
	snprintf(text, sizeof text, "%s.", command->summary);
	wrap(out, text, 0, 0);
	if (command->details) {
		fputc('\n', out);
		wrap(out, command->details, 0, 0);
	}
	if (command->arguments[0].name)
		fprintf(out, "\narguments:\n");
	for (size_t i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++)
		write_entry(out, command->arguments[i].name, command->arguments[i].help);
	fprintf(out, "\noptions:\n");
	for (size_t i = 0; i < CLI_OPTIONS_MAX && command->options[i]; i++) {
		if (!command->options[i]->help)
			continue;
		format_option(command->options[i], text, sizeof text);
		write_entry(out, text, command->options[i]->help);
	}
	write_entry(out, "--help", "Print this help and end.");
}

/* --- the man page ----------------------------------------------------------------------------- */

/* Writes a text so that roff takes it as it is; a line for each sentence. */
static void write_roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (strncmp(text, ". ", 2) == 0) {
			fputs(".\n", out);
			text++;
			continue;
		}
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

static void man_entry(FILE *out, const char *name, const char *help)
{
	fputs(".TP\n.B ", out);
	write_roff(out, name);
	fputc('\n', out);
	write_roff(out, help);
	fputc('\n', out);
}

static void man_command(FILE *out, const struct cli_command *command)
{
	char text[64];
	format_usage(command, text, sizeof text);
	fputs(".SS rubus ", out);
	write_roff(out, text);
	fputc('\n', out);
	write_roff(out, command->summary);
	fputs(".\n", out);
	if (command->details) {
		fputs(".PP\n", out);
		write_roff(out, command->details);
		fputc('\n', out);
	}
	for (size_t i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name; i++)
		man_entry(out, command->arguments[i].name, command->arguments[i].help);
	for (size_t i = 0; i < CLI_OPTIONS_MAX && command->options[i]; i++) {
		if (!command->options[i]->help)
			continue;
		format_option(command->options[i], text, sizeof text);
		man_entry(out, text, command->options[i]->help);
	}
}

static void man_head(FILE *out)
{
	fprintf(out,
		".\\\" Written by: rubus help --man\n"
		".TH RUBUS 1 2026-11-21 \"rubus %s\" \"User Commands\"\n"
		".SH NAME\nrubus \\- %s\n.SH SYNOPSIS\n.B rubus\n.I COMMAND\n.RI [ OPTION ]...\n"
		".SH DESCRIPTION\n",
		RUBUS_VERSION, intro);
	fputs("rubus turns the drives of a small machine into one durable place that speaks S3. "
	      "Data is cut into shards with parity and spread over the drives, so that the loss "
	      "of one drive loses nothing.\n.PP\n"
	      "Options may stand anywhere behind the name of the program, as\n"
	      ".B \\-\\-name value\nor\n.BR \\-\\-name=value .\n"
	      "What was asked for goes to standard output, everything else to standard error. "
	      "With\n.B \\-\\-json\nstandard output gets exactly one JSON document, also when "
	      "the command fails.\n",
		out);
}

void cli_help_man(FILE *out)
{
	man_head(out);
	fputs(".SH COMMANDS\n", out);
	for (size_t i = 0; cli_command_at(i); i++)
		man_command(out, cli_command_at(i));
	fputs(".SH \"EXIT STATUS\"\n", out);
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
		char number[16];
		snprintf(number, sizeof number, "%d", statuses[i].status);
		man_entry(out, number, statuses[i].help);
	}
	fputs(".SH ENVIRONMENT\n", out);
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
		man_entry(out, variables[i].name, variables[i].help);
	fputs(".SH FILES\n", out);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		man_entry(out, files[i].name, files[i].help);
	fputs(".SH EXAMPLES\n", out);
	for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
		man_entry(out, examples[i].command, examples[i].what);
}
