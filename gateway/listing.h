/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_LISTING_H
#define GATEWAY_LISTING_H

#include "gateway/s3_error.h"
#include "gateway/uri.h"

/* Listings: pages of an ordered set of rows, with prefix, delimiter and markers.
 *
 * One logic for ListObjects V1 and V2, ListObjectVersions and ListMultipartUploads: rows are
 * ordered by key in bytes, and by a second part (version, upload) that only the cursor
 * understands. listing.c has the rules.
 *
 *	listing_init(&listing, &cursor, prefix, delimiter, count_max);
 *	listing_after_key(...) or listing_after_row(...)   if the request has markers
 *	while ((err = listing_next(&listing, &item)) == ERR_OK)
 *		... write the item; it is valid until the next call ...
 *	ERR_END: listing.is_truncated, and listing_last_key() is where the next page goes on
 */
enum {
	LISTING_COUNT_MAX = 1000,
	LISTING_TOKEN_LEN_MAX = 4 * ((URI_KEY_LEN_MAX + 6 + 2) / 3),
	LISTING_SUB_LEN_MAX = 64,
};

/* The seam to storage. Each function moves to a row and sets key and sub, which stay valid until
 * the next call; ERR_NOT_FOUND is the end. Other errors end the listing. */
struct listing_cursor {
	/* The first row of the first key that is at or behind `key`. */
	enum err (*seek)(struct listing_cursor *cursor, struct bytes key);
	/* The first row behind (key, sub), which need not exist. NULL where rows are keys. */
	enum err (*seek_after)(struct listing_cursor *cursor, struct bytes key, struct bytes sub);
	enum err (*next)(struct listing_cursor *cursor);

	struct bytes key;
	struct bytes sub; /* of the row among those of its key; empty where rows are keys */
};

struct listing_item {
	bool is_prefix; /* a common prefix; else the cursor is on the row */
	struct bytes key; /* or the prefix, with its delimiter */
	struct bytes sub;
};

enum listing_place {
	LISTING_AT_START, /* seek the first row */
	LISTING_AT_ROW, /* the cursor is on a row that was not looked at */
	LISTING_BEHIND_ROW, /* the cursor is on the last item's row */
	LISTING_BEHIND_LAST, /* seek behind the last item */
	LISTING_AT_END,
};

struct listing {
	struct listing_cursor *cursor;
	struct bytes prefix, delimiter; /* borrowed */
	uint32_t count_max;
	uint32_t count;
	bool is_truncated; /* known after ERR_END */
	bool is_over;
	enum listing_place place;

	/* The last item, or where the request says to go on. */
	bool has_last;
	bool last_has_sub; /* behind one row; else behind all that the key or prefix covers */
	bool is_last_prefix;
	size_t last_len;
	uint8_t last[URI_KEY_LEN_MAX];
	size_t last_sub_len;
	uint8_t last_sub[LISTING_SUB_LEN_MAX];
};

/* Starts a page of up to count_max items (LISTING_COUNT_MAX at most is used; 0 gives none and is
 * not truncated). All are borrowed until the end. An empty delimiter is none. */
void listing_init(struct listing *listing, struct listing_cursor *cursor, struct bytes prefix,
	struct bytes delimiter, uint32_t count_max);

/* Only items behind this key: marker, start-after, a token's key, key-marker alone. A key that is
 * too long for one is cut, which leaves out nothing that should be there. */
void listing_after_key(struct listing *listing, struct bytes key);

/* Only items behind this row: key-marker with version-id-marker or upload-id-marker. */
void listing_after_row(struct listing *listing, struct bytes key, struct bytes sub);

/* The next item. ERR_END: the page is over. Errors of the cursor pass through. */
enum err listing_next(struct listing *listing, struct listing_item *ret_item) MUST_USE;

/* The cursor's rows are not valid any more (its view ends): the next call seeks again. */
void listing_pause(struct listing *listing);

/* NextMarker, NextKeyMarker, or what the next token is made of: the last item. Empty if there was
 * none. The second is the NextVersionIdMarker or NextUploadIdMarker, empty for a prefix. */
struct bytes listing_last_key(const struct listing *listing);
struct bytes listing_last_sub(const struct listing *listing);

/* Opaque continuation tokens: URL-safe, and the same on every node and after every restart.
 * ret_token has LISTING_TOKEN_LEN_MAX bytes of room. */
size_t listing_token_encode(struct bytes last_key, uint8_t *ret_token);

/* buf has URI_KEY_LEN_MAX bytes; the key borrows it. The empty token is valid and means the start:
 * the key is empty. Errors: ERR_INVALID, not a token of ours. */
enum err listing_token_decode(
	struct bytes token, uint8_t *buf, struct bytes *ret_last_key) MUST_USE;

/* The value of max-keys, max-parts or max-uploads (name): absent (data NULL) or above 1000 is 1000.
 * S3_OK, or S3_INVALID_ARGUMENT with its detail for what is not from 0 to 2147483647. */
enum s3_code listing_parse_count(const char *name, struct bytes text, uint32_t *ret_count,
	struct s3_error_detail *ret_detail) MUST_USE;

#endif
