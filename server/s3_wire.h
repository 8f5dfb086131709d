/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_S3_WIRE_H
#define SERVER_S3_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/err.h"

/* One connection to another service, plain or TLS, that blocks: for commands, never on a loop. Used
 * by one thread. A write and a read wait S3_WIRE_TIMEOUT_S at most, and less once *stop is set. */
#define S3_WIRE_TIMEOUT_S 60
#define S3_WIRE_MESSAGE_LEN 256

struct s3_wire;

struct s3_wire_place {
	const char *host; /* a name or an address */
	uint16_t port;
	bool is_tls;
	/* The one certificate (PEM) that is believed, whatever its name; NULL: what the system
	 * trusts, and the name has to fit. */
	const char *certificate;
	const atomic_bool *stop; /* may be NULL */
};

/* Connects; the place is borrowed for the call but for stop. message has S3_WIRE_MESSAGE_LEN bytes
 * and says in one line what failed. Errors: ERR_NOT_FOUND (no such host), ERR_CLOSED, ERR_TIMEOUT,
 * ERR_DENIED (a certificate that is not believed), ERR_CANCELED, ERR_IO, ERR_NO_MEMORY. */
enum err s3_wire_open(
	const struct s3_wire_place *place, char *message, struct s3_wire **ret_wire) MUST_USE;

/* NULL is fine. */
void s3_wire_close(struct s3_wire *wire);

/* Writes all of it. Errors: ERR_CLOSED, ERR_TIMEOUT, ERR_CANCELED, ERR_IO. */
enum err s3_wire_write(struct s3_wire *wire, const void *data, size_t len) MUST_USE;

/* Reads what is there, 1 to cap bytes; ERR_END where the other side ended. Errors: as above. */
enum err s3_wire_read(struct s3_wire *wire, void *buf, size_t cap, size_t *ret_len) MUST_USE;

#endif
