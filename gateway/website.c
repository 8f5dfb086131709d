/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/website.h"

#include "gateway/authorize.h"
#include "gateway/op_get.h"
#include "gateway/xml_out.h"

/* --- keys ------------------------------------------------------------------------------------- */

/* The last bytes of target_buf, which website_prepare() keeps free: a key that is made here. */
static uint8_t *key_place(struct request *request)
{
	return request->target_buf + sizeof request->target_buf - URI_KEY_LEN_MAX;
}

/* False: it would be too long. */
static bool set_key(struct request *request, struct bytes head, struct bytes tail)
{
	uint8_t *place = key_place(request);
	if (head.len + tail.len > URI_KEY_LEN_MAX)
		return false;
	if (head.len > 0)
		memmove(place, head.data, head.len);
	if (tail.len > 0)
		memcpy(place + head.len, tail.data, tail.len);
	request->resource.key = bytes_make(place, head.len + tail.len);
	return true;
}

static bool may_read(struct request *request)
{
	struct authorize_target target = authorize_target_of(request);
	return authorize(request, &target, "s3:GetObject");
}

/* Is request->resource.key there for a stranger (W4)? */
static enum s3_code look(struct request *request, struct object_info *ret_object)
{
	if (!may_read(request))
		return S3_ACCESS_DENIED;
	enum err err = index_version_find(
		request_reader(request), request->bucket.id, request->resource.key, ret_object);
	if (err == ERR_OK && ret_object->row.is_delete_marker)
		err = ERR_NOT_FOUND;
	if (err == ERR_NOT_FOUND)
		return authorize_tells_absence(request) ? S3_NO_SUCH_KEY : S3_ACCESS_DENIED;
	return err == ERR_OK ? S3_OK : s3_error_from_err(err, S3_INTERNAL_ERROR);
}

static struct bytes index_tail(const struct request *request, const struct website *website)
{
	struct bytes key = request->resource.key;
	bool is_place = key.len == 0 || key.data[key.len - 1] == '/';
	return is_place ? website->index : (struct bytes){0};
}

/* --- redirects -------------------------------------------------------------------------------- */

struct redirect {
	uint8_t protocol;
	struct bytes host;
	struct bytes head, tail; /* the key */
	uint16_t code;
};

static enum s3_code redirect_to(struct request *request, const struct redirect *redirect)
{
	struct bytes host = redirect->host;
	bool is_tls = redirect->protocol == WEBSITE_SAME ? request->exchange->is_tls
							 : redirect->protocol == WEBSITE_HTTPS;
	struct text_out out;
	if (host.len == 0)
		request_header(request, "host", &host);
	request_note_begin(request, &out);
	text_put_text(&out, is_tls ? "https://" : "http://");
	text_put_bytes(&out, host);
	text_put_char(&out, '/');
	uri_encode(&out, redirect->head, true);
	uri_encode(&out, redirect->tail, true);
	request->website.location = request_note_end(request, &out);
	request->website.status = redirect->code == 0 ? 301 : redirect->code;
	return out.overflowed ? S3_INVALID_URI : S3_OK;
}

/* A rule that fits, if there is one: error is 0 or the status that was come to. */
static bool find_rule(const struct website *website, struct bytes key, unsigned error,
	struct website_rule *ret_rule)
{
	struct bytes list = website->rules;
	struct website_rule rule;
	while (website_rule_next(&list, &rule) == ERR_OK) {
		if (rule.error != error || !bytes_has_prefix(key, rule.prefix))
			continue;
		*ret_rule = rule;
		return true;
	}
	return false;
}

static enum s3_code follow_rule(
	struct request *request, const struct website_rule *rule, struct bytes key)
{
	struct redirect redirect = {
		.protocol = rule->protocol, .host = rule->host, .head = key, .code = rule->code};
	if (rule->replaces_key) {
		redirect.head = rule->replacement;
	} else if (rule->replaces_prefix) {
		redirect.head = rule->replacement;
		redirect.tail = bytes_from(key, rule->prefix.len);
	}
	return redirect_to(request, &redirect);
}

/* An object may say that it is elsewhere. */
static void take_location(struct request *request, const struct object_info *object)
{
	struct bytes rest = object->row.metadata;
	struct metadata_pair pair;
	while (metadata_next(&rest, &pair)) {
		if (!bytes_is_text(pair.name, "x-amz-website-redirect-location"))
			continue;
		request->website.location = request_note(request, pair.value);
		if (request->website.location.len > 0)
			request->website.status = 301;
		return;
	}
}

/* --- the decision ----------------------------------------------------------------------------- */

static bool is_error_of_client(enum s3_code code)
{
	return s3_error_status(code) / 100 == 4;
}

/* The error document, if there is one, is what is got, with the error's status (W3). */
static enum s3_code fail_with_document(
	struct request *request, const struct website *website, enum s3_code code)
{
	struct bytes key = request->resource.key;
	struct object_info object;
	if (website->error.len == 0 || !is_error_of_client(code) ||
		!set_key(request, (struct bytes){0}, website->error) ||
		look(request, &object) != S3_OK) {
		request->resource.key = key;
		return code;
	}
	request->website.status = s3_error_status(code);
	return S3_OK;
}

/* What is not there may be a place with an index document: browsers are sent there. */
static bool is_place(struct request *request, const struct website *website, struct bytes key)
{
	uint8_t slash = '/';
	struct object_info object;
	bool has = set_key(request, key, bytes_make(&slash, 1)) &&
		set_key(request, request->resource.key, website->index) &&
		look(request, &object) == S3_OK;
	return has;
}

static enum s3_code decide(struct request *request, const struct website *website)
{
	struct bytes key = request->resource.key; /* as it was asked for */
	struct website_rule rule;
	struct object_info object;
	if (website->host.len > 0)
		return redirect_to(request,
			&(struct redirect){
				.protocol = website->protocol, .host = website->host, .head = key});
	if (find_rule(website, key, 0, &rule))
		return follow_rule(request, &rule, key);
	struct bytes tail = index_tail(request, website);
	enum s3_code code = set_key(request, key, tail) ? look(request, &object) : S3_KEY_TOO_LONG;
	if (code == S3_OK) {
		take_location(request, &object);
		return S3_OK;
	}
	if (tail.len == 0 && is_place(request, website, key)) {
		uint8_t slash = '/';
		return redirect_to(request,
			&(struct redirect){
				.head = key, .tail = bytes_make(&slash, 1), .code = 302});
	}
	if (!set_key(request, key, tail))
		request->resource.key = key;
	if (find_rule(website, key, s3_error_status(code), &rule))
		return follow_rule(request, &rule, key);
	return fail_with_document(request, website, code);
}

enum s3_code website_prepare(struct request *request)
{
	enum http_method method = request->exchange->method;
	size_t used = request->uri.path.len + request->uri.query.len;
	struct bytes host = {0};
	request_header(request, "host", &host);
	request->auth.is_anonymous = true;
	request->query.param_count = 0;
	if (used + host.len > sizeof request->target_buf - URI_KEY_LEN_MAX)
		return S3_INVALID_URI;
	return method == HTTP_GET || method == HTTP_HEAD ? S3_OK : S3_METHOD_NOT_ALLOWED;
}

enum s3_code website_admit(struct request *request)
{
	const struct exchange *x = request->exchange;
	struct website website;
	struct bytes blob;
	enum s3_code code = route_find(x->method, ROUTE_OBJECT, &request->query, x->headers,
		x->header_count, &request->route);
	if (code != S3_OK)
		return code;
	enum err err = index_bucket_config(
		request_reader(request), request->bucket.id, BUCKET_CONFIG_WEBSITE, &blob);
	if (err == ERR_OK)
		err = website_decode(blob, &website);
	return err == ERR_OK ? decide(request, &website)
			     : s3_error_from_err(err, S3_NO_SUCH_WEBSITE);
}

void website_start(struct request *request)
{
	struct http_header location = {bytes_of("location"), request->website.location};
	if (request->website.location.len > 0)
		request_answer(request, request->website.status, &location, 1);
	else
		op_get_start(request);
}

/* --- pages ------------------------------------------------------------------------------------ */

static const char *status_text(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} texts[] = {{400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {412, "Precondition Failed"},
		{416, "Requested Range Not Satisfiable"}, {500, "Internal Server Error"},
		{503, "Service Unavailable"}};
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Error";
}

static void put_item(struct text_out *out, const char *name, struct bytes value)
{
	text_put_text(out, "<li>");
	text_put_text(out, name);
	text_put_text(out, ": ");
	xml_put_any(out, value);
	text_put_text(out, "</li>\n");
}

void website_put_error(struct text_out *out, struct request *request, enum s3_code code)
{
	const struct s3_error_detail *detail = &request->error;
	unsigned status = s3_error_status(code);
	const char *message = detail->message ? detail->message : s3_error_message(code);
	static const char *const tags[] = {
		"<html>\n<head><title>", "</title></head>\n<body>\n<h1>", "</h1>\n<ul>\n"};
	for (size_t i = 0; i < ARRAY_COUNT(tags); i++) {
		text_put_text(out, tags[i]);
		if (i + 1 == ARRAY_COUNT(tags))
			break;
		text_put_uint(out, status);
		text_put_char(out, ' ');
		text_put_text(out, status_text(status));
	}
	put_item(out, "Code", bytes_of(s3_error_code(code)));
	put_item(out, "Message", bytes_of(message));
	for (size_t i = 0; i < detail->field_count; i++)
		put_item(out, detail->fields[i].name, detail->fields[i].value);
	put_item(out, "RequestId", bytes_make(request->id_text, sizeof request->id_text));
	put_item(out, "HostId", request->loop->gateway->settings.host_id);
	text_put_text(out, "</ul>\n<hr/>\n</body>\n</html>\n");
}
