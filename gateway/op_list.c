/* SPDX-License-Identifier: Apache-2.0 */

/* ListObjects in both forms, and ListObjectVersions.
 *
 * A page is made and sent a buffer at a time: its head, the rows, the common prefixes, and last
 * what is known only at the end (IsTruncated, KeyCount, the next marker), which XML allows to stand
 * anywhere. Rows go from the index's cursor straight into the text.
 *
 * (LS1) Rows of one kind stand together: common prefixes are kept until the rows are over. When
 *       there is no room to keep one more, the page ends there, truncated, with fewer items than it
 *       may have.
 * (LS2) No view is open while something is sent. The next one goes on behind the last item
 * (listing.c, L5). (LS3) A row is begun only if the longest that there is would fit.
 */
#include "gateway/op_list.h"

#include "gateway/checksum_s3.h"
#include "gateway/op_list_cursor.h"
#include "gateway/request_stream.h"
#include "gateway/response.h"
#include "gateway/xml_out.h"

/* Six bytes for one, as in &#x1F; and the fixed text with room to spare. */
#define ROW_TEXT_LEN_MAX (6 * (URI_KEY_LEN_MAX + 2 * ROW_OWNER_LEN_MAX) + 1024)
#define HEAD_TEXT_LEN_MAX (REQUEST_TEXT_LEN - ROW_TEXT_LEN_MAX)
#define PREFIXES_LEN (40 << 10)

enum kind {
	KIND_V1,
	KIND_V2,
	KIND_VERSIONS,
};

enum phase {
	PHASE_HEAD,
	PHASE_ROWS,
	PHASE_PREFIXES,
	PHASE_TAIL,
};

struct op_list {
	struct request_stream stream;
	enum kind kind;
	enum phase phase;
	struct op_list_cursor cursor;
	struct listing listing;
	struct bytes prefix, delimiter;
	struct bytes marker; /* or key-marker, or start-after */
	struct bytes token;
	struct bytes version_marker;
	bool has_token, has_start_after, has_delimiter;
	bool is_url; /* encoding-type=url */
	bool has_owner;
	bool is_marker_null; /* version-id-marker=null, which is to be looked up */
	uint32_t count_max;
	uint8_t token_key[URI_KEY_LEN_MAX];
	size_t prefixes_len, prefixes_from;
	uint8_t prefixes[PREFIXES_LEN]; /* length (2 bytes), text */
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
	xml_put_key(out, key, op->is_url);
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
	xml_put_key(out, key, op->is_url);
	text_put_text(out, "</Key><VersionId>");
	response_put_version(out, object->version, object->row.is_null);
	text_put_text(out, "</VersionId>");
	xml_element_bool(out, "IsLatest", object->is_latest);
	put_facts(out, &object->row, true);
	xml_close(out, name);
}

static void keep_prefix(struct op_list *op, struct bytes prefix)
{
	assert(op->prefixes_len + 2 + prefix.len <= PREFIXES_LEN);
	put_le16(op->prefixes + op->prefixes_len, prefix.len);
	memcpy(op->prefixes + op->prefixes_len + 2, prefix.data, prefix.len);
	op->prefixes_len += 2 + prefix.len;
}

static bool has_room(const struct text_out *out)
{
	return out->cap - out->len >= ROW_TEXT_LEN_MAX;
}

/* Under a view, while there is room. ERR_END: the rows are over. */
static enum err put_rows(struct text_out *out, struct op_list *op)
{
	struct listing_item item;
	while (has_room(out)) {
		if (PREFIXES_LEN - op->prefixes_len < 2 + URI_KEY_LEN_MAX)
			op->listing.count_max = op->listing.count; /* (LS1) */
		enum err err = listing_next(&op->listing, &item);
		if (err != ERR_OK)
			return err;
		if (item.is_prefix)
			keep_prefix(op, item.key);
		else if (op->kind == KIND_VERSIONS)
			put_version(out, op, item.key);
		else
			put_object(out, op, item.key);
	}
	return ERR_OK;
}

/* version-id-marker=null is behind the version that is null now. */
static enum err find_marker(struct request *request, struct op_list *op)
{
	struct object_info object;
	uint8_t buf[16];

	op->is_marker_null = false;
	enum err err = index_version_null(
		request_reader(request), request->bucket.id, op->marker, &object);
	if (err == ERR_NOT_FOUND)
		listing_after_key(&op->listing, op->marker);
	else if (err == ERR_OK)
		listing_after_row(
			&op->listing, op->marker, op_list_sub_encode(object.version, true, buf));
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err fill_rows(struct request *request, struct op_list *op)
{
	struct index_reader *reader = request_reader(request);
	enum err err = index_view_begin(reader);
	if (err != ERR_OK)
		return err;
	if (op->is_marker_null)
		err = find_marker(request, op);
	op_list_cursor_resume(&op->cursor, reader, request->bucket.id);
	if (err == ERR_OK)
		err = put_rows(&request->out, op);
	listing_pause(&op->listing);
	index_view_end(reader);
	return err;
}

/* --- the page --------------------------------------------------------------------------------- */

static void put_name(
	struct text_out *out, const struct op_list *op, const char *name, struct bytes text)
{
	xml_open(out, name);
	if (op->is_url)
		xml_put_url(out, text);
	else
		xml_put_any(out, text);
	xml_close(out, name);
}

static const char *root_of(const struct op_list *op)
{
	return op->kind == KIND_VERSIONS ? "ListVersionsResult" : "ListBucketResult";
}

static void put_head(struct request *request, struct op_list *op)
{
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<");
	text_put_text(out, root_of(op));
	text_put_text(out, XML_NAMESPACE ">");
	xml_element(out, "Name", request->bucket.name);
	put_name(out, op, "Prefix", op->prefix);
	if (op->kind == KIND_V1)
		put_name(out, op, "Marker", op->marker);
	if (op->kind == KIND_VERSIONS) {
		put_name(out, op, "KeyMarker", op->marker);
		xml_open(out, "VersionIdMarker");
		xml_put_any(out, op->version_marker);
		xml_close(out, "VersionIdMarker");
	}
	if (op->has_start_after)
		put_name(out, op, "StartAfter", op->marker);
	if (op->has_token) {
		xml_open(out, "ContinuationToken");
		xml_put_any(out, op->token);
		xml_close(out, "ContinuationToken");
	}
	xml_element_uint(out, "MaxKeys", op->count_max);
	if (op->delimiter.len > 0)
		put_name(out, op, "Delimiter", op->delimiter);
	if (op->is_url)
		text_put_text(out, "<EncodingType>url</EncodingType>");
}

static void put_next_version(struct text_out *out, const struct op_list *op)
{
	struct bytes sub = listing_last_sub(&op->listing);
	struct version_id version;
	bool is_null;

	put_name(out, op, "NextKeyMarker", listing_last_key(&op->listing));
	if (sub.len == 0)
		return;
	op_list_sub_decode(sub, &version, &is_null);
	text_put_text(out, "<NextVersionIdMarker>");
	response_put_version(out, version, is_null);
	text_put_text(out, "</NextVersionIdMarker>");
}

static void put_next(struct text_out *out, const struct op_list *op)
{
	uint8_t token[LISTING_TOKEN_LEN_MAX];
	struct bytes last = listing_last_key(&op->listing);

	if (op->kind == KIND_VERSIONS) {
		put_next_version(out, op);
	} else if (op->kind == KIND_V2) {
		size_t len = listing_token_encode(last, token);
		xml_element(out, "NextContinuationToken", bytes_make(token, len));
	} else if (op->delimiter.len > 0) {
		put_name(out, op, "NextMarker", last);
	}
}

static void put_tail(struct text_out *out, const struct op_list *op)
{
	if (op->kind == KIND_V2)
		xml_element_uint(out, "KeyCount", op->listing.count);
	xml_element_bool(out, "IsTruncated", op->listing.is_truncated);
	if (op->listing.is_truncated)
		put_next(out, op);
	xml_close(out, root_of(op));
}

/* Says whether all are written. */
static bool put_prefixes(struct text_out *out, struct op_list *op)
{
	while (op->prefixes_from < op->prefixes_len) {
		if (!has_room(out))
			return false;
		const uint8_t *p = op->prefixes + op->prefixes_from;
		struct bytes prefix = bytes_make(p + 2, get_le16(p));
		text_put_text(out, "<CommonPrefixes><Prefix>");
		xml_put_key(out, prefix, op->is_url);
		text_put_text(out, "</Prefix></CommonPrefixes>");
		op->prefixes_from += 2 + prefix.len;
	}
	return true;
}

static enum err fill(struct request *request, bool *ret_is_done)
{
	struct op_list *op = REQUEST_OP(request, struct op_list);
	if (op->phase == PHASE_HEAD) {
		put_head(request, op);
		op->phase = PHASE_ROWS;
	}
	if (op->phase == PHASE_ROWS) {
		enum err err = fill_rows(request, op);
		if (err == ERR_END)
			op->phase = PHASE_PREFIXES;
		else if (err != ERR_OK && err != ERR_BUSY)
			return err;
	}
	if (op->phase == PHASE_PREFIXES && put_prefixes(&request->out, op))
		op->phase = PHASE_TAIL;
	if (op->phase == PHASE_TAIL && has_room(&request->out)) {
		put_tail(&request->out, op);
		*ret_is_done = true;
	}
	return request->out.overflowed ? ERR_LIMIT : ERR_OK;
}

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
		op->is_url = true;
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
		listing_after_key(&op->listing, key);
		return S3_OK;
	}
	if (op->version_marker.len == 0) {
		listing_after_key(&op->listing, op->marker);
		return S3_OK;
	}
	if (response_parse_version(op->version_marker, &version, &op->is_marker_null) != ERR_OK)
		return bad_argument(request, "version-id-marker", op->version_marker,
			"Invalid version id specified");
	if (!op->is_marker_null)
		listing_after_row(
			&op->listing, op->marker, op_list_sub_encode(version, false, buf));
	return S3_OK;
}

static void start(struct request *request, enum kind kind)
{
	struct op_list *op = REQUEST_OP(request, struct op_list);

	static_assert(
		6 * 4 * URI_KEY_LEN_MAX + LISTING_TOKEN_LEN_MAX * 6 + 4096 <= HEAD_TEXT_LEN_MAX,
		"the longest head leaves room for a row");
	memset(op, 0, offsetof(struct op_list, prefixes));
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
		listing_init(
			&op->listing, &op->cursor.base, op->prefix, op->delimiter, op->count_max);
		code = place(request, op);
	}
	if (code != S3_OK)
		request_fail(request, code);
	else
		request_stream_start(request, &op->stream, fill);
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
