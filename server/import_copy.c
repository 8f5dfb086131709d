/* SPDX-License-Identifier: Apache-2.0 */
#include "server/import_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/digest/digest_stream.h"
#include "gateway/digest/hex.h"
#include "gateway/uri.h"
#include "gateway/xml_in.h"
#include "server/import_priv.h"

enum err import_fail(struct import_copy *copy, const struct s3_client *client, enum err err)
{
	copy->is_of_target = client == &copy->target;
	snprintf(copy->message, sizeof copy->message, "%s",
		client->message[0] ? client->message : err_text(err));
	return err;
}

enum err import_refuse(struct import_copy *copy, enum err err, const char *text)
{
	snprintf(copy->message, sizeof copy->message, "%s", text);
	return err;
}

void import_query(const char *first, const struct import_version *version, char *ret_query)
{
	struct text_out out;
	text_out_init(&out, ret_query, IMPORT_QUERY_LEN);
	text_put_text(&out, first);
	if (version->id) {
		text_put_text(&out, first[0] ? "&versionId=" : "versionId=");
		uri_encode(&out, bytes_of(version->id), false);
	}
	text_put_char(&out, '\0');
	assert(!out.overflowed);
}

bool import_may_try_again(enum err err)
{
	return err == ERR_CLOSED || err == ERR_TIMEOUT || err == ERR_UNAVAILABLE || err == ERR_IO;
}

bool import_is_md5(const char *etag)
{
	uint8_t md5[MD5_LEN];
	return hex_decode(bytes_of(etag), md5, sizeof md5) == ERR_OK;
}

void import_etag(const struct s3_client *client, char ret_etag[S3_LISTING_ETAG_LEN])
{
	struct bytes etag = bytes_trim(s3_client_header(client, "etag"), "\"");
	snprintf(ret_etag, S3_LISTING_ETAG_LEN, "%.*s", (int)etag.len, (const char *)etag.data);
}

bool import_is_sealed(const struct s3_client *client)
{
	struct bytes how = s3_client_header(client, "x-amz-server-side-encryption");
	return bytes_has_prefix(how, bytes_of("aws:")) ||
		s3_client_header(client, "x-amz-server-side-encryption-customer-algorithm").len > 0;
}

/* --- headers and tags ------------------------------------------------------------------------- */

static bool is_kept(struct bytes name)
{
	static const char *const kept[] = {"cache-control", "content-disposition",
		"content-encoding", "content-language", "content-type", "expires",
		"x-amz-website-redirect-location"};
	for (size_t i = 0; i < ARRAY_COUNT(kept); i++)
		if (bytes_is_text(name, kept[i]))
			return true;
	return bytes_has_prefix(name, bytes_of("x-amz-meta-"));
}

static struct bytes keep_text(struct import_headers *headers, struct bytes text)
{
	uint8_t *to = headers->buf + headers->len;
	if (text.len > 0)
		memcpy(to, text.data, text.len);
	headers->len += text.len;
	return bytes_make(to, text.len);
}

static enum err keep_header(struct import_headers *headers, struct bytes name, struct bytes value)
{
	if (headers->count == ARRAY_COUNT(headers->list) - 1 ||
		sizeof headers->buf - headers->len < name.len + value.len)
		return ERR_LIMIT;
	headers->list[headers->count++] = (struct http_header){
		keep_text(headers, name), keep_text(headers, value)};
	return ERR_OK;
}

/* A Tagging document, which becomes the value of x-amz-tagging. */
struct tags {
	struct xml_in in;
	struct text_out out;
	uint8_t buf[16u << 10];
};

static void on_tag_open(
	struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	(void)in, (void)depth, (void)name, (void)attributes;
}

static void on_tag_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct tags *tags = CONTAINER_OF(in, struct tags, in);
	bool is_key = bytes_is_text(name, "Key"), is_value = bytes_is_text(name, "Value");
	if (depth != 4 || (!is_key && !is_value))
		return;
	if (is_key && tags->out.len > 0)
		text_put_char(&tags->out, '&');
	uri_encode(&tags->out, text, false);
	if (is_key)
		text_put_char(&tags->out, '=');
}

static enum err read_tags(struct import_copy *copy, struct tags *tags)
{
	enum s3_code code = S3_OK;
	size_t len;
	uint8_t buf[4096];
	enum err err = xml_in_init(&tags->in, on_tag_open, on_tag_close);
	if (err)
		return import_refuse(copy, err, err_text(err));
	text_out_init(&tags->out, tags->buf, sizeof tags->buf);
	do {
		err = s3_client_read(&copy->side, buf, sizeof buf, &len);
		if (!err)
			code = xml_in_feed(&tags->in, bytes_make(buf, len));
	} while (!err && code == S3_OK);
	if (err == ERR_END)
		code = xml_in_finish(&tags->in);
	xml_in_fini(&tags->in);
	if (err && err != ERR_END)
		return import_fail(copy, &copy->side, err);
	if (code != S3_OK || tags->out.overflowed)
		return import_refuse(copy, ERR_INVALID, "its tags were not understood");
	return ERR_OK;
}

static enum err keep_tags(struct import_copy *copy, const struct import_name *name,
	const struct import_version *version, struct import_headers *headers)
{
	char query[IMPORT_QUERY_LEN];
	import_query("tagging", version, query);
	struct s3_call call = {
		.method = "GET", .bucket = name->source_bucket, .key = name->key, .query = query};
	enum err err = s3_client_call(&copy->side, &call);
	if (err)
		return import_fail(copy, &copy->side, err);
	struct tags *tags = malloc(sizeof *tags);
	if (!tags)
		return import_refuse(copy, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
	err = read_tags(copy, tags);
	if (!err && tags->out.len > 0) {
		err = keep_header(headers, bytes_of("x-amz-tagging"), text_out_bytes(&tags->out));
		if (err)
			err = import_refuse(
				copy, err, "it has longer tags than an object may have");
	}
	free(tags);
	return err;
}

enum err import_keep_headers(struct import_copy *copy, const struct s3_client *from,
	const struct import_name *name, const struct import_version *version,
	struct import_headers *ret_headers)
{
	enum err err = ERR_OK;
	ret_headers->count = ret_headers->len = 0;
	for (size_t i = 0; i < from->header_count && !err; i++)
		if (is_kept(from->headers[i].name))
			err = keep_header(
				ret_headers, from->headers[i].name, from->headers[i].value);
	if (err)
		return import_refuse(copy, err, "it has more metadata than an object may have");
	struct bytes count = s3_client_header(from, "x-amz-tagging-count");
	if (count.len > 0 && !bytes_is_text(count, "0"))
		err = keep_tags(copy, name, version, ret_headers);
	return err;
}

/* --- bodies ----------------------------------------------------------------------------------- */

static enum err pass_body(struct import_copy *copy, struct digest_stream *stream, uint64_t body_len)
{
	for (uint64_t done = 0; done < body_len;) {
		size_t len;
		enum err err = s3_client_read(&copy->source, copy->buf, sizeof copy->buf, &len);
		if (err)
			return import_fail(copy, &copy->source, err == ERR_END ? ERR_CLOSED : err);
		if (len > body_len - done)
			return import_refuse(copy, ERR_INVALID, "its body is longer than it said");
		digest_stream_update(stream, copy->buf, len);
		copy->moved(copy->arg, len);
		err = s3_client_write(&copy->target, copy->buf, len);
		if (err)
			return import_fail(copy, &copy->target, err);
		done += len;
	}
	return ERR_OK;
}

enum err import_pass(struct import_copy *copy, struct s3_call *call, char ret_md5[2 * MD5_LEN + 1])
{
	struct digest_stream stream;
	struct digest_values values;
	char etag[S3_LISTING_ETAG_LEN];
	call->is_streamed = true;
	call->body_len = s3_client_body_len(&copy->source);
	if (call->body_len == UINT64_MAX)
		return import_refuse(copy, ERR_INVALID, "the source does not say how long it is");
	enum err err = s3_client_send(&copy->target, call);
	if (err)
		return import_fail(copy, &copy->target, err);
	digest_stream_init(&stream, DIGEST_MD5);
	err = pass_body(copy, &stream, call->body_len);
	if (err)
		return err;
	err = s3_client_answer(&copy->target);
	if (!err && copy->target.status != 200)
		err = s3_client_refuse(&copy->target);
	if (!err)
		err = s3_client_drop(&copy->target);
	if (!err)
		err = s3_client_drop(&copy->source);
	if (err)
		return import_fail(copy, &copy->target, err);
	digest_stream_final(&stream, &values);
	hex_encode(values.md5, sizeof values.md5, ret_md5);
	import_etag(&copy->target, etag);
	if (strcmp(etag, ret_md5) != 0)
		return import_refuse(
			copy, ERR_CHECKSUM, "our node has other bytes than were sent to it");
	return ERR_OK;
}

enum err import_take_back(struct import_copy *copy, const struct import_name *name)
{
	struct import_version stored = {0};
	char id[S3_LISTING_ID_LEN], query[IMPORT_QUERY_LEN];
	struct bytes text = s3_client_header(&copy->target, "x-amz-version-id");
	snprintf(id, sizeof id, "%.*s", (int)text.len, (const char *)text.data);
	stored.id = id[0] ? id : NULL;
	import_query("", &stored, query);
	struct s3_call call = {.method = "DELETE",
		.bucket = name->target_bucket,
		.key = name->key,
		.query = query[0] ? query : NULL};
	enum err err = s3_client_call(&copy->target, &call);
	if (err) {
		snprintf(copy->message, sizeof copy->message,
			"its ETag is not that of its bytes, and the copy is still there: %.300s",
			copy->target.message);
		return ERR_CHECKSUM;
	}
	return import_refuse(copy, ERR_CHECKSUM, "its bytes do not fit its ETag; no copy was kept");
}

static enum err copy_single(struct import_copy *copy, const struct import_name *name,
	const struct import_version *version, struct import_headers *headers)
{
	char query[IMPORT_QUERY_LEN], md5[2 * MD5_LEN + 1], etag[S3_LISTING_ETAG_LEN];
	import_query("", version, query);
	struct s3_call get = {.method = "GET",
		.bucket = name->source_bucket,
		.key = name->key,
		.query = query[0] ? query : NULL};
	enum err err = s3_client_call(&copy->source, &get);
	if (err)
		return import_fail(copy, &copy->source, err);
	import_etag(&copy->source, etag);
	bool is_sealed = import_is_sealed(&copy->source);
	err = import_keep_headers(copy, &copy->source, name, version, headers);
	if (err)
		return err;
	struct s3_call put = {.method = "PUT",
		.bucket = name->target_bucket,
		.key = name->key,
		.headers = headers->list,
		.header_count = headers->count};
	err = import_pass(copy, &put, md5);
	if (err == ERR_CHECKSUM)
		return import_take_back(copy, name);
	if (err || strcmp(md5, etag) == 0)
		return err;
	if (import_is_md5(etag) && !is_sealed)
		return import_take_back(copy, name);
	copy->is_unverified = true;
	return ERR_OK;
}

static enum err make_marker(struct import_copy *copy, const struct import_name *name)
{
	struct s3_call call = {.method = "DELETE", .bucket = name->target_bucket, .key = name->key};
	enum err err = s3_client_call(&copy->target, &call);
	return err ? import_fail(copy, &copy->target, err) : ERR_OK;
}

enum err import_copy_version(struct import_copy *copy, const struct import_name *name,
	const struct import_version *version)
{
	copy->message[0] = '\0';
	copy->is_unverified = copy->is_of_target = false;
	if (version->is_marker)
		return make_marker(copy, name);
	if (strchr(version->etag, '-'))
		return import_copy_parts(copy, name, version);
	struct import_headers *headers = malloc(sizeof *headers);
	if (!headers)
		return import_refuse(copy, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
	enum err err = copy_single(copy, name, version, headers);
	free(headers);
	return err;
}
