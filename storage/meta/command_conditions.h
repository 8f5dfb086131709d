/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_CONDITIONS_H
#define STORAGE_META_COMMAND_CONDITIONS_H

#include "storage/meta/rows.h"

/* Conditions, judged at apply against the current version; a delete marker counts as none. */
struct command_conditions {
	bool if_none_match_any; /* If-None-Match: * */
	bool if_match_any; /* If-Match: * */
	bool has_if_match;
	bool has_if_none_match;
	struct etag if_match;
	struct etag if_none_match;
	uint64_t if_match_time_ms; /* x-amz-if-match-last-modified-time, whole seconds; 0: none */
	bool has_if_match_len;
	uint64_t if_match_len; /* x-amz-if-match-size */
};

#endif
