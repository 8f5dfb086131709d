/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_page.h"

#include <string.h>

static const char key_tag[] = "<Key>";
#define KEY_TAG_LEN (sizeof key_tag - 1)

void load_page_begin(struct load_page *page, bool is_chunked, uint64_t len)
{
	*page = (struct load_page){.is_chunked = is_chunked, .left = len};
}

static void take_text(struct load_page *page, char c)
{
	if (page->matched < KEY_TAG_LEN) {
		page->matched = c == key_tag[page->matched] ? page->matched + 1 : c == '<';
		page->key_len = 0;
		return;
	}
	if (c == '<') {
		page->key[page->key_len] = '\0';
		page->key_count++;
		page->matched = 1;
	} else if (page->key_len < LOAD_KEY_LEN_MAX) {
		page->key[page->key_len++] = c;
	}
}

static unsigned digit_of(char c)
{
	return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* One byte of the framing around chunks. */
static void take_framing(struct load_page *page, char c)
{
	switch (page->state) {
	case LOAD_CHUNK_SIZE:
		if (c == '\r')
			page->state = LOAD_CHUNK_SIZE_END;
		else
			page->left = page->left * 16 + digit_of(c);
		return;
	case LOAD_CHUNK_SIZE_END:
		page->state = page->left > 0 ? LOAD_CHUNK_DATA : LOAD_CHUNK_OVER;
		return;
	case LOAD_CHUNK_DATA_END:
		if (c == '\n')
			page->state = LOAD_CHUNK_SIZE;
		return;
	default:
		return; /* the empty line behind the last chunk */
	}
}

/* How many bytes of the run begin no tag. */
static size_t plain_run(const struct load_page *page, const uint8_t *data, size_t len)
{
	size_t run_len = len < page->left ? len : page->left;
	const uint8_t *tag = memchr(data, '<', run_len);
	return tag ? (size_t)(tag - data) : run_len;
}

bool load_page_take(struct load_page *page, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (page->is_chunked && page->state != LOAD_CHUNK_DATA) {
			take_framing(page, data[i]);
			if (page->state == LOAD_CHUNK_OVER && data[i] == '\n' && page->left++ == 1)
				return true;
			continue;
		}
		size_t plain_len = page->matched == 0 ? plain_run(page, data + i, len - i) : 0;
		if (plain_len > 0) {
			page->left -= plain_len;
			i += plain_len - 1;
		} else {
			take_text(page, data[i]);
			page->left--;
		}
		if (page->left == 0 && page->is_chunked)
			page->state = LOAD_CHUNK_DATA_END;
	}
	return !page->is_chunked && page->left == 0;
}
