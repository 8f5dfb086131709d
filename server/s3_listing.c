/* SPDX-License-Identifier: Apache-2.0 */
#include "server/s3_listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/s3_time.h"
#include "gateway/uri.h"

#define PAGE_ROWS_MAX 1000
#define BUCKETS_MAX 10000 /* come in one page */
#define TOKEN_LEN 4096
#define QUERY_LEN_MAX (10u << 10)

struct s3_listing {
	struct xml_in in;
	struct s3_client *client;
	enum s3_listing_kind kind;
	struct bytes bucket, prefix, upload;

	struct s3_listing_row *rows; /* of the page */
	size_t row_count, row_cap, row_now;
	uint8_t *keys; /* of rows; URI_KEY_LEN_MAX each */

	bool has_more, is_begun, is_in_row;
	char token[TOKEN_LEN], token2[TOKEN_LEN]; /* from where the next page is asked for */
	size_t last_len; /* the last key that was given */
	uint8_t last[URI_KEY_LEN_MAX];
};

/* What a kind of listing is called: the element of a row, and from where the next page is. */
static const struct {
	const char *row, *marker_row, *key, *id, *token, *token2;
} names_of[S3_LISTING_KINDS] = {
	[S3_LISTING_BUCKETS] = {"Bucket", "", "Name", "", "", ""},
	[S3_LISTING_OBJECTS] = {"Contents", "", "Key", "", "NextContinuationToken", ""},
	[S3_LISTING_VERSIONS] = {"Version", "DeleteMarker", "Key", "VersionId", "NextKeyMarker",
		"NextVersionIdMarker"},
	[S3_LISTING_UPLOADS] = {"Upload", "", "Key", "UploadId", "NextKeyMarker",
		"NextUploadIdMarker"},
	[S3_LISTING_PARTS] = {"Part", "", "", "", "NextPartNumberMarker", ""},
};

/* --- a page ----------------------------------------------------------------------------------- */

static bool is_row(const struct s3_listing *listing, unsigned depth, struct bytes name)
{
	unsigned at = listing->kind == S3_LISTING_BUCKETS ? 3 : 2;
	return depth == at &&
		(bytes_is_text(name, names_of[listing->kind].row) ||
			bytes_is_text(name, names_of[listing->kind].marker_row));
}

static void on_open(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct s3_listing *listing = CONTAINER_OF(in, struct s3_listing, in);
	(void)attributes;
	if (!is_row(listing, depth, name))
		return;
	if (listing->row_count == listing->row_cap) {
		xml_in_stop(in, S3_MALFORMED_XML);
		return;
	}
	struct s3_listing_row *row = &listing->rows[listing->row_count++];
	memset(row, 0, sizeof *row);
	row->is_marker = bytes_is_text(name, names_of[listing->kind].marker_row);
	listing->is_in_row = true;
}

static bool copy_text(char *to, size_t cap, struct bytes text)
{
	if (text.len >= cap || memchr(text.data, 0, text.len))
		return false;
	if (text.len > 0)
		memcpy(to, text.data, text.len);
	to[text.len] = '\0';
	return true;
}

static bool parse_decimal(struct bytes text, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || value > UINT64_MAX / 10 - 1)
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*ret_value = value;
	return text.len > 0;
}

/* A key as encoding-type=url has it: escaped as in forms, where a plus is a space. */
static enum err decode_key(struct bytes text, uint8_t *buf, size_t cap, struct bytes *ret_key)
{
	uint8_t raw[XML_IN_TEXT_LEN_MAX];
	if (text.len > sizeof raw)
		return ERR_LIMIT;
	for (size_t i = 0; i < text.len; i++)
		raw[i] = text.data[i] == '+' ? ' ' : text.data[i];
	return uri_decode(bytes_make(raw, text.len), buf, cap, ret_key);
}

static bool take_key(struct s3_listing *listing, struct s3_listing_row *row, struct bytes text)
{
	uint8_t *to = listing->keys + (listing->row_count - 1) * URI_KEY_LEN_MAX;
	if (listing->kind == S3_LISTING_BUCKETS) {
		if (text.len > URI_KEY_LEN_MAX)
			return false;
		memcpy(to, text.data, text.len);
		row->key = bytes_make(to, text.len);
		return true;
	}
	return decode_key(text, to, URI_KEY_LEN_MAX, &row->key) == ERR_OK;
}

static bool take_field(struct s3_listing *listing, struct bytes name, struct bytes text)
{
	struct s3_listing_row *row = &listing->rows[listing->row_count - 1];
	uint64_t number = 0;
	if (bytes_is_text(name, names_of[listing->kind].key))
		return take_key(listing, row, text);
	if (bytes_is_text(name, names_of[listing->kind].id))
		return copy_text(row->id, sizeof row->id, text);
	if (bytes_is_text(name, "ETag"))
		return copy_text(row->etag, sizeof row->etag, bytes_trim(text, "\""));
	if (bytes_is_text(name, "Size"))
		return parse_decimal(text, &row->size);
	if (bytes_is_text(name, "LastModified"))
		return s3_time_parse_iso8601(text, &row->modified_ms) == ERR_OK;
	if (bytes_is_text(name, "PartNumber")) {
		bool is_fine = parse_decimal(text, &number) && number <= 10000;
		row->part_number = number;
		return is_fine;
	}
	return true;
}

static void on_close(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct s3_listing *listing = CONTAINER_OF(in, struct s3_listing, in);
	bool is_fine = true;
	if (is_row(listing, depth, name))
		listing->is_in_row = false;
	else if (listing->is_in_row)
		is_fine = take_field(listing, name, text);
	else if (depth == 2 && bytes_is_text(name, "IsTruncated"))
		listing->has_more = bytes_is_text(text, "true");
	else if (depth == 2 && bytes_is_text(name, names_of[listing->kind].token))
		is_fine = copy_text(listing->token, sizeof listing->token, text);
	else if (depth == 2 && bytes_is_text(name, names_of[listing->kind].token2))
		is_fine = copy_text(listing->token2, sizeof listing->token2, text);
	if (!is_fine)
		xml_in_stop(in, S3_MALFORMED_XML);
}

/* --- asking for it ---------------------------------------------------------------------------- */

static void put_param(struct text_out *out, const char *name, struct bytes value)
{
	if (value.len == 0)
		return;
	text_put_char(out, '&');
	text_put_text(out, name);
	text_put_char(out, '=');
	uri_encode(out, value, false);
}

/* Markers of keys come escaped, and are escaped once when they are sent. */
static void put_marker(struct text_out *out, const char *name, const char *token)
{
	if (!token[0])
		return;
	uint8_t buf[TOKEN_LEN];
	struct bytes key;
	if (decode_key(bytes_of(token), buf, sizeof buf, &key) != ERR_OK)
		key = bytes_of(token);
	put_param(out, name, key);
}

static bool put_query(const struct s3_listing *listing, char *query)
{
	struct text_out out;
	text_out_init(&out, query, QUERY_LEN_MAX);
	switch (listing->kind) {
	case S3_LISTING_BUCKETS:
		break;
	case S3_LISTING_OBJECTS:
		text_put_text(&out, "list-type=2&encoding-type=url");
		put_param(&out, "prefix", listing->prefix);
		put_param(&out, "continuation-token", bytes_of(listing->token));
		break;
	case S3_LISTING_VERSIONS:
		text_put_text(&out, "versions&encoding-type=url");
		put_param(&out, "prefix", listing->prefix);
		put_marker(&out, "key-marker", listing->token);
		put_param(&out, "version-id-marker", bytes_of(listing->token2));
		break;
	case S3_LISTING_UPLOADS:
		text_put_text(&out, "uploads&encoding-type=url");
		put_param(&out, "prefix", listing->prefix);
		put_marker(&out, "key-marker", listing->token);
		put_param(&out, "upload-id-marker", bytes_of(listing->token2));
		break;
	default:
		text_put_text(&out, "uploadId=");
		uri_encode(&out, listing->upload, false);
		put_param(&out, "part-number-marker", bytes_of(listing->token));
	}
	text_put_char(&out, '\0');
	return !out.overflowed;
}

static enum err read_page(struct s3_listing *listing)
{
	uint8_t buf[16 << 10];
	size_t len;
	enum s3_code code = S3_OK;
	enum err err = xml_in_init(&listing->in, on_open, on_close);
	if (err)
		return err;
	while (!err && code == S3_OK) {
		err = s3_client_read(listing->client, buf, sizeof buf, &len);
		if (!err)
			code = xml_in_feed(&listing->in, bytes_make(buf, len));
	}
	if (err == ERR_END)
		code = xml_in_finish(&listing->in);
	xml_in_fini(&listing->in);
	if (err && err != ERR_END)
		return err;
	bool is_endless = listing->has_more && !listing->token[0];
	return code == S3_OK && !is_endless ? ERR_OK : ERR_INVALID;
}

static enum err ask_page(struct s3_listing *listing)
{
	struct s3_client *client = listing->client;
	char query[QUERY_LEN_MAX];
	if (!put_query(listing, query))
		return ERR_INVALID;
	struct s3_call call = {.method = "GET",
		.bucket = listing->bucket,
		.key = listing->kind == S3_LISTING_PARTS ? listing->prefix : bytes_make(NULL, 0),
		.query = query[0] ? query : NULL};
	enum err err = s3_client_call(client, &call);
	if (err)
		return err;
	listing->row_count = listing->row_now = 0;
	listing->has_more = listing->is_in_row = false;
	listing->token[0] = listing->token2[0] = '\0';
	err = read_page(listing);
	if (err == ERR_INVALID)
		snprintf(client->message, sizeof client->message,
			"%.100s: what it listed of %.*s was not understood",
			client->options->place.host, (int)listing->bucket.len,
			(const char *)listing->bucket.data);
	listing->is_begun = !err;
	return err;
}

/* (G2) */
static enum err check_order(struct s3_listing *listing, const struct s3_listing_row *row)
{
	bool repeats = listing->kind == S3_LISTING_VERSIONS;
	if (listing->kind != S3_LISTING_OBJECTS && !repeats)
		return ERR_OK;
	int order = bytes_compare(bytes_make(listing->last, listing->last_len), row->key);
	if (row->key.len == 0 || order > 0 || (order == 0 && !repeats)) {
		snprintf(listing->client->message, sizeof listing->client->message,
			"%.100s does not list %.*s in the order of keys",
			listing->client->options->place.host, (int)listing->bucket.len,
			(const char *)listing->bucket.data);
		return ERR_INVALID;
	}
	memcpy(listing->last, row->key.data, row->key.len);
	listing->last_len = row->key.len;
	return ERR_OK;
}

enum err s3_listing_next(struct s3_listing *listing, const struct s3_listing_row **ret_row)
{
	while (listing->row_now == listing->row_count) {
		if (listing->is_begun && !listing->has_more)
			return ERR_END;
		enum err err = ask_page(listing);
		if (err)
			return err;
	}
	const struct s3_listing_row *row = &listing->rows[listing->row_now++];
	*ret_row = row;
	return check_order(listing, row);
}

enum err s3_listing_new(struct s3_client *client, enum s3_listing_kind kind, struct bytes bucket,
	struct bytes prefix, struct bytes upload, struct s3_listing **ret_listing)
{
	struct s3_listing *listing = calloc(1, sizeof *listing);
	if (!listing)
		return ERR_NO_MEMORY;
	listing->client = client;
	listing->kind = kind;
	listing->bucket = bucket;
	listing->prefix = prefix;
	listing->upload = upload;
	listing->row_cap = kind == S3_LISTING_BUCKETS ? BUCKETS_MAX : PAGE_ROWS_MAX;
	listing->rows = calloc(listing->row_cap, sizeof *listing->rows);
	listing->keys = malloc(listing->row_cap * URI_KEY_LEN_MAX);
	if (!listing->rows || !listing->keys) {
		s3_listing_free(listing);
		return ERR_NO_MEMORY;
	}
	*ret_listing = listing;
	return ERR_OK;
}

void s3_listing_free(struct s3_listing *listing)
{
	if (!listing)
		return;
	free(listing->rows);
	free(listing->keys);
	free(listing);
}
