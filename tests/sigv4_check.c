/* SPDX-License-Identifier: Apache-2.0 */

/* Reads requests in the form of tests/s3/sigv4_vectors.py from its input, as many as there are.
 *Each has to be accepted as it is, and refused with one bit changed anywhere, and with one header
 *or another part changed. Prints what it counted; fails at the first that is wrong, and prints it.
 *
 *	sigv4_vectors.py 1000000 | sigv4_check
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/sigv4_sample.h"

enum { RECORD_MAX = 64 * 1024, FLIPS = 3 };

static uint8_t record[RECORD_MAX], changed[RECORD_MAX];
static struct sigv4_sample sample;
static struct sigv4_keys keys;
static struct s3_error_detail detail;
static struct sigv4 auth;
static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % bound;
}

/* Is the request of this sample let in? */
static bool is_let_in(void)
{
	static const struct sigv4_settings lenient = {.region = {(const uint8_t *)"rubus", 5}};
	s3_error_detail_init(&detail);
	if (sigv4_parse(&sample.request, &lenient, sample.now_s, &auth, &detail) != S3_OK ||
		auth.is_anonymous)
		return false;
	const char *text = sigv4_sample_secret(auth.access_key_id);
	struct bytes secret = bytes_of(text ? text : "");
	return sigv4_verify(&auth, &sample.request, text ? &secret : NULL, &keys, &detail) == S3_OK;
}

static bool load(const uint8_t *text, size_t len)
{
	struct bytes bytes = bytes_make(text, len);
	return sigv4_sample_take(&bytes, &sample);
}

static void wrong(const char *what, const uint8_t *text, size_t len)
{
	printf("%s:\n%.*s\n", what, (int)len, (const char *)text);
	exit(1);
}

/* --- one bit ---------------------------------------------------------------------------------- */

static bool is_hex_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Where a bit may be flipped: not in the second at which the request comes, and not in names of
 * headers, or in headers that nobody signs. */
static bool is_part(const uint8_t *text, size_t line_begin, size_t at, size_t line_end)
{
	if (line_begin == 0) {
		const uint8_t *last = memrchr(text, ' ', line_end);
		return last && at < (size_t)(last - text);
	}
	const uint8_t *colon = memchr(text + line_begin, ':', line_end - line_begin);
	return colon && at > (size_t)(colon - text) &&
		memcmp(text + line_begin, "accept-encoding:", 16) != 0;
}

/* Flips a bit of a copy. False: the result would be no request of this form, or the same one. */
static bool flip(size_t len)
{
	size_t at = random_below(len);
	uint8_t was = record[at], is = was ^ (1 << random_below(8));
	const uint8_t *before = at > 0 ? memrchr(record, '\n', at) : NULL;
	const uint8_t *after = memchr(record + at, '\n', len - at);
	size_t line_begin = before ? (size_t)(before - record) + 1 : 0;

	if (was == '\n' || is == '\n' || (was == ' ' && line_begin == 0) ||
		(is == ' ' && line_begin == 0))
		return false;
	if (!is_part(record, line_begin, at, after ? (size_t)(after - record) : len))
		return false;
	if ((was ^ is) == 0x20 && is_hex_letter(was))
		return false; /* of an escape or a signature: the same number */
	memcpy(changed, record, len);
	changed[at] = is;
	return true;
}

static size_t check_flips(size_t len)
{
	size_t count = 0;
	for (int tries = 0; tries < 40 && count < FLIPS; tries++) {
		if (!flip(len))
			continue;
		count++;
		if (load(changed, len) && is_let_in())
			wrong("a request with a changed bit is let in", changed, len);
	}
	return count;
}

/* --- one header ------------------------------------------------------------------------------- */

static bool is_signed(struct bytes name)
{
	return !bytes_is_text(name, "accept-encoding") && !bytes_is_text(name, "authorization");
}

/* Picks a header that is signed. */
static struct http_header *pick(void)
{
	for (;;) {
		struct http_header *header =
			&sample.headers[random_below(sample.request.header_count)];
		if (is_signed(header->name))
			return header;
	}
}

static void drop_header(void)
{
	struct http_header *header = pick();
	*header = sample.headers[--sample.request.header_count];
}

static void double_header(void)
{
	sample.headers[sample.request.header_count] = *pick();
	sample.request.header_count++;
}

static void rename_header(void)
{
	pick()->name = bytes_of("x-amz-meta-renamed");
}

static void replace_value(void)
{
	struct http_header *header = pick();
	header->value = bytes_of(bytes_is_text(header->value, "x") ? "y" : "x");
}

static void add_header(void)
{
	static const char *const names[] = {"x-amz-copy-source", "x-amz-acl", "x-amz-meta-a",
		"x-amz-tagging", "x-amz-bypass-governance-retention",
		"x-amz-website-redirect-location"};
	sample.headers[sample.request.header_count++] = (struct http_header){
		bytes_of(names[random_below(ARRAY_COUNT(names))]), bytes_of("/other/secret")};
}

static void change_method(void)
{
	sample.request.method = bytes_of(
		bytes_is_text(sample.request.method, "PUT") ? "DELETE" : "PUT");
}

static void change_path(void)
{
	sample.request.path = bytes_of("/another/key");
}

static void come_later(void)
{
	sample.now_s += 8 * 24 * 60 * 60; /* longer than any URL lives */
}

static const struct {
	const char *name;
	void (*make)(void);
} changes[] = {
	{"without one of its headers", drop_header},
	{"with one of its headers twice", double_header},
	{"with a header of another name", rename_header},
	{"with another value of a header", replace_value},
	{"with one more header of x-amz", add_header},
	{"with another method", change_method},
	{"with another path", change_path},
	{"that comes too late", come_later},
};

static void check_changes(size_t len)
{
	for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
		if (!load(record, len))
			wrong("a request cannot be read", record, len);
		changes[i].make();
		if (is_let_in()) {
			printf("%s: ", changes[i].name);
			wrong("a changed request is let in", record, len);
		}
	}
}

/* Reads up to an empty line. False: there is no more. */
static bool read_record(size_t *ret_len)
{
	size_t len = 0;
	while (fgets((char *)record + len, (int)(sizeof record - len), stdin)) {
		size_t added = strlen((const char *)record + len);
		len += added;
		if (added == 1) {
			*ret_len = len;
			return true;
		}
	}
	return false;
}

int main(void)
{
	size_t len, count = 0, flips = 0;

	sigv4_keys_init(&keys);
	while (read_record(&len)) {
		if (!load(record, len) || !is_let_in())
			wrong("a request that botocore signed is refused", record, len);
		size_t flipped = check_flips(len);
		if (flipped == 0)
			wrong("no bit can be flipped", record, len);
		flips += flipped;
		check_changes(len);
		count++;
	}
	sigv4_keys_fini(&keys);
	printf("%zu accepted, %zu refused with one bit changed, %zu with another change\n", count,
		flips, count * ARRAY_COUNT(changes));
	return count > 0 ? 0 : 1;
}
