/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/checksum_s3.h"
#include "gateway/op_list_page.h"
#include "gateway/op_upload.h"
#include "gateway/op_upload_id.h"
#include "gateway/response.h"
#include "gateway/xml_out.h"

/* ListMultipartUploads: uploads in progress by key, then by the time they were begun. */

/* Six bytes for one, as in &#x1F; and the fixed text with room to spare. */
#define ROW_TEXT_LEN_MAX (6 * (URI_KEY_LEN_MAX + 4 * ROW_OWNER_LEN_MAX) + 1024)
#define SUB_LEN 8

struct upload_cursor {
	struct listing_cursor base;
	struct index_reader *reader;
	uint64_t bucket;
	struct index_upload now;
	uint8_t sub[SUB_LEN];
};

struct op_upload_list {
	struct op_list_page page; /* first */
	struct upload_cursor cursor;
	struct bytes prefix, delimiter, key_marker, upload_marker;
	uint32_t count_max;
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

static void put_upload(struct request *request, struct bytes key)
{
	struct op_upload_list *op = REQUEST_OP(request, struct op_upload_list);
	struct text_out *out = &request->out;
	const struct index_upload *now = &op->cursor.now;
	text_put_text(out, "<Upload>");
	op_list_page_put(&op->page, out, "Key", key);
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

static enum err resume(struct request *request)
{
	struct op_upload_list *op = REQUEST_OP(request, struct op_upload_list);
	op->cursor.reader = request_reader(request);
	return ERR_OK;
}

/* --- the page --------------------------------------------------------------------------------- */

static void put_head(struct request *request)
{
	struct op_upload_list *op = REQUEST_OP(request, struct op_upload_list);
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<ListMultipartUploadsResult" XML_NAMESPACE ">");
	xml_element(out, "Bucket", request->bucket.name);
	op_list_page_put(&op->page, out, "KeyMarker", op->key_marker);
	xml_open(out, "UploadIdMarker");
	xml_put_any(out, op->upload_marker);
	xml_close(out, "UploadIdMarker");
	op_list_page_put(&op->page, out, "Prefix", op->prefix);
	if (op->delimiter.len > 0)
		op_list_page_put(&op->page, out, "Delimiter", op->delimiter);
	xml_element_uint(out, "MaxUploads", op->count_max);
	if (op->page.is_url)
		text_put_text(out, "<EncodingType>url</EncodingType>");
}

static void put_tail(struct request *request)
{
	struct op_upload_list *op = REQUEST_OP(request, struct op_upload_list);
	struct text_out *out = &request->out;
	xml_element_bool(out, "IsTruncated", op->page.listing.is_truncated);
	if (op->page.listing.is_truncated) {
		struct bytes sub = listing_last_sub(&op->page.listing);
		op_list_page_put(
			&op->page, out, "NextKeyMarker", listing_last_key(&op->page.listing));
		xml_open(out, "NextUploadIdMarker");
		if (sub.len == SUB_LEN)
			op_upload_id_put(out, get_be64(sub.data));
		xml_close(out, "NextUploadIdMarker");
	}
	text_put_text(out, "</ListMultipartUploadsResult>");
}

static const struct op_list_page_parts parts = {
	ROW_TEXT_LEN_MAX, put_head, resume, put_upload, put_tail};

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
	op->page.is_url = bytes_is_text(encoding, "url");
	if (encoding.len > 0 && !op->page.is_url)
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
		listing_after_key(&op->page.listing, op->key_marker);
		return S3_OK;
	}
	if (op_upload_id_parse(op->upload_marker, &upload) != ERR_OK)
		return invalid(request, "upload-id-marker", op->upload_marker);
	put_be64(sub, upload);
	listing_after_row(&op->page.listing, op->key_marker, bytes_make(sub, sizeof sub));
	return S3_OK;
}

void op_upload_list(struct request *request)
{
	struct op_upload_list *op = REQUEST_OP(request, struct op_upload_list);
	op_list_page_init(&op->page);
	memset((uint8_t *)op + sizeof op->page, 0, sizeof *op - sizeof op->page);
	op->cursor.base.seek = seek;
	op->cursor.base.seek_after = seek_after;
	op->cursor.base.next = next;
	op->cursor.bucket = request->bucket.id;
	enum s3_code code = read_params(request, op);
	if (code == S3_OK) {
		listing_init(&op->page.listing, &op->cursor.base, op->prefix, op->delimiter,
			op->count_max);
		code = place(request, op);
	}
	if (code != S3_OK)
		request_fail(request, code);
	else
		op_list_page_start(request, &op->page, &parts);
}
