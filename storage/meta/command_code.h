/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_CODE_H
#define STORAGE_META_COMMAND_CODE_H

#include "storage/err.h"

/* What became of a command. The gateway has the table from these to S3's codes. */
#define COMMAND_CODES(X) \
	X(OK, 0, ERR_OK) /* done */ \
	X(REFUSED, 1, ERR_REFUSED) /* not well-formed, or against a rule: a mistake of ours */ \
	X(NO_SESSION, 2, ERR_CLOSED) /* the proposer's session is closed; it opens another */ \
	X(NO_BUCKET, 3, ERR_NOT_FOUND) \
	X(NO_KEY, 4, ERR_NOT_FOUND) /* If-Match, and there is no current version */ \
	X(NO_VERSION, 5, ERR_NOT_FOUND) \
	X(NO_UPLOAD, 6, ERR_NOT_FOUND) \
	X(NO_BODY, 7, ERR_NOT_FOUND) /* body, stage, extent or garbage row is gone */ \
	X(EXISTS, 8, ERR_EXISTS) /* a bucket of that name: result.id, and is_mine */ \
	X(NOT_EMPTY, 9, ERR_NOT_EMPTY) \
	X(PRECONDITION, 10, ERR_PRECONDITION) /* result.version and etag are the current ones */ \
	X(STALE, 11, ERR_CONFLICT) /* changed since it was looked at: look again */ \
	X(LIMIT, 12, ERR_LIMIT) /* too deep, too many; copy the bytes instead */ \
	X(LOCKED, 13, ERR_DENIED) /* retention or legal hold */ \
	X(NO_PART, 14, ERR_INVALID) /* Complete names a part that is not there: result.count */ \
	X(EARLY, 15, ERR_BUSY) /* something has to end before: a read, a copy, another move */ \
	X(NO_RESULT, 16, ERR_UNKNOWN) /* a sequence whose result is no longer kept */ \
	X(QUOTA, 17, ERR_LIMIT) \
	X(LOST, 18, ERR_QUORUM) /* drives that it names are gone: write it again */

enum command_code { /* kept on disk */
#define X(name, number, err) COMMAND_##name = number,
	COMMAND_CODES(X)
#undef X
};

const char *command_code_name(enum command_code code);
MUST_USE enum err command_code_err(enum command_code code);

#endif
