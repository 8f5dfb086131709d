/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/checksum_s3.h"
#include "gateway/listing.h"
#include "gateway/op_upload.h"
#include "gateway/op_upload_id.h"
#include "gateway/request_stream.h"
#include "gateway/response.h"
#include "gateway/xml_out.h"

/* ListParts: a page is made and sent a buffer at a time, each under a view of its own. */
#define ROW_TEXT_LEN_MAX 512
#define HEAD_TEXT_LEN_MAX (6 * (URI_KEY_LEN_MAX + 4 * ROW_OWNER_LEN_MAX) + 1024)

struct op_list_parts {
	struct request_stream stream;
	uint64_t upload;
	uint64_t marker; /* part-number-marker */
	uint32_t count_max, count;
	uint16_t last; /* number of the last part written */
	bool has_begun;
	bool is_url;
};

static void put_head(
	struct request *request, struct op_list_parts *op, const struct row_upload *upload)
{
	struct text_out *out = &request->out;
	text_put_text(out, XML_DECLARATION "<ListPartsResult" XML_NAMESPACE ">");
	xml_element(out, "Bucket", request->bucket.name);
	text_put_text(out, "<Key>");
	xml_put_key(out, request->resource.key, op->is_url);
	text_put_text(out, "</Key><UploadId>");
	op_upload_id_put(out, op->upload);
	text_put_text(out, "</UploadId><Initiator><ID>");
	xml_put_any(out, upload->owner);
	text_put_text(out, "</ID><DisplayName>");
	xml_put_any(out, upload->owner);
	text_put_text(out, "</DisplayName></Initiator>");
	response_put_owner(out, upload->owner);
	text_put_text(out, "<StorageClass>STANDARD</StorageClass>");
	if (upload->checksum_algorithm != CHECKSUM_NONE) {
		xml_element(out, "ChecksumAlgorithm",
			bytes_of(checksum_s3_name(upload->checksum_algorithm)));
		xml_element(out, "ChecksumType",
			bytes_of(checksum_s3_type_name(upload->checksum_type)));
	}
	xml_element_uint(out, "PartNumberMarker", op->marker);
	xml_element_uint(out, "MaxParts", op->count_max);
	if (op->is_url)
		text_put_text(out, "<EncodingType>url</EncodingType>");
}

static void put_part(struct text_out *out, uint16_t number, const struct row_part *part,
	const struct row_upload *upload)
{
	text_put_text(out, "<Part><PartNumber>");
	text_put_uint(out, number);
	text_put_text(out, "</PartNumber><LastModified>");
	response_put_time(out, part->time_ms);
	text_put_text(out, "</LastModified><ETag>");
	response_put_etag(out, &part->etag);
	text_put_text(out, "</ETag><Size>");
	text_put_uint(out, part->len);
	text_put_text(out, "</Size>");
	if (upload->checksum_algorithm != CHECKSUM_NONE)
		op_upload_put_checksum(out, &part->checksum, 0);
	text_put_text(out, "</Part>");
}

static void put_tail(struct text_out *out, const struct op_list_parts *op, bool is_truncated)
{
	xml_element_uint(out, "NextPartNumberMarker", op->last);
	xml_element_bool(out, "IsTruncated", is_truncated);
	text_put_text(out, "</ListPartsResult>");
}

/* Under a view, while there is room. */
static enum err put_parts(struct request *request, struct op_list_parts *op,
	const struct row_upload *upload, bool *ret_is_done)
{
	struct text_out *out = &request->out;
	while (out->cap - out->len >= ROW_TEXT_LEN_MAX) {
		struct row_part part;
		uint16_t number;
		enum err err = op->last >= ROW_PART_MAX
			? ERR_NOT_FOUND
			: index_part_next(request_reader(request), op->upload, op->last + 1,
				  &number, &part);
		if (err && err != ERR_NOT_FOUND)
			return err;
		if (err == ERR_NOT_FOUND || op->count == op->count_max) {
			put_tail(out, op, err == ERR_OK && op->count_max > 0);
			*ret_is_done = true;
			return ERR_OK;
		}
		put_part(out, number, &part, upload);
		op->last = number;
		op->count++;
	}
	return ERR_OK;
}

static enum err fill(struct request *request, bool *ret_is_done)
{
	struct op_list_parts *op = REQUEST_OP(request, struct op_list_parts);
	struct index_reader *reader = request_reader(request);
	struct row_upload upload;
	static_assert(HEAD_TEXT_LEN_MAX + ROW_TEXT_LEN_MAX < REQUEST_TEXT_LEN, "room for the head");
	enum err err = index_view_begin(reader);
	if (err)
		return err;
	err = index_upload_get(
		reader, request->bucket.id, request->resource.key, op->upload, &upload);
	/* Completed or aborted since the page began: what was sent is not the truth any more. */
	if (err == ERR_NOT_FOUND || (err == ERR_OK && upload.state != UPLOAD_OPEN))
		err = ERR_CANCELED;
	if (err == ERR_OK && !op->has_begun) {
		put_head(request, op, &upload);
		op->has_begun = true;
	}
	if (err == ERR_OK)
		err = put_parts(request, op, &upload, ret_is_done);
	index_view_end(reader);
	return err;
}

/* Finds the upload before the answer begins. */
static enum s3_code look(struct request *request, struct op_list_parts *op)
{
	struct row_upload upload;
	enum err err = index_view_begin(request_reader(request));
	if (err)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	enum s3_code code = op_upload_find(request, op->upload, &upload);
	index_view_end(request_reader(request));
	return code;
}

void op_upload_list_parts(struct request *request)
{
	struct op_list_parts *op = REQUEST_OP(request, struct op_list_parts);
	memset(op, 0, sizeof *op);
	struct bytes encoding = request_param(request, "encoding-type");
	op->is_url = bytes_is_text(encoding, "url");
	enum s3_code code = op_upload_read_id(request, &op->upload);
	if (code == S3_OK && encoding.len > 0 && !op->is_url) {
		s3_error_add(&request->error, "ArgumentName", bytes_of("encoding-type"));
		code = S3_INVALID_ARGUMENT;
	}
	if (code == S3_OK)
		code = request_param_uint(request, "part-number-marker", 0, INT32_MAX, &op->marker);
	if (code == S3_OK)
		code = listing_parse_count("max-parts", request_param(request, "max-parts"),
			&op->count_max, &request->error);
	if (code == S3_OK)
		code = look(request, op);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	op->last = op->marker < ROW_PART_MAX ? op->marker : ROW_PART_MAX;
	request_stream_start(request, &op->stream, fill);
}
