/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/authorize_values.h"

#include "gateway/op_get_plan.h"
#include "gateway/s3_time.h"

static bool put_text(uint8_t *buf, const char *text, struct bytes *ret_value)
{
	(void)buf;
	*ret_value = bytes_of(text);
	return true;
}

static bool put_uint(uint8_t *buf, uint64_t number, struct bytes *ret_value)
{
	struct text_out out;
	text_out_init(&out, buf, POLICY_VALUE_LEN_MAX);
	text_put_uint(&out, number);
	*ret_value = text_out_bytes(&out);
	return true;
}

static bool put_arn(uint8_t *buf, struct bytes owner, struct bytes *ret_value)
{
	struct text_out out;
	text_out_init(&out, buf, POLICY_VALUE_LEN_MAX);
	text_put_text(&out, "arn:aws:iam::");
	text_put_bytes(&out, owner);
	text_put_text(&out, ":user/");
	text_put_bytes(&out, owner);
	assert(!out.overflowed);
	*ret_value = text_out_bytes(&out);
	return true;
}

/* Of the client's address, without the zone of a link. */
static struct bytes source_ip(const struct exchange *x)
{
	struct bytes peer = bytes_of(x->peer ? x->peer : "");
	const uint8_t *zone = peer.len > 0 ? memchr(peer.data, '%', peer.len) : NULL;
	if (zone)
		peer.len = zone - peer.data;
	return peer;
}

/* A tag of the object as it is now: under a view. */
static bool find_tag(
	const struct authorize_values *values, struct bytes name, struct bytes *ret_value)
{
	const struct authorize_target *target = values->target;
	struct request *request = values->request;
	struct object_info object;
	struct metadata_pair tag;

	if (target->key.len == 0)
		return false;
	struct s3_error_detail error = request->error;
	enum s3_code code = op_get_find_version(request, target->bucket->id, target->key,
		target->has_version, target->version, &object);
	request->error = error; /* what is not there is no reason to tell of */
	if (code != S3_OK || object.row.is_delete_marker)
		return false;
	struct bytes rest = object.row.tags;
	while (metadata_next(&rest, &tag)) {
		if (!bytes_is_equal(tag.name, name))
			continue;
		*ret_value = tag.value;
		return true;
	}
	return false;
}

/* Who signed, and how. */
static bool about_sender(const struct authorize_values *values, enum policy_key key, uint8_t *buf,
	struct bytes *ret_value)
{
	const struct request *request = values->request;
	struct bytes owner = auth_owner(&request->principal);
	uint64_t now_ms = request->now_ms, signed_ms = request->auth.time_s * 1000;

	if (key == POLICY_KEY_PRINCIPAL_TYPE)
		return put_text(
			buf, request->principal.is_anonymous ? "Anonymous" : "User", ret_value);
	if (request->principal.is_anonymous)
		return false;
	switch (key) {
	case POLICY_KEY_PRINCIPAL_ARN:
		return put_arn(buf, owner, ret_value);
	case POLICY_KEY_AUTH_TYPE:
		return put_text(buf,
			request->auth.form_policy.len > 0 ? "POST"
				: request->auth.is_query  ? "REST-QUERY-STRING"
							  : "REST-HEADER",
			ret_value);
	case POLICY_KEY_SIGNATURE_VERSION:
		return put_text(buf, request->auth.is_v2 ? "AWS" : "AWS4-HMAC-SHA256", ret_value);
	case POLICY_KEY_SIGNATURE_AGE:
		return put_uint(buf, now_ms > signed_ms ? now_ms - signed_ms : 0, ret_value);
	default:
		*ret_value = owner;
		return true;
	}
}

static_assert(POLICY_VALUE_LEN_MAX >= S3_TIME_ISO8601_LEN, "room for a time");

bool authorize_value(const struct policy_request *policy, enum policy_key key, struct bytes name,
	uint8_t *buf, struct bytes *ret_value)
{
	const struct authorize_values *values = CONTAINER_OF(
		policy, struct authorize_values, policy);
	const struct request *request = values->request;
	const char *header = policy_key_header(key);

	if (header)
		return request_header(request, header, ret_value);
	switch (key) {
	case POLICY_KEY_CURRENT_TIME:
		s3_time_format_iso8601(request->now_ms, buf);
		*ret_value = bytes_make(buf, S3_TIME_ISO8601_LEN);
		return true;
	case POLICY_KEY_EPOCH_TIME:
		return put_uint(buf, request->now_ms / 1000, ret_value);
	case POLICY_KEY_SECURE_TRANSPORT:
		return put_text(buf, request->exchange->is_tls ? "true" : "false", ret_value);
	case POLICY_KEY_SOURCE_IP:
		*ret_value = source_ip(request->exchange);
		return ret_value->len > 0;
	case POLICY_KEY_DELIMITER:
		return query_find(&request->query, "delimiter", ret_value);
	case POLICY_KEY_PREFIX:
		return query_find(&request->query, "prefix", ret_value);
	case POLICY_KEY_MAX_KEYS:
		return query_find(&request->query, "max-keys", ret_value);
	case POLICY_KEY_VERSION_ID:
		*ret_value = values->target->version;
		return values->target->has_version;
	case POLICY_KEY_EXISTING_TAG:
		return find_tag(values, name, ret_value);
	default:
		return about_sender(values, key, buf, ret_value);
	}
}
