/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_bucket.h"

#include "gateway/names.h"
#include "gateway/op_stub.h"
#include "gateway/request_document.h"
#include "gateway/request_stream.h"
#include "gateway/response.h"
#include "gateway/xml_out.h"

#define BUCKETS_MAX 10000

void op_bucket_head(struct request *request)
{
	request_answer(request, 200, NULL, 0);
}

/* --- documents ---------------------------------------------------------------------------------- */

void op_bucket_location(struct request *request)
{
	struct bytes region = request->loop->gateway->settings.region;
	struct text_out out;

	/* The oldest region's name is no name. */
	if (bytes_is_text(region, "us-east-1"))
		region.len = 0;
	request_note_begin(request, &out);
	text_put_text(&out, XML_DECLARATION "<LocationConstraint" XML_NAMESPACE ">");
	xml_put_any(&out, region);
	xml_close(&out, "LocationConstraint");
	request_answer_document(request, request_note_end(request, &out));
}

void op_bucket_versioning(struct request *request)
{
	static const char *const documents[] = {
#define DOCUMENT(inner) \
	XML_DECLARATION "<VersioningConfiguration" XML_NAMESPACE ">" inner \
			"</VersioningConfiguration>"
		[BUCKET_UNVERSIONED] = DOCUMENT(""),
		[BUCKET_ENABLED] = DOCUMENT("<Status>Enabled</Status>"),
		[BUCKET_SUSPENDED] = DOCUMENT("<Status>Suspended</Status>"),
#undef DOCUMENT
	};
	if (request->bucket.versioning >= ARRAY_COUNT(documents))
		request_fail(request, S3_INTERNAL_ERROR);
	else
		request_answer_document(request, bytes_of(documents[request->bucket.versioning]));
}

/* --- ListBuckets -------------------------------------------------------------------------------- */

struct list {
	struct request_stream stream;
	struct bytes prefix;
	struct bytes owner; /* empty: everybody's */
	uint64_t count_max, count;
	bool has_head, is_truncated, is_other_region;
	size_t from_len;
	uint8_t from[ROW_BUCKET_NAME_LEN_MAX + 1]; /* names before are done */
};

#define BUCKET_TEXT_LEN_MAX 1024
#define BUCKET_STEPS_MAX 2000

/* Only what is behind name from here on. */
static void pass(struct list *list, struct bytes name)
{
	assert(name.len < sizeof list->from);
	memcpy(list->from, name.data, name.len);
	list->from[name.len] = 0;
	list->from_len = name.len + 1;
}

static void put_bucket(struct request *request, const struct row_bucket *bucket)
{
	struct text_out *out = &request->out;
	text_put_text(out, "<Bucket>");
	xml_element(out, "Name", bucket->name);
	text_put_text(out, "<CreationDate>");
	response_put_time(out, bucket->created_ms);
	text_put_text(out, "</CreationDate><BucketRegion>");
	xml_put_any(out, request->loop->gateway->settings.region);
	text_put_text(out, "</BucketRegion></Bucket>");
}

/* Under a view. ERR_END: there are no more, or no more are wanted. */
static enum err put_buckets(struct request *request, struct list *list)
{
	struct index_reader *reader = request_reader(request);
	struct row_bucket bucket;

	for (unsigned i = 0; i < BUCKET_STEPS_MAX; i++) {
		if (request->out.cap - request->out.len < BUCKET_TEXT_LEN_MAX)
			return ERR_OK;
		enum err err = index_bucket_next(
			reader, bytes_make(list->from, list->from_len), list->owner, &bucket);
		if (err == ERR_NOT_FOUND ||
			(err == ERR_OK && !bytes_has_prefix(bucket.name, list->prefix)))
			return ERR_END;
		if (err != ERR_OK)
			return err;
		if (list->count == list->count_max) {
			list->is_truncated = true;
			return ERR_END;
		}
		put_bucket(request, &bucket);
		list->count++;
		pass(list, bucket.name);
	}
	return ERR_OK;
}

static enum err fill_buckets(struct request *request, bool *ret_is_done)
{
	struct list *list = REQUEST_OP(request, struct list);
	struct text_out *out = &request->out;

	if (!list->has_head) {
		text_put_text(out, XML_DECLARATION "<ListAllMyBucketsResult" XML_NAMESPACE ">");
		response_put_owner(out, auth_owner(&request->principal));
		text_put_text(out, "<Buckets>");
		list->has_head = true;
	}
	enum err err = index_view_begin(request_reader(request));
	if (err != ERR_OK)
		return err;
	err = list->is_other_region ? ERR_END : put_buckets(request, list);
	index_view_end(request_reader(request));
	if (err != ERR_END)
		return err;
	text_put_text(out, "</Buckets>");
	if (list->is_truncated) {
		/* Behind the last name is where the next page begins: without its final NUL. */
		xml_element(out, "ContinuationToken", bytes_make(list->from, list->from_len - 1));
	}
	if (list->prefix.len > 0) {
		xml_open(out, "Prefix");
		xml_put_any(out, list->prefix);
		xml_close(out, "Prefix");
	}
	text_put_text(out, "</ListAllMyBucketsResult>");
	*ret_is_done = true;
	return ERR_OK;
}

void op_bucket_list(struct request *request)
{
	struct list *list = REQUEST_OP(request, struct list);
	struct bytes token, region;

	*list = (struct list){.prefix = request_param(request, "prefix")};
	if (!request->principal.is_admin)
		list->owner = auth_owner(&request->principal);
	enum s3_code code = request_param_uint(
		request, "max-buckets", BUCKETS_MAX, BUCKETS_MAX, &list->count_max);
	if (code == S3_OK && list->count_max == 0) {
		request->error.message = "max-buckets must be 1 to 10000.";
		code = S3_INVALID_ARGUMENT;
	}
	token = request_param(request, "continuation-token");
	if (code == S3_OK && token.len > ROW_BUCKET_NAME_LEN_MAX) {
		request->error.message = "The continuation token provided is incorrect";
		code = S3_INVALID_ARGUMENT;
	}
	/* Who owns nothing would otherwise be asking for everybody's. */
	if (code == S3_OK && !request->principal.is_admin && list->owner.len == 0)
		code = S3_ACCESS_DENIED;
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	if (query_find(&request->query, "bucket-region", &region) && region.len > 0)
		list->is_other_region = !bytes_is_equal(
			region, request->loop->gateway->settings.region);
	if (list->prefix.len > ROW_BUCKET_NAME_LEN_MAX) {
		list->is_other_region = true; /* no bucket has such a name either */
		list->prefix.len = 0;
	}
	if (list->prefix.len > 0) {
		memcpy(list->from, list->prefix.data, list->prefix.len);
		list->from_len = list->prefix.len;
	}
	if (token.len > 0 && bytes_compare(token, list->prefix) >= 0)
		pass(list, token);
	request_stream_start(request, &list->stream, fill_buckets);
}

/* --- DeleteBucket ------------------------------------------------------------------------------- */

static void advance_delete(struct request *request)
{
	if (!request->is_proposed) {
		struct command command = {.type = COMMAND_BUCKET_DELETE};
		if (request->is_gone) {
			request_abandon(request);
			return;
		}
		enum err err = request_take_text(request);
		if (err == ERR_BUSY)
			return;
		command.bucket_delete.bucket = request->bucket.id;
		if (err == ERR_OK)
			err = request_propose(request, &command);
		if (err != ERR_OK)
			request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	if (!request->is_proposal_done || !request_proposal_has_result(request))
		return;
	if (request->proposal.result.code == COMMAND_OK)
		request_answer(request, 204, NULL, 0);
	else
		request_fail_command(request, &request->proposal.result);
}

void op_bucket_delete(struct request *request)
{
	request->advance = advance_delete;
	advance_delete(request);
}

/* --- CreateBucket ------------------------------------------------------------------------------- */

/* What the headers ask for that there is not. */
static enum s3_code check_create(struct request *request)
{
	struct bytes text;
	if (!names_is_bucket(request->resource.bucket))
		return S3_INVALID_BUCKET_NAME;
	if (request_header(request, "x-amz-bucket-object-lock-enabled", &text) &&
		!bytes_is_text(text, "false") && !bytes_is_text(text, "False")) {
		s3_error_add(
			&request->error, "Header", bytes_of("x-amz-bucket-object-lock-enabled"));
		return S3_NOT_IMPLEMENTED;
	}
	if (request_header(request, "x-amz-object-ownership", &text) &&
		!bytes_is_text(text, "BucketOwnerEnforced"))
		return S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED;
	if (request->principal.owner_len == 0)
		return S3_ACCESS_DENIED;
	return op_stub_check_acl(request);
}

static void propose_create(struct request *request)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	struct command_bucket_create *create = &command.bucket_create;

	create->name = request->resource.bucket;
	create->owner = auth_owner(&request->principal);
	create->max_owned = request->loop->gateway->settings.buckets_max;
	enum err err = request_propose(request, &command);
	if (err != ERR_OK)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

/* In the oldest region, making the own bucket again succeeds; elsewhere it does not. */
static bool is_made_again(const struct request *request)
{
	const struct command_result *result = &request->proposal.result;
	return result->code == COMMAND_EXISTS && result->is_mine &&
		bytes_is_text(request->loop->gateway->settings.region, "us-east-1");
}

static void answer_create(struct request *request)
{
	const struct command_result *result = &request->proposal.result;
	struct http_header location = {.name = bytes_of("location")};
	struct text_out out;

	if (result->code == COMMAND_LIMIT) {
		request_fail(request, S3_TOO_MANY_BUCKETS);
		return;
	}
	if (result->code != COMMAND_OK && !is_made_again(request)) {
		request_fail_command(request, result);
		return;
	}
	request_note_begin(request, &out);
	text_put_char(&out, '/');
	text_put_bytes(&out, request->resource.bucket);
	location.value = request_note_end(request, &out);
	request_answer(request, 200, &location, 1);
}

static void advance_create(struct request *request)
{
	if (request->is_proposed) {
		if (request->is_proposal_done && request_proposal_has_result(request))
			answer_create(request);
		return;
	}
	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	enum err err = request_take_text(request);
	if (err == ERR_OK)
		propose_create(request);
	else if (err != ERR_BUSY)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

void op_bucket_create(struct request *request)
{
	enum s3_code code = check_create(request);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->advance = advance_create;
	advance_create(request);
}
