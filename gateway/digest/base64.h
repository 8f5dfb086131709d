/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_BASE64_H
#define GATEWAY_DIGEST_BASE64_H

#include "storage/bytes.h"
#include "storage/err.h"

/* Base64 of RFC 4648 section 4, with padding. */

/* Characters that len bytes become, without the final NUL. A macro, for the sizes of arrays. */
#define BASE64_LEN(len) (((len) + 2) / 3 * 4)

/* Writes BASE64_LEN(len) characters and a final NUL. */
void base64_encode(const void *data, size_t len, char *ret_text);

/* Reads the canonical form only: whole groups of four, padding at the end, unused bits zero,
 * nothing else. So two texts never mean the same bytes. ret_data stays untouched on failure.
 *
 * Errors: ERR_INVALID; ERR_LIMIT when the bytes do not fit in data_cap. */
enum err base64_decode(
	struct bytes text, uint8_t *ret_data, size_t data_cap, size_t *ret_len) MUST_USE;

#endif
