/* SPDX-License-Identifier: Apache-2.0 */

/* Which rows and common prefixes a page of a listing has.
 *
 * A row whose key begins with `prefix`, and has `delimiter` somewhere behind it, is rolled up: in
 * its place there is the common prefix, its key up to and with the first such delimiter. The rows
 * that are left and the common prefixes, each once, are the items.
 *
 * (L1) Items are in the order of their bytes; rows of one key in the cursor's order.
 * (L2) A marker cuts this order: items that are not behind it are left out. So a common prefix is
 *      there if and only if it is behind the marker itself; a marker inside of what a prefix covers
 *      leaves the prefix out, as it does in Ceph's and versitygw's listings. Pages that go on from
 *      the last item of the page before neither repeat nor lose anything.
 * (L3) What a common prefix covers is passed over by one seek, however many keys there are.
 * (L4) The page says that it is truncated only if there is another item.
 * (L5) Between two calls the rows may change. A key that is there all the time is given exactly
 *      once, because every step goes on from the last item.
 */
#include "gateway/listing.h"

enum { TOKEN_VERSION = 1, TOKEN_HEAD_LEN = 2, TOKEN_CHECK_LEN = 4 };

void listing_init(struct listing *listing, struct listing_cursor *cursor, struct bytes prefix,
	struct bytes delimiter, uint32_t count_max)
{
	listing->cursor = cursor;
	listing->prefix = prefix;
	listing->delimiter = delimiter;
	listing->count_max = count_max < LISTING_COUNT_MAX ? count_max : LISTING_COUNT_MAX;
	listing->count = 0;
	listing->is_truncated = false;
	listing->is_over = false;
	listing->place = LISTING_AT_START;
	listing->has_last = false;
	listing->last_has_sub = false;
	listing->is_last_prefix = false;
	listing->last_len = 0;
	listing->last_sub_len = 0;
}

static void set_last(struct listing *listing, struct bytes key, struct bytes sub)
{
	assert(key.len <= sizeof listing->last && sub.len <= sizeof listing->last_sub);
	if (key.len > 0)
		memmove(listing->last, key.data, key.len);
	if (sub.len > 0)
		memcpy(listing->last_sub, sub.data, sub.len);
	listing->last_len = key.len;
	listing->last_sub_len = sub.len;
	listing->last_has_sub = sub.len > 0;
	listing->has_last = true;
}

/* The common prefix that covers a key; len 0 if none does. */
static struct bytes common_prefix(const struct listing *listing, struct bytes key)
{
	struct bytes none = {key.data, 0};
	if (listing->delimiter.len == 0 || !bytes_has_prefix(key, listing->prefix))
		return none;
	struct bytes rest = bytes_from(key, listing->prefix.len);
	const uint8_t *found = memmem(
		rest.data, rest.len, listing->delimiter.data, listing->delimiter.len);
	if (!found)
		return none;
	return bytes_make(key.data, found + listing->delimiter.len - key.data);
}

void listing_after_key(struct listing *listing, struct bytes key)
{
	assert(listing->place == LISTING_AT_START && !listing->has_last);
	if (key.len == 0)
		return;
	if (key.len > sizeof listing->last)
		key.len = sizeof listing->last;
	/* (L2) A marker at or inside a common prefix stands for all that the prefix covers. */
	struct bytes covering = common_prefix(listing, key);
	listing->is_last_prefix = covering.len > 0;
	set_last(listing, covering.len > 0 ? covering : key, (struct bytes){NULL, 0});
	listing->place = LISTING_BEHIND_LAST;
}

void listing_after_row(struct listing *listing, struct bytes key, struct bytes sub)
{
	listing_after_key(listing, key);
	if (listing->has_last && !listing->is_last_prefix && key.len <= sizeof listing->last &&
		sub.len > 0 && sub.len <= sizeof listing->last_sub)
		set_last(listing, key, sub);
}

/* The least key that is behind every key that begins with prefix, in buf. Says if there is one. */
static bool key_behind_prefix(struct bytes prefix, uint8_t *buf, struct bytes *ret_key)
{
	size_t len = prefix.len;
	while (len > 0 && prefix.data[len - 1] == 0xff)
		len--;
	if (len == 0)
		return false;
	memcpy(buf, prefix.data, len);
	buf[len - 1]++;
	*ret_key = bytes_make(buf, len);
	return true;
}

/* Seeks the first row behind the last item, and not before the prefix. */
static enum err seek_behind_last(struct listing *listing)
{
	uint8_t buf[URI_KEY_LEN_MAX + 1];
	struct bytes last = {listing->last, listing->last_len};
	struct bytes key;
	if (bytes_compare(last, listing->prefix) < 0)
		return listing->cursor->seek(listing->cursor, listing->prefix);
	if (listing->is_last_prefix) {
		if (!key_behind_prefix(last, buf, &key))
			return ERR_NOT_FOUND;
		return listing->cursor->seek(listing->cursor, key);
	}
	if (listing->last_has_sub)
		return listing->cursor->seek_after(listing->cursor, last,
			bytes_make(listing->last_sub, listing->last_sub_len));
	memcpy(buf, last.data, last.len);
	buf[last.len] = 0;
	return listing->cursor->seek(listing->cursor, bytes_make(buf, last.len + 1));
}

/* Moves the cursor to the row of the next item. ERR_NOT_FOUND: there is none. */
static enum err find_row(struct listing *listing)
{
	enum err err = ERR_OK;
	switch (listing->place) {
	case LISTING_AT_START:
		err = listing->cursor->seek(listing->cursor, listing->prefix);
		break;
	case LISTING_AT_ROW:
		break;
	case LISTING_BEHIND_ROW:
		err = listing->cursor->next(listing->cursor);
		break;
	case LISTING_BEHIND_LAST:
		err = seek_behind_last(listing);
		break;
	case LISTING_AT_END:
		return ERR_NOT_FOUND;
	}
	if (err == ERR_OK && !bytes_has_prefix(listing->cursor->key, listing->prefix))
		err = ERR_NOT_FOUND;
	if (err == ERR_OK)
		listing->place = LISTING_AT_ROW;
	else if (err == ERR_NOT_FOUND)
		listing->place = LISTING_AT_END;
	return err;
}

enum err listing_next(struct listing *listing, struct listing_item *ret_item)
{
	if (listing->is_over || listing->count_max == 0) {
		listing->is_over = true;
		return ERR_END;
	}
	enum err err = find_row(listing);
	if (err == ERR_NOT_FOUND || (err == ERR_OK && listing->count == listing->count_max)) {
		listing->is_truncated = err == ERR_OK;
		listing->is_over = true;
		return ERR_END;
	}
	if (err != ERR_OK)
		return err;

	struct listing_cursor *cursor = listing->cursor;
	assert(cursor->key.len > 0 && cursor->key.len <= URI_KEY_LEN_MAX);
	struct bytes covering = common_prefix(listing, cursor->key);
	listing->is_last_prefix = covering.len > 0;
	if (covering.len > 0) {
		set_last(listing, covering, (struct bytes){NULL, 0});
		listing->place = LISTING_BEHIND_LAST; /* (L3) */
	} else {
		set_last(listing, cursor->key, cursor->sub);
		listing->place = LISTING_BEHIND_ROW;
	}
	listing->count++;
	ret_item->is_prefix = listing->is_last_prefix;
	ret_item->key = listing_last_key(listing);
	ret_item->sub = listing_last_sub(listing);
	return ERR_OK;
}

void listing_pause(struct listing *listing)
{
	if (listing->place == LISTING_AT_ROW || listing->place == LISTING_BEHIND_ROW)
		listing->place = listing->has_last ? LISTING_BEHIND_LAST : LISTING_AT_START;
}

struct bytes listing_last_key(const struct listing *listing)
{
	return bytes_make(listing->last, listing->last_len);
}

struct bytes listing_last_sub(const struct listing *listing)
{
	return bytes_make(listing->last_sub, listing->last_sub_len);
}

/* --- tokens: base64url of { version, 0, key, check } ----------------------------------------- */

/* FNV-1a: tells a token from garbage; it is no secret. */
static uint32_t check_of(struct bytes text)
{
	uint32_t hash = 0x811c9dc5u;
	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ text.data[i]) * 0x01000193u;
	return hash;
}

static const uint8_t alphabet[64] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int value_of(uint8_t c)
{
	const uint8_t *found = memchr(alphabet, c, sizeof alphabet);
	return found ? (int)(found - alphabet) : -1;
}

size_t listing_token_encode(struct bytes last_key, uint8_t *ret_token)
{
	uint8_t raw[TOKEN_HEAD_LEN + URI_KEY_LEN_MAX + TOKEN_CHECK_LEN];
	assert(last_key.len > 0 && last_key.len <= URI_KEY_LEN_MAX);
	size_t len = TOKEN_HEAD_LEN + last_key.len;
	raw[0] = TOKEN_VERSION;
	raw[1] = 0;
	memcpy(raw + TOKEN_HEAD_LEN, last_key.data, last_key.len);
	put_le32(raw + len, check_of(bytes_make(raw, len)));
	len += TOKEN_CHECK_LEN;

	size_t token_len = 0;
	for (size_t i = 0; i < len; i += 3) {
		uint32_t group = raw[i] << 16 | (i + 1 < len ? raw[i + 1] << 8 : 0) |
			(i + 2 < len ? raw[i + 2] : 0);
		size_t digits = len - i >= 3 ? 4 : len - i + 1;
		for (size_t j = 0; j < digits; j++)
			ret_token[token_len++] = alphabet[group >> (18 - 6 * j) & 63];
	}
	assert(token_len <= LISTING_TOKEN_LEN_MAX);
	return token_len;
}

enum err listing_token_decode(struct bytes token, uint8_t *buf, struct bytes *ret_last_key)
{
	uint8_t raw[TOKEN_HEAD_LEN + URI_KEY_LEN_MAX + TOKEN_CHECK_LEN + 3];
	if (token.len == 0) {
		*ret_last_key = bytes_make(buf, 0);
		return ERR_OK;
	}
	if (token.len > LISTING_TOKEN_LEN_MAX)
		return ERR_INVALID;
	size_t len = 0;
	uint32_t group = 0, bits = 0;
	for (size_t i = 0; i < token.len; i++) {
		int value = value_of(token.data[i]);
		if (value < 0)
			return ERR_INVALID;
		group = (group << 6 | (unsigned)value) & 0xffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			raw[len++] = group >> bits;
		}
	}
	bool has_rest = (group & ((1u << bits) - 1)) != 0;
	if (has_rest || len <= TOKEN_HEAD_LEN + TOKEN_CHECK_LEN || raw[0] != TOKEN_VERSION ||
		raw[1] != 0)
		return ERR_INVALID;
	len -= TOKEN_CHECK_LEN;
	struct bytes key = {raw + TOKEN_HEAD_LEN, len - TOKEN_HEAD_LEN};
	if (get_le32(raw + len) != check_of(bytes_make(raw, len)) || key.len > URI_KEY_LEN_MAX)
		return ERR_INVALID;
	memcpy(buf, key.data, key.len);
	*ret_last_key = bytes_make(buf, key.len);
	return ERR_OK;
}

/* What S3 says of a count that is none. Only the first of them is spelt two ways. */
static const struct count_words {
	const char *name, *argument;
	const char *negative, *other;
} count_words[] = {
	{"max-keys", "maxKeys", "Argument maxKeys must be an integer between 0 and 2147483647",
		"Provided max-keys not an integer or within integer range"},
	{"max-parts", "max-parts", "Argument max-parts must be an integer between 0 and 2147483647",
		"Provided max-parts not an integer or within integer range"},
	{"max-uploads", "max-uploads",
		"Argument max-uploads must be an integer between 0 and 2147483647",
		"Provided max-uploads not an integer or within integer range"},
};

static enum s3_code refuse_count(
	const char *name, struct bytes text, bool is_negative, struct s3_error_detail *ret_detail)
{
	const struct count_words *words = count_words;
	while (strcmp(words->name, name) != 0) {
		words++;
		assert(words < count_words + ARRAY_COUNT(count_words));
	}
	s3_error_add(
		ret_detail, "ArgumentName", bytes_of(is_negative ? words->argument : words->name));
	s3_error_add(ret_detail, "ArgumentValue", text);
	ret_detail->message = is_negative ? words->negative : words->other;
	return S3_INVALID_ARGUMENT;
}

enum s3_code listing_parse_count(const char *name, struct bytes text, uint32_t *ret_count,
	struct s3_error_detail *ret_detail)
{
	bool is_negative = text.len > 0 && text.data[0] == '-';
	bool is_number = text.len > is_negative;
	uint64_t count = 0;
	for (size_t i = is_negative; i < text.len; i++) {
		unsigned digit = text.data[i] - (unsigned)'0';
		is_number = is_number && digit <= 9 && count <= INT32_MAX;
		if (is_number)
			count = count * 10 + digit;
	}
	if (!text.data) {
		*ret_count = LISTING_COUNT_MAX;
		return S3_OK;
	}
	is_negative = is_negative && count > 0;
	if (!is_number || is_negative || count > INT32_MAX)
		return refuse_count(name, text,
			is_number && is_negative && count <= UINT64_C(1) + INT32_MAX, ret_detail);
	*ret_count = count < LISTING_COUNT_MAX ? count : LISTING_COUNT_MAX;
	return S3_OK;
}
