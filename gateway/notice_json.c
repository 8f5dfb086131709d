/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/notice_json.h"

#include <stdio.h>

#include "gateway/response.h"
#include "gateway/s3_time.h"
#include "gateway/xml_notification.h"
#include "storage/meta/notice.h"

/* --- who -------------------------------------------------------------------------------------- */

#define PRINCIPAL "p"
#define ADDRESS "a"
#define REQUEST_ID "r"

struct bytes notice_origin_format(const struct notice_origin *origin, uint8_t *buf)
{
	size_t len = 0;
	const struct {
		const char *name;
		struct bytes value;
	} pairs[] = {{PRINCIPAL, origin->principal}, {ADDRESS, origin->address},
		{REQUEST_ID, origin->request_id}};
	for (size_t i = 0; i < ARRAY_COUNT(pairs); i++)
		if (pairs[i].value.len > 0 &&
			metadata_append(buf, NOTICE_ORIGIN_LEN_MAX, &len, bytes_of(pairs[i].name),
				pairs[i].value) != ERR_OK)
			break;
	return bytes_make(buf, len);
}

void notice_origin_parse(struct bytes bytes, struct notice_origin *ret_origin)
{
	struct metadata_pair pair;
	*ret_origin = (struct notice_origin){.principal = {0}};
	while (metadata_next(&bytes, &pair)) {
		if (bytes_is_text(pair.name, PRINCIPAL))
			ret_origin->principal = pair.value;
		else if (bytes_is_text(pair.name, ADDRESS))
			ret_origin->address = pair.value;
		else if (bytes_is_text(pair.name, REQUEST_ID))
			ret_origin->request_id = pair.value;
	}
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* Keys are UTF-8; what is not ASCII stays as it is. */
static void put_text(struct text_out *out, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];
		char escape[8];
		if (c == '"' || c == '\\') {
			text_put_char(out, '\\');
			text_put_char(out, c);
		} else if (c < 0x20 || c == 0x7f) {
			snprintf(escape, sizeof escape, "\\u%04x", c);
			text_put_text(out, escape);
		} else {
			text_put_char(out, c);
		}
	}
}

static void put_member(struct text_out *out, const char *name, struct bytes value, bool is_last)
{
	text_put_char(out, '"');
	text_put_text(out, name);
	text_put_text(out, "\":\"");
	put_text(out, value);
	text_put_text(out, is_last ? "\"" : "\",");
}

/* As forms have it, which S3 does in events only: a space is a plus. */
static void put_key(struct text_out *out, struct bytes key)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < key.len; i++) {
		uint8_t c = key.data[i];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || (c != '\0' && strchr("-_.*/", c));
		if (is_plain || c == ' ') {
			text_put_char(out, c == ' ' ? '+' : (char)c);
			continue;
		}
		text_put_char(out, '%');
		text_put_char(out, digits[c >> 4]);
		text_put_char(out, digits[c & 15]);
	}
}

static void put_etag(struct text_out *out, const struct etag *etag)
{
	struct text_out quoted;
	uint8_t buf[64];
	text_out_init(&quoted, buf, sizeof buf);
	response_put_etag(&quoted, etag);
	put_member(out, "eTag", bytes_trim(text_out_bytes(&quoted), "\""), false);
}

static void put_object(
	struct text_out *out, const struct row_notice *notice, struct version_id place)
{
	char sequencer[32];
	uint8_t buf[64];
	struct text_out version;
	text_put_text(out, "\"object\":{\"key\":\"");
	put_key(out, notice->key);
	text_put_text(out, "\",");
	if (notice->has_body) {
		text_put_text(out, "\"size\":");
		text_put_uint(out, notice->len);
		text_put_char(out, ',');
		put_etag(out, &notice->etag);
	}
	if (!version_id_is_none(notice->version)) {
		text_out_init(&version, buf, sizeof buf);
		response_put_version(&version, notice->version, notice->is_null);
		put_member(out, "versionId", text_out_bytes(&version), false);
	}
	snprintf(sequencer, sizeof sequencer, "%016llX%08X", (unsigned long long)place.index,
		place.position);
	put_member(out, "sequencer", bytes_of(sequencer), true);
	text_put_char(out, '}');
}

static void put_owner(struct text_out *out, const char *name, struct bytes owner)
{
	text_put_char(out, '"');
	text_put_text(out, name);
	text_put_text(out, "\":{");
	put_member(out, "principalId", owner, true);
	text_put_text(out, "},");
}

static void put_record(struct text_out *out, const struct row_notice *notice,
	struct version_id place, struct bytes region, const char *event)
{
	struct notice_origin origin;
	uint8_t time[S3_TIME_ISO8601_LEN];
	bool is_newer = notice->event >= NOTICE_EXPIRED_DELETE;
	notice_origin_parse(notice->origin, &origin);
	s3_time_format_iso8601(notice->time_ms, time);
	put_member(out, "eventVersion", bytes_of(is_newer ? "2.3" : "2.1"), false);
	put_member(out, "eventSource", bytes_of("aws:s3"), false);
	put_member(out, "awsRegion", region, false);
	put_member(out, "eventTime", bytes_make(time, sizeof time), false);
	put_member(out, "eventName", bytes_of(event + strlen("s3:")), false);
	put_owner(out, "userIdentity", origin.principal);
	text_put_text(out, "\"requestParameters\":{");
	put_member(out, "sourceIPAddress", origin.address, true);
	text_put_text(out, "},\"responseElements\":{");
	put_member(out, "x-amz-request-id", origin.request_id, true);
	text_put_text(out, "},\"s3\":{\"s3SchemaVersion\":\"1.0\",");
	put_member(out, "configurationId", notice->rule, false);
	text_put_text(out, "\"bucket\":{");
	put_member(out, "name", notice->bucket, false);
	put_owner(out, "ownerIdentity", notice->owner);
	text_put_text(out, "\"arn\":\"arn:aws:s3:::");
	put_text(out, notice->bucket);
	text_put_text(out, "\"},");
	put_object(out, notice, place);
	text_put_char(out, '}');
}

void notice_json_put(struct text_out *out, const struct row_notice *notice, struct version_id place,
	struct bytes region)
{
	const char *event = xml_notification_event_name(notice->event);
	if (!event) /* of a newer program */
		event = "s3:Unknown";
	text_put_char(out, '{');
	put_member(out, "EventName", bytes_of(event), false);
	text_put_text(out, "\"Key\":\"");
	put_text(out, notice->bucket);
	text_put_char(out, '/');
	put_text(out, notice->key);
	text_put_text(out, "\",\"Records\":[{");
	put_record(out, notice, place, region, event);
	text_put_text(out, "}]}");
}
