/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_INIT_H
#define SERVER_INIT_H

#include "server/config.h"
#include "server/identity.h"

/* Makes a node of a configuration: identity, keys, certificate, and a drive in each directory. What
 * an interrupted init left is taken up. Blocks. Errors come with a message of one line
 * (IDENTITY_MESSAGE_LEN bytes). */
MUST_USE enum err init_node(const struct config *config, char *message);

/* An empty log in the state directory, with an id of its own, unless there is one. Blocks. */
MUST_USE enum err init_log(
	const struct config *config, const struct identity *identity, char *message);

/* Makes a node that joins the cluster of a token: as init_node(), but who it belongs to comes from
 * there. One that was cut off is run again with the same token. Errors besides: those of
 * join_run(). */
struct join_token;
MUST_USE enum err init_join(
	const struct config *config, const struct join_token *token, char *message);

/* Makes a drive of a directory, or finds that an earlier try did. Blocks. Errors: ERR_FOREIGN, it
 * is another cluster's; ERR_NOT_EMPTY, it holds something else; those of files. */
MUST_USE enum err init_drive(const struct config *config, const struct config_drive *drive,
	const struct identity *identity, char *message);

/* Makes the state directory anew of what a node kept on its drives: who it is, its keys, and a
 * certificate; its next start brings the index back. Blocks. Errors: ERR_EXISTS, there is a state
 * directory of a node; ERR_NOT_FOUND, no drive has a copy; ERR_FOREIGN, drives are of different
 * nodes; those of files. */
MUST_USE enum err init_from_drives(const struct config *config, char *message);

/* The two ends of making a state directory of a drive's copy: who the node is and its keys; and,
 * when all else is there, a certificate and "identity". Errors: as init_from_drives(). */
MUST_USE enum err init_restore_identity(const struct config *config, const char *drive,
	struct identity *ret_identity, char *message);
MUST_USE enum err init_finish_identity(
	const struct config *config, const struct identity *identity, char *message);

#endif
