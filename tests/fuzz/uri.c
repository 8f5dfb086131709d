/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as "target\nhost": what is resolved is what was signed, and is a normal form. */
#include "gateway/uri.h"

#include <stdlib.h>

#include "gateway/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MAX = 8192 };

static uint8_t buf[2 * INPUT_MAX], canonical[3 * INPUT_MAX], again[3 * INPUT_MAX];
static uint8_t query_buf[3 * INPUT_MAX], query_again_buf[3 * INPUT_MAX];
static struct query query, query_again;

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* decode(canonical(path)) is decode(path), and a canonical form is its own. */
static void check_path(struct bytes path)
{
	struct bytes decoded, decoded_again;
	if (uri_decode(path, buf, sizeof buf, &decoded) != ERR_OK)
		return;
	struct text_out out;
	text_out_init(&out, canonical, sizeof canonical);
	uri_put_canonical_path(&out, path);
	struct bytes normal = text_out_bytes(&out);
	check(!out.overflowed);
	check(uri_decode(normal, again, sizeof again, &decoded_again) == ERR_OK);
	check(bytes_is_equal(decoded, decoded_again));
	text_out_init(&out, again, sizeof again);
	uri_put_canonical_path(&out, normal);
	check(bytes_is_equal(normal, text_out_bytes(&out)));
}

static void check_resource(struct bytes path, struct bytes host)
{
	const struct bytes domains[] = {bytes_of("s3.example"), bytes_of("example")};
	struct s3_error_detail detail;
	struct uri_resource resource;
	struct bytes decoded;
	s3_error_detail_init(&detail);
	if (uri_resolve(path, host, domains, 2, buf, sizeof buf, &resource, &detail) != S3_OK)
		return;
	check(resource.key.len <= URI_KEY_LEN_MAX && uri_is_utf8(resource.key));
	check(resource.key.len == 0 || resource.bucket.len > 0);
	check(uri_decode(path, again, sizeof again, &decoded) == ERR_OK);
	/* The key is the end of the signed path, byte for byte. */
	check(decoded.len >= resource.key.len);
	check(bytes_is_equal(bytes_from(decoded, decoded.len - resource.key.len), resource.key));
}

/* Parsing the canonical query gives the same parameters, in another order, and the same form. */
static void check_query(struct bytes text)
{
	if (query_parse(text, query_buf, sizeof query_buf, &query) != ERR_OK)
		return;
	struct text_out out;
	text_out_init(&out, canonical, sizeof canonical);
	query_put_canonical(&out, &query, NULL);
	struct bytes normal = text_out_bytes(&out);
	check(!out.overflowed);
	check(query_parse(normal, query_again_buf, sizeof query_again_buf, &query_again) == ERR_OK);
	check(query.param_count == query_again.param_count);
	text_out_init(&out, again, sizeof again);
	query_put_canonical(&out, &query_again, NULL);
	check(bytes_is_equal(normal, text_out_bytes(&out)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > INPUT_MAX)
		return 0;
	const uint8_t *end = memchr(data, '\n', len);
	struct bytes target = {data, end ? (size_t)(end - data) : len};
	struct bytes host = bytes_from(bytes_make(data, len), end ? target.len + 1 : len);
	struct uri uri;
	if (uri_split(target, &uri) != ERR_OK)
		return 0;
	check_path(uri.path);
	check_resource(uri.path, host);
	check_query(uri.query);
	return 0;
}
