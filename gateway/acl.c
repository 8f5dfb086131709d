/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/acl.h"

#include "gateway/response.h"
#include "gateway/xml_out.h"

enum { GRANT_HEAD_LEN = 3 };

#define GROUPS "http://acs.amazonaws.com/groups/"

static const char *const group_uris[] = {
	[ACL_EVERYBODY] = GROUPS "global/AllUsers",
	[ACL_AUTHENTICATED] = GROUPS "global/AuthenticatedUsers",
	[ACL_LOG_DELIVERY] = GROUPS "s3/LogDelivery",
};

static const struct {
	const char *name;
	uint8_t permissions;
} permission_names[] = {
	{"READ", ACL_READ},
	{"WRITE", ACL_WRITE},
	{"READ_ACP", ACL_READ_ACP},
	{"WRITE_ACP", ACL_WRITE_ACP},
	{"FULL_CONTROL", ACL_FULL_CONTROL},
};

/* --- bytes ------------------------------------------------------------------------------------ */

void acl_init(struct acl *acl)
{
	acl->len = acl->grant_count = 0;
}

enum err acl_append(struct acl *acl, const struct acl_grant *grant)
{
	size_t head_len = acl->len == 0 ? 1 : 0;
	assert(grant->permissions != 0 && grant->id.len <= UINT8_MAX);
	if (acl->grant_count == ACL_GRANTS_MAX ||
		head_len + GRANT_HEAD_LEN + grant->id.len > sizeof acl->buf - acl->len)
		return ERR_LIMIT;
	if (head_len > 0)
		acl->buf[acl->len++] = ACL_FORMAT;
	uint8_t *p = acl->buf + acl->len;
	p[0] = grant->permissions;
	p[1] = grant->grantee;
	p[2] = grant->id.len;
	if (grant->id.len > 0)
		memcpy(p + GRANT_HEAD_LEN, grant->id.data, grant->id.len);
	acl->len += GRANT_HEAD_LEN + grant->id.len;
	acl->grant_count++;
	return ERR_OK;
}

enum err acl_next(struct bytes *rest, struct acl_grant *ret_grant)
{
	if (rest->len == 0)
		return ERR_END;
	if (rest->len < GRANT_HEAD_LEN || rest->data[2] > rest->len - GRANT_HEAD_LEN)
		return ERR_CORRUPT;
	const uint8_t *p = rest->data;
	if (p[0] == 0 || p[0] > ACL_FULL_CONTROL || p[1] < ACL_USER || p[1] > ACL_LOG_DELIVERY)
		return ERR_CORRUPT;
	*ret_grant = (struct acl_grant){p[0], p[1], bytes_make(p + GRANT_HEAD_LEN, p[2])};
	*rest = bytes_from(*rest, GRANT_HEAD_LEN + p[2]);
	return ERR_OK;
}

/* Behind the format. False: of a newer program (C3). */
static bool open_blob(struct bytes *blob)
{
	if (blob->len > 0 && blob->data[0] != ACL_FORMAT)
		return false;
	*blob = bytes_from(*blob, blob->len > 0 ? 1 : 0);
	return true;
}

/* --- what they say ---------------------------------------------------------------------------- */

bool acl_allows(
	struct bytes blob, struct bytes user, enum acl_permission permission, bool ignores_public)
{
	struct acl_grant grant;
	if (!open_blob(&blob))
		return false;
	while (acl_next(&blob, &grant) == ERR_OK) {
		bool is_meant = grant.grantee == ACL_USER
			? user.len > 0 && bytes_is_equal(grant.id, user)
			: !ignores_public &&
				(grant.grantee == ACL_EVERYBODY ||
					(grant.grantee == ACL_AUTHENTICATED && user.len > 0));
		if (is_meant && grant.permissions & permission)
			return true;
	}
	return false;
}

bool acl_is_public(struct bytes blob)
{
	struct acl_grant grant;
	if (!open_blob(&blob))
		return false;
	while (acl_next(&blob, &grant) == ERR_OK)
		if (grant.grantee == ACL_EVERYBODY || grant.grantee == ACL_AUTHENTICATED)
			return true;
	return false;
}

/* --- making them ------------------------------------------------------------------------------ */

enum s3_code acl_make_canned(
	struct acl *acl, struct bytes name, struct bytes owner, struct bytes bucket_owner)
{
	static const struct {
		const char *name;
		uint8_t grantee, permissions;
		bool is_of_bucket, is_of_object;
	} canned[] = {
		{"private", 0, 0, true, true},
		{"public-read", ACL_EVERYBODY, ACL_READ, true, true},
		{"public-read-write", ACL_EVERYBODY, ACL_READ | ACL_WRITE, true, true},
		{"authenticated-read", ACL_AUTHENTICATED, ACL_READ, true, true},
		{"bucket-owner-read", ACL_USER, ACL_READ, false, true},
		{"bucket-owner-full-control", ACL_USER, ACL_FULL_CONTROL, false, true},
		{"log-delivery-write", ACL_LOG_DELIVERY, ACL_WRITE | ACL_READ_ACP, true, false},
	};
	acl_init(acl);
	for (size_t i = 0; i < ARRAY_COUNT(canned); i++) {
		if (!bytes_is_text(name, canned[i].name))
			continue;
		bool is_owners = canned[i].grantee == ACL_USER;
		if (canned[i].grantee == 0 || (is_owners && bytes_is_equal(owner, bucket_owner)))
			return S3_OK;
		/* What a bucket's list has for objects only, and the other way, is ignored by S3.
		 */
		if (bucket_owner.len == 0 ? !canned[i].is_of_bucket : !canned[i].is_of_object)
			return S3_OK;
		const struct acl_grant grants[] = {
			{ACL_FULL_CONTROL, ACL_USER, owner},
			{canned[i].permissions, canned[i].grantee,
				is_owners ? bucket_owner : (struct bytes){0}},
		};
		for (size_t j = 0; j < ARRAY_COUNT(grants); j++) {
			enum err err = acl_append(acl, &grants[j]);
			assert(err == ERR_OK);
		}
		return S3_OK;
	}
	return S3_INVALID_ARGUMENT;
}

static uint8_t group_of(struct bytes uri)
{
	for (uint8_t i = ACL_EVERYBODY; i <= ACL_LOG_DELIVERY; i++)
		if (bytes_is_text(uri, group_uris[i]))
			return i;
	return 0;
}

/* One grantee of a header: id="...", uri="..." or emailAddress="...", with quotes or without. */
static enum s3_code add_grantee(struct acl *acl, enum acl_permission permission, struct bytes text)
{
	const uint8_t *equals = text.len > 0 ? memchr(text.data, '=', text.len) : NULL;
	if (!equals)
		return S3_INVALID_ARGUMENT;
	struct bytes kind = bytes_trim(bytes_make(text.data, equals - text.data), " \t");
	struct bytes value = bytes_trim(bytes_from(text, equals - text.data + 1), " \t\"");
	struct acl_grant grant = {.permissions = permission};
	if (bytes_is_text(kind, "emailAddress"))
		return S3_UNRESOLVABLE_GRANT;
	if (bytes_is_text(kind, "id") && value.len > 0 && value.len <= ROW_OWNER_LEN_MAX) {
		grant.grantee = ACL_USER;
		grant.id = value;
	} else if (bytes_is_text(kind, "uri")) {
		grant.grantee = group_of(value);
	}
	if (grant.grantee == 0)
		return S3_INVALID_ARGUMENT;
	return acl_append(acl, &grant) == ERR_OK ? S3_OK : S3_INVALID_ARGUMENT;
}

enum s3_code acl_add_header(struct acl *acl, enum acl_permission permission, struct bytes value)
{
	do {
		const uint8_t *comma = value.len > 0 ? memchr(value.data, ',', value.len) : NULL;
		size_t len = comma ? (size_t)(comma - value.data) : value.len;
		enum s3_code code = add_grantee(acl, permission, bytes_make(value.data, len));
		if (code != S3_OK)
			return code;
		value = bytes_from(value, comma ? len + 1 : len);
	} while (value.len > 0);
	return S3_OK;
}

/* --- documents -------------------------------------------------------------------------------- */

static void put_grant(struct text_out *out, const struct acl_grant *grant, const char *permission)
{
	bool is_user = grant->grantee == ACL_USER;
	text_put_text(out,
		"<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
		"xsi:type=\"");
	text_put_text(out, is_user ? "CanonicalUser\"><ID>" : "Group\"><URI>");
	if (is_user) {
		xml_put_any(out, grant->id);
		text_put_text(out, "</ID><DisplayName>");
		xml_put_any(out, grant->id);
		text_put_text(out, "</DisplayName>");
	} else {
		text_put_text(out, group_uris[grant->grantee]);
		text_put_text(out, "</URI>");
	}
	text_put_text(out, "</Grantee><Permission>");
	text_put_text(out, permission);
	text_put_text(out, "</Permission></Grant>");
}

static void put_grants(struct text_out *out, const struct acl_grant *grant)
{
	for (size_t i = 0; i < ARRAY_COUNT(permission_names); i++) {
		uint8_t permissions = permission_names[i].permissions;
		bool is_said = permissions == ACL_FULL_CONTROL ||
				grant->permissions == ACL_FULL_CONTROL
			? grant->permissions == permissions
			: (grant->permissions & permissions) != 0;
		if (is_said)
			put_grant(out, grant, permission_names[i].name);
	}
}

void acl_put_document(struct text_out *out, struct bytes owner, struct bytes blob)
{
	struct acl_grant grant = {ACL_FULL_CONTROL, ACL_USER, owner};
	bool is_private = blob.len == 0;
	text_put_text(out, XML_DECLARATION "<AccessControlPolicy" XML_NAMESPACE ">");
	response_put_owner(out, owner);
	text_put_text(out, "<AccessControlList>");
	if (is_private)
		put_grants(out, &grant);
	else if (open_blob(&blob))
		while (acl_next(&blob, &grant) == ERR_OK)
			put_grants(out, &grant);
	text_put_text(out, "</AccessControlList></AccessControlPolicy>");
}

static void document_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	static const char *const names[][4] = {
		{"AccessControlPolicy"},
		{"Owner", "AccessControlList"},
		{"ID", "DisplayName", "Grant"},
		{"Grantee", "Permission"},
		{"ID", "DisplayName", "URI", "EmailAddress"},
	};
	struct acl_document *document = CONTAINER_OF(in, struct acl_document, in);
	bool is_known = false;
	(void)attributes;
	for (size_t i = 0; depth <= ARRAY_COUNT(names) && i < 4 && names[depth - 1][i]; i++)
		is_known |= bytes_is_text(name, names[depth - 1][i]);
	if (!is_known)
		xml_in_stop(in, S3_MALFORMED_ACL);
	if (depth == 3)
		document->grant = (struct acl_grant){0};
}

/* What is said of the grantee. */
static enum s3_code take_grantee(
	struct acl_document *document, struct bytes name, struct bytes text)
{
	struct acl_grant *grant = &document->grant;
	if (bytes_is_text(name, "EmailAddress"))
		return S3_UNRESOLVABLE_GRANT;
	if (bytes_is_text(name, "DisplayName"))
		return S3_OK;
	if (grant->grantee != 0)
		return S3_MALFORMED_ACL;
	if (bytes_is_text(name, "URI")) {
		grant->grantee = group_of(text);
		return grant->grantee == 0 ? S3_INVALID_ARGUMENT : S3_OK;
	}
	if (text.len == 0 || text.len > sizeof document->id)
		return S3_INVALID_ARGUMENT;
	memcpy(document->id, text.data, text.len);
	grant->grantee = ACL_USER;
	grant->id = bytes_make(document->id, text.len);
	return S3_OK;
}

static void document_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct acl_document *document = CONTAINER_OF(in, struct acl_document, in);
	struct acl_grant *grant = &document->grant;
	enum s3_code code = S3_OK;

	text = bytes_trim(text, XML_IN_SPACE);
	if (depth == 5) {
		code = take_grantee(document, name, text);
	} else if (depth == 4 && bytes_is_text(name, "Permission")) {
		for (size_t i = 0; i < ARRAY_COUNT(permission_names); i++)
			if (bytes_is_text(text, permission_names[i].name))
				grant->permissions = permission_names[i].permissions;
	} else if (depth == 3 && bytes_is_text(name, "Grant")) {
		if (grant->grantee == 0 || grant->permissions == 0 ||
			acl_append(&document->acl, grant) != ERR_OK)
			code = S3_MALFORMED_ACL;
	}
	if (code != S3_OK)
		xml_in_stop(in, code);
}

enum err acl_document_init(struct acl_document *document)
{
	acl_init(&document->acl);
	document->grant = (struct acl_grant){0};
	return xml_in_init(&document->in, document_open, document_close);
}
