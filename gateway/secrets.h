/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SECRETS_H
#define GATEWAY_SECRETS_H

#include <stddef.h>
#include <stdint.h>

#include "storage/bytes.h"
#include "storage/err.h"

/* The seam to the cluster key: how the gateway learns the secret of an access key, which the index
 * has sealed, and seals what it hands out itself. */
struct secrets;

struct secrets_ops {
	enum err (*open)(struct secrets *secrets, struct bytes sealed, uint8_t *buf, size_t cap,
		size_t *ret_len);
	enum err (*seal)(struct secrets *secrets, struct bytes plain, uint8_t *buf, size_t cap,
		size_t *ret_len);
};

struct secrets {
	const struct secrets_ops *ops;
};

/* Opens a sealed secret into buf; cap is at least SIGV4_SECRET_LEN_MAX. Any thread, does not block.
 * Errors: ERR_CORRUPT, not sealed with our key; ERR_LIMIT, longer than cap. */
MUST_USE static inline enum err secrets_open(
	struct secrets *secrets, struct bytes sealed, uint8_t *buf, size_t cap, size_t *ret_len)
{
	return secrets->ops->open(secrets, sealed, buf, cap, ret_len);
}

/* Seals bytes into buf so that secrets_open() on any node gives them back; at most 64 bytes longer.
 * Any thread, does not block. Errors: ERR_LIMIT, it does not fit. */
MUST_USE static inline enum err secrets_seal(
	struct secrets *secrets, struct bytes plain, uint8_t *buf, size_t cap, size_t *ret_len)
{
	return secrets->ops->seal(secrets, plain, buf, cap, ret_len);
}

#endif
