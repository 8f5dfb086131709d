/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/checksum_s3.h"
#include "gateway/listing.h"
#include "gateway/op_upload.h"
#include "gateway/op_upload_id.h"
#include "gateway/request_stream.h"
#include "gateway/response.h"
#include "gateway/xml_out.h"

/* ListMultipartUploads: uploads in progress by key, then by the time they were begun. The page is
 * made as those of op_list.c are: common prefixes are kept until the uploads are over, and a page
 * that has no room for one more prefix ends there. */

/* Six bytes for one, as in &#x1F; and the fixed text with room to spare. */
#define ROW_TEXT_LEN_MAX (6 * (URI_KEY_LEN_MAX + 4 * ROW_OWNER_LEN_MAX) + 1024)
#define PREFIXES_LEN (40 << 10)
#define SUB_LEN 8

enum phase {
	PHASE_HEAD,
	PHASE_ROWS,
	PHASE_PREFIXES,
	PHASE_TAIL,
};

struct upload_cursor {
	struct listing_cursor base;
	struct index_reader *reader;
	uint64_t bucket;
	struct index_upload now;
	uint8_t sub[SUB_LEN];
};

struct op_upload_list {
	struct request_stream stream;
	enum phase phase;
	struct upload_cursor cursor;
	struct listing listing;
	struct bytes prefix, delimiter, key_marker, upload_marker;
	bool is_url; /* encoding-type=url */
	uint32_t count_max;
	size_t prefixes_len, prefixes_from;
	uint8_t prefixes[PREFIXES_LEN]; /* length (2 bytes), text */
};

/* --- the cursor ------------------------------------------------------------------------------- */

static enum err seek_behind(struct upload_cursor *cursor, struct bytes key, uint64_t upload)
{
	enum err err = index_upload_next(
		cursor->reader, cursor->bucket, (struct bytes){0}, key, upload, &cursor->now);
	if (err)
		return err;
	put_be64(cursor->sub, cursor->now.upload);
	cursor->base.key = cursor->now.key;
	cursor->base.sub = bytes_make(cursor->sub, SUB_LEN);
	return ERR_OK;
}

static enum err seek(struct listing_cursor *base, struct bytes key)
{
	/* No upload has the id 0. */
	return seek_behind(CONTAINER_OF(base, struct upload_cursor, base), key, 0);
}

static enum err seek_after(struct listing_cursor *base, struct bytes key, struct bytes sub)
{
	assert(sub.len == SUB_LEN);
	return seek_behind(CONTAINER_OF(base, struct upload_cursor, base), key, get_be64(sub.data));
}

static enum err next(struct listing_cursor *base)
{
	struct upload_cursor *cursor = CONTAINER_OF(base, struct upload_cursor, base);
	uint8_t key[ROW_KEY_LEN_MAX];
	struct bytes last = cursor->now.key;
	assert(last.len <= sizeof key);
	memcpy(key, last.data, last.len);
	return seek_behind(cursor, bytes_make(key, last.len), cursor->now.upload);
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool has_room(const struct text_out *out)
{
	return out->cap - out->len >= ROW_TEXT_LEN_MAX;
}

static void put_key(
	struct text_out *out, const struct op_upload_list *op, const char *name, struct bytes text)
{
	xml_open(out, name);
	if (op->is_url)
		xml_put_url(out, text);
	else
		xml_put_any(out, text);
	xml_close(out, name);
}

static void put_upload(struct text_out *out, const struct op_upload_list *op)
{
	const struct index_upload *now = &op->cursor.now;
	text_put_text(out, "<Upload>");
	put_key(out, op, "Key", now->key);
	text_put_text(out, "<UploadId>");
	op_upload_id_put(out, now->upload);
	text_put_text(out, "</UploadId><Initiator><ID>");
	xml_put_any(out, now->row.owner);
	text_put_text(out, "</ID><DisplayName>");
	xml_put_any(out, now->row.owner);
	text_put_text(out, "</DisplayName></Initiator>");
	response_put_owner(out, now->row.owner);
	text_put_text(out, "<StorageClass>STANDARD</StorageClass><Initiated>");
	response_put_time(out, now->row.initiated_ms);
	text_put_text(out, "</Initiated>");
	if (now->row.checksum_algorithm != CHECKSUM_NONE) {
		xml_element(out, "ChecksumAlgorithm",
			bytes_of(checksum_s3_name(now->row.checksum_algorithm)));
		xml_element(out, "ChecksumType",
			bytes_of(checksum_s3_type_name(now->row.checksum_type)));
	}
	text_put_text(out, "</Upload>");
}

static void keep_prefix(struct op_upload_list *op, struct bytes prefix)
{
	assert(op->prefixes_len + 2 + prefix.len <= PREFIXES_LEN);
	put_le16(op->prefixes + op->prefixes_len, prefix.len);
	memcpy(op->prefixes + op->prefixes_len + 2, prefix.data, prefix.len);
	op->prefixes_len += 2 + prefix.len;
}

/* Under a view, while there is room. ERR_END: the rows are over. */
static enum err put_rows(struct text_out *out, struct op_upload_list *op)
{
	struct listing_item item;
	while (has_room(out)) {
		if (PREFIXES_LEN - op->prefixes_len < 2 + URI_KEY_LEN_MAX)
			op->listing.count_max = op->listing.count;
		enum err err = listing_next(&op->listing, &item);
		if (err)
			return err;
		if (item.is_prefix)
			keep_prefix(op, item.key);
		else
			put_upload(out, op);
	}
	return ERR_OK;
}

static enum err fill_rows(struct request *request, struct op_upload_list *op)
{
	struct index_reader *reader = request_reader(request);
	enum err err = index_view_begin(reader);
	if (err)
		return err;
	op->cursor.reader = reader;
	err = put_rows(&request->out, op);
	listing_pause(&op->listing);
	index_view_end(reader);
	return err;
}

/* --- the page --------------------------------------------------------------------------------- */

static void put_head(struct request *request, struct op_upload_list *op)
{
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<ListMultipartUploadsResult" XML_NAMESPACE ">");
	xml_element(out, "Bucket", request->bucket.name);
	put_key(out, op, "KeyMarker", op->key_marker);
	xml_open(out, "UploadIdMarker");
	xml_put_any(out, op->upload_marker);
	xml_close(out, "UploadIdMarker");
	put_key(out, op, "Prefix", op->prefix);
	if (op->delimiter.len > 0)
		put_key(out, op, "Delimiter", op->delimiter);
	xml_element_uint(out, "MaxUploads", op->count_max);
	if (op->is_url)
		text_put_text(out, "<EncodingType>url</EncodingType>");
}

static void put_tail(struct text_out *out, const struct op_upload_list *op)
{
	xml_element_bool(out, "IsTruncated", op->listing.is_truncated);
	if (op->listing.is_truncated) {
		struct bytes sub = listing_last_sub(&op->listing);
		put_key(out, op, "NextKeyMarker", listing_last_key(&op->listing));
		xml_open(out, "NextUploadIdMarker");
		if (sub.len == SUB_LEN)
			op_upload_id_put(out, get_be64(sub.data));
		xml_close(out, "NextUploadIdMarker");
	}
	text_put_text(out, "</ListMultipartUploadsResult>");
}

/* Says whether all are written. */
static bool put_prefixes(struct text_out *out, struct op_upload_list *op)
{
	while (op->prefixes_from < op->prefixes_len) {
		if (!has_room(out))
			return false;
		const uint8_t *p = op->prefixes + op->prefixes_from;
		struct bytes prefix = bytes_make(p + 2, get_le16(p));
		text_put_text(out, "<CommonPrefixes>");
		put_key(out, op, "Prefix", prefix);
		text_put_text(out, "</CommonPrefixes>");
		op->prefixes_from += 2 + prefix.len;
	}
	return true;
}

static enum err fill(struct request *request, bool *ret_is_done)
{
	struct op_upload_list *op = REQUEST_OP(request, struct op_upload_list);
	if (op->phase == PHASE_HEAD) {
		put_head(request, op);
		op->phase = PHASE_ROWS;
	}
	if (op->phase == PHASE_ROWS) {
		enum err err = fill_rows(request, op);
		if (err == ERR_END)
			op->phase = PHASE_PREFIXES;
		else if (err)
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

static enum s3_code invalid(struct request *request, const char *name, struct bytes value)
{
	s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	s3_error_add_copy(&request->error, "ArgumentValue", value);
	return S3_INVALID_ARGUMENT;
}

static enum s3_code read_params(struct request *request, struct op_upload_list *op)
{
	struct bytes encoding = request_param(request, "encoding-type");
	op->prefix = request_param(request, "prefix");
	op->delimiter = request_param(request, "delimiter");
	op->key_marker = request_param(request, "key-marker");
	op->upload_marker = request_param(request, "upload-id-marker");
	op->is_url = bytes_is_text(encoding, "url");
	if (encoding.len > 0 && !op->is_url)
		return invalid(request, "encoding-type", encoding);
	/* Longer than any key, they match nothing, but must fit into the answer. */
	if (op->prefix.len > URI_KEY_LEN_MAX)
		return invalid(request, "prefix", op->prefix);
	if (op->delimiter.len > URI_KEY_LEN_MAX)
		return invalid(request, "delimiter", op->delimiter);
	if (op->key_marker.len > URI_KEY_LEN_MAX)
		return invalid(request, "key-marker", op->key_marker);
	if (op->upload_marker.len > URI_KEY_LEN_MAX)
		return invalid(request, "upload-id-marker", op->upload_marker);
	return listing_parse_count("max-uploads", request_param(request, "max-uploads"),
		&op->count_max, &request->error);
}

/* Where the page begins. An upload-id-marker without a key-marker says nothing. */
static enum s3_code place(struct request *request, struct op_upload_list *op)
{
	uint64_t upload;
	uint8_t sub[SUB_LEN];
	if (op->key_marker.len == 0)
		return S3_OK;
	if (op->upload_marker.len == 0) {
		listing_after_key(&op->listing, op->key_marker);
		return S3_OK;
	}
	if (op_upload_id_parse(op->upload_marker, &upload) != ERR_OK)
		return invalid(request, "upload-id-marker", op->upload_marker);
	put_be64(sub, upload);
	listing_after_row(&op->listing, op->key_marker, bytes_make(sub, sizeof sub));
	return S3_OK;
}

void op_upload_list(struct request *request)
{
	struct op_upload_list *op = REQUEST_OP(request, struct op_upload_list);
	memset(op, 0, offsetof(struct op_upload_list, prefixes));
	op->cursor.base.seek = seek;
	op->cursor.base.seek_after = seek_after;
	op->cursor.base.next = next;
	op->cursor.bucket = request->bucket.id;
	enum s3_code code = read_params(request, op);
	if (code == S3_OK) {
		listing_init(
			&op->listing, &op->cursor.base, op->prefix, op->delimiter, op->count_max);
		code = place(request, op);
	}
	if (code != S3_OK)
		request_fail(request, code);
	else
		request_stream_start(request, &op->stream, fill);
}
