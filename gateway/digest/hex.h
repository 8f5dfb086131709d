/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DIGEST_HEX_H
#define GATEWAY_DIGEST_HEX_H

#include "storage/bytes.h"
#include "storage/err.h"

/* Writes 2 * len lower-case digits and a final NUL. */
void hex_encode(const void *data, size_t len, char *ret_text);

/* Reads exactly ret_len bytes from 2 * ret_len digits of either case.
 *
 * Errors: ERR_INVALID for any other length or character; what is in ret_data then means nothing. */
enum err hex_decode(struct bytes text, uint8_t *ret_data, size_t ret_len) MUST_USE;

#endif
