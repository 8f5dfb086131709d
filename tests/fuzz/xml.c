/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a document of each kind, the kind in the first byte: whole and in pieces the result
 * is the same, and the parser keeps its bounds. */
#include <stdlib.h>

#include "gateway/xml_body.h"
#include "gateway/xml_lifecycle.h"
#include "gateway/xml_lock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { KINDS = 10, PIECES_MAX = 7 };

/* What came out, as a hash. */
static uint64_t hash;
static uint32_t count;

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void mix(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ text.data[i]) * 0x100000001b3u;
	hash = (hash ^ 256) * 0x100000001b3u;
}

static enum s3_code object_seen(void *context, const struct xml_delete_object *object)
{
	(void)context;
	check(object->key.len > 0 && ++count <= XML_DELETE_COUNT_MAX);
	mix(object->key);
	mix(object->version_id);
	mix(object->etag);
	return S3_OK;
}

static enum s3_code part_seen(void *context, const struct xml_part *part)
{
	(void)context;
	check(part->number >= 1 && part->number <= XML_COMPLETE_PARTS_MAX);
	check(++count <= XML_COMPLETE_PARTS_MAX);
	hash += part->number;
	mix(part->etag);
	for (size_t i = 0; i < XML_CHECKSUM_COUNT; i++)
		mix(part->checksums[i]);
	return S3_OK;
}

static enum s3_code feed(struct xml_in *in, struct bytes document, size_t piece_len)
{
	enum s3_code code = S3_OK;
	while (document.len > 0 && code == S3_OK) {
		size_t len = document.len < piece_len ? document.len : piece_len;
		code = xml_in_feed(in, bytes_make(document.data, len));
		check(in->memory <= XML_IN_MEMORY_MAX && in->depth <= XML_IN_DEPTH_MAX);
		document = bytes_from(document, len);
	}
	enum s3_code end = xml_in_finish(in);
	check(code == S3_OK || end == code);
	xml_in_fini(in);
	return end;
}

static union {
	struct xml_delete delete;
	struct xml_complete complete;
	struct xml_create_bucket create_bucket;
	struct xml_versioning versioning;
	struct xml_tagging tagging;
	struct xml_acl acl;
	struct xml_lifecycle lifecycle;
	struct xml_lock_configuration lock;
	struct xml_retention retention;
	struct xml_legal_hold legal_hold;
} body;
static uint8_t buf[10 * 1536];

static uint8_t arena[2][40 << 10], text[1 << 20];

static enum s3_code parse_rules(struct bytes document, size_t piece_len, struct fields_out *rules)
{
	check(xml_lifecycle_init(&body.lifecycle, rules) == ERR_OK);
	return feed(&body.lifecycle.in, document, piece_len);
}

/* What is given back is understood, and means the same. */
static enum s3_code check_rules(struct bytes document, size_t piece_len)
{
	struct fields_out one = {.data = arena[0], .cap = sizeof arena[0]};
	struct fields_out two = {.data = arena[1], .cap = sizeof arena[1]};
	struct text_out out;
	struct bytes list;
	enum s3_code code = parse_rules(document, piece_len, &one);
	if (code != S3_OK)
		return code;
	mix(bytes_make(one.data, one.len));
	text_out_init(&out, text, sizeof text);
	check(lifecycle_open(bytes_make(one.data, one.len), &list) == ERR_OK);
	check(xml_lifecycle_render(list, &out) == ERR_OK && !out.overflowed);
	check(parse_rules(bytes_make(text, out.len), SIZE_MAX, &two) == S3_OK);
	check(bytes_is_equal(bytes_make(one.data, one.len), bytes_make(two.data, two.len)));
	return S3_OK;
}

/* A good rule is one that the index takes. */
static void check_rule(const struct row_bucket_lock *rule)
{
	check(rule->mode == RETENTION_GOVERNANCE || rule->mode == RETENTION_COMPLIANCE);
	check((rule->days == 0) != (rule->years == 0));
	check(rule->days <= ROW_LOCK_DAYS_MAX && rule->years <= ROW_LOCK_YEARS_MAX);
}

static enum s3_code parse_lock(unsigned kind, struct bytes document, size_t piece_len)
{
	enum s3_code code;
	switch (kind) {
	case 7:
		check(xml_lock_configuration_init(&body.lock) == ERR_OK);
		code = feed(&body.lock.in, document, piece_len);
		check(code != S3_OK || body.lock.is_enabled);
		if (code == S3_OK && body.lock.has_rule)
			check_rule(&body.lock.rule);
		hash = body.lock.rule.days ^ (uint64_t)body.lock.rule.years << 32;
		return code;
	case 8:
		check(xml_retention_init(&body.retention) == ERR_OK);
		code = feed(&body.retention.in, document, piece_len);
		check(code != S3_OK ||
			(body.retention.mode == RETENTION_NONE) == (body.retention.until_ms == 0));
		hash = body.retention.until_ms;
		return code;
	default:
		check(xml_legal_hold_init(&body.legal_hold) == ERR_OK);
		code = feed(&body.legal_hold.in, document, piece_len);
		check(code != S3_OK || body.legal_hold.has_status);
		hash = body.legal_hold.is_on;
		return code;
	}
}

static enum s3_code parse(unsigned kind, struct bytes document, size_t piece_len)
{
	enum s3_code code;
	hash = 0;
	count = 0;
	switch (kind) {
	case 0:
		check(xml_delete_init(&body.delete, object_seen, NULL) == ERR_OK);
		code = feed(&body.delete.in, document, piece_len);
		check(code != S3_OK || (count > 0 && count == body.delete.object_count));
		return code;
	case 1:
		check(xml_complete_init(&body.complete, part_seen, NULL) == ERR_OK);
		code = feed(&body.complete.in, document, piece_len);
		check(code != S3_OK || (count > 0 && count == body.complete.part_count));
		return code;
	case 2:
		check(xml_create_bucket_init(&body.create_bucket) == ERR_OK);
		code = feed(&body.create_bucket.in, document, piece_len);
		mix(bytes_make(body.create_bucket.location, body.create_bucket.location_len));
		return code;
	case 3:
		check(xml_versioning_init(&body.versioning) == ERR_OK);
		code = feed(&body.versioning.in, document, piece_len);
		hash = body.versioning.status;
		return code;
	case 4:
		check(xml_tagging_init(&body.tagging, 10, buf, sizeof buf) == ERR_OK);
		code = feed(&body.tagging.in, document, piece_len);
		for (uint32_t i = 0; i < body.tagging.tag_count; i++) {
			mix(body.tagging.tags[i].key);
			mix(body.tagging.tags[i].value);
		}
		return code;
	case 5:
		check(xml_acl_init(&body.acl) == ERR_OK);
		code = feed(&body.acl.in, document, piece_len);
		hash = xml_acl_is_private(&body.acl);
		return code;
	case 6:
		return check_rules(document, piece_len);
	default:
		return parse_lock(kind, document, piece_len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1)
		return 0;
	unsigned kind = data[0] % KINDS;
	struct bytes document = {data + 1, len - 1};
	enum s3_code code = parse(kind, document, SIZE_MAX);
	uint64_t whole = hash;
	/* Where a parse fails is the same, but a parser may have told less before it. */
	enum s3_code again = parse(kind, document, 1 + len % PIECES_MAX);
	check((code == S3_OK) == (again == S3_OK));
	check(code != S3_OK || whole == hash);
	return 0;
}
