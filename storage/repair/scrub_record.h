/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REPAIR_SCRUB_RECORD_H
#define STORAGE_REPAIR_SCRUB_RECORD_H

#include "storage/meta/index.h"

/* What is known of the scrub of a drive: how far its pass is, or what came of the last one. It is
 * the setting "scrub." and the number of the drive, as JSON:
 *
 *	{"at":"SESSION/COUNTER",...}	a pass that is on its way; extents are in hexadecimal
 *	{"ended_ms":MS,...}		the last pass
 *
 * and behind that, of both, the members of struct scrub_counts with the task and the beginning. */
#define SCRUB_RECORD_LEN_MAX 320

/* A pass read so much, and found so much. */
struct scrub_counts {
	uint64_t shards, bytes; /* read */
	uint64_t bad, mended; /* shards with damaged blocks */
	uint64_t missing; /* rows whose shard was not there */
	uint64_t unread; /* shards that could not be read or mended */
};

struct scrub_record {
	bool is_there;
	struct extent_id at; /* of a pass that is on its way */
	uint64_t ended_ms; /* 0: it is on its way */
	uint64_t task; /* the newest that this pass serves; 0: the schedule */
	uint64_t began_ms;
	struct scrub_counts counts;
};

/* text has SCRUB_RECORD_LEN_MAX bytes. */
void scrub_record_format(const struct scrub_record *record, char *text);

/* What is not well-formed is not there. */
void scrub_record_parse(struct bytes text, struct scrub_record *ret_record);

/* Reads that of a drive. Under a view. */
MUST_USE enum err scrub_record_read(
	struct index_reader *reader, uint16_t drive, struct scrub_record *ret_record);

/* The name of the setting; has room for 32 bytes. */
void scrub_record_name(uint16_t drive, char *name);

/* Did it find more than could be mended? A shard that is missing is the repair's. */
bool scrub_counts_is_bad(const struct scrub_counts *counts);

/* One word: clean, mended, damaged. */
const char *scrub_counts_verdict(const struct scrub_counts *counts);

/* JSON: the verdict, then the counts. */
void scrub_counts_format(
	const struct scrub_counts *counts, const char *verdict, char *text, size_t cap);

void scrub_counts_add(struct scrub_counts *to, const struct scrub_counts *counts);

#endif
