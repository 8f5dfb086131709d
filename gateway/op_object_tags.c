/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_object_tags.h"

#include "gateway/metadata_headers.h"
#include "gateway/op_change.h"
#include "gateway/op_get_plan.h"
#include "gateway/op_put.h"
#include "gateway/xml_body.h"
#include "gateway/xml_out.h"

#define DOCUMENT_LEN_MAX (64u << 10)
#define TAG_LEN_MAX (4 * (128 + 256)) /* in bytes */

/* --- get -------------------------------------------------------------------------------------- */

static void put_tags(struct text_out *out, struct bytes rest)
{
	struct metadata_pair tag;
	text_put_text(out, XML_DECLARATION "<Tagging" XML_NAMESPACE "><TagSet>");
	while (metadata_tag_next(&rest, &tag)) {
		text_put_text(out, "<Tag><Key>");
		xml_put_any(out, tag.name);
		text_put_text(out, "</Key><Value>");
		xml_put_any(out, tag.value);
		text_put_text(out, "</Value></Tag>");
	}
	text_put_text(out, "</TagSet></Tagging>");
}

static void advance_get(struct request *request)
{
	struct response_headers headers = {0};
	struct object_info object;
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK)
		err = index_view_begin(request_reader(request));
	if (err != ERR_OK) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	enum s3_code code = op_get_find_object(request, &headers, &object);
	if (code == S3_OK) {
		put_tags(&request->out, object.row.tags);
		op_put_add_version(request, &headers, object.version, object.row.is_null);
	}
	index_view_end(request_reader(request));
	if (code == S3_OK && request->out.overflowed)
		code = S3_INTERNAL_ERROR;
	if (code == S3_OK)
		request_answer_xml(request, 200, headers.list, headers.count);
	else
		request_fail_with(request, code, headers.list, headers.count);
}

void op_object_tags_get(struct request *request)
{
	request->advance = advance_get;
	request_advance_soon(request);
}

/* --- put and delete --------------------------------------------------------------------------- */

struct change_tags {
	struct op_change change; /* first */
	struct response_headers headers;
	struct version_id version;
	bool is_null;
	struct xml_tagging xml;
	uint8_t text[METADATA_TAGS_MAX * TAG_LEN_MAX];
	size_t pairs_len;
	uint8_t pairs[METADATA_TAGS_LEN_MAX];
};

static enum s3_code make_command(struct request *request, struct command *command)
{
	struct change_tags *op = REQUEST_OP(request, struct change_tags);
	struct object_info object;
	op->change.headers = &op->headers;
	enum s3_code code = op_get_find_object(request, &op->headers, &object);
	if (code != S3_OK)
		return code;
	op->version = object.version;
	op->is_null = object.row.is_null;
	command->type = COMMAND_OBJECT_UPDATE;
	command->object_update = (struct command_object_update){
		.bucket = request->bucket.id,
		.key = request->resource.key,
		.version = object.version,
		.set = OBJECT_SET_TAGS,
		.tags = bytes_make(op->pairs, op->pairs_len),
	};
	return S3_OK;
}

static enum s3_code make_put(struct request *request, struct command *command)
{
	struct change_tags *op = REQUEST_OP(request, struct change_tags);
	op->pairs_len = 0;
	for (uint32_t i = 0; i < op->xml.tag_count; i++) {
		enum err err = metadata_tag_append(op->pairs, sizeof op->pairs, &op->pairs_len,
			op->xml.tags[i].key, op->xml.tags[i].value);
		assert(err == ERR_OK);
	}
	return make_command(request, command);
}

static void answer(struct request *request, unsigned status)
{
	const struct change_tags *op = REQUEST_OP(request, struct change_tags);
	struct response_headers headers = {0};
	op_put_add_version(request, &headers, op->version, op->is_null);
	request_answer(request, status, headers.list, headers.count);
}

static void answer_put(struct request *request)
{
	answer(request, 200);
}

static void answer_delete(struct request *request)
{
	answer(request, 204);
}

static struct xml_in *open_tagging(struct request *request)
{
	struct change_tags *op = REQUEST_OP(request, struct change_tags);
	enum err err = xml_tagging_init(&op->xml, METADATA_TAGS_MAX, op->text, sizeof op->text);
	return err == ERR_OK ? &op->xml.in : NULL;
}

static const struct op_change_parts put_parts = {
	DOCUMENT_LEN_MAX, open_tagging, make_put, answer_put, NULL};
static const struct op_change_parts delete_parts = {0, NULL, make_command, answer_delete, NULL};

void op_object_tags_put(struct request *request)
{
	struct change_tags *op = REQUEST_OP(request, struct change_tags);
	op_change_start(request, &op->change, &put_parts);
}

void op_object_tags_delete(struct request *request)
{
	struct change_tags *op = REQUEST_OP(request, struct change_tags);
	op->pairs_len = 0;
	op_change_start(request, &op->change, &delete_parts);
}
