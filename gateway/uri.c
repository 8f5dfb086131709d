/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/uri.h"

#define DIGIT(i) [(i)] = 1
#define TEN(i) \
	DIGIT(i), DIGIT(i + 1), DIGIT(i + 2), DIGIT(i + 3), DIGIT(i + 4), DIGIT(i + 5), \
		DIGIT(i + 6), DIGIT(i + 7), DIGIT(i + 8), DIGIT(i + 9)
#define LETTERS(i) \
	TEN(i), TEN(i + 10), DIGIT(i + 20), DIGIT(i + 21), DIGIT(i + 22), DIGIT(i + 23), \
		DIGIT(i + 24), DIGIT(i + 25)

static const uint8_t unreserved[256] = {
	TEN('0'), LETTERS('a'), LETTERS('A'), DIGIT('-'), DIGIT('.'), DIGIT('_'), DIGIT('~')};

bool uri_is_unreserved(uint8_t c)
{
	return unreserved[c];
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at text[*i], or the one that %XX there stands for; moves *i behind it. A percent sign
 * without digits gives -1 and is passed over. */
static int next_byte(struct bytes text, size_t *i)
{
	uint8_t c = text.data[(*i)++];
	if (c != '%')
		return c;
	if (text.len - *i < 2)
		return -1;
	int high = hex_value(text.data[*i]);
	int low = hex_value(text.data[*i + 1]);
	if (high < 0 || low < 0)
		return -1;
	*i += 2;
	return high << 4 | low;
}

static void put_encoded(struct text_out *out, uint8_t c)
{
	static const char digits[16] = "0123456789ABCDEF";
	char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
	text_put(out, escape, sizeof escape);
}

enum err uri_split(struct bytes target, struct uri *ret_uri)
{
	if (target.len == 0 || target.data[0] != '/')
		return ERR_INVALID;
	const uint8_t *mark = memchr(target.data, '?', target.len);
	size_t path_len = mark ? (size_t)(mark - target.data) : target.len;
	ret_uri->path = bytes_make(target.data, path_len);
	ret_uri->query = bytes_from(target, mark ? path_len + 1 : path_len);
	return ERR_OK;
}

enum err uri_decode(struct bytes text, uint8_t *buf, size_t cap, struct bytes *ret_decoded)
{
	size_t len = 0;
	for (size_t i = 0; i < text.len;) {
		int c = next_byte(text, &i);
		if (c < 0)
			return ERR_INVALID;
		if (len == cap)
			return ERR_LIMIT;
		buf[len++] = c;
	}
	*ret_decoded = bytes_make(buf, len);
	return ERR_OK;
}

void uri_encode(struct text_out *out, struct bytes text, bool keep_slash)
{
	size_t i = 0;
	while (i < text.len) {
		size_t plain = i;
		while (i < text.len &&
			(unreserved[text.data[i]] || (keep_slash && text.data[i] == '/')))
			i++;
		text_put(out, text.data + plain, i - plain);
		if (i < text.len)
			put_encoded(out, text.data[i++]);
	}
}

void uri_put_canonical_path(struct text_out *out, struct bytes path)
{
	size_t i = 0;
	while (i < path.len) {
		size_t plain = i;
		while (i < path.len && (unreserved[path.data[i]] || path.data[i] == '/'))
			i++;
		text_put(out, path.data + plain, i - plain);
		if (i == path.len)
			return;
		int c = next_byte(path, &i);
		if (c < 0)
			c = '%';
		if (unreserved[c] || c == '/')
			text_put_char(out, c);
		else
			put_encoded(out, c);
	}
}

/* The length of the UTF-8 character at the start of text, 0 if there is none. */
static size_t character_len(struct bytes text)
{
	static const uint32_t least[5] = {[2] = 0x80, [3] = 0x800, [4] = 0x10000};
	uint8_t c = text.data[0];
	size_t len = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
	if (len < 2)
		return len;
	if (text.len < len)
		return 0;
	uint32_t point = c & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if ((text.data[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (text.data[i] & 0x3f);
	}
	bool is_surrogate = point >= 0xd800 && point < 0xe000;
	return point >= least[len] && point <= 0x10ffff && !is_surrogate ? len : 0;
}

size_t uri_utf8_len(struct bytes text)
{
	size_t len = 0;
	while (len < text.len) {
		uint64_t word;
		if (text.len - len >= sizeof word) {
			memcpy(&word, text.data + len, sizeof word);
			if ((word & 0x8080808080808080u) == 0) {
				len += sizeof word;
				continue;
			}
		}
		size_t step = character_len(bytes_from(text, len));
		if (step == 0)
			break;
		len += step;
	}
	return len;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool is_equal_folded(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (lower(a.data[i]) != lower(b.data[i]))
			return false;
	}
	return true;
}

static struct bytes without_port(struct bytes host)
{
	const uint8_t *bracket = memrchr(host.data, ']', host.len);
	const uint8_t *colon = memrchr(host.data, ':', host.len);
	if (colon && (!bracket || colon > bracket))
		host.len = colon - host.data;
	return host;
}

/* The bucket in a host name under one of the domains, the longest that fits; empty if none. A host
 * that is itself one of the domains has no bucket, even if it is under another. */
static struct bytes bucket_of_host(struct bytes host, const struct bytes *domains, size_t count)
{
	struct bytes none = {host.data, 0};
	size_t longest = 0;
	for (size_t i = 0; i < count; i++) {
		struct bytes domain = domains[i];
		if (is_equal_folded(host, domain))
			return none;
		if (domain.len == 0 || host.len < domain.len + 2 || domain.len <= longest)
			continue;
		size_t dot = host.len - domain.len - 1;
		if (host.data[dot] == '.' && is_equal_folded(bytes_from(host, dot + 1), domain))
			longest = domain.len;
	}
	if (longest == 0)
		return none;
	return bytes_make(host.data, host.len - longest - 1);
}

/* The two halves of a decoded path without its first slash. */
static void split_path(struct bytes path, struct uri_resource *resource)
{
	const uint8_t *slash = memchr(path.data, '/', path.len);
	size_t bucket_len = slash ? (size_t)(slash - path.data) : path.len;
	resource->bucket = bytes_make(path.data, bucket_len);
	resource->key = bytes_from(path, slash ? bucket_len + 1 : bucket_len);
}

enum s3_code uri_resolve(struct bytes path, struct bytes host, const struct bytes *domains,
	size_t domain_count, uint8_t *buf, size_t cap, struct uri_resource *ret_resource,
	struct s3_error_detail *ret_detail)
{
	assert(cap >= path.len + host.len);
	struct bytes decoded;
	if (uri_decode(path, buf, cap, &decoded) != ERR_OK)
		return S3_INVALID_URI;
	if (decoded.len == 0 || decoded.data[0] != '/' || !uri_is_utf8(decoded))
		return S3_INVALID_URI;

	struct uri_resource resource = {.is_virtual_host = false};
	struct bytes bucket = host.len > 0
		? bucket_of_host(without_port(host), domains, domain_count)
		: (struct bytes){buf, 0};
	if (bucket.len > 0) {
		uint8_t *copy = buf + decoded.len;
		for (size_t i = 0; i < bucket.len; i++)
			copy[i] = lower(bucket.data[i]);
		resource.is_virtual_host = true;
		resource.bucket = bytes_make(copy, bucket.len);
		resource.key = bytes_from(decoded, 1);
	} else {
		split_path(bytes_from(decoded, 1), &resource);
	}
	if (resource.bucket.len == 0 && resource.key.len > 0)
		return S3_INVALID_URI;
	if (resource.key.len > URI_KEY_LEN_MAX) {
		s3_error_add_uint(ret_detail, "Size", resource.key.len);
		s3_error_add_uint(ret_detail, "MaxSizeAllowed", URI_KEY_LEN_MAX);
		return S3_KEY_TOO_LONG;
	}
	*ret_resource = resource;
	return S3_OK;
}
