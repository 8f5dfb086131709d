/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_FRAME_ZIP_H
#define STORAGE_OBJECT_FRAME_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/err.h"

/* zstd for single frames. One for each loop; its memory is taken when it is needed first. Zeroed:
 * nothing is taken. */
#define FRAME_ZIP_MEMORY_MAX (512u << 10) /* 391 KiB measured */

struct frame_zip {
	void *deflate, *inflate; /* owned; NULL: not made yet */
};

void frame_zip_fini(struct frame_zip *zip);

/* Compresses len bytes (1 to FRAME_LEN) into out, which has room for as many. Errors: ERR_LIMIT, it
 * does not pay: it would not be shorter by a sixteenth; ERR_NO_MEMORY. */
MUST_USE enum err frame_zip_deflate(
	struct frame_zip *zip, const uint8_t *in, size_t len, uint8_t *out, size_t *ret_len);

/* The other way around, into exactly len bytes. Errors: ERR_CORRUPT, it is not what that makes;
 * ERR_NO_MEMORY. */
MUST_USE enum err frame_zip_inflate(
	struct frame_zip *zip, const uint8_t *in, size_t in_len, uint8_t *out, size_t len);

/* Whether to try at all: frames that did not pay are followed by some that are left alone, the more
 * the longer that goes on. Zeroed: nothing was seen. */
struct frame_zip_guess {
	unsigned misses; /* one after the other */
	unsigned skips; /* frames to leave alone */
};
#define FRAME_ZIP_SKIPS_MAX 64

/* Is the next frame to be tried? */
bool frame_zip_should_try(struct frame_zip_guess *guess);

/* It was, and paid or did not. */
void frame_zip_tell(struct frame_zip_guess *guess, bool has_paid);

#endif
