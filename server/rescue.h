/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RESCUE_H
#define SERVER_RESCUE_H

#include <jansson.h>

#include "server/config.h"
#include "server/identity.h"

/* Makes the state of a node anew where nothing but drives is left of its cluster.
 *
 * Every member archives the whole index on its own drives (storage/meta/index_archive.h), so this
 * is done on one node, with its drives; the other nodes join it anew. Drives of other nodes may be
 * named in the configuration too: the newest complete archive of all counts.
 *
 * (R1) The index is that of the end of the archive. Its log goes on far behind, so that nothing
 *      gets a name that something lost had; the cluster's epoch is raised, and collection is held:
 *      what no row names stays on the drives until rubus cluster confirm.
 * (R2) "identity" is written last. What is cut off before is begun anew; drives are only read.
 * (R3) The node is the only member of its cluster then.
 * (R4) Where drives have copies of the log itself, those bring back more (rubus init
 *      --from-drives). If they are given up the new log outranks them, also on drives that are
 *      away now.
 */
#define RESCUE_REPORT_NAME "rebuilt.json" /* in the state directory */

struct rescue_options {
	bool is_dry; /* looks, and changes nothing */
	bool gives_up_log; /* copies of the log on the drives are not to be used */
	/* How far it is, now and then; may be NULL. */
	void (*progress)(void *arg, uint64_t rows, uint64_t len);
	void *arg;
};

/* Blocks for as long as reading an index from a drive takes. Gives a report. message
 * (IDENTITY_MESSAGE_LEN bytes) says in one line what is wrong. Errors: ERR_EXISTS, there is a
 * state directory of a node; ERR_NOT_FOUND, no drive has a complete archive; ERR_CONFLICT, the
 * drives have the log itself; ERR_FOREIGN, they are of different clusters; ERR_CORRUPT; those of
 * files. */
MUST_USE enum err rescue_index(const struct config *config, const struct rescue_options *options,
	json_t **ret_report, char *message);

#endif
