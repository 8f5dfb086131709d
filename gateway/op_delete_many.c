/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_delete.h"

#include "gateway/authorize.h"
#include "gateway/op_delete_items.h"
#include "gateway/op_object_lock.h"
#include "gateway/request_document.h"
#include "gateway/request_stream.h"
#include "gateway/response.h"
#include "gateway/xml_out.h"

/* DeleteObjects: the document is read and checked to its end, then its keys go into commands of up
 * to COMMAND_DELETES_MAX, one after the other, and last the answer tells of each.
 *
 *	READING → PROPOSING (per batch) → ANSWERING (a stream)
 *
 * (I1) Who holds memory for keys never waits for more of it: the text buffer is taken first, and
 *keys for which there is no room are answered with SlowDown before anything is deleted. (I2) What
 *was deleted stands before what was not: some clients want siblings of one name together.
 */
enum { READING, PROPOSING };
enum { LIST_LEN = 40 << 10 };

/* Six bytes for one, as in &#x1F; with a version, a marker, code and message. */
#define ROW_TEXT_LEN_MAX (6 * ROW_KEY_LEN_MAX + 1024)

enum phase {
	PHASE_HEAD,
	PHASE_DELETED,
	PHASE_ERRORS,
};

struct op_delete_many {
	struct request_document document;
	struct xml_delete xml;
	struct op_delete_items items;
	struct op_delete_place
		place; /* behind the batch that is proposed, or behind the last row */
	struct op_delete_place batch; /* where it begins */
	unsigned batch_count;
	bool bypass_governance;
	struct request_stream stream;
	enum phase phase;
	uint8_t list[LIST_LEN]; /* of the command */
};

/* --- the document ----------------------------------------------------------------------------- */

static enum s3_code take_object(void *context, const struct xml_delete_object *object)
{
	struct op_delete_many *op = context;
	return op_delete_items_add(&op->items, object);
}

static enum s3_code take_piece(struct request_document *document, struct bytes piece)
{
	struct op_delete_many *op = CONTAINER_OF(document, struct op_delete_many, document);
	return xml_in_feed(&op->xml.in, piece);
}

/* --- rights ----------------------------------------------------------------------------------- */

/* What may not be deleted has failed before anything is. */
static enum err weigh(struct request *request, struct op_delete_many *op)
{
	struct op_delete_place place = {0};
	struct op_delete_item *item;
	uint8_t text[RESPONSE_VERSION_LEN];
	struct text_out version;

	if (authorize_deletes_all(request))
		return ERR_OK;
	enum err err = index_view_begin(request_reader(request));
	if (err != ERR_OK)
		return err;
	while ((item = op_delete_items_next(&op->items, &place))) {
		bool has_version = item->is_null || !version_id_is_none(item->version);
		text_out_init(&version, text, sizeof text);
		if (has_version)
			response_put_version(&version, item->version, item->is_null);
		if (item->outcome != OP_DELETE_PENDING ||
			authorize_delete(request, op_delete_key(item), has_version,
				text_out_bytes(&version), op->bypass_governance))
			continue;
		item->outcome = OP_DELETE_FAILED;
		item->code = S3_ACCESS_DENIED;
	}
	index_view_end(request_reader(request));
	return ERR_OK;
}

/* --- commands --------------------------------------------------------------------------------- */

/* Puts the next batch into a command. ERR_END: there is none. */
static enum err propose_batch(struct request *request, struct op_delete_many *op)
{
	struct fields_out list = {.data = op->list, .cap = sizeof op->list};
	unsigned count = 0;
	op->batch = op->place;
	for (;;) {
		struct op_delete_place before = op->place;
		struct op_delete_item *item = op_delete_items_next(&op->items, &op->place);
		if (!item)
			break;
		if (item->outcome != OP_DELETE_PENDING)
			continue;
		if (count == COMMAND_DELETES_MAX ||
			list.cap - list.len < 512 + (size_t)item->key_len) {
			op->place = before;
			break;
		}
		struct command_delete entry = {
			.key = op_delete_key(item),
			.version = item->version,
			.is_null = item->is_null,
			.conditions = item->conditions,
		};
		command_delete_append(&list, &entry);
		assert(!list.is_full);
		count++;
	}
	op->batch_count = count;
	if (count == 0)
		return ERR_END;
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command.object_delete.bucket = request->bucket.id;
	command.object_delete.bypass_governance = op->bypass_governance;
	command.object_delete.deletes = bytes_make(op->list, list.len);
	return request_propose(request, &command);
}

static void take_outcome(
	struct op_delete_item *item, const struct command_result *result, unsigned number)
{
	item->outcome = OP_DELETE_FAILED;
	switch (command_result_delete(result, number)) {
	case DELETE_DONE:
		item->outcome = OP_DELETE_GONE;
		break;
	case DELETE_MARKER_MADE:
		item->outcome = OP_DELETE_MARKER_MADE;
		item->marker = (struct version_id){
			result->version.index, result->version.position + number};
		item->is_marker_null = result->is_null;
		break;
	case DELETE_MARKER_GONE:
		item->outcome = OP_DELETE_MARKER_GONE;
		break;
	case DELETE_NO_KEY:
		item->code = S3_NO_SUCH_KEY;
		break;
	case DELETE_PRECONDITION:
		item->code = S3_PRECONDITION_FAILED;
		break;
	case DELETE_LOCKED:
		item->code = S3_ACCESS_DENIED;
		item->is_locked = true;
		break;
	default:
		item->code = S3_INTERNAL_ERROR;
		break;
	}
}

static void take_outcomes(struct op_delete_many *op, const struct command_result *result)
{
	struct op_delete_place place = op->batch;
	unsigned number = 0;
	while (number < op->batch_count) {
		struct op_delete_item *item = op_delete_items_next(&op->items, &place);
		assert(item);
		if (item->outcome == OP_DELETE_PENDING)
			take_outcome(item, result, number++);
	}
}

/* --- the answer ------------------------------------------------------------------------------- */

static void put_version(struct text_out *out, const struct op_delete_item *item)
{
	if (!item->is_null && version_id_is_none(item->version))
		return;
	text_put_text(out, "<VersionId>");
	response_put_version(out, item->version, item->is_null);
	text_put_text(out, "</VersionId>");
}

static void put_deleted(struct text_out *out, const struct op_delete_item *item)
{
	text_put_text(out, "<Deleted><Key>");
	xml_put(out, op_delete_key(item));
	text_put_text(out, "</Key>");
	put_version(out, item);
	if (item->outcome != OP_DELETE_GONE) {
		bool is_made = item->outcome == OP_DELETE_MARKER_MADE;
		text_put_text(out, "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>");
		response_put_version(out, is_made ? item->marker : item->version,
			is_made ? item->is_marker_null : item->is_null);
		text_put_text(out, "</DeleteMarkerVersionId>");
	}
	text_put_text(out, "</Deleted>");
}

static void put_error(struct text_out *out, const struct op_delete_item *item)
{
	text_put_text(out, "<Error><Key>");
	xml_put_any(out, op_delete_key(item));
	text_put_text(out, "</Key>");
	put_version(out, item);
	xml_element(out, "Code", bytes_of(s3_error_code(item->code)));
	xml_element(out, "Message",
		bytes_of(item->is_locked ? OP_OBJECT_LOCK_MESSAGE : s3_error_message(item->code)));
	text_put_text(out, "</Error>");
}

/* Rows of one kind while there is room. Says whether all are written. */
static bool put_rows(struct text_out *out, struct op_delete_many *op)
{
	bool wants_errors = op->phase == PHASE_ERRORS;
	while (out->cap - out->len >= ROW_TEXT_LEN_MAX) {
		const struct op_delete_item *item = op_delete_items_next(&op->items, &op->place);
		if (!item)
			return true;
		if ((item->outcome == OP_DELETE_FAILED) != wants_errors)
			continue;
		if (wants_errors)
			put_error(out, item);
		else
			put_deleted(out, item);
	}
	return false;
}

static enum err fill(struct request *request, bool *ret_is_done)
{
	struct op_delete_many *op = REQUEST_OP(request, struct op_delete_many);
	struct text_out *out = &request->out;
	if (op->phase == PHASE_HEAD) {
		text_put_text(out, XML_DECLARATION "<DeleteResult" XML_NAMESPACE ">");
		op->phase = op->xml.is_quiet ? PHASE_ERRORS : PHASE_DELETED;
		op->place = (struct op_delete_place){0};
	}
	if (op->phase == PHASE_DELETED && put_rows(out, op)) {
		op->phase = PHASE_ERRORS;
		op->place = (struct op_delete_place){0};
	}
	if (op->phase == PHASE_ERRORS && put_rows(out, op)) {
		text_put_text(out, "</DeleteResult>");
		*ret_is_done = true;
	}
	return ERR_OK;
}

/* --- the operation ---------------------------------------------------------------------------- */

static void fini(struct request *request)
{
	struct op_delete_many *op = REQUEST_OP(request, struct op_delete_many);
	request_document_fini(&op->document);
	xml_in_fini(&op->xml.in);
	op_delete_items_fini(&op->items);
}

/* Reads on. False: not all is there, or it was answered. */
static bool read_document(struct request *request, struct op_delete_many *op)
{
	enum s3_code code;
	enum err err = request_document_read(&op->document, &code);
	if (err == ERR_BUSY)
		return false;
	if (err == ERR_OK)
		code = xml_in_finish(&op->xml.in);
	if (code != S3_OK)
		request_fail(request, code);
	return code == S3_OK;
}

static void advance(struct request *request)
{
	struct op_delete_many *op = REQUEST_OP(request, struct op_delete_many);
	if (request->is_proposed && !request->is_proposal_done)
		return;
	/* Before the keys need memory of the same pool: they do not wait for it (I1). */
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	if (request->step == READING) {
		if (!read_document(request, op))
			return;
		request->step = PROPOSING;
		err = weigh(request, op);
		if (err) {
			request_fail_err(request, err, S3_INTERNAL_ERROR);
			return;
		}
	}
	if (request->is_proposed) {
		if (!request_proposal_has_result(request))
			return;
		const struct command_result *result = &request->proposal.result;
		/* What became of a single key is also the code of the command. */
		if (result->code != COMMAND_OK && result->count != op->batch_count) {
			request_fail_command(request, result);
			return;
		}
		take_outcomes(op, result);
	}
	err = propose_batch(request, op);
	if (err == ERR_END)
		request_stream_start(request, &op->stream, fill);
	else if (err)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

void op_delete_many_start(struct request *request)
{
	struct op_delete_many *op = REQUEST_OP(request, struct op_delete_many);
	memset(&op->place, 0, sizeof op->place);
	op->phase = PHASE_HEAD;
	op->bypass_governance = op_object_lock_is_bypassed(request);
	if (xml_delete_init(&op->xml, take_object, op) != ERR_OK) {
		request_fail(request, S3_SLOW_DOWN);
		return;
	}
	op_delete_items_init(&op->items, &request->loop->text_pool);
	request->fini = fini;
	enum s3_code code = request_document_init(
		&op->document, request, XML_IN_DOCUMENT_LEN_MAX, take_piece);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance;
	request->step = READING;
	request_advance_soon(request);
}
