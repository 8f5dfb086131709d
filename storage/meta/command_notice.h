/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_NOTICE_H
#define STORAGE_META_COMMAND_NOTICE_H

#include "storage/meta/rows_notice.h"

/* Commands of notices; who proposes NOTICE_DONE is gateway/notifier.h. */

/* Sets what a bucket tells others of; empty: nothing. STALE as in BUCKET_UPDATE. */
struct command_bucket_notify {
	uint64_t bucket;
	uint64_t change_count;
	struct bytes config; /* notice_begin() */
};

/* A webhook has been told of its notices up to and with that one. Done in steps: result.count is 1
 * while there are more. */
#define COMMAND_NOTICE_STEP 400
struct command_notice_done {
	struct bytes target;
	struct version_id place;
};

#endif
