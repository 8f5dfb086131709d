/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CLI_H
#define SERVER_CLI_H

/* The command line: `rubus noun verb`. Runs one command and gives the exit status of the process,
 * which is one of those in cli_priv.h. */
int cli_main(int argc, char **argv);

#endif
