/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_IMPORT_COPY_H
#define SERVER_IMPORT_COPY_H

#include "server/s3_client.h"
#include "server/s3_listing.h"

/* Copies one version of an object from another service to ours, through the S3 of both.
 *
 * (I1) What is read is digested on its way. Our node answers with the ETag of what it has; it has
 * to be the MD5 of what was read. The ETag of the source has to be the same, so that what is stored
 * is what the source once acknowledged. An ETag that is none (of objects encrypted under keys of
 * their owner, or of parts whose sizes nobody tells) verifies nothing, and that is said. (I2) An
 * object of several parts is copied part by part, with the sizes of its parts where the source
 * tells them, and so keeps its ETag. (I3) A copy that does not verify is taken back. (I4) Parts
 * that an earlier run has uploaded are used again if number and length are right; if the whole then
 * has another ETag, it is copied once more without them. */
#define IMPORT_COPY_BUF_LEN (256u << 10)

struct import_copy {
	struct s3_client source, side, target; /* side: tags, while a body is being read */
	void (*moved)(void *arg, size_t len); /* bytes of bodies; may wait */
	/* Waits before a part is tried again; false: it is not to be. */
	bool (*pause)(void *arg, unsigned tried);
	void *arg;
	bool is_unverified; /* the last one: (I1) */
	bool is_of_target; /* it was our node that failed */
	char message[S3_CLIENT_MESSAGE_LEN]; /* why the last one failed */
	uint8_t buf[IMPORT_COPY_BUF_LEN];
};

struct import_version {
	uint64_t size;
	bool is_marker; /* a delete marker: to be made */
	char etag[S3_LISTING_ETAG_LEN];
	char *id; /* NULL: the newest */
};

struct import_name {
	struct bytes source_bucket, target_bucket, key;
};

/* All is borrowed for the call. Errors, with copy->message: those of s3_client.h; ERR_CHECKSUM;
 * ERR_NOT_FOUND, it was deleted meanwhile. */
enum err import_copy_version(struct import_copy *copy, const struct import_name *name,
	const struct import_version *version) MUST_USE;

/* Is what failed worth another try? */
bool import_may_try_again(enum err err);

/* Is it the MD5 of one body? */
bool import_is_md5(const char *etag);

#endif
