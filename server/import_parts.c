/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that were uploaded in parts. Their ETag is the MD5 of the MD5s of the parts, so whoever
 * cuts at the same places gets the same ETag. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/uri.h"
#include "gateway/xml_in.h"
#include "server/import_copy.h"
#include "server/import_priv.h"

#define PARTS_MAX 10000u
#define MIB ((uint64_t)1 << 20)

/* Parts' sizes of usual programs, for services that do not tell them. */
static const uint64_t usual_part_len[] = {5 * MIB, 8 * MIB, 10 * MIB, 15 * MIB, 16 * MIB, 20 * MIB,
	25 * MIB, 32 * MIB, 50 * MIB, 64 * MIB, 100 * MIB, 128 * MIB, 200 * MIB, 256 * MIB,
	512 * MIB, 1024 * MIB, 5 * 1024 * MIB};

struct part {
	uint64_t size; /* with has_it */
	bool has_it; /* at our node */
	char md5[2 * MD5_LEN + 1];
};

struct parts {
	const struct import_name *name;
	const struct import_version *version;
	unsigned count;
	uint64_t part_len; /* 0: the source tells it part by part */
	bool is_reused; /* some were there before */
	bool is_sealed;
	char etag[S3_LISTING_ETAG_LEN];
	char upload[S3_LISTING_ID_LEN];
	struct import_headers headers;
	struct part list[PARTS_MAX + 1]; /* by number */
};

/* --- the source ------------------------------------------------------------------------------- */

/* "...-12" -> 12; 0 if there is no such number. */
static unsigned count_of_etag(const char *etag)
{
	unsigned long count = strtoul(strchr(etag, '-') + 1, NULL, 10);
	return count <= PARTS_MAX ? count : 0;
}

static uint64_t guess_part_len(uint64_t size, unsigned count)
{
	for (size_t i = 0; i < ARRAY_COUNT(usual_part_len); i++)
		if ((size + usual_part_len[i] - 1) / usual_part_len[i] == count)
			return usual_part_len[i];
	uint64_t len = round_up((size + count - 1) / count, MIB);
	return len < 5 * MIB ? 5 * MIB : len;
}

static enum err look(struct import_copy *copy, struct parts *parts)
{
	const struct import_name *name = parts->name;
	char query[IMPORT_QUERY_LEN];
	import_query("partNumber=1", parts->version, query);
	struct s3_call call = {
		.method = "HEAD", .bucket = name->source_bucket, .key = name->key, .query = query};
	enum err err = s3_client_call(&copy->source, &call);
	if (err)
		return import_fail(copy, &copy->source, err);
	import_etag(&copy->source, parts->etag);
	parts->is_sealed = import_is_sealed(&copy->source);
	struct bytes count = s3_client_header(&copy->source, "x-amz-mp-parts-count");
	parts->count = strchr(parts->etag, '-') ? count_of_etag(parts->etag) : 0;
	if (parts->count == 0)
		return import_refuse(copy, ERR_CONFLICT, "it was changed while it was read");
	if (count.len == 0)
		parts->part_len = guess_part_len(parts->version->size, parts->count);
	return import_keep_headers(copy, &copy->source, name, parts->version, &parts->headers);
}

/* Asks for a part, or only for its length. */
static enum err ask_part(
	struct import_copy *copy, const struct parts *parts, unsigned number, const char *method)
{
	char query[IMPORT_QUERY_LEN], first[32], etag[S3_LISTING_ETAG_LEN + 2], range[64];
	snprintf(first, sizeof first, "partNumber=%u", number);
	import_query(parts->part_len > 0 ? "" : first, parts->version, query);
	snprintf(etag, sizeof etag, "\"%s\"", parts->etag);
	uint64_t from = (number - 1) * parts->part_len, size = parts->version->size;
	uint64_t to = from + parts->part_len < size ? from + parts->part_len : size;
	snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)from,
		(unsigned long long)(to - 1));
	struct http_header headers[2] = {
		{bytes_of("if-match"), bytes_of(etag)}, {bytes_of("range"), bytes_of(range)}};
	struct s3_call call = {.method = method,
		.bucket = parts->name->source_bucket,
		.key = parts->name->key,
		.query = query[0] ? query : NULL,
		.headers = headers,
		.header_count = parts->part_len > 0 ? 2 : 1};
	enum err err = s3_client_call(&copy->source, &call);
	return err ? import_fail(copy, &copy->source, err) : ERR_OK;
}

/* --- our node --------------------------------------------------------------------------------- */

static enum err list_parts(struct import_copy *copy, struct parts *parts)
{
	struct s3_listing *listing;
	const struct s3_listing_row *row;
	enum err err = s3_listing_new(&copy->target, S3_LISTING_PARTS, parts->name->target_bucket,
		parts->name->key, bytes_of(parts->upload), &listing);
	if (err)
		return err;
	while (!(err = s3_listing_next(listing, &row))) {
		struct part *part = &parts->list[row->part_number];
		part->size = row->size;
		part->has_it = import_is_md5(row->etag);
		if (part->has_it)
			memcpy(part->md5, row->etag, sizeof part->md5);
	}
	s3_listing_free(listing);
	return err == ERR_END ? ERR_OK : err;
}

/* Finds an upload of this key that an earlier run has left (I4). */
static enum err find_upload(struct import_copy *copy, struct parts *parts)
{
	struct s3_listing *listing;
	const struct s3_listing_row *row;
	enum err err = s3_listing_new(&copy->target, S3_LISTING_UPLOADS, parts->name->target_bucket,
		parts->name->key, bytes_make(NULL, 0), &listing);
	if (err)
		return err;
	while (!(err = s3_listing_next(listing, &row)))
		if (bytes_is_equal(row->key, parts->name->key))
			snprintf(parts->upload, sizeof parts->upload, "%s", row->id);
	s3_listing_free(listing);
	if (err == ERR_END)
		err = parts->upload[0] ? list_parts(copy, parts) : ERR_OK;
	return err;
}

struct created {
	struct xml_in in;
	char *id;
};

static void on_open(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	(void)in, (void)depth, (void)name, (void)attributes;
}

static void on_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct created *created = CONTAINER_OF(in, struct created, in);
	if (depth == 2 && bytes_is_text(name, "UploadId") && text.len < S3_LISTING_ID_LEN)
		snprintf(created->id, S3_LISTING_ID_LEN, "%.*s", (int)text.len,
			(const char *)text.data);
}

static enum err read_upload_id(struct import_copy *copy, struct parts *parts)
{
	uint8_t buf[4096];
	size_t len;
	struct created created = {.id = parts->upload};
	enum err err = xml_in_init(&created.in, on_open, on_close);
	if (err)
		return err;
	while (!(err = s3_client_read(&copy->target, buf, sizeof buf, &len)))
		if (xml_in_feed(&created.in, bytes_make(buf, len)) != S3_OK)
			break;
	xml_in_fini(&created.in);
	if (err && err != ERR_END)
		return err;
	return parts->upload[0] ? ERR_OK : ERR_INVALID;
}

static enum err begin_upload(struct import_copy *copy, struct parts *parts)
{
	struct s3_call call = {.method = "POST",
		.bucket = parts->name->target_bucket,
		.key = parts->name->key,
		.query = "uploads",
		.headers = parts->headers.list,
		.header_count = parts->headers.count};
	enum err err = s3_client_call(&copy->target, &call);
	if (!err)
		err = read_upload_id(copy, parts);
	return err;
}

static void upload_query(const struct parts *parts, const char *first, char *ret_query)
{
	struct text_out out;
	text_out_init(&out, ret_query, IMPORT_QUERY_LEN);
	text_put_text(&out, first);
	text_put_text(&out, "uploadId=");
	uri_encode(&out, bytes_of(parts->upload), false);
	text_put_char(&out, '\0');
	assert(!out.overflowed);
}

static enum err abort_upload(struct import_copy *copy, const struct parts *parts)
{
	char query[IMPORT_QUERY_LEN];
	upload_query(parts, "", query);
	struct s3_call call = {.method = "DELETE",
		.bucket = parts->name->target_bucket,
		.key = parts->name->key,
		.query = query};
	return s3_client_call(&copy->target, &call);
}

static enum err try_part(struct import_copy *copy, struct parts *parts, unsigned number)
{
	struct part *part = &parts->list[number];
	char query[IMPORT_QUERY_LEN], first[32];
	enum err err;
	if (part->has_it) {
		err = ask_part(copy, parts, number, "HEAD");
		if (err || s3_client_body_len(&copy->source) == part->size) {
			parts->is_reused = true;
			return err;
		}
	}
	err = ask_part(copy, parts, number, "GET");
	if (err)
		return err;
	snprintf(first, sizeof first, "partNumber=%u&", number);
	upload_query(parts, first, query);
	struct s3_call put = {.method = "PUT",
		.bucket = parts->name->target_bucket,
		.key = parts->name->key,
		.query = query};
	return import_pass(copy, &put, part->md5);
}

static enum err copy_part(struct import_copy *copy, struct parts *parts, unsigned number)
{
	for (unsigned tried = 0;; tried++) {
		enum err err = try_part(copy, parts, number);
		if (!import_may_try_again(err) || !copy->pause(copy->arg, tried))
			return err;
	}
}

/* The answer may say with a status of 200 that it failed: then it has no ETag of its own, and what
 * is there is asked for. */
static enum err complete(struct import_copy *copy, struct parts *parts)
{
	enum { PART_LEN = 128 };
	char query[IMPORT_QUERY_LEN], number[16];
	struct text_out out;
	size_t cap = 256 + (size_t)parts->count * PART_LEN;
	uint8_t *document = malloc(cap);
	if (!document)
		return import_refuse(copy, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
	text_out_init(&out, document, cap);
	text_put_text(&out, "<CompleteMultipartUpload>");
	for (unsigned i = 1; i <= parts->count; i++) {
		snprintf(number, sizeof number, "%u", i);
		text_put_text(&out, "<Part><PartNumber>");
		text_put_text(&out, number);
		text_put_text(&out, "</PartNumber><ETag>");
		text_put_text(&out, parts->list[i].md5);
		text_put_text(&out, "</ETag></Part>");
	}
	text_put_text(&out, "</CompleteMultipartUpload>");
	assert(!out.overflowed);
	upload_query(parts, "", query);
	struct s3_call call = {.method = "POST",
		.bucket = parts->name->target_bucket,
		.key = parts->name->key,
		.query = query,
		.body = text_out_bytes(&out)};
	enum err err = s3_client_call(&copy->target, &call);
	free(document);
	if (!err)
		err = s3_client_drop(&copy->target);
	struct s3_call head = {
		.method = "HEAD", .bucket = parts->name->target_bucket, .key = parts->name->key};
	if (!err)
		err = s3_client_call(&copy->target, &head);
	return err ? import_fail(copy, &copy->target, err) : ERR_OK;
}

static enum err copy_all(struct import_copy *copy, struct parts *parts)
{
	enum err err = ERR_OK;
	if (!parts->upload[0]) {
		err = begin_upload(copy, parts);
		if (err)
			return import_fail(copy, &copy->target, err);
	}
	for (unsigned i = 1; i <= parts->count && !err; i++)
		err = copy_part(copy, parts, i);
	return err ? err : complete(copy, parts);
}

/* What our node has now fits the source, or is taken back (I3). */
static enum err check(struct import_copy *copy, struct parts *parts, bool *ret_again)
{
	char etag[S3_LISTING_ETAG_LEN];
	import_etag(&copy->target, etag);
	*ret_again = false;
	if (strcmp(etag, parts->etag) == 0)
		return ERR_OK;
	if (parts->is_reused) {
		*ret_again = true;
		err_ignore(import_take_back(copy, parts->name)); /* the next one replaces it */
		parts->upload[0] = '\0';
		parts->is_reused = false;
		memset(parts->list, 0, sizeof parts->list);
		return ERR_OK;
	}
	if (parts->part_len > 0 || parts->is_sealed) {
		copy->is_unverified = true;
		return ERR_OK;
	}
	return import_take_back(copy, parts->name);
}

enum err import_copy_parts(struct import_copy *copy, const struct import_name *name,
	const struct import_version *version)
{
	bool again = true;
	struct parts *parts = calloc(1, sizeof *parts);
	if (!parts)
		return import_refuse(copy, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
	parts->name = name;
	parts->version = version;
	enum err err = look(copy, parts);
	if (!err) {
		err = find_upload(copy, parts);
		if (err)
			err = import_fail(copy, &copy->target, err);
	}
	while (!err && again) {
		err = copy_all(copy, parts);
		if (!err)
			err = check(copy, parts, &again);
	}
	/* What cannot be completed is not kept for a next run, which would fail alike. */
	if (parts->upload[0] && (err == ERR_REFUSED || err == ERR_CHECKSUM))
		err_ignore(abort_upload(copy, parts)); /* a lifecycle rule ends it some day */
	free(parts);
	return err;
}
