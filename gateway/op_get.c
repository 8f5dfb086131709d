/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_get.h"

#include "gateway/op_get_plan.h"
#include "storage/object/unpack.h"

/* GetObject and HeadObject: one view of the index finds the version, plans the answer and starts
 * the get; from there on the get keeps what the version's body refers to.
 *
 * The head is stated with the first piece, so that a body that cannot be read is still answered
 * with an error; after that the connection is cut. One piece at a time is with the exchange. */
struct op_get {
	struct unpack get;
	struct op_get_plan plan;
	uint64_t sent_len; /* given to request_send() */
	const uint8_t *piece; /* that came last */
	size_t piece_len; /* 0: none waits to be sent */
	bool is_active; /* the get is */
	bool is_out; /* a piece is with the exchange */
	enum err err; /* the get's */
};

static enum err open_key(struct unpack *get, struct bytes encryption, struct frame_key *ret_key)
{
	struct op_get *op = CONTAINER_OF(get, struct op_get, get);
	return sse_open(REQUEST_OF_OP(op)->loop->gateway, &op->plan.customer, encryption, ret_key);
}

static void piece_came(struct unpack *get, const uint8_t *data, size_t len)
{
	struct op_get *op = CONTAINER_OF(get, struct op_get, get);
	assert(op->piece_len == 0 && !op->is_out && len > 0);
	op->piece = data;
	op->piece_len = len;
	request_advance_soon(REQUEST_OF_OP(op));
}

static void get_ended(struct unpack *get, enum err err)
{
	struct op_get *op = CONTAINER_OF(get, struct op_get, get);
	struct request *request = REQUEST_OF_OP(op);
	op->is_active = false;
	op->err = err;
	sse_wipe(&op->plan.customer);
	if (err)
		request_advance_soon(request);
	request_release(request);
}

static void piece_sent(struct op_get *op)
{
	op->is_out = false;
	unpack_sent(&op->get);
}

/* The last piece is on its way to the client, and its memory may go. */
static void last_sent(struct request *request)
{
	struct op_get *op = REQUEST_OP(request, struct op_get);
	assert(op->is_out);
	piece_sent(op);
}

static void send_piece(struct request *request, struct op_get *op)
{
	size_t len = op->piece_len;
	if (!request->has_begun)
		request_begin(request, op->plan.status, op->plan.headers.list,
			op->plan.headers.count, true, op->plan.len);
	request->last_sent = last_sent; /* not sooner: an error's document is no piece */
	assert(len <= op->plan.len - op->sent_len);
	op->sent_len += len;
	op->piece_len = 0;
	op->is_out = true;
	request_send(request, op->piece, len, op->sent_len == op->plan.len);
}

static void advance(struct request *request)
{
	struct op_get *op = REQUEST_OP(request, struct op_get);
	if (request->is_sending)
		return;
	if (request->is_gone) {
		if (op->is_active)
			unpack_cancel(&op->get);
		request_abandon(request);
		return;
	}
	if (op->err) {
		request_fail_err(request, op->err, S3_INTERNAL_ERROR);
		return;
	}
	if (op->is_out)
		piece_sent(op);
	if (op->piece_len > 0)
		send_piece(request, op);
}

/* Under the view in which the body was found. */
static void start_get(struct request *request, struct op_get *op)
{
	struct unpack_setup setup = {
		.store = request->loop->store,
		.body = op->plan.body,
		.start = op->plan.start,
		.len = op->plan.len,
		.request_id = request->exchange->request_id,
		.open = open_key,
		.piece = piece_came,
		.done = get_ended,
	};
	op->sent_len = 0;
	op->piece_len = 0;
	op->is_out = false;
	op->err = ERR_OK;
	op->is_active = true;
	op->get.magic = 0;
	request->advance = advance;
	request_hold(request);
	unpack_start(&op->get, &setup);
}

void op_get_start(struct request *request)
{
	struct op_get *op = REQUEST_OP(request, struct op_get);
	struct index_reader *reader = request_reader(request);
	enum err err = index_view_begin(reader);
	if (err) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	enum s3_code code = op_get_plan(request, &op->plan);
	bool is_streamed = code == S3_OK && request->exchange->method == HTTP_GET &&
		op->plan.len > 0;
	if (is_streamed)
		start_get(request, op);
	index_view_end(reader);
	if (!is_streamed)
		sse_wipe(&op->plan.customer);
	if (code != S3_OK)
		request_fail_with(request, code, op->plan.headers.list, op->plan.headers.count);
	else if (!is_streamed)
		request_begin(request, op->plan.status, op->plan.headers.list,
			op->plan.headers.count, true, op->plan.len);
}
