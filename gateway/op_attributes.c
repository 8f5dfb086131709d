/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_attributes.h"

#include "gateway/checksum_s3.h"
#include "gateway/listing.h"
#include "gateway/op_get_plan.h"
#include "gateway/op_put.h"
#include "gateway/op_upload.h"
#include "gateway/request_stream.h"
#include "gateway/s3_time.h"
#include "gateway/xml_out.h"

/* GetObjectAttributes: what is known of a version, as far as x-amz-object-attributes asks for it.
 *
 * The version is found once, with the head; its parts follow, as many as fit, each buffer under a
 * view of its own. The parts are those of its body, which does not change; when the version is
 * deleted meanwhile, and the body with it, the answer is cut. */
#define PART_TEXT_LEN_MAX 256
#define BATCH_COUNT 64

enum wanted {
	WANTED_ETAG = 1 << 0,
	WANTED_CHECKSUM = 1 << 1,
	WANTED_PARTS = 1 << 2,
	WANTED_CLASS = 1 << 3,
	WANTED_SIZE = 1 << 4,
};

struct op_attributes {
	struct request_stream stream;
	unsigned wanted;
	uint32_t count_max; /* of parts */
	uint64_t marker; /* number of the part before the first */

	/* Of the version. */
	struct row_version row; /* without its bytes */
	struct checksum checksum;
	uint32_t part_count; /* 0: it was not uploaded in parts */

	/* The parts. */
	bool has_begun, is_truncated;
	uint32_t count; /* written */
	uint16_t last; /* number of the last */
	struct response_headers headers;
};

/* --- what is asked for ------------------------------------------------------------------------ */

/* 0: there is no such attribute. */
static unsigned attribute_of(struct bytes name)
{
	static const char *const names[] = {
		"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"};
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		if (bytes_is_text(name, names[i]))
			return 1u << i;
	return 0;
}

static enum s3_code invalid(struct request *request, const char *name, struct bytes value)
{
	s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	s3_error_add(&request->error, "ArgumentValue", value);
	return S3_INVALID_ARGUMENT;
}

/* The names may be in one header or several. */
static enum s3_code read_wanted(struct request *request, struct op_attributes *op)
{
	static const char header[] = "x-amz-object-attributes";
	const struct exchange *x = request->exchange;
	for (size_t i = 0; i < x->header_count; i++) {
		struct bytes rest = x->headers[i].value;
		if (!bytes_is_text(x->headers[i].name, header))
			continue;
		while (rest.len > 0) {
			const uint8_t *comma = memchr(rest.data, ',', rest.len);
			size_t len = comma ? (size_t)(comma - rest.data) : rest.len;
			struct bytes name = bytes_trim(bytes_make(rest.data, len), " \t");
			unsigned attribute = attribute_of(name);
			if (attribute == 0) {
				request->error.message = "Invalid attribute name specified.";
				return invalid(request, header, name);
			}
			op->wanted |= attribute;
			rest = bytes_from(rest, comma ? len + 1 : len);
		}
	}
	if (op->wanted != 0)
		return S3_OK;
	request->error.message = "The x-amz-object-attributes header specifying the attributes to "
				 "be retrieved is either missing or empty";
	return S3_INVALID_REQUEST;
}

static enum s3_code read_page(struct request *request, struct op_attributes *op)
{
	static const char marker_header[] = "x-amz-part-number-marker";
	struct bytes max = {0}, marker;
	request_header(request, "x-amz-max-parts", &max);
	enum s3_code code = listing_parse_count(
		"x-amz-max-parts", max, &op->count_max, &request->error);
	if (code != S3_OK || !request_header(request, marker_header, &marker))
		return code;
	bool is_number = marker.len > 0 && marker.len <= 10;
	for (size_t i = 0; is_number && i < marker.len; i++) {
		is_number = marker.data[i] >= '0' && marker.data[i] <= '9';
		op->marker = 10 * op->marker + (marker.data[i] - '0');
	}
	op->last = op->marker < ROW_PART_MAX ? op->marker : ROW_PART_MAX;
	return is_number ? S3_OK : invalid(request, marker_header, marker);
}

/* --- the version ------------------------------------------------------------------------------ */

/* As for the object itself. */
static enum s3_code check_encryption(
	struct request *request, uint64_t id, const struct row_body *body)
{
	struct sse_customer customer;
	struct bytes encryption;
	enum s3_code code = sse_read_customer(request, SSE_OF_OBJECT, &customer);
	if (code != S3_OK)
		return code;
	enum err err = sse_find(request_reader(request), id, body, &encryption);
	code = err ? s3_error_from_err(err, S3_INTERNAL_ERROR)
		   : sse_check(request, &customer, encryption);
	sse_wipe(&customer);
	return code;
}

/* Under a view. */
static enum s3_code find(struct request *request, struct op_attributes *op)
{
	struct index_reader *reader = request_reader(request);
	struct object_info object;
	struct row_body body;
	uint8_t time[S3_TIME_HTTP_LEN];
	enum s3_code code = op_get_find_object(request, &op->headers, &object);
	if (code != S3_OK)
		return code;
	enum err err = index_body_get(reader, object.row.body, &body);
	if (err != ERR_OK)
		return s3_error_from_err(err, S3_INTERNAL_ERROR);
	code = check_encryption(request, object.row.body, &body);
	if (code != S3_OK)
		return code;
	op->row = object.row;
	op->row.owner = op->row.metadata = op->row.tags = (struct bytes){0};
	op->checksum = body.checksums[0];
	op->part_count = body.part_count;
	s3_time_format_http(object.row.time_ms / 1000, time);
	response_add(&op->headers, "last-modified",
		request_note(request, bytes_make(time, sizeof time)));
	op_put_add_version(request, &op->headers, object.version, object.row.is_null);
	return S3_OK;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void put_checksum(struct text_out *out, const struct op_attributes *op)
{
	text_put_text(out, "<Checksum>");
	op_upload_put_checksum(out, &op->checksum, op->part_count);
	xml_element(out, "ChecksumType", bytes_of(checksum_s3_type_name(op->checksum.type)));
	text_put_text(out, "</Checksum>");
}

static void put_head(struct text_out *out, const struct op_attributes *op)
{
	text_put_text(out, XML_DECLARATION "<GetObjectAttributesResponse" XML_NAMESPACE ">");
	if (op->wanted & WANTED_ETAG) {
		uint8_t text[48];
		struct text_out etag;
		text_out_init(&etag, text, sizeof text);
		response_put_etag(&etag, &op->row.etag);
		/* Here it has no quotes. */
		struct bytes quoted = text_out_bytes(&etag);
		xml_element(out, "ETag", bytes_make(quoted.data + 1, quoted.len - 2));
	}
	if ((op->wanted & WANTED_CHECKSUM) && op->checksum.algorithm != CHECKSUM_NONE)
		put_checksum(out, op);
	if (op->wanted & WANTED_CLASS)
		text_put_text(out, "<StorageClass>STANDARD</StorageClass>");
	if (op->wanted & WANTED_SIZE)
		xml_element_uint(out, "ObjectSize", op->row.len);
}

static enum err put_part(
	struct request *request, struct op_attributes *op, const struct index_part *part)
{
	struct text_out *out = &request->out;
	struct row_body body;
	enum err err = index_body_get(request_reader(request), part->body, &body);
	if (err != ERR_OK)
		return err;
	text_put_text(out, "<Part><PartNumber>");
	text_put_uint(out, part->number);
	text_put_text(out, "</PartNumber><Size>");
	text_put_uint(out, part->len);
	text_put_text(out, "</Size>");
	op_upload_put_checksum(out, &body.checksums[0], 0);
	text_put_text(out, "</Part>");
	op->last = part->number;
	op->count++;
	return ERR_OK;
}

/* Under a view, while there is room. ERR_END: there are no more, or no more are wanted. */
static enum err put_parts(struct request *request, struct op_attributes *op)
{
	struct text_out *out = &request->out;
	struct index_part parts[BATCH_COUNT];
	while (out->cap - out->len >= BATCH_COUNT * PART_TEXT_LEN_MAX) {
		size_t count;
		enum err err = index_body_parts_after(request_reader(request), op->row.body,
			op->last, parts, BATCH_COUNT, &count);
		for (size_t i = 0; err == ERR_OK && i < count; i++) {
			if (op->count == op->count_max) {
				op->is_truncated = op->count_max > 0;
				return ERR_END;
			}
			err = put_part(request, op, &parts[i]);
		}
		if (err != ERR_OK)
			return err;
		if (count < BATCH_COUNT)
			return ERR_END;
	}
	return ERR_OK;
}

static bool has_parts(const struct op_attributes *op)
{
	return op->part_count > 0 && (op->wanted & WANTED_PARTS);
}

static void put_tail(struct text_out *out, const struct op_attributes *op)
{
	if (has_parts(op)) {
		xml_element_uint(out, "PartsCount", op->part_count);
		xml_element_uint(out, "PartNumberMarker", op->marker);
		xml_element_uint(out, "NextPartNumberMarker", op->last);
		xml_element_uint(out, "MaxParts", op->count_max);
		xml_element_bool(out, "IsTruncated", op->is_truncated);
		text_put_text(out, "</ObjectParts>");
	}
	text_put_text(out, "</GetObjectAttributesResponse>");
}

static enum err fill(struct request *request, bool *ret_is_done)
{
	struct op_attributes *op = REQUEST_OP(request, struct op_attributes);
	struct text_out *out = &request->out;
	enum err err = ERR_END;
	if (!op->has_begun) {
		put_head(out, op);
		if (has_parts(op))
			text_put_text(out, "<ObjectParts>");
		op->has_begun = true;
	}
	if (has_parts(op)) {
		err = index_view_begin(request_reader(request));
		if (err != ERR_OK)
			return err;
		err = put_parts(request, op);
		index_view_end(request_reader(request));
	}
	if (err == ERR_NOT_FOUND)
		return ERR_CANCELED; /* deleted since the page began */
	if (err != ERR_END)
		return err;
	put_tail(out, op);
	*ret_is_done = true;
	return ERR_OK;
}

void op_attributes_get(struct request *request)
{
	struct op_attributes *op = REQUEST_OP(request, struct op_attributes);
	memset(op, 0, sizeof *op);
	enum s3_code code = read_wanted(request, op);
	if (code == S3_OK)
		code = read_page(request, op);
	enum err err = code == S3_OK ? index_view_begin(request_reader(request)) : ERR_OK;
	if (err == ERR_OK && code == S3_OK) {
		code = find(request, op);
		index_view_end(request_reader(request));
	}
	if (err != ERR_OK)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
	else if (code != S3_OK)
		request_fail_with(request, code, op->headers.list, op->headers.count);
	else
		request_stream_start_with(
			request, &op->stream, fill, op->headers.list, op->headers.count);
}
