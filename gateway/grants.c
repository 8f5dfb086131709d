/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/grants.h"

enum { FORMAT = 1, HEAD_LEN = 3 };

enum err grants_next(struct bytes *rest, struct grant *ret_grant)
{
	if (rest->len == 0)
		return ERR_END;
	if (rest->len < HEAD_LEN || rest->len - HEAD_LEN < rest->data[2])
		return ERR_CORRUPT;
	*ret_grant = (struct grant){
		.kind = rest->data[0],
		.rights = rest->data[1],
		.id = bytes_make(rest->data + HEAD_LEN, rest->data[2]),
	};
	*rest = bytes_from(*rest, HEAD_LEN + rest->data[2]);
	return ERR_OK;
}

static void put(struct text_out *out, const struct grant *grant)
{
	text_put_char(out, (char)grant->kind);
	text_put_char(out, (char)grant->rights);
	text_put_char(out, (char)grant->id.len);
	text_put_bytes(out, grant->id);
}

enum err grants_set(struct bytes rest, const struct grant *grant, struct text_out *out)
{
	struct grant other;
	size_t count = 0;
	enum err err;

	assert(grant->id.len > 0 && grant->id.len <= UINT8_MAX);
	text_put_char(out, FORMAT);
	while ((err = grants_next(&rest, &other)) == ERR_OK) {
		if (other.kind == grant->kind && bytes_is_equal(other.id, grant->id))
			continue;
		put(out, &other);
		count++;
	}
	if (err != ERR_END)
		return err;
	if (grant->rights != 0) {
		put(out, grant);
		count++;
	}
	if (out->overflowed || count > GRANTS_MAX)
		return ERR_LIMIT;
	if (count == 0)
		out->len = 0;
	return ERR_OK;
}

uint8_t grants_rights(struct bytes rest, struct bytes key_id, struct bytes user)
{
	struct grant grant;
	uint8_t rights = 0;
	while (grants_next(&rest, &grant) == ERR_OK)
		if (bytes_is_equal(grant.id, grant.kind == GRANT_OF_KEY ? key_id : user) &&
			(grant.kind == GRANT_OF_KEY || grant.kind == GRANT_OF_USER))
			rights |= grant.rights;
	return rights;
}

uint8_t grants_right(const char *action)
{
	static const struct {
		const char *action;
		uint8_t rights;
	} known[] = {
		{"s3:GetObject", GRANT_READ},
		{"s3:GetObjectVersion", GRANT_READ},
		{"s3:GetObjectAttributes", GRANT_READ},
		{"s3:GetObjectVersionAttributes", GRANT_READ},
		{"s3:GetObjectTagging", GRANT_READ},
		{"s3:GetObjectVersionTagging", GRANT_READ},
		{"s3:GetObjectAcl", GRANT_READ},
		{"s3:GetObjectVersionAcl", GRANT_READ},
		{"s3:GetObjectRetention", GRANT_READ},
		{"s3:GetObjectLegalHold", GRANT_READ},
		{"s3:ListBucket", GRANT_READ},
		{"s3:ListBucketVersions", GRANT_READ},
		{"s3:ListBucketMultipartUploads", GRANT_READ | GRANT_WRITE},
		{"s3:ListMultipartUploadParts", GRANT_READ | GRANT_WRITE},
		{"s3:GetBucketLocation", GRANT_READ | GRANT_WRITE},
		{"s3:GetBucketVersioning", GRANT_READ | GRANT_WRITE},
		{"s3:GetBucketObjectLockConfiguration", GRANT_READ | GRANT_WRITE},
		{"s3:GetEncryptionConfiguration", GRANT_READ | GRANT_WRITE},
		{"s3:PutObject", GRANT_WRITE},
		{"s3:PutObjectTagging", GRANT_WRITE},
		{"s3:PutObjectVersionTagging", GRANT_WRITE},
		{"s3:PutObjectRetention", GRANT_WRITE},
		{"s3:PutObjectLegalHold", GRANT_WRITE},
		{"s3:DeleteObject", GRANT_WRITE},
		{"s3:DeleteObjectVersion", GRANT_WRITE},
		{"s3:DeleteObjectTagging", GRANT_WRITE},
		{"s3:DeleteObjectVersionTagging", GRANT_WRITE},
		{"s3:AbortMultipartUpload", GRANT_WRITE},
	};
	for (size_t i = 0; i < ARRAY_COUNT(known); i++)
		if (strcmp(action, known[i].action) == 0)
			return known[i].rights | GRANT_OWN;
	return GRANT_OWN;
}
