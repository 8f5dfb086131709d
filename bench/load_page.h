/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_PAGE_H
#define BENCH_LOAD_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the pages of a listing as they come: counts their keys, keeps the last one, and finds the
 * end of an answer that is sent in chunks. Bytes may come in any pieces. */
enum { LOAD_KEY_LEN_MAX = 255 };

enum load_chunk_state {
	LOAD_CHUNK_SIZE,
	LOAD_CHUNK_SIZE_END,
	LOAD_CHUNK_DATA,
	LOAD_CHUNK_DATA_END,
	LOAD_CHUNK_OVER,
};

struct load_page {
	bool is_chunked;
	enum load_chunk_state state;
	uint64_t left; /* of the chunk, or of the body */
	unsigned matched; /* bytes of "<Key>"; then the key follows */
	size_t key_len; /* of the key that is being read */
	char key[LOAD_KEY_LEN_MAX + 1]; /* the last one that was read, or is */
	uint64_t key_count;
};

/* Begins an answer; len is that of its body if it is not chunked. */
void load_page_begin(struct load_page *page, bool is_chunked, uint64_t len);

/* Takes bytes of the body. Says whether that was its end. */
bool load_page_take(struct load_page *page, const uint8_t *data, size_t len);

#endif
