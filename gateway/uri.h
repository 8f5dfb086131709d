/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_URI_H
#define GATEWAY_URI_H

#include "gateway/s3_error.h"
#include "gateway/text_out.h"

/* Request targets: what bucket and key a request means.
 *
 * (U1) The path is percent-decoded once, as a whole, and only then split into bucket and key. The
 *      signature covers the same decoded bytes, encoded again. So what was signed is what is
 *      authorised is what is stored, whatever escapes the client chose.
 * (U2) Nothing is normalised: `.`, `..`, empty segments and trailing slashes are ordinary parts of
 *      keys. A plus is a plus.
 * (U3) A key is 1 to 1024 bytes of UTF-8; any such bytes are a key, control bytes too. */
enum { URI_KEY_LEN_MAX = 1024 };

/* Path (with its leading slash) and query (without the question mark) of a target, as received. */
struct uri {
	struct bytes path;
	struct bytes query;
};

/* What a request is about. bucket and key may be empty: neither is the service, the first alone is
 * the bucket. */
struct uri_resource {
	struct bytes bucket;
	struct bytes key;
	bool is_virtual_host; /* the bucket came from the Host header */
};

/* Splits a target in origin form ("/path?query"). Errors: ERR_INVALID, any other form. */
enum err uri_split(struct bytes target, struct uri *ret_uri) MUST_USE;

/* Decodes %XX into buf, which the result borrows; a plus stays. Errors: ERR_INVALID, a percent sign
 * without two digits; ERR_LIMIT, longer than cap. */
enum err uri_decode(
	struct bytes text, uint8_t *buf, size_t cap, struct bytes *ret_decoded) MUST_USE;

/* Is it one of A-Z a-z 0-9 - . _ ~, which are never escaped? */
bool uri_is_unreserved(uint8_t c);

/* Writes text with everything but A-Z a-z 0-9 - . _ ~ (and / if asked) as %XX. */
void uri_encode(struct text_out *out, struct bytes text, bool keep_slash);

/* Writes the path as signatures have it: decoded once and encoded again. A percent sign without
 * two digits is taken as itself; such paths are refused before they get here. */
void uri_put_canonical_path(struct text_out *out, struct bytes path);

/* Finds bucket and key. host is the Host header (a port is ignored; may be empty); domains are the
 * names of this service, under which buckets are virtual hosts: "bucket.domain". A host that is
 * not under one of them means path style. buf holds the decoded path and the bucket's name, and
 * the result borrows it; it needs path.len + host.len bytes.
 *
 * Names are not checked here beyond (U3); see names.h. Returns S3_OK, S3_INVALID_URI, or
 * S3_KEY_TOO_LONG with its detail. */
enum s3_code uri_resolve(struct bytes path, struct bytes host, const struct bytes *domains,
	size_t domain_count, uint8_t *buf, size_t cap, struct uri_resource *ret_resource,
	struct s3_error_detail *ret_detail) MUST_USE;

/* How many bytes from the start are UTF-8 (shortest forms, no surrogates, up to U+10FFFF). */
size_t uri_utf8_len(struct bytes text);

static inline bool uri_is_utf8(struct bytes text)
{
	return uri_utf8_len(text) == text.len;
}

#endif
