/* SPDX-License-Identifier: Apache-2.0 */
#include "server/wire.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

#define RECORD_LEN 16384 /* of one TLS record, at most */
#define DISCARD_LEN_MAX (1024 * 1024)

/* What is read to be thrown away, and small pieces on their way into one record. */
static _Thread_local uint8_t scratch[RECORD_LEN];

/* --- plain ------------------------------------------------------------------------------------ */

static enum err socket_error(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_BUSY : ERR_CLOSED;
}

static enum err plain_read(
	int fd, const struct iovec *pieces, size_t count, size_t *ret_len, bool *ret_more)
{
	ssize_t n;
	size_t room = 0;

	for (size_t i = 0; i < count; i++)
		room += pieces[i].iov_len;
	do {
		if (count == 1)
			n = recv(fd, pieces->iov_base, pieces->iov_len, 0);
		else
			n = readv(fd, pieces, count);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return socket_error();
	if (n == 0)
		return ERR_END;
	*ret_len = n;
	*ret_more = (size_t)n == room;
	return ERR_OK;
}

static enum err plain_write(int fd, const struct iovec *pieces, size_t count, size_t *ret_len)
{
	struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
	ssize_t n;

	do {
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return socket_error();
	*ret_len = n;
	return ERR_OK;
}

static enum err plain_discard(int fd)
{
	size_t total = 0;

	while (total < DISCARD_LEN_MAX) {
		ssize_t n = recv(fd, scratch, sizeof scratch, 0);
		if (n == 0)
			return ERR_END;
		if (n < 0 && errno != EINTR)
			return socket_error();
		if (n > 0)
			total += n;
	}
	return ERR_OK;
}

/* --- TLS -------------------------------------------------------------------------------------- */

/* Turns the end of an SSL call into one of ours. *io_wants_other is set when the direction that is
 * not the call's own has to become ready. */
static enum err ssl_error(struct wire *wire, int result, int other, bool *ret_wants_other)
{
	int error = SSL_get_error(wire->ssl, result);

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		*ret_wants_other = error == other;
		return ERR_BUSY;
	}
	ERR_clear_error();
	return error == SSL_ERROR_ZERO_RETURN ? ERR_END : ERR_CLOSED;
}

static enum err tls_read(struct wire *wire, const struct iovec *pieces, size_t count,
	size_t *ret_len, bool *ret_more)
{
	size_t total = 0;

	for (size_t i = 0; i < count; i++) {
		for (size_t at = 0; at < pieces[i].iov_len;) {
			size_t n = 0;
			if (total > 0 && !SSL_has_pending(wire->ssl)) {
				/* The kernel may have more; its readiness will say so. */
				*ret_len = total;
				*ret_more = false;
				return ERR_OK;
			}
			int result = SSL_read_ex(wire->ssl, (uint8_t *)pieces[i].iov_base + at,
				pieces[i].iov_len - at, &n);
			if (result <= 0) {
				enum err err = ssl_error(wire, result, SSL_ERROR_WANT_WRITE,
					&wire->read_wants_write);
				if (total == 0)
					return err;
				*ret_len = total;
				*ret_more = err != ERR_BUSY;
				return ERR_OK;
			}
			at += n;
			total += n;
		}
	}
	*ret_len = total;
	*ret_more = true;
	return ERR_OK;
}

/* Small pieces travel together in one record. What is gathered depends only on the pieces, so a
 * record that OpenSSL could not finish is offered again as it was. */
static struct iovec gather(const struct iovec *pieces, size_t count)
{
	if (pieces->iov_len >= RECORD_LEN || count == 1)
		return *pieces;
	size_t len = 0;
	for (size_t i = 0; i < count && len < RECORD_LEN; i++) {
		size_t room = RECORD_LEN - len;
		size_t n = pieces[i].iov_len < room ? pieces[i].iov_len : room;
		if (n > 0)
			memcpy(scratch + len, pieces[i].iov_base, n);
		len += n;
	}
	return (struct iovec){scratch, len};
}

static enum err tls_write(
	struct wire *wire, const struct iovec *pieces, size_t count, size_t *ret_len)
{
	struct iovec vec = gather(pieces, count);

	if (vec.iov_len > RECORD_LEN)
		vec.iov_len = RECORD_LEN;
	int result = SSL_write_ex(wire->ssl, vec.iov_base, vec.iov_len, ret_len);
	if (result > 0)
		return ERR_OK;
	enum err err = ssl_error(wire, result, SSL_ERROR_WANT_READ, &wire->write_wants_read);
	return err == ERR_BUSY ? ERR_BUSY : ERR_CLOSED;
}

static enum err tls_discard(struct wire *wire)
{
	for (size_t total = 0; total < DISCARD_LEN_MAX;) {
		size_t n = 0;
		int result = SSL_read_ex(wire->ssl, scratch, sizeof scratch, &n);
		if (result <= 0)
			return ssl_error(
				wire, result, SSL_ERROR_WANT_WRITE, &wire->read_wants_write);
		total += n;
	}
	return ERR_OK;
}

/* --- either ----------------------------------------------------------------------------------- */

enum err wire_shake(struct wire *wire)
{
	assert(wire->ssl);
	wire->read_wants_write = false;
	ERR_clear_error();
	int result = SSL_accept(wire->ssl);
	if (result == 1)
		return ERR_OK;
	enum err err = ssl_error(wire, result, SSL_ERROR_WANT_WRITE, &wire->read_wants_write);
	return err == ERR_BUSY ? ERR_BUSY : ERR_CLOSED;
}

enum err wire_read(struct wire *wire, const struct iovec *pieces, size_t count, size_t *ret_len,
	bool *ret_more)
{
	assert(count > 0 && pieces->iov_len > 0);
	if (!wire->ssl)
		return plain_read(wire->fd, pieces, count, ret_len, ret_more);
	wire->read_wants_write = false;
	ERR_clear_error();
	return tls_read(wire, pieces, count, ret_len, ret_more);
}

enum err wire_write(struct wire *wire, const struct iovec *pieces, size_t count, size_t *ret_len)
{
	assert(count > 0 && count <= WIRE_PIECE_COUNT_MAX);
	if (!wire->ssl)
		return plain_write(wire->fd, pieces, count, ret_len);
	wire->write_wants_read = false;
	ERR_clear_error();
	return tls_write(wire, pieces, count, ret_len);
}

enum err wire_discard(struct wire *wire)
{
	if (!wire->ssl)
		return plain_discard(wire->fd);
	wire->read_wants_write = false;
	ERR_clear_error();
	return tls_discard(wire);
}

void wire_shutdown(struct wire *wire)
{
	if (wire->ssl && SSL_is_init_finished(wire->ssl)) {
		ERR_clear_error();
		SSL_shutdown(wire->ssl);
	}
	shutdown(wire->fd, SHUT_WR);
}

void wire_fini(struct wire *wire)
{
	SSL_free(wire->ssl);
	wire->ssl = NULL;
}
