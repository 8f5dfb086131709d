/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_WIRE_H
#define SERVER_WIRE_H

#include <stdbool.h>
#include <sys/uio.h>

#include "storage/err.h"

/* The bytes of one connection: plain through the kernel, or TLS on the same descriptor. Nothing
 * here waits. Embedded in the connection; the descriptor belongs to the connection's socket. */
struct wire {
	int fd;
	struct ssl_st *ssl; /* NULL when plain; owned */
	bool read_wants_write; /* TLS: ERR_BUSY of a read or handshake, wait until writable */
	bool write_wants_read; /* TLS: ERR_BUSY of a write, wait until readable */
};

#define WIRE_PIECE_COUNT_MAX 24

/* Shakes hands on the server's side. Errors: ERR_BUSY, call again; ERR_CLOSED. */
enum err wire_shake(struct wire *wire) MUST_USE;

/* Reads up to the room of the pieces. *ret_more: there may be more right now; if not, wait until
 * readable. Errors: ERR_BUSY; ERR_END, the other side sends no more; ERR_CLOSED. */
enum err wire_read(struct wire *wire, const struct iovec *pieces, size_t count, size_t *ret_len,
	bool *ret_more) MUST_USE;

/* Writes some of the pieces. After ERR_BUSY the same bytes have to be offered again.
 * Errors: ERR_BUSY; ERR_CLOSED. */
enum err wire_write(
	struct wire *wire, const struct iovec *pieces, size_t count, size_t *ret_len) MUST_USE;

/* Takes away what the other side sent, unread, up to about a megabyte. Errors: as wire_read(). */
enum err wire_discard(struct wire *wire) MUST_USE;

/* Says that nothing more will be sent. The other side may still send. */
void wire_shutdown(struct wire *wire);

/* Ends TLS and wipes its keys. The descriptor stays open. */
void wire_fini(struct wire *wire);

#endif
