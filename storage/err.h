/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_ERR_H
#define STORAGE_ERR_H

#include <stdbool.h>

/* The errors of the world, one table for the whole program.
 *
 * A function that can fail returns one of these and nothing else. Errors of libraries and of the
 * kernel become ours on the line that received them. Mistakes of our own are not in the table:
 * they are assertions. The gateway has the one table from these to S3's codes. */
#define ERR_TABLE(X) \
	X(OK, "no error") \
	X(NOT_FOUND, "not found") \
	X(EXISTS, "already exists") \
	X(CONFLICT, "a concurrent change was first") \
	X(PRECONDITION, "a condition of the request does not hold") \
	X(NOT_EMPTY, "not empty") \
	X(LIMIT, "a limit is reached") \
	X(INVALID, "not well-formed") \
	X(UNSUPPORTED, "not supported") \
	X(REFUSED, "refused") \
	X(DENIED, "permission denied") \
	X(CHECKSUM, "a checksum does not match") \
	X(CORRUPT, "stored data is damaged") \
	X(IO, "input or output failed") \
	X(NO_SPACE, "no space left") \
	X(NO_MEMORY, "no memory") \
	X(BUSY, "busy, try again later") \
	X(TIMEOUT, "took too long") \
	X(CANCELED, "canceled") \
	X(CLOSED, "the other side is gone") \
	X(UNAVAILABLE, "not available now") \
	X(QUORUM, "too few drives are left") \
	X(UNKNOWN, "the outcome is not known") \
	X(FOREIGN, "belongs to another cluster") \
	X(VERSION, "written by a newer version") \
	X(FENCED, "the drive was taken out of service") \
	X(READ_ONLY, "read-only") \
	X(END, "at the end")

enum err {
#define X(name, text) ERR_##name,
	ERR_TABLE(X)
#undef X
		ERR_COUNT
};

#define MUST_USE __attribute__((warn_unused_result))

/* The name of an error as in the table ("NOT_FOUND"), and its text ("not found"). */
const char *err_name(enum err err);
const char *err_text(enum err err);

/* Turns an errno value into one of ours: ENOENT is ERR_NOT_FOUND, ENOSPC and EDQUOT are
 * ERR_NO_SPACE, EACCES and EPERM are ERR_DENIED, EROFS is ERR_READ_ONLY, ENOMEM is ERR_NO_MEMORY,
 * EEXIST is ERR_EXISTS, everything else is ERR_IO. */
enum err err_from_errno(int errno_value);

/* Marks an error that is meant to be ignored. Say why at the call. */
static inline void err_ignore(enum err err)
{
	(void)err;
}

#endif
