/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_METADATA_HEADERS_H
#define GATEWAY_METADATA_HEADERS_H

#include "gateway/acl.h"
#include "gateway/response.h"

/* What is kept with an object beside its bytes: from the headers of a request into the pairs of a
 * version's row (storage/meta/rows.h), and back into the headers of an answer.
 *
 * Kept are Cache-Control, Content-Disposition, Content-Encoding without aws-chunked,
 * Content-Language, Content-Type, Expires, the website redirect, and x-amz-meta-*, byte for byte as
 * they came. Tags are pairs of their own. */
#define METADATA_USER_LEN_MAX 2048 /* names without their prefix, and values */
#define METADATA_TAGS_MAX 10
#define METADATA_TAGS_LEN_MAX (METADATA_TAGS_MAX * (6 + 4 * (128 + 256))) /* as pairs */
#define METADATA_TAGS_TEXT_LEN_MAX (8 * 1024) /* of x-amz-tagging */
#define METADATA_TAGS_READ_LEN_MAX (METADATA_TAGS_TEXT_LEN_MAX + 6 * METADATA_TAGS_MAX) /* pairs \
											 */

struct metadata {
	struct bytes owner; /* of what is made; borrowed from the request */
	struct acl acl;
	size_t len, tags_len;
	uint8_t pairs[ROW_META_LEN_MAX];
	uint8_t tags[METADATA_TAGS_READ_LEN_MAX];
};

static inline struct bytes metadata_pairs(const struct metadata *metadata)
{
	return bytes_make(metadata->pairs, metadata->len);
}

static inline struct bytes metadata_tags(const struct metadata *metadata)
{
	return bytes_make(metadata->tags, metadata->tags_len);
}

/* Takes the headers that are kept, but not the tags. With them come owner and
 * ACL. Returns S3_OK, S3_METADATA_TOO_LARGE, or what op_acl_read_headers() does. */
enum s3_code metadata_read_headers(struct request *request, struct metadata *metadata) MUST_USE;

/* Takes x-amz-tagging, if it is there. Returns S3_OK or S3_INVALID_TAG. */
enum s3_code metadata_read_tags(struct request *request, struct metadata *metadata) MUST_USE;

/* The same for "name=value&..." from anywhere. */
enum s3_code metadata_parse_tags(struct bytes text, struct metadata *metadata) MUST_USE;

/* Into a command. What is empty is the default of both. */
void metadata_describe(const struct metadata *metadata, struct command_attributes *attributes);

/* How many tags there are. */
unsigned metadata_tag_count(struct bytes tags);

/* Tags as pairs. The name of a pair has at most 255 bytes, that of a tag up to 512: a longer one is
 * the value of a pair without a name, and the next pair's value is the tag's. */
bool metadata_tag_next(struct bytes *rest, struct metadata_pair *ret_tag);
MUST_USE enum err metadata_tag_append(
	uint8_t *buf, size_t cap, size_t *len, struct bytes name, struct bytes value);

/* Refuses what a request that makes an object may ask for and we do not do: encryption, ACLs other
 * than private, appends, unknown storage classes. Nothing is accepted and ignored. */
enum s3_code metadata_refuse_headers(struct request *request) MUST_USE;

/* Writes what a Content-Encoding is without its aws-chunked tokens; nothing if they are all. */
void metadata_put_content_encoding(struct text_out *out, struct bytes value);

/* Adds the kept headers to an answer; they borrow pairs. What does not fit is left out and counted
 * in x-amz-missing-meta's sense: *ret_missing. Content-Type is always there. */
void metadata_add_headers(
	struct response_headers *headers, struct bytes pairs, unsigned *ret_missing);

#endif
