/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_LIST_PAGE_H
#define GATEWAY_OP_LIST_PAGE_H

#include "gateway/listing.h"
#include "gateway/request_stream.h"
#include "gateway/uri.h"

/* A page of a listing in XML: of objects, versions or uploads.
 *
 * It is made and sent a buffer at a time: its head, the rows, the common prefixes, and last what is
 * known only at the end (IsTruncated, counts, the next marker), which XML allows to stand anywhere.
 * Rows go from the index's cursor straight into the text.
 *
 * (LS1) Rows of one kind stand together: common prefixes are kept until the rows are over. When
 *       there is no room to keep one more, the page ends there, truncated, with fewer items than it
 *       may have.
 * (LS2) No view is open while something is sent. The next one goes on behind the last item
 *       (listing.c, L5).
 * (LS3) A row is begun only if the longest that there is would fit. */
#define OP_LIST_PAGE_PREFIXES_LEN (40 << 10)

/* How one kind of listing writes its parts, into request->out. */
struct op_list_page_parts {
	size_t row_len_max; /* text of the longest row; the tail is shorter */
	void (*head)(struct request *request);
	/* Under a new view, before its first row: makes the cursor read it. */
	enum err (*resume)(struct request *request);
	void (*row)(struct request *request, struct bytes key); /* the cursor is at it */
	void (*tail)(struct request *request);
};

/* Stands first in what the handler keeps. */
struct op_list_page {
	struct request_stream stream;
	const struct op_list_page_parts *parts;
	unsigned phase;
	bool is_url; /* encoding-type=url */
	struct listing listing;
	size_t prefixes_len, prefixes_from;
	uint8_t prefixes[OP_LIST_PAGE_PREFIXES_LEN]; /* length (2 bytes), text */
};

/* The listing is set up by the caller, between these two, and is_url. The second is the rest of the
 * handler's work; parts is static. */
void op_list_page_init(struct op_list_page *page);
void op_list_page_start(
	struct request *request, struct op_list_page *page, const struct op_list_page_parts *parts);

/* <name>text</name>, in the encoding that was asked for. */
void op_list_page_put(
	const struct op_list_page *page, struct text_out *out, const char *name, struct bytes text);

#endif
