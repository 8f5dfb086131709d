/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_TEXT_OUT_H
#define GATEWAY_TEXT_OUT_H

#include <stdbool.h>

#include "storage/bytes.h"

/* A bounded place for text that is written piece by piece.
 *
 * Writers do not look at every step whether there was room: what does not fit is dropped and
 * `overflowed` is set for good, so one look at the end is enough. Two uses:
 *  - without flush, the buffer holds all of it. Somebody who writes rows remembers `len` before a
 *    row and calls text_out_rewind() when the row did not fit.
 *  - with flush, the buffer is emptied whenever it is full; a digest is fed that way. */
struct text_out {
	uint8_t *buf; /* borrowed */
	size_t cap;
	size_t len;
	bool overflowed;

	/* Takes buf[0..len) away, all of it, and lets text_out set len to 0. NULL: there is no way
	 * out but the buffer. */
	void (*flush)(struct text_out *out);
	void *context; /* of flush */
};

/* Starts an empty text in the caller's buffer, which out borrows. */
static inline void text_out_init(struct text_out *out, void *buf, size_t cap)
{
	*out = (struct text_out){.buf = buf, .cap = cap};
}

/* What was written (and not yet flushed). Valid until the next write. */
static inline struct bytes text_out_bytes(const struct text_out *out)
{
	return (struct bytes){out->buf, out->len};
}

/* Forgets what was written after `len`, and that it overflowed. Only without flush. */
static inline void text_out_rewind(struct text_out *out, size_t len)
{
	assert(!out->flush && len <= out->len);
	out->len = len;
	out->overflowed = false;
}

/* Hands what is in the buffer to flush. */
void text_out_flush(struct text_out *out);

/* Writes bytes as they are; longer than the buffer is fine with flush. */
void text_put_long(struct text_out *out, struct bytes bytes);

static inline void text_put(struct text_out *out, const void *data, size_t len)
{
	if (!out->overflowed && out->cap - out->len >= len) {
		if (len > 0)
			memcpy(out->buf + out->len, data, len);
		out->len += len;
		return;
	}
	text_put_long(out, bytes_make(data, len));
}

static inline void text_put_bytes(struct text_out *out, struct bytes bytes)
{
	text_put(out, bytes.data, bytes.len);
}

/* A C string; of a literal the length is known to the compiler. */
static inline void text_put_text(struct text_out *out, const char *text)
{
	text_put(out, text, strlen(text));
}

static inline void text_put_char(struct text_out *out, char c)
{
	text_put(out, &c, 1);
}

/* Decimal, without leading zeros. */
void text_put_uint(struct text_out *out, uint64_t value);

/* Lower-case hexadecimal, two digits a byte. */
void text_put_hex(struct text_out *out, struct bytes bytes);

#endif
