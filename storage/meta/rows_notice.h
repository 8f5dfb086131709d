/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_ROWS_NOTICE_H
#define STORAGE_META_ROWS_NOTICE_H

#include "storage/meta/rows.h"

/* What happened to a key, for a webhook that does not know it yet (storage/meta/apply_notice.c). It
 * has all that is told: bucket and version may be gone by then. */
struct row_notice {
	uint8_t event; /* enum notice_event */
	uint64_t time_ms; /* cluster time */
	struct bytes bucket; /* its name */
	struct bytes owner; /* of the bucket */
	struct bytes key;
	struct bytes rule; /* id of the rule */
	struct version_id version; /* none: the bucket has no versions */
	bool is_null;
	bool has_body; /* len and etag are of something */
	uint64_t len;
	struct etag etag;
	struct bytes origin; /* who, as the gateway says: pairs (metadata_next()) */
};

/* The notices that wait for a webhook. */
struct row_notice_queue {
	uint64_t count;
	uint64_t dropped; /* since there were too many, ever */
};

#endif
