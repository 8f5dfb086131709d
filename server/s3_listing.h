/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_S3_LISTING_H
#define SERVER_S3_LISTING_H

#include "gateway/xml_in.h"
#include "server/s3_client.h"

/* What another service lists, row by row, whatever the size of its pages: buckets, objects,
 * versions, uploads of a key, parts of an upload.
 *
 * (G1) Keys come escaped (encoding-type=url) and are given as they are.
 * (G2) Keys of objects and versions have to go up; a service that lists otherwise is refused, since
 *      who merges two listings relies on it.
 * (G3) A page that says there is more, and not from where, is refused: it would never end. */
enum s3_listing_kind {
	S3_LISTING_BUCKETS,
	S3_LISTING_OBJECTS,
	S3_LISTING_VERSIONS, /* of each key the newest first */
	S3_LISTING_UPLOADS,
	S3_LISTING_PARTS,
	S3_LISTING_KINDS,
};

#define S3_LISTING_ID_LEN 1025 /* of a version or an upload, with its end */
#define S3_LISTING_ETAG_LEN 72

struct s3_listing_row {
	struct bytes key; /* or the bucket's name; borrowed from the page */
	uint64_t size;
	uint64_t modified_ms;
	unsigned part_number;
	bool is_marker; /* a delete marker */
	char etag[S3_LISTING_ETAG_LEN]; /* without quotes */
	char id[S3_LISTING_ID_LEN]; /* of the version or the upload */
};

struct s3_listing;

/* client and names are borrowed for its life; one page is held in memory. prefix may be empty; for
 * parts it is the key, and upload says whose. Errors: ERR_NO_MEMORY. */
enum err s3_listing_new(struct s3_client *client, enum s3_listing_kind kind, struct bytes bucket,
	struct bytes prefix, struct bytes upload, struct s3_listing **ret_listing) MUST_USE;
void s3_listing_free(struct s3_listing *listing);

/* The next row, borrowed until the next call. ERR_END: there is none. Errors, with a line in
 * client->message: those of s3_client_call(); ERR_INVALID, what came is no listing. A page that
 * did not come may be asked for again by another call. */
enum err s3_listing_next(
	struct s3_listing *listing, const struct s3_listing_row **ret_row) MUST_USE;

#endif
