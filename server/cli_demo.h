/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CLI_DEMO_H
#define SERVER_CLI_DEMO_H

#include "server/cli_priv.h"

/* What the two kinds of demo share. */

/* Prints three commands to try. facts: access_key_id, region, root_key_file. host: HOST:PORT. */
void cli_demo_print_commands(FILE *out, const json_t *facts, const char *host);

/* `rubus demo --nodes N`. */
enum cli_exit cli_run_demo_nodes(struct cli *cli);

#endif
