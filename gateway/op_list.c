/* SPDX-License-Identifier: Apache-2.0 */
/* ListObjects in both forms, and ListObjectVersions. How a page is made is in op_list_page.h. */
#include "gateway/op_list.h"

#include "gateway/checksum_s3.h"
#include "gateway/op_list_cursor.h"
#include "gateway/op_list_page.h"
#include "gateway/response.h"
#include "gateway/xml_out.h"

/* Six bytes for one, as in &#x1F; and the fixed text with room to spare. */
#define ROW_TEXT_LEN_MAX (6 * (URI_KEY_LEN_MAX + 2 * ROW_OWNER_LEN_MAX) + 1024)
#define HEAD_TEXT_LEN_MAX (REQUEST_TEXT_LEN - ROW_TEXT_LEN_MAX)

enum kind {
	KIND_V1,
	KIND_V2,
	KIND_VERSIONS,
};

struct op_list {
	struct op_list_page page; /* first */
	enum kind kind;
	struct op_list_cursor cursor;
	struct bytes prefix, delimiter;
	struct bytes marker; /* or key-marker, or start-after */
	struct bytes token;
	struct bytes version_marker;
	bool has_token, has_start_after, has_delimiter;
	bool has_owner;
	bool is_marker_null; /* version-id-marker=null, which is to be looked up */
	uint32_t count_max;
	uint8_t token_key[URI_KEY_LEN_MAX];
};

/* --- rows ------------------------------------------------------------------------------------- */

static void put_checksum(struct text_out *out, const struct row_version *row)
{
	if (row->checksum_algorithm == CHECKSUM_NONE ||
		row->checksum_algorithm > CHECKSUM_CRC64NVME)
		return;
	text_put_text(out, "<ChecksumAlgorithm>");
	text_put_text(out, checksum_s3_name(row->checksum_algorithm));
	text_put_text(out, "</ChecksumAlgorithm><ChecksumType>");
	text_put_text(out, checksum_s3_type_name(row->checksum_type));
	text_put_text(out, "</ChecksumType>");
}

/* What objects and versions have in common, behind the key. */
static void put_facts(struct text_out *out, const struct row_version *row, bool has_owner)
{
	text_put_text(out, "<LastModified>");
	response_put_time(out, row->time_ms);
	text_put_text(out, "</LastModified>");
	if (!row->is_delete_marker) {
		text_put_text(out, "<ETag>");
		response_put_etag(out, &row->etag);
		text_put_text(out, "</ETag>");
		put_checksum(out, row);
		text_put_text(out, "<Size>");
		text_put_uint(out, row->len);
		text_put_text(out, "</Size><StorageClass>STANDARD</StorageClass>");
	}
	if (has_owner)
		response_put_owner(out, row->owner);
}

static void put_object(struct text_out *out, const struct op_list *op, struct bytes key)
{
	text_put_text(out, "<Contents><Key>");
	xml_put_key(out, key, op->page.is_url);
	text_put_text(out, "</Key>");
	put_facts(out, &op_list_cursor_row(&op->cursor)->row, op->has_owner);
	text_put_text(out, "</Contents>");
}

static void put_version(struct text_out *out, const struct op_list *op, struct bytes key)
{
	const struct object_info *object = op_list_cursor_row(&op->cursor);
	const char *name = object->row.is_delete_marker ? "DeleteMarker" : "Version";
	xml_open(out, name);
	text_put_text(out, "<Key>");
	xml_put_key(out, key, op->page.is_url);
	text_put_text(out, "</Key><VersionId>");
	response_put_version(out, object->version, object->row.is_null);
	text_put_text(out, "</VersionId>");
	xml_element_bool(out, "IsLatest", object->is_latest);
	put_facts(out, &object->row, true);
	xml_close(out, name);
}

static void put_row(struct request *request, struct bytes key)
{
	struct op_list *op = REQUEST_OP(request, struct op_list);
	if (op->kind == KIND_VERSIONS)
		put_version(&request->out, op, key);
	else
		put_object(&request->out, op, key);
}

/* version-id-marker=null is behind the version that is null now. If it is gone, who came from it is
 * told the key's versions from the newest on: some twice, and none never. */
static enum err find_marker(struct request *request, struct op_list *op)
{
	static const struct version_id newest = {UINT64_MAX, UINT32_MAX};
	struct object_info object;
	uint8_t buf[16];

	op->is_marker_null = false;
	enum err err = index_version_null(
		request_reader(request), request->bucket.id, op->marker, &object);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	listing_after_row(&op->page.listing, op->marker,
		op_list_sub_encode(err == ERR_OK ? object.version : newest, false, buf));
	return ERR_OK;
}

static enum err resume(struct request *request)
{
	struct op_list *op = REQUEST_OP(request, struct op_list);
	enum err err = op->is_marker_null ? find_marker(request, op) : ERR_OK;
	op_list_cursor_resume(&op->cursor, request_reader(request), request->bucket.id);
	return err;
}

/* --- the page --------------------------------------------------------------------------------- */

static const char *root_of(const struct op_list *op)
{
	return op->kind == KIND_VERSIONS ? "ListVersionsResult" : "ListBucketResult";
}

static void put_head(struct request *request)
{
	struct op_list *op = REQUEST_OP(request, struct op_list);
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<");
	text_put_text(out, root_of(op));
	text_put_text(out, XML_NAMESPACE ">");
	xml_element(out, "Name", request->bucket.name);
	op_list_page_put(&op->page, out, "Prefix", op->prefix);
	if (op->kind == KIND_V1)
		op_list_page_put(&op->page, out, "Marker", op->marker);
	if (op->kind == KIND_VERSIONS) {
		op_list_page_put(&op->page, out, "KeyMarker", op->marker);
		xml_open(out, "VersionIdMarker");
		xml_put_any(out, op->version_marker);
		xml_close(out, "VersionIdMarker");
	}
	if (op->has_start_after)
		op_list_page_put(&op->page, out, "StartAfter", op->marker);
	if (op->has_token) {
		xml_open(out, "ContinuationToken");
		xml_put_any(out, op->token);
		xml_close(out, "ContinuationToken");
	}
	xml_element_uint(out, "MaxKeys", op->count_max);
	if (op->delimiter.len > 0)
		op_list_page_put(&op->page, out, "Delimiter", op->delimiter);
	if (op->page.is_url)
		text_put_text(out, "<EncodingType>url</EncodingType>");
}

static void put_next_version(struct text_out *out, const struct op_list *op)
{
	struct bytes sub = listing_last_sub(&op->page.listing);
	struct version_id version;
	bool is_null;

	op_list_page_put(&op->page, out, "NextKeyMarker", listing_last_key(&op->page.listing));
	if (sub.len == 0)
		return;
	op_list_sub_decode(sub, &version, &is_null);
	/* By its place, also if it is null: which version that is may change before the next page.
	 */
	text_put_text(out, "<NextVersionIdMarker>");
	response_put_version(out, version, false);
	text_put_text(out, "</NextVersionIdMarker>");
}

static void put_next(struct text_out *out, const struct op_list *op)
{
	uint8_t token[LISTING_TOKEN_LEN_MAX];
	struct bytes last = listing_last_key(&op->page.listing);

	if (op->kind == KIND_VERSIONS) {
		put_next_version(out, op);
	} else if (op->kind == KIND_V2) {
		size_t len = listing_token_encode(last, token);
		xml_element(out, "NextContinuationToken", bytes_make(token, len));
	} else if (op->delimiter.len > 0) {
		op_list_page_put(&op->page, out, "NextMarker", last);
	}
}

static void put_tail(struct request *request)
{
	struct op_list *op = REQUEST_OP(request, struct op_list);
	struct text_out *out = &request->out;
	if (op->kind == KIND_V2)
		xml_element_uint(out, "KeyCount", op->page.listing.count);
	xml_element_bool(out, "IsTruncated", op->page.listing.is_truncated);
	if (op->page.listing.is_truncated)
		put_next(out, op);
	xml_close(out, root_of(op));
}

static const struct op_list_page_parts parts = {
	ROW_TEXT_LEN_MAX, put_head, resume, put_row, put_tail};

/* --- what is asked for ------------------------------------------------------------------------ */

static enum s3_code bad_argument(
	struct request *request, const char *name, struct bytes value, const char *message)
{
	s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	s3_error_add(&request->error, "ArgumentValue", value);
	request->error.message = message;
	return S3_INVALID_ARGUMENT;
}

static enum s3_code read_common(struct request *request, struct op_list *op)
{
	struct bytes text;
	op->prefix = request_param(request, "prefix");
	op->delimiter = request_param(request, "delimiter");
	if (query_find(&request->query, "encoding-type", &text) && text.len > 0) {
		if (!bytes_is_text(text, "url"))
			return bad_argument(request, "encoding-type", text,
				"Invalid Encoding Method specified in Request");
		op->page.is_url = true;
	}
	return listing_parse_count(
		"max-keys", request_param(request, "max-keys"), &op->count_max, &request->error);
}

/* A prefix or delimiter longer than any key matches nothing, but must fit into the answer. */
static enum s3_code check_lens(struct request *request, const struct op_list *op)
{
	if (op->prefix.len > URI_KEY_LEN_MAX)
		return bad_argument(request, "prefix", (struct bytes){0}, NULL);
	if (op->delimiter.len > URI_KEY_LEN_MAX)
		return bad_argument(request, "delimiter", (struct bytes){0}, NULL);
	if (op->marker.len > URI_KEY_LEN_MAX)
		return bad_argument(request, "marker", (struct bytes){0}, NULL);
	return S3_OK;
}

static enum s3_code read_v2(struct request *request, struct op_list *op)
{
	op->has_start_after = query_find(&request->query, "start-after", &op->marker);
	op->has_token = query_find(&request->query, "continuation-token", &op->token);
	op->has_owner = bytes_is_text(request_param(request, "fetch-owner"), "true");
	return S3_OK;
}

static enum s3_code read_versions(struct request *request, struct op_list *op)
{
	op->marker = request_param(request, "key-marker");
	op->version_marker = request_param(request, "version-id-marker");
	if (op->version_marker.len > 0 && op->marker.len == 0)
		return bad_argument(request, "version-id-marker", op->version_marker,
			"A version-id marker cannot be specified without a key marker.");
	return S3_OK;
}

/* Where the page begins. */
static enum s3_code place(struct request *request, struct op_list *op)
{
	struct version_id version;
	uint8_t buf[16];
	struct bytes key;

	if (op->has_token) {
		if (listing_token_decode(op->token, op->token_key, &key) != ERR_OK)
			return bad_argument(request, "continuation-token", op->token,
				"The continuation token provided is incorrect");
		/* The empty token is the start, wherever start-after is. */
		listing_after_key(&op->page.listing, key);
		return S3_OK;
	}
	if (op->version_marker.len == 0) {
		listing_after_key(&op->page.listing, op->marker);
		return S3_OK;
	}
	if (response_parse_version(op->version_marker, &version, &op->is_marker_null) != ERR_OK)
		return bad_argument(request, "version-id-marker", op->version_marker,
			"Invalid version id specified");
	if (!op->is_marker_null)
		listing_after_row(
			&op->page.listing, op->marker, op_list_sub_encode(version, false, buf));
	return S3_OK;
}

static void start(struct request *request, enum kind kind)
{
	struct op_list *op = REQUEST_OP(request, struct op_list);

	static_assert(
		6 * 4 * URI_KEY_LEN_MAX + LISTING_TOKEN_LEN_MAX * 6 + 4096 <= HEAD_TEXT_LEN_MAX,
		"the longest head leaves room for a row");
	op_list_page_init(&op->page);
	memset((uint8_t *)op + sizeof op->page, 0, sizeof *op - sizeof op->page);
	op->kind = kind;
	op->has_owner = kind != KIND_V2;
	enum s3_code code = read_common(request, op);
	if (code == S3_OK && kind == KIND_V1)
		op->marker = request_param(request, "marker");
	if (code == S3_OK && kind == KIND_V2)
		code = read_v2(request, op);
	if (code == S3_OK && kind == KIND_VERSIONS)
		code = read_versions(request, op);
	if (code == S3_OK)
		code = check_lens(request, op);
	if (code == S3_OK) {
		op_list_cursor_init(&op->cursor, kind == KIND_VERSIONS);
		listing_init(&op->page.listing, &op->cursor.base, op->prefix, op->delimiter,
			op->count_max);
		code = place(request, op);
	}
	if (code != S3_OK)
		request_fail(request, code);
	else
		op_list_page_start(request, &op->page, &parts);
}

void op_list_objects(struct request *request)
{
	start(request, KIND_V1);
}

void op_list_objects_v2(struct request *request)
{
	start(request, KIND_V2);
}

void op_list_versions(struct request *request)
{
	start(request, KIND_VERSIONS);
}
