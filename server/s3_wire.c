/* SPDX-License-Identifier: Apache-2.0 */
#include "server/s3_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS 200 /* between looks at stop */

struct s3_wire {
	int fd;
	SSL_CTX *context; /* NULL: plain */
	SSL *ssl;
	const atomic_bool *stop;
	uint64_t reads_end_ms; /* monotonic; 0: never */
};

static bool is_stopped(const struct s3_wire *wire)
{
	return wire->stop && atomic_load_explicit(wire->stop, memory_order_relaxed);
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_late(const struct s3_wire *wire)
{
	return wire->reads_end_ms > 0 && now_ms() >= wire->reads_end_ms;
}

/* Waits until the socket can do that (POLLIN or POLLOUT). */
static enum err wait_for(const struct s3_wire *wire, short events)
{
	for (int waited_ms = 0; waited_ms < S3_WIRE_TIMEOUT_S * 1000; waited_ms += STEP_MS) {
		if (is_stopped(wire))
			return ERR_CANCELED;
		if (events == POLLIN && is_late(wire))
			return ERR_TIMEOUT;
		struct pollfd poll_fd = {.fd = wire->fd, .events = events};
		int count = poll(&poll_fd, 1, STEP_MS);
		if (count > 0)
			return ERR_OK;
		if (count < 0 && errno != EINTR)
			return ERR_IO;
	}
	return ERR_TIMEOUT;
}

/* --- connecting ------------------------------------------------------------------------------- */

static enum err dial(struct s3_wire *wire, const struct addrinfo *at)
{
	wire->fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (wire->fd < 0)
		return err_from_errno(errno);
	int on = 1, error = 0;
	socklen_t len = sizeof error;
	if (setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
		return ERR_IO;
	if (connect(wire->fd, at->ai_addr, at->ai_addrlen) == 0)
		return ERR_OK;
	if (errno != EINPROGRESS)
		return ERR_CLOSED;
	enum err err = wait_for(wire, POLLOUT);
	if (err)
		return err;
	if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
		return ERR_CLOSED;
	return ERR_OK;
}

static enum err dial_host(struct s3_wire *wire, const struct s3_wire_place *place, char *message)
{
	char port[8];
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
	snprintf(port, sizeof port, "%u", (unsigned)place->port);
	int error = getaddrinfo(place->host, port, &hints, &list);
	if (error != 0) {
		snprintf(message, S3_WIRE_MESSAGE_LEN, "%.150s: %s", place->host,
			gai_strerror(error));
		return ERR_NOT_FOUND;
	}
	enum err err = ERR_CLOSED;
	for (const struct addrinfo *at = list; at; at = at->ai_next) {
		err = dial(wire, at);
		if (err == ERR_OK || err == ERR_CANCELED)
			break;
		if (wire->fd >= 0)
			close(wire->fd);
		wire->fd = -1;
	}
	freeaddrinfo(list);
	if (err)
		snprintf(message, S3_WIRE_MESSAGE_LEN, "%.150s:%s: cannot connect: %s", place->host,
			port, err_text(err));
	return err;
}

/* What OpenSSL wants before it goes on; ERR_OK: try again. */
static enum err await_ssl(struct s3_wire *wire, int result)
{
	switch (SSL_get_error(wire->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return wait_for(wire, POLLIN);
	case SSL_ERROR_WANT_WRITE:
		return wait_for(wire, POLLOUT);
	case SSL_ERROR_ZERO_RETURN:
		return ERR_END;
	default:
		return ERR_CLOSED;
	}
}

/* One certificate is believed: it is compared as a whole. */
static bool is_pinned(struct s3_wire *wire, const char *path)
{
	FILE *file = fopen(path, "re");
	X509 *pinned = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
	X509 *shown = SSL_get1_peer_certificate(wire->ssl);
	bool is_same = pinned && shown && X509_cmp(pinned, shown) == 0;
	X509_free(pinned);
	X509_free(shown);
	if (file)
		fclose(file);
	return is_same;
}

/* Names are asked for and compared, addresses are compared only. */
static bool expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
		return true;
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static enum err prepare_tls(struct s3_wire *wire, const struct s3_wire_place *place)
{
	wire->context = SSL_CTX_new(TLS_client_method());
	if (!wire->context || SSL_CTX_set_min_proto_version(wire->context, TLS1_2_VERSION) != 1)
		return ERR_NO_MEMORY;
	if (!place->certificate) {
		if (SSL_CTX_set_default_verify_paths(wire->context) != 1)
			return ERR_DENIED;
		SSL_CTX_set_verify(wire->context, SSL_VERIFY_PEER, NULL);
	}
	wire->ssl = SSL_new(wire->context);
	if (!wire->ssl || SSL_set_fd(wire->ssl, wire->fd) != 1)
		return ERR_NO_MEMORY;
	SSL_set_mode(wire->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	return place->certificate || expect_host(wire->ssl, place->host) ? ERR_OK : ERR_INVALID;
}

static enum err start_tls(struct s3_wire *wire, const struct s3_wire_place *place, char *message)
{
	enum err err = prepare_tls(wire, place);
	while (!err) {
		ERR_clear_error();
		int result = SSL_connect(wire->ssl);
		if (result == 1)
			break;
		err = await_ssl(wire, result);
	}
	long verdict = wire->ssl ? SSL_get_verify_result(wire->ssl) : X509_V_OK;
	if (err == ERR_CLOSED && verdict != X509_V_OK) {
		err = ERR_DENIED;
		snprintf(message, S3_WIRE_MESSAGE_LEN,
			"%.120s: its certificate is not believed: %.80s", place->host,
			X509_verify_cert_error_string(verdict));
	} else if (!err && place->certificate && !is_pinned(wire, place->certificate)) {
		err = ERR_DENIED;
		snprintf(message, S3_WIRE_MESSAGE_LEN,
			"%.120s shows another certificate than %.100s", place->host,
			place->certificate);
	} else if (err) {
		snprintf(message, S3_WIRE_MESSAGE_LEN, "%.150s:%u speaks no TLS with us: %s",
			place->host, (unsigned)place->port, err_text(err));
	}
	return err == ERR_END ? ERR_CLOSED : err;
}

enum err s3_wire_open(const struct s3_wire_place *place, char *message, struct s3_wire **ret_wire)
{
	struct s3_wire *wire = malloc(sizeof *wire);
	message[0] = '\0';
	if (!wire)
		return ERR_NO_MEMORY;
	*wire = (struct s3_wire){.fd = -1, .stop = place->stop};
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write() */
	enum err err = dial_host(wire, place, message);
	if (!err && place->is_tls)
		err = start_tls(wire, place, message);
	if (err) {
		s3_wire_close(wire);
		return err;
	}
	*ret_wire = wire;
	return ERR_OK;
}

void s3_wire_close(struct s3_wire *wire)
{
	if (!wire)
		return;
	SSL_free(wire->ssl);
	SSL_CTX_free(wire->context);
	if (wire->fd >= 0)
		close(wire->fd);
	free(wire);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* Writes some of it; *ret_len is 0 if it had to wait. */
static enum err write_some(struct s3_wire *wire, const uint8_t *data, size_t len, size_t *ret_len)
{
	*ret_len = 0;
	if (wire->ssl) {
		ERR_clear_error();
		int result = SSL_write_ex(wire->ssl, data, len, ret_len);
		return result == 1 ? ERR_OK : await_ssl(wire, result);
	}
	ssize_t count = send(wire->fd, data, len, MSG_NOSIGNAL);
	if (count >= 0)
		*ret_len = count;
	else if (errno == EAGAIN)
		return wait_for(wire, POLLOUT);
	else if (errno != EINTR)
		return ERR_CLOSED;
	return ERR_OK;
}

enum err s3_wire_write(struct s3_wire *wire, const void *data, size_t len)
{
	const uint8_t *at = data;
	while (len > 0) {
		size_t count;
		if (is_stopped(wire))
			return ERR_CANCELED;
		enum err err = write_some(wire, at, len, &count);
		if (err)
			return err == ERR_END ? ERR_CLOSED : err;
		at += count;
		len -= count;
	}
	return ERR_OK;
}

void s3_wire_limit_reads(struct s3_wire *wire, uint64_t ms)
{
	wire->reads_end_ms = ms > 0 ? now_ms() + ms : 0;
}

enum err s3_wire_read(struct s3_wire *wire, void *buf, size_t cap, size_t *ret_len)
{
	/* A service that writes its answer in two pieces may wait for the first to be acknowledged,
	 * which takes 40 ms otherwise. Without it nothing is lost but time. */
	int on = 1;
	(void)setsockopt(wire->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
	for (;;) {
		enum err err;
		if (is_stopped(wire))
			return ERR_CANCELED;
		if (is_late(wire))
			return ERR_TIMEOUT;
		if (wire->ssl) {
			ERR_clear_error();
			int result = SSL_read_ex(wire->ssl, buf, cap, ret_len);
			if (result == 1)
				return ERR_OK;
			err = await_ssl(wire, result);
		} else {
			ssize_t count = recv(wire->fd, buf, cap, 0);
			*ret_len = count > 0 ? count : 0;
			if (count > 0)
				return ERR_OK;
			if (count == 0)
				return ERR_END;
			if (errno == EINTR)
				continue;
			err = errno == EAGAIN ? wait_for(wire, POLLIN) : ERR_CLOSED;
		}
		if (err)
			return err;
	}
}
