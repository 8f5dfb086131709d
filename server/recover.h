/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RECOVER_H
#define SERVER_RECOVER_H

#include <jansson.h>

#include "server/config.h"
#include "server/logger.h"

/* Forced recovery: what is left of a cluster whose majority is lost for ever goes on without it.
 *
 * On one survivor, stopped, its log becomes the whole group (consensus_raft.h, takes_over), in an
 * epoch of the cluster that is one above. Nodes of the old epoch are refused, and end when they
 * meet one of the new. On every further survivor its log and its index are set aside, so that it
 * keeps its drives and gets the index from the first.
 *
 * (F1) Nothing is changed before an operator has said that he is sure.
 * (F2) It is refused while so many voters answer that they are a majority with this one.
 * (F3) What is decided is one file, "epoch", replaced by a rename; the next start does the rest,
 *      and does it again when it was cut off.
 * (F4) Nothing is collected afterwards until it is confirmed (COMMAND_SETTING_HELD).
 */
struct recover_request {
	bool is_sure;
	uint64_t epoch; /* that the first survivor has made; 0: this is the first */
};

/* Looks, and does it if the operator is sure. Gives a document: who is lost, what may be. Blocks.
 * Errors: ERR_BUSY, the node runs; ERR_CONFLICT, a majority answers; ERR_UNSUPPORTED, it is the
 * only voter; those of the node's files. message has NODE_MESSAGE_LEN bytes. */
MUST_USE enum err recover_run(const struct config *config, struct logger *logger,
	const struct recover_request *request, json_t **ret_result, char *message);

#endif
