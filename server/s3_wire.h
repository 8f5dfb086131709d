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

/* The head of an answer, with all that comes before it: interim answers (1xx) are few, and it is
 * whole in time. */
#define S3_WIRE_INTERIMS_MAX 8
#define S3_WIRE_HEAD_MS_MAX 60000

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

/* Reads end with ERR_TIMEOUT when so much time has passed, however well bytes drip; 0: no longer.
 */
void s3_wire_limit_reads(struct s3_wire *wire, uint64_t ms);

/* Reads what is there, 1 to cap bytes; ERR_END where the other side ended. Errors: as above. */
enum err s3_wire_read(struct s3_wire *wire, void *buf, size_t cap, size_t *ret_len) MUST_USE;

#endif
