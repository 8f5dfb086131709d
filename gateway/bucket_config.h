/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_BUCKET_CONFIG_H
#define GATEWAY_BUCKET_CONFIG_H

#include "gateway/xml_body.h"
#include "gateway/xml_encryption.h"
#include "gateway/xml_lifecycle.h"
#include "gateway/xml_notification.h"
#include "gateway/xml_website.h"
#include "storage/meta/rows.h"

/* The configurations of a bucket: from the documents of clients into the blobs that the index keeps
 * (table BUCKET_CONFIG), and back. bucket_config.c says what the blobs are. Nothing here knows
 * requests.
 *
 *	code = bucket_config_parse_init(&parse, kind, bucket_name);
 *	code = bucket_config_parse_feed(&parse, piece);     for each piece of the document
 *	code = bucket_config_parse_finish(&parse, &blob);
 *	bucket_config_parse_fini(&parse);                   also after a failed init
 */
enum {
	BUCKET_CONFIG_DOCUMENT_LEN_MAX = 64 << 10,
	BUCKET_CONFIG_TAGS_MAX = 50,
	BUCKET_CONFIG_TAGS_LEN_MAX = 24 << 10, /* 50 of the longest in ASCII have 19200 bytes */
	BUCKET_CONFIG_CORS_RULES_MAX = 100,
};

enum bucket_public_access { /* kept in the index */
	BUCKET_BLOCK_PUBLIC_ACLS = 1 << 0,
	BUCKET_IGNORE_PUBLIC_ACLS = 1 << 1,
	BUCKET_BLOCK_PUBLIC_POLICY = 1 << 2,
	BUCKET_RESTRICT_PUBLIC_BUCKETS = 1 << 3,
};

enum bucket_ownership { /* kept in the index */
	BUCKET_OWNER_ENFORCED = 1, /* there are no ACLs */
	BUCKET_OWNER_PREFERRED = 2,
	BUCKET_OBJECT_WRITER = 3,
};

enum bucket_cors_tag { /* kept in the index */
	BUCKET_CORS_RULE = 1, /* a rule begins, and its items follow */
	BUCKET_CORS_ID = 2,
	BUCKET_CORS_HEADER = 3,
	BUCKET_CORS_METHOD = 4,
	BUCKET_CORS_ORIGIN = 5,
	BUCKET_CORS_EXPOSE = 6,
	BUCKET_CORS_MAX_AGE = 7, /* decimal */
};

/* The setting of that name ("ObjectWriter"); 0: there is none. */
uint8_t bucket_config_ownership(struct bytes name);

#define BUCKET_CONFIG_OWNERSHIP_LEN 2
void bucket_config_make_ownership(uint8_t ownership, uint8_t ret_blob[BUCKET_CONFIG_OWNERSHIP_LEN]);

struct bucket_config_parse {
	enum bucket_config kind;
	struct bytes bucket; /* its name; borrowed */
	const char *message; /* says more than the code; NULL: nothing */
	bool is_public; /* a policy that is: policy_is_public() */
	bool has_xml;
	union {
		struct xml_in in;
		struct xml_tagging tagging;
		struct xml_lifecycle lifecycle;
		struct xml_website website;
		struct xml_encryption encryption;
		struct xml_notification notification; /* the caller says which webhooks */
	} xml;
	struct fields_out rules; /* of a lifecycle, in arena */
	unsigned seen; /* items that the open rule has, a bit each */
	unsigned rule_count;
	uint8_t value; /* of the kinds that are one byte */
	size_t len;
	uint8_t arena[BUCKET_CONFIG_TAGS_LEN_MAX + (26 << 10)];
};

/* A document of this kind for the bucket. Returns S3_OK or S3_SLOW_DOWN: no memory. */
enum s3_code bucket_config_parse_init(
	struct bucket_config_parse *parse, enum bucket_config kind, struct bytes bucket) MUST_USE;
void bucket_config_parse_fini(struct bucket_config_parse *parse);

/* What GET answers with: application/xml, or application/json. */
const char *bucket_config_type(enum bucket_config kind);

/* S3_OK, or why the document is refused: S3_MALFORMED_XML, S3_INVALID_TAG, S3_INVALID_REQUEST,
 * S3_NOT_IMPLEMENTED, S3_MALFORMED_POLICY, S3_MAX_MESSAGE_LENGTH_EXCEEDED, ... */
enum s3_code bucket_config_parse_feed(
	struct bucket_config_parse *parse, struct bytes piece) MUST_USE;

/* The document is complete; the blob is the parse's, until its fini. An empty one: the bucket has
 * no such configuration. */
enum s3_code bucket_config_parse_finish(
	struct bucket_config_parse *parse, struct bytes *ret_blob) MUST_USE;

/* Writes the document that a blob stands for. Errors: ERR_CORRUPT; ERR_VERSION, of a newer program.
 * Whether it fits is out->overflowed. */
MUST_USE enum err bucket_config_render(
	enum bucket_config kind, struct bytes blob, struct text_out *out);

/* What is behind the blob's format byte. Errors: ERR_CORRUPT, ERR_VERSION. */
MUST_USE enum err bucket_config_open(struct bytes blob, struct bytes *ret_rest);

/* Takes the first item of a CORS configuration off what bucket_config_open() gave. Errors: ERR_END,
 * ERR_CORRUPT. */
MUST_USE enum err bucket_config_cors_next(
	struct bytes *rest, enum bucket_cors_tag *ret_tag, struct bytes *ret_value);

#endif
