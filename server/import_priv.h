/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_IMPORT_PRIV_H
#define SERVER_IMPORT_PRIV_H

#include "gateway/digest/digest.h"
#include "server/import_copy.h"

/* What import_copy.c and import_parts.c share. */
#define IMPORT_QUERY_LEN (5u << 10)

/* The headers that a copy keeps, taken from an answer. */
struct import_headers {
	struct http_header list[S3_CLIENT_CALL_HEADERS_MAX];
	size_t count;
	size_t len;
	uint8_t buf[24u << 10];
};

/* Takes over what went wrong at one of the two. */
enum err import_fail(
	struct import_copy *copy, const struct s3_client *client, enum err err) MUST_USE;
enum err import_refuse(struct import_copy *copy, enum err err, const char *text) MUST_USE;

/* Keeps the headers of the answer of `from` that belong to an object, and its tags. Errors:
 * ERR_LIMIT, there are more than an object may have; those of the request for the tags. */
enum err import_keep_headers(struct import_copy *copy, const struct s3_client *from,
	const struct import_name *name, const struct import_version *version,
	struct import_headers *ret_headers) MUST_USE;

/* Writes "a=b&versionId=..." for a request to the source; first may be "". */
void import_query(const char *first, const struct import_version *version, char *ret_query);

/* Sends the body that the source has begun to answer as the body of a call to our node, reads that
 * answer, and checks that the ETag there is the MD5 of what was sent (I1). */
enum err import_pass(
	struct import_copy *copy, struct s3_call *call, char ret_md5[2 * MD5_LEN + 1]) MUST_USE;

/* The ETag of an answer, without its quotes. */
void import_etag(const struct s3_client *client, char ret_etag[S3_LISTING_ETAG_LEN]);

/* Does the source say that an ETag of its answer verifies nothing? */
bool import_is_sealed(const struct s3_client *client);

/* Deletes what our node has just stored, and gives ERR_CHECKSUM (I3). */
enum err import_take_back(struct import_copy *copy, const struct import_name *name) MUST_USE;

/* Copies an object of several parts (I2, I4). */
enum err import_copy_parts(struct import_copy *copy, const struct import_name *name,
	const struct import_version *version) MUST_USE;

#endif
