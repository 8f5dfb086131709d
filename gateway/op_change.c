/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_change.h"

#include "gateway/response.h"

enum { READING, LOOKING, PROPOSING };
enum { TRIES_MAX = 8 };

static enum s3_code feed(struct request_document *document, struct bytes piece)
{
	return xml_in_feed(CONTAINER_OF(document, struct op_change, document)->xml, piece);
}

static void fini(struct request *request)
{
	struct op_change *change = REQUEST_OP(request, struct op_change);
	if (change->has_document)
		request_document_fini(&change->document);
	if (change->xml)
		xml_in_fini(change->xml);
}

/* True: the document is there, and good. */
static bool read_document(struct request *request, struct op_change *change)
{
	enum s3_code code = S3_OK;
	enum err err = request_document_read(&change->document, &code);
	if (err == ERR_BUSY)
		return false;
	if (err == ERR_OK && change->document.body.taken_len == 0)
		code = S3_MISSING_REQUEST_BODY;
	else if (err == ERR_OK)
		code = xml_in_finish(change->xml);
	if (code != S3_OK)
		request_fail(request, code);
	return code == S3_OK;
}

static void fail(struct request *request, struct op_change *change, enum s3_code code)
{
	const struct response_headers *headers = change->headers;
	request_fail_with(
		request, code, headers ? headers->list : NULL, headers ? headers->count : 0);
}

/* (I1) */
static void look_and_propose(struct request *request, struct op_change *change)
{
	struct command command = {.type = COMMAND_NOOP};
	enum s3_code code = S3_OK;
	enum err err = request_take_text(request);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK)
		err = index_view_begin(request_reader(request));
	if (err == ERR_OK) {
		code = change->parts->command(request, &command);
		if (code == S3_OK)
			err = request_propose(request, &command);
		index_view_end(request_reader(request));
	}
	if (err != ERR_OK)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
	else if (code != S3_OK)
		fail(request, change, code);
	else
		request->step = PROPOSING;
}

/* True: what the command named is to be looked for again. */
static bool take_result(struct request *request, struct op_change *change)
{
	const struct command_result *result = &request->proposal.result;
	if (!request_proposal_has_result(request))
		return false;
	if (result->code == COMMAND_OK) {
		change->parts->answer(request);
		return false;
	}
	bool is_gone = result->code == COMMAND_NO_VERSION || result->code == COMMAND_STALE;
	if (is_gone && ++change->tries < TRIES_MAX)
		return true;
	enum s3_code code = S3_OK;
	if (change->parts->explain)
		code = change->parts->explain(request, result);
	if (code != S3_OK)
		request_fail(request, code);
	else
		request_fail_command(request, result);
	return false;
}

static void advance(struct request *request)
{
	struct op_change *change = REQUEST_OP(request, struct op_change);
	if (request->step == PROPOSING) {
		if (!request->is_proposal_done || !take_result(request, change))
			return;
		request->step = LOOKING;
	}
	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	if (request->step == READING) {
		if (change->has_document && !read_document(request, change))
			return;
		request->step = LOOKING;
	}
	look_and_propose(request, change);
}

void op_change_start(
	struct request *request, struct op_change *change, const struct op_change_parts *parts)
{
	assert(change == REQUEST_OP(request, struct op_change));
	change->parts = parts;
	change->xml = NULL;
	change->has_document = parts->document_len_max > 0;
	change->tries = 0;
	change->headers = NULL;
	request->fini = fini;
	request->advance = advance;
	request->step = READING;
	enum s3_code code = S3_OK;
	if (change->has_document) {
		code = request_document_init(
			&change->document, request, parts->document_len_max, feed);
		if (code == S3_OK) {
			change->xml = parts->open(request);
			code = change->xml ? S3_OK : S3_SLOW_DOWN;
		}
	}
	if (code != S3_OK)
		request_fail(request, code);
	else
		request_advance_soon(request);
}
