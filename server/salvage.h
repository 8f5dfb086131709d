/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SALVAGE_H
#define SERVER_SALVAGE_H

#include <jansson.h>

#include "server/node.h"

/* Objects that the index has lost come back in a bucket of their own: rubus index salvage.
 *
 * After an index was made anew of an archive, or a recovery was forced, collection is held and
 * drives have shards that no row names. Their records say for which bucket and key they were
 * written (storage/object/hint.h), and where in it they belong.
 *
 * (S1) It is done only while collection is held, so that nothing is freed meanwhile.
 * (S2) What is whole is read, checked and put anew as BUCKET/KEY into the bucket recovered-DATE,
 *      never over a key that is there. What is not is told, with what is missing.
 * (S3) Records do not say whether a body was ever acknowledged, or was deleted or overwritten
 *      since: all of them are found, and an operator chooses. Nothing comes back in its own bucket.
 * (S4) Who is cut off, or runs it again when more drives are there, goes on: the bucket is
 *      remembered in a setting, and an object that was made of the same body is known by its
 *      metadata (SALVAGE_META_BODY).
 * (S5) rubus cluster confirm ends the hold for what is left. It does not free what was put.
 */
#define SALVAGE_META_BODY "x-amz-meta-rubus-body" /* session.counter of its first extent */
#define SALVAGE_META_PARTS "x-amz-meta-rubus-parts" /* "1-N" of an upload, or one number */
#define SALVAGE_SETTING_BUCKET "recovered.bucket"

struct salvage;

/* Is one at work? In the control thread. */
bool salvage_is_running(const struct salvage *salvage); /* NULL is fine */

/* Ends what runs. Blocks; while the loops run. NULL is fine. */
void salvage_stop(struct salvage *salvage);

/* Of the control socket: begins, with "dry_run", if "begin" is true (ERR_BUSY: one is at work);
 * says how far it is, with the whole report, once, when it is "done". In the control thread. */
MUST_USE enum err control_index_salvage(
	struct node *node, const json_t *request, json_t **ret_result, char *message);

#endif
