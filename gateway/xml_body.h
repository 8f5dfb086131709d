/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_XML_BODY_H
#define GATEWAY_XML_BODY_H

#include "gateway/xml_in.h"

/* The documents that clients send. Each is a struct that the caller embeds:
 *
 *	err = xml_delete_init(&body, ...);
 *	code = xml_in_feed(&body.in, piece);    for each piece of the request's body
 *	code = xml_in_finish(&body.in);         then the results are in the struct
 *	xml_in_fini(&body.in);
 *
 * A document that breaks its rules ends with its code: mostly S3_MALFORMED_XML. Elements that we do
 * not know are passed over, as AWS does. Callbacks come in the order of the document, before it is
 * known whether the rest is good, so they only collect; what they are given is borrowed for the
 * call. A callback that returns something else than S3_OK ends the parse with that. */

/* --- Delete: DeleteObjects ------------------------------------------------------------------- */

enum { XML_DELETE_COUNT_MAX = 1000 };

struct xml_delete_object {
	struct bytes key; /* at least a byte; the caller checks the rest */
	bool has_version_id, has_etag, has_size, has_last_modified;
	struct bytes version_id, etag;
	uint64_t size;
	uint64_t last_modified_s;
};

struct xml_delete {
	struct xml_in in;
	enum s3_code (*object)(void *context, const struct xml_delete_object *object);
	void *context;
	uint32_t object_count; /* 1 to 1000 in a good document */
	bool is_quiet;

	struct xml_delete_object now; /* parts point into buf */
	size_t buf_len;
	uint8_t buf[XML_IN_TEXT_LEN_MAX];
};

enum err xml_delete_init(struct xml_delete *body,
	enum s3_code (*object)(void *context, const struct xml_delete_object *object),
	void *context) MUST_USE;

/* --- CompleteMultipartUpload ------------------------------------------------------------------ */

enum { XML_COMPLETE_PARTS_MAX = 10000, XML_CHECKSUM_LEN_MAX = 128 };

enum xml_checksum {
	XML_CHECKSUM_CRC32,
	XML_CHECKSUM_CRC32C,
	XML_CHECKSUM_CRC64NVME,
	XML_CHECKSUM_SHA1,
	XML_CHECKSUM_SHA256,
	XML_CHECKSUM_COUNT,
};

struct xml_part {
	uint32_t number; /* 1 to 10000, ascending */
	struct bytes etag; /* without quotes */
	struct bytes checksums[XML_CHECKSUM_COUNT]; /* base64 as sent; data NULL: not there */
};

struct xml_complete {
	struct xml_in in;
	enum s3_code (*part)(void *context, const struct xml_part *part);
	void *context;
	uint32_t part_count; /* 1 to 10000 in a good document */

	bool has_number, has_etag;
	uint32_t last_number;
	struct xml_part now;
	size_t buf_len;
	uint8_t buf[1024];
};

/* The root's name is not looked at: old SDKs send a wrong one. Codes besides S3_MALFORMED_XML:
 * S3_INVALID_ARGUMENT, a part number beyond 1 to 10000; S3_INVALID_PART_ORDER. */
enum err xml_complete_init(struct xml_complete *body,
	enum s3_code (*part)(void *context, const struct xml_part *part), void *context) MUST_USE;

/* --- CreateBucketConfiguration ---------------------------------------------------------------- */

struct xml_create_bucket {
	struct xml_in in;
	size_t location_len; /* 0: absent or empty */
	uint8_t location[64];
};

/* An empty request body is no document; it means the same as one without LocationConstraint. */
enum err xml_create_bucket_init(struct xml_create_bucket *body) MUST_USE;

/* --- VersioningConfiguration ------------------------------------------------------------------ */

enum xml_versioning_status {
	XML_VERSIONING_ABSENT,
	XML_VERSIONING_ENABLED,
	XML_VERSIONING_SUSPENDED
};

struct xml_versioning {
	struct xml_in in;
	enum xml_versioning_status status;
};

/* Codes besides S3_MALFORMED_XML: S3_ILLEGAL_VERSIONING_CONFIGURATION, no status;
 * S3_NOT_IMPLEMENTED, MfaDelete is to be enabled. */
enum err xml_versioning_init(struct xml_versioning *body) MUST_USE;

/* --- Tagging ---------------------------------------------------------------------------------- */

enum { XML_TAGS_MAX = 50 };

struct xml_tag {
	struct bytes key, value; /* in the caller's buffer */
};

struct xml_tagging {
	struct xml_in in;
	uint32_t tag_count;
	uint32_t tags_max;
	struct xml_tag tags[XML_TAGS_MAX];

	bool has_key, has_value;
	struct xml_tag now;
	uint8_t *buf;
	size_t buf_len, buf_cap;
};

/* tags_max is 10 for objects and 50 for buckets. buf takes keys and values, up to 1536 bytes a tag,
 * and is borrowed as long as the tags are used. Codes besides S3_MALFORMED_XML: S3_INVALID_TAG, too
 * many, a duplicate, or not a tag (see names_check_tag()). */
enum err xml_tagging_init(
	struct xml_tagging *body, uint32_t tags_max, uint8_t *buf, size_t cap) MUST_USE;

/* --- AccessControlPolicy ---------------------------------------------------------------------- */

/* Enough to know whether it says what is the case anyway: the owner has FULL_CONTROL, and nobody
 * else has anything. */
struct xml_acl {
	struct xml_in in;
	uint32_t grant_count;
	bool is_plain; /* every grant is FULL_CONTROL for a user by id, all for the same one */
	size_t owner_len, grantee_len;
	uint8_t owner[128], grantee[128];

	bool is_full_control, has_grantee;
};

/* Code besides S3_MALFORMED_XML: S3_MALFORMED_ACL. */
enum err xml_acl_init(struct xml_acl *body) MUST_USE;

/* After a good parse: one or no grant to other than the owner named in the document? */
bool xml_acl_is_private(const struct xml_acl *body);

#endif
