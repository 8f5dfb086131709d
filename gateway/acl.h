/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ACL_H
#define GATEWAY_ACL_H

#include "gateway/s3_error.h"
#include "gateway/xml_in.h"
#include "storage/meta/rows.h"

/* Access control lists, of buckets and of versions, where the ownership setting of the bucket lets
 * there be any (bucket_rules_has_acls()).
 *
 * The blob, in a version's row or BUCKET_CONFIG_ACL, is a byte, the version of its format, and then
 * for each grant {set of enum acl_permission (1 byte), enum acl_grantee (1), length of the id (1),
 * id}. An empty one says "private": all is the owner's.
 *
 * (C1) A list only allows: what a policy denies stays denied.
 * (C2) The owner may do what the list says and, whatever it says, everything that the owner of the
 *      bucket may.
 * (C3) What does not decode allows nothing.
 */
enum acl_permission { /* kept in the index */
	ACL_READ = 1 << 0,
	ACL_WRITE = 1 << 1,
	ACL_READ_ACP = 1 << 2,
	ACL_WRITE_ACP = 1 << 3,
	ACL_FULL_CONTROL = 15,
};

enum acl_grantee { /* kept in the index */
	ACL_USER = 1,
	ACL_EVERYBODY = 2,
	ACL_AUTHENTICATED = 3,
	ACL_LOG_DELIVERY = 4,
};

enum { ACL_GRANTS_MAX = 12, ACL_FORMAT = 1 };

struct acl_grant {
	uint8_t permissions, grantee;
	struct bytes id; /* of an ACL_USER; borrowed */
};

/* A list that is being made. */
struct acl {
	size_t len; /* 0: private */
	size_t grant_count;
	uint8_t buf[ROW_ACL_LEN_MAX];
};

static inline struct bytes acl_bytes(const struct acl *acl)
{
	return bytes_make(acl->buf, acl->len);
}

/* Begins an empty list. */
void acl_init(struct acl *acl);

/* Errors: ERR_LIMIT, more than ACL_GRANTS_MAX, or than has room. */
MUST_USE enum err acl_append(struct acl *acl, const struct acl_grant *grant);

/* Makes the list that a canned one stands for. bucket_owner is empty for the list of a bucket
 * itself. S3_OK, or S3_INVALID_ARGUMENT: there is none of that name. */
enum s3_code acl_make_canned(
	struct acl *acl, struct bytes name, struct bytes owner, struct bytes bucket_owner) MUST_USE;

/* Adds what a header says that grants a permission: id="...", uri="...". S3_OK, S3_INVALID_ARGUMENT
 * or S3_UNRESOLVABLE_GRANT. */
enum s3_code acl_add_header(
	struct acl *acl, enum acl_permission permission, struct bytes value) MUST_USE;

/* Takes the first grant off a blob without its first byte. Errors: ERR_END, ERR_CORRUPT. */
MUST_USE enum err acl_next(struct bytes *rest, struct acl_grant *ret_grant);

/* Does the list allow it to this user (empty: nobody has signed)? */
bool acl_allows(
	struct bytes blob, struct bytes user, enum acl_permission permission, bool ignores_public);

/* Does it let in everybody, or everybody with a key? */
bool acl_is_public(struct bytes blob);

/* Writes the document. */
void acl_put_document(struct text_out *out, struct bytes owner, struct bytes blob);

/* The document of a client, AccessControlPolicy. Codes besides S3_MALFORMED_ACL:
 * S3_UNRESOLVABLE_GRANT, S3_INVALID_ARGUMENT. */
struct acl_document {
	struct xml_in in;
	struct acl acl;
	struct acl_grant grant; /* the one that is read */
	uint8_t id[ROW_OWNER_LEN_MAX];
};

MUST_USE enum err acl_document_init(struct acl_document *document);

#endif
