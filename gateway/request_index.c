/* SPDX-License-Identifier: Apache-2.0 */
/* What requests take from their loop: text buffers, and the index's answers to proposals. */
#include "gateway/notice_json.h"
#include "gateway/request_priv.h"

static void text_ready(struct pool_wait *wait)
{
	struct request *request = CONTAINER_OF(wait, struct request, text_wait);
	/* No memory: the handler finds out when it asks again. */
	err_ignore(pool_take(&request->loop->text_pool, POOL_64K, 1, &request->text));
	request_advance(request);
}

enum err request_take_text(struct request *request)
{
	struct pool *pool = &request->loop->text_pool;

	if (!request->text) {
		if (request->text_wait.is_waiting)
			return ERR_BUSY;
		enum err err = pool_take(pool, POOL_64K, 1, &request->text);
		if (err == ERR_BUSY) {
			request->text_wait.ready = text_ready;
			pool_wait_start(pool, &request->text_wait, REQUEST_TEXT_LEN);
		}
		if (err != ERR_OK)
			return err;
	}
	text_out_init(&request->out, request->text, REQUEST_TEXT_LEN);
	return ERR_OK;
}

static void proposal_done(struct index_proposal *proposal)
{
	struct request *request = CONTAINER_OF(proposal, struct request, proposal);
	assert(request->magic == REQUEST_MAGIC && request->is_proposed);
	request->is_proposal_done = true;
	request_advance(request);
	request_release(request);
}

/* Where the bucket tells others of what happens, a command says who is the cause. */
static void add_origin(struct request *request, struct command *command)
{
	const char *peer = request->exchange->peer;
	struct notice_origin origin = {
		.principal = auth_owner(&request->principal),
		.address = bytes_of(peer ? peer : ""),
		.request_id = bytes_make(request->id_text, sizeof request->id_text),
	};
	struct bytes bytes = notice_origin_format(&origin, request->origin_buf);
	switch (command->type) {
	case COMMAND_OBJECT_PUT:
		command->object_put.origin = bytes;
		command->object_put.is_form = request->route->flags & ROUTE_FORM;
		break;
	case COMMAND_OBJECT_DELETE:
		command->object_delete.origin = bytes;
		break;
	case COMMAND_OBJECT_COPY:
		command->object_copy.origin = bytes;
		break;
	case COMMAND_OBJECT_RENAME:
		command->object_rename.origin = bytes;
		break;
	case COMMAND_OBJECT_UPDATE:
		command->object_update.origin = bytes;
		break;
	case COMMAND_UPLOAD_COMPLETE:
		command->upload_complete.origin = bytes;
		break;
	default:
		break;
	}
}

enum err request_propose(struct request *request, const struct command *command)
{
	assert(request->text && !request->is_proposed);
	struct command with_origin;
	if (request->bucket.notified != 0) {
		with_origin = *command;
		add_origin(request, &with_origin);
		command = &with_origin;
	}
	enum err err = command_encode(
		command, request->text, REQUEST_TEXT_LEN, &request->proposal.len);
	if (err != ERR_OK)
		return err;
	request->proposal.loop = request->loop->loop;
	request->proposal.bytes = request->text;
	request->proposal.done = proposal_done;
	request->proposal.made_in = command->session;
	request->is_proposed = true;
	request->is_proposal_done = false;
	request_hold(request);
	index_propose(request->loop->gateway->store->index, &request->proposal);
	return ERR_OK;
}

bool request_proposal_has_result(struct request *request)
{
	enum err err = request->proposal.err;

	assert(request->is_proposed && request->is_proposal_done);
	request->is_proposed = false;
	request->is_proposal_done = false;
	if (err == ERR_OK)
		return true;
	/* A session that is closed meanwhile is a matter of this node: the client tries again. */
	request_fail_err(request, err == ERR_CLOSED ? ERR_UNAVAILABLE : err, S3_INTERNAL_ERROR);
	return false;
}
