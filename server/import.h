/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_IMPORT_H
#define SERVER_IMPORT_H

#include "server/import_copy.h"

/* Brings the buckets of another S3 service to ours.
 *
 * (M1) Nothing is written down about a run but what it stored: it merges what both sides list, and
 *      copies what ours does not have. So a run that was interrupted is run again, and one that was
 *      complete copies nothing but what has changed since.
 * (M2) The same means: the same size, and the same ETag, or, where one of the two ETags is not the
 *      MD5 of a body, ours is not older.
 * (M3) With versions, the versions of a key are added in their order, oldest first. Those that are
 *      there have to be the oldest of the source; a key of ours with other versions is not touched.
 * (M4) What fails is counted and named, and does not stop the rest. Nothing at ours that the source
 *      does not have is removed. */
#define IMPORT_FAILURES_MAX 100 /* that are named */
#define IMPORT_JOBS_MAX 64
#define IMPORT_VERSIONS_MAX 100000 /* of one key */
#define IMPORT_TRIES 4

struct import_options {
	struct s3_client_options source, target; /* stop of their places is set by import_run() */
	const char *bucket; /* NULL: all */
	const char *to; /* what it is called at ours; NULL: the same */
	const char *prefix; /* of keys; may be empty */
	bool with_versions, is_dry;
	unsigned jobs; /* 1 to IMPORT_JOBS_MAX */
	uint64_t rate; /* bytes per second in all; 0: as fast as it goes */
	const atomic_bool *stop; /* set by somebody else: end soon */
};

struct import_failure {
	char *bucket, *key, *message;
};

/* What was done. Counts of objects are of versions with with_versions. */
struct import_report {
	uint64_t bucket_count, bucket_created_count;
	uint64_t listed_count, same_count, copied_count, failed_count;
	uint64_t copied_len; /* with is_dry: that would be */
	uint64_t unverified_count; /* copied, but no ETag could be compared */
	struct import_failure failures[IMPORT_FAILURES_MAX];
	size_t failure_count; /* at most IMPORT_FAILURES_MAX */
};

/* Imports. told() is called about each second from this thread with what was done until then; may
 * be NULL. report is to be ended by import_report_fini() also after an error. message has
 * S3_CLIENT_MESSAGE_LEN bytes. Blocks. Errors: those for which it could not go on: of the first
 * listing; ERR_CANCELED; ERR_NO_MEMORY. Failures of objects are in the report alone. */
enum err import_run(const struct import_options *options,
	void (*told)(void *arg, const struct import_report *report, uint64_t moved_len), void *arg,
	struct import_report *ret_report, char *message) MUST_USE;

void import_report_fini(struct import_report *report);

#endif
