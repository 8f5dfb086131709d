/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_bucket.h"

#include "gateway/authorize.h"
#include "gateway/bucket_config.h"
#include "gateway/names.h"
#include "gateway/op_acl.h"
#include "gateway/op_stub.h"
#include "gateway/request_document.h"
#include "gateway/request_stream.h"
#include "gateway/response.h"
#include "gateway/xml_body.h"
#include "gateway/xml_out.h"

#define BUCKETS_MAX 10000
#define CREATE_LEN_MAX (64u << 10) /* of a CreateBucketConfiguration */

void op_bucket_head(struct request *request)
{
	request_answer(request, 200, NULL, 0);
}

/* --- documents -------------------------------------------------------------------------------- */

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

/* --- ListBuckets ------------------------------------------------------------------------------ */

struct list {
	struct request_stream stream;
	struct bytes prefix;
	uint64_t count_max, count;
	bool has_head, is_truncated, is_other_region;
	size_t from_len;
	uint8_t from[ROW_BUCKET_NAME_LEN_MAX + 1]; /* names before are done */
	size_t shown_len;
	uint8_t shown[ROW_BUCKET_NAME_LEN_MAX]; /* the last one; others are not to be known */
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
	bool is_seen = false;

	for (unsigned i = 0; i < BUCKET_STEPS_MAX; i++) {
		if (request->out.cap - request->out.len < BUCKET_TEXT_LEN_MAX)
			return ERR_OK;
		enum err err = index_bucket_next(
			reader, bytes_make(list->from, list->from_len), (struct bytes){0}, &bucket);
		if (err == ERR_NOT_FOUND ||
			(err == ERR_OK && !bytes_has_prefix(bucket.name, list->prefix)))
			return ERR_END;
		if (err == ERR_OK)
			err = authorize_sees(request, &bucket, &is_seen);
		if (err != ERR_OK)
			return err;
		if (!is_seen) {
			pass(list, bucket.name);
			continue;
		}
		if (list->count == list->count_max) {
			list->is_truncated = true;
			return ERR_END;
		}
		put_bucket(request, &bucket);
		list->count++;
		list->shown_len = bucket.name.len;
		memcpy(list->shown, bucket.name.data, bucket.name.len);
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
	if (list->is_truncated)
		xml_element(out, "ContinuationToken", bytes_make(list->shown, list->shown_len));
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
	/* Who has no name has no buckets. */
	if (code == S3_OK && !request->principal.is_admin && request->principal.owner_len == 0)
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

/* --- DeleteBucket ----------------------------------------------------------------------------- */

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

/* --- CreateBucket ----------------------------------------------------------------------------- */

#define LOCK_HEADER "x-amz-bucket-object-lock-enabled"

/* In any case, as SDKs differ. */
static bool is_word(struct bytes text, const char *word)
{
	return text.len == strlen(word) &&
		strncasecmp((const char *)text.data, word, text.len) == 0;
}

/* What the headers ask for that there is not. */
static enum s3_code check_create(struct request *request)
{
	struct bytes text;
	if (!names_is_bucket(request->resource.bucket))
		return S3_INVALID_BUCKET_NAME;
	if (request_header(request, LOCK_HEADER, &text) && !is_word(text, "true") &&
		!is_word(text, "false")) {
		s3_error_add(&request->error, "ArgumentName", bytes_of(LOCK_HEADER));
		s3_error_add(&request->error, "ArgumentValue", text);
		return S3_INVALID_ARGUMENT;
	}
	return request->principal.owner_len == 0 ? S3_ACCESS_DENIED : S3_OK;
}

/* Does the owner have as many as one may? Two that are made at once may both be let in: this bounds
 * what a runaway client fills the index with, and promises nothing. */
static enum err check_count(struct request *request, enum s3_code *ret_code)
{
	unsigned left = request->loop->gateway->settings.buckets_max;
	struct index_reader *reader = request_reader(request);
	uint8_t from[ROW_BUCKET_NAME_LEN_MAX + 1];
	struct bytes place = {.data = from};
	struct row_bucket bucket;

	*ret_code = S3_OK;
	enum err err = left > 0 ? index_view_begin(reader) : ERR_NOT_FOUND;
	if (err != ERR_OK)
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	for (; left > 0; left--) {
		err = index_bucket_next(reader, place, auth_owner(&request->principal), &bucket);
		if (err != ERR_OK)
			break;
		memcpy(from, bucket.name.data, bucket.name.len);
		from[bucket.name.len] = 0;
		place.len = bucket.name.len + 1;
	}
	index_view_end(reader);
	if (err == ERR_OK)
		*ret_code = S3_TOO_MANY_BUCKETS;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void propose_create(struct request *request)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	struct command_bucket_create *create = &command.bucket_create;
	struct bytes text;

	create->name = request->resource.bucket;
	create->owner = auth_owner(&request->principal);
	create->has_lock = request_header(request, LOCK_HEADER, &text) && is_word(text, "true");
	if (create->has_lock)
		create->versioning = BUCKET_ENABLED;
	enum s3_code code;
	enum err err = check_count(request, &code);
	if (err == ERR_OK && code != S3_OK) {
		request_fail(request, code);
		return;
	}
	if (err == ERR_OK)
		err = request_propose(request, &command);
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

/* What a new bucket is given besides comes in commands of its own: until then it is private, and
 * stays so if we end before. */
enum { CREATING, SETTING_OWNERSHIP, SETTING_ACL };

static void answer_create(struct request *request)
{
	const struct command_result *result = &request->proposal.result;
	struct http_header location = {.name = bytes_of("location")};
	struct text_out out;

	if (result->code != COMMAND_OK && (request->step != CREATING || !is_made_again(request))) {
		request_fail_command(request, result);
		return;
	}
	request_note_begin(request, &out);
	text_put_char(&out, '/');
	text_put_bytes(&out, request->resource.bucket);
	location.value = request_note_end(request, &out);
	request_answer(request, 200, &location, 1);
}

struct create {
	uint64_t bucket;
	uint8_t ownership; /* 0: nothing is to be set */
	uint8_t blob[BUCKET_CONFIG_OWNERSHIP_LEN];
	struct acl acl;
	struct request_document document;
	bool has_document, has_xml;
	bool is_read;
	struct xml_create_bucket xml;
};

static enum s3_code feed_create(struct request_document *document, struct bytes piece)
{
	return xml_in_feed(&CONTAINER_OF(document, struct create, document)->xml.in, piece);
}

static void fini_create(struct request *request)
{
	struct create *create = REQUEST_OP(request, struct create);
	if (create->has_document)
		request_document_fini(&create->document);
	if (create->has_xml)
		xml_in_fini(&create->xml.in);
}

/* The own region, by name or by silence; and where any region may sign, the one that signed. */
static enum s3_code check_location(struct request *request, const struct create *create)
{
	const struct gateway_settings *settings = &request->loop->gateway->settings;
	struct bytes location = bytes_make(create->xml.location, create->xml.location_len);

	if (location.len == 0 || bytes_is_equal(location, settings->region))
		return S3_OK;
	if (!settings->region_is_strict && bytes_is_equal(location, request->auth.region))
		return S3_OK;
	s3_error_add(&request->error, "LocationConstraint", location);
	return S3_ILLEGAL_LOCATION_CONSTRAINT;
}

/* The document, if there is one. ERR_BUSY: more of it is to come. */
static enum err read_create(struct request *request, struct create *create, enum s3_code *ret_code)
{
	enum err err = request_document_read(&create->document, ret_code);
	if (err != ERR_OK)
		return err;
	*ret_code = create->document.body.taken_len > 0 ? xml_in_finish(&create->xml.in) : S3_OK;
	if (*ret_code == S3_OK)
		*ret_code = check_location(request, create);
	return *ret_code == S3_OK ? ERR_OK : ERR_INVALID;
}

/* Ownership and ACL, by the headers or else the setting. Where there are no ACLs, all but private
 * ones are refused. */
static enum s3_code read_ownership(struct request *request, struct create *create)
{
	struct bytes name, owner = auth_owner(&request->principal);
	create->ownership = request->loop->gateway->settings.ownership;
	acl_init(&create->acl);
	if (request_header(request, "x-amz-object-ownership", &name)) {
		create->ownership = bucket_config_ownership(name);
		if (create->ownership == 0) {
			s3_error_add(&request->error, "ArgumentName",
				bytes_of("x-amz-object-ownership"));
			s3_error_add(&request->error, "ArgumentValue", name);
			return S3_INVALID_ARGUMENT;
		}
	}
	return create->ownership > BUCKET_OWNER_ENFORCED
		? op_acl_parse_headers(request, owner, (struct bytes){0}, &create->acl)
		: op_stub_check_acl(request);
}

static void propose_config(
	struct request *request, enum bucket_config kind, struct bytes config, int step)
{
	const struct create *create = REQUEST_OP(request, struct create);
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update = (struct command_bucket_update){
		.bucket = create->bucket,
		.set = BUCKET_SET_CONFIG,
		.config_kind = kind,
		.config = config,
	};
	request->step = step;
	enum err err = request_propose(request, &command);
	if (err != ERR_OK)
		request_fail_err(request, err, S3_INTERNAL_ERROR);
}

/* A command was done: the next one, or the answer. */
static void go_on(struct request *request, struct create *create)
{
	const struct command_result *result = &request->proposal.result;
	if (result->code == COMMAND_OK && request->step == CREATING)
		create->bucket = result->id;
	if (result->code == COMMAND_OK && request->step == CREATING && create->ownership > 0) {
		bucket_config_make_ownership(create->ownership, create->blob);
		propose_config(request, BUCKET_CONFIG_OWNERSHIP,
			bytes_make(create->blob, sizeof create->blob), SETTING_OWNERSHIP);
	} else if (result->code == COMMAND_OK && request->step == SETTING_OWNERSHIP &&
		create->acl.len > 0) {
		propose_config(request, BUCKET_CONFIG_ACL, acl_bytes(&create->acl), SETTING_ACL);
	} else {
		answer_create(request);
	}
}

static void advance_create(struct request *request)
{
	struct create *create = REQUEST_OP(request, struct create);
	enum s3_code code = S3_OK;

	if (request->is_proposed) {
		if (request->is_proposal_done && request_proposal_has_result(request))
			go_on(request, create);
		return;
	}
	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	if (!create->is_read) {
		enum err err = read_create(request, create, &code);
		if (err == ERR_OK)
			create->is_read = true;
		else if (err != ERR_BUSY)
			request_fail(request, code);
		if (err != ERR_OK)
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
	struct create *create = REQUEST_OP(request, struct create);
	create->has_document = create->has_xml = create->is_read = false;
	enum s3_code code = check_create(request);
	if (code == S3_OK)
		code = read_ownership(request, create);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->fini = fini_create;
	request->advance = advance_create;
	create->has_document = true;
	code = request_document_init(&create->document, request, CREATE_LEN_MAX, feed_create);
	if (code == S3_OK) {
		create->has_xml = xml_create_bucket_init(&create->xml) == ERR_OK;
		code = create->has_xml ? S3_OK : S3_SLOW_DOWN;
	}
	if (code != S3_OK)
		request_fail(request, code);
	else
		advance_create(request);
}
