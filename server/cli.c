/* SPDX-License-Identifier: Apache-2.0 */
#include "server/cli.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>

#include "server/cli_priv.h"
#include "server/version.h"

const char *cli_exit_word(enum cli_exit status)
{
	switch (status) {
#define X(name, number, word, help) \
	case CLI_##name: \
		return word;
		CLI_EXIT_TABLE(X)
#undef X
	}
	return "failed";
}

enum cli_exit cli_exit_of(enum err err)
{
	switch (err) {
	case ERR_OK:
		return CLI_OK;
	case ERR_NOT_FOUND:
		return CLI_NOT_FOUND;
	case ERR_EXISTS:
	case ERR_CONFLICT:
	case ERR_PRECONDITION:
	case ERR_NOT_EMPTY:
	case ERR_BUSY:
	case ERR_FOREIGN:
		return CLI_CONFLICT;
	case ERR_DENIED:
	case ERR_READ_ONLY:
		return CLI_DENIED;
	case ERR_CLOSED:
	case ERR_TIMEOUT:
	case ERR_UNAVAILABLE:
		return CLI_NETWORK;
	case ERR_UNSUPPORTED:
	case ERR_VERSION:
		return CLI_UNSUPPORTED;
	case ERR_CANCELED:
		return CLI_INTERRUPTED;
	default:
		return CLI_FAILED;
	}
}

enum cli_exit cli_fail(struct cli *cli, enum cli_exit status, const char *format, ...)
{
	char message[CLI_MESSAGE_LEN];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	/* One line, and nothing that a terminal obeys, whatever a path was called. */
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	fprintf(cli->err, "rubus: %s\n", message);
	if (cli->is_json) {
		json_t *error = json_pack("{s:{s:s, s:i, s:s}}", "error", "code",
			cli_exit_word(status), "exit_status", status, "message", message);
		if (!error) /* the message is not UTF-8 */
			error = json_pack("{s:{s:s, s:i, s:n}}", "error", "code",
				cli_exit_word(status), "exit_status", status, "message");
		cli_print_document(cli, error);
	}
	return status;
}

static enum cli_exit show_help(struct cli *cli)
{
	if (cli->wants_version)
		fprintf(cli->out, "rubus %s\n", RUBUS_VERSION);
	else if (cli->command)
		cli_help_command(cli->out, cli->command);
	else if (cli->noun)
		cli_help_noun(cli->out, cli->noun);
	else
		cli_help_program(cli->out);
	return CLI_OK;
}

enum cli_exit cli_run_help(struct cli *cli)
{
	const char *noun = cli->arguments[0], *verb = cli->arguments[1];
	if (cli_value(cli, "man")) {
		cli_help_man(cli->out);
		return CLI_OK;
	}
	if (!noun) {
		cli_help_program(cli->out);
		return CLI_OK;
	}
	const struct cli_command *command = cli_find_command(noun, verb);
	if (!cli_is_noun(noun) || (verb && (!command || !command->verb)))
		return cli_fail(cli, CLI_USAGE,
			"there is no command '%.32s%s%.32s'; see rubus help", noun, verb ? " " : "",
			verb ? verb : "");
	if (command)
		cli_help_command(cli->out, command);
	else
		cli_help_noun(cli->out, noun);
	return CLI_OK;
}

int cli_main(int argc, char **argv)
{
	char message[CLI_MESSAGE_LEN];
	struct cli cli = {.out = stdout, .err = stderr};
	enum cli_exit status;
	setlocale(LC_CTYPE, "");
	if (cli_parse(argc, argv, &cli, message))
		status = cli_fail(&cli, CLI_USAGE, "%s", message);
	else if (cli.wants_help || cli.wants_version)
		status = show_help(&cli);
	else
		status = cli.command->run(&cli);
	/* A secret that is shown once must not be lost in silence. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "rubus: the output could not be written: %s\n", strerror(errno));
		return status ? status : CLI_FAILED;
	}
	return status;
}
