/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration of a bucket, the kind in the first byte: whole and in pieces the
 * blob is the same; and what is rendered of a blob is taken again, and gives the same blob. */
#include <stdlib.h>

#include "gateway/bucket_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const enum bucket_config kinds[] = {
	BUCKET_CONFIG_TAGS,
	BUCKET_CONFIG_CORS,
	BUCKET_CONFIG_OWNERSHIP,
	BUCKET_CONFIG_PUBLIC_ACCESS,
	BUCKET_CONFIG_NOTIFICATION,
	BUCKET_CONFIG_WEBSITE,
};

static const struct bytes webhooks[] = {
	{(const uint8_t *)"hook", 4}, {(const uint8_t *)"h", 1}, {(const uint8_t *)"plain", 5}};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static struct bucket_config_parse parse;
static uint8_t first[64 << 10], text[256 << 10];

static enum s3_code run(
	enum bucket_config kind, struct bytes document, size_t piece_len, struct bytes *ret_blob)
{
	check(bucket_config_parse_init(&parse, kind, bytes_of("garden")) == S3_OK);
	if (kind == BUCKET_CONFIG_NOTIFICATION) {
		parse.xml.notification.webhooks = webhooks;
		parse.xml.notification.webhook_count = ARRAY_COUNT(webhooks);
	}
	enum s3_code code = S3_OK;
	while (document.len > 0 && code == S3_OK) {
		size_t len = document.len < piece_len ? document.len : piece_len;
		code = bucket_config_parse_feed(&parse, bytes_make(document.data, len));
		document = bytes_from(document, len);
	}
	if (code == S3_OK)
		code = bucket_config_parse_finish(&parse, ret_blob);
	bucket_config_parse_fini(&parse);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes blob, again;
	struct text_out out;

	if (len < 1)
		return 0;
	enum bucket_config kind = kinds[data[0] % ARRAY_COUNT(kinds)];
	struct bytes document = {data + 1, len - 1};
	/* Blobs as they lie in an index that is damaged. */
	text_out_init(&out, text, sizeof text);
	err_ignore(bucket_config_render(kind, document, &out));

	enum s3_code code = run(kind, document, SIZE_MAX, &blob);
	if (code != S3_OK) {
		check(run(kind, document, 1 + len % 7, &blob) != S3_OK);
		return 0;
	}
	check(blob.len <= ROW_CONFIG_LEN_MAX);
	struct bytes kept = {first, blob.len};
	if (blob.len > 0)
		memcpy(first, blob.data, blob.len);
	check(run(kind, document, 1 + len % 7, &again) == S3_OK && bytes_is_equal(kept, again));
	if (kept.len == 0)
		return 0;
	text_out_init(&out, text, sizeof text);
	check(bucket_config_render(kind, kept, &out) == ERR_OK && !out.overflowed);
	check(run(kind, text_out_bytes(&out), SIZE_MAX, &again) == S3_OK);
	check(bytes_is_equal(kept, again));
	return 0;
}
