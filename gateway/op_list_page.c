/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_list_page.h"

#include "gateway/xml_out.h"

enum { PHASE_HEAD, PHASE_ROWS, PHASE_PREFIXES, PHASE_TAIL };

static void keep_prefix(struct op_list_page *page, struct bytes prefix)
{
	assert(page->prefixes_len + 2 + prefix.len <= sizeof page->prefixes);
	put_le16(page->prefixes + page->prefixes_len, prefix.len);
	memcpy(page->prefixes + page->prefixes_len + 2, prefix.data, prefix.len);
	page->prefixes_len += 2 + prefix.len;
}

static bool has_room(const struct request *request, const struct op_list_page *page)
{
	return request->out.cap - request->out.len >= page->parts->row_len_max; /* (LS3) */
}

/* Under a view, while there is room. ERR_END: the rows are over. */
static enum err put_rows(struct request *request, struct op_list_page *page)
{
	struct listing *listing = &page->listing;
	struct listing_item item;
	while (has_room(request, page)) {
		if (sizeof page->prefixes - page->prefixes_len < 2 + URI_KEY_LEN_MAX)
			listing->count_max = listing->count; /* (LS1) */
		enum err err = listing_next(listing, &item);
		if (err)
			return err;
		if (item.is_prefix)
			keep_prefix(page, item.key);
		else
			page->parts->row(request, item.key);
	}
	return ERR_OK;
}

static enum err fill_rows(struct request *request, struct op_list_page *page)
{
	struct index_reader *reader = request_reader(request);
	enum err err = index_view_begin(reader);
	if (err)
		return err;
	err = page->parts->resume(request);
	if (err == ERR_OK)
		err = put_rows(request, page);
	listing_pause(&page->listing);
	index_view_end(reader);
	return err;
}

/* Says whether all are written. */
static bool put_prefixes(struct request *request, struct op_list_page *page)
{
	struct text_out *out = &request->out;
	while (page->prefixes_from < page->prefixes_len) {
		if (!has_room(request, page))
			return false;
		const uint8_t *p = page->prefixes + page->prefixes_from;
		struct bytes prefix = bytes_make(p + 2, get_le16(p));
		text_put_text(out, "<CommonPrefixes>");
		op_list_page_put(page, out, "Prefix", prefix);
		text_put_text(out, "</CommonPrefixes>");
		page->prefixes_from += 2 + prefix.len;
	}
	return true;
}

static enum err fill(struct request *request, bool *ret_is_done)
{
	struct op_list_page *page = REQUEST_OP(request, struct op_list_page);
	if (page->phase == PHASE_HEAD) {
		page->parts->head(request);
		page->phase = PHASE_ROWS;
	}
	if (page->phase == PHASE_ROWS) {
		enum err err = fill_rows(request, page);
		if (err == ERR_END)
			page->phase = PHASE_PREFIXES;
		else if (err != ERR_OK && err != ERR_BUSY)
			return err;
	}
	if (page->phase == PHASE_PREFIXES && put_prefixes(request, page))
		page->phase = PHASE_TAIL;
	if (page->phase == PHASE_TAIL && has_room(request, page)) {
		page->parts->tail(request);
		*ret_is_done = true;
	}
	return request->out.overflowed ? ERR_LIMIT : ERR_OK;
}

void op_list_page_init(struct op_list_page *page)
{
	memset(page, 0, offsetof(struct op_list_page, prefixes));
}

void op_list_page_start(
	struct request *request, struct op_list_page *page, const struct op_list_page_parts *parts)
{
	assert(page == REQUEST_OP(request, struct op_list_page));
	page->parts = parts;
	request_stream_start(request, &page->stream, fill);
}

void op_list_page_put(
	const struct op_list_page *page, struct text_out *out, const char *name, struct bytes text)
{
	xml_open(out, name);
	if (page->is_url)
		xml_put_url(out, text);
	else
		xml_put_any(out, text);
	xml_close(out, name);
}
