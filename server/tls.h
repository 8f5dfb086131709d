/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "storage/err.h"

/* A certificate with its key, and what is spoken with it: TLS 1.2 and up, HTTP/1.1. Any thread. */
struct tls;
struct ssl_st;

#define TLS_FINGERPRINT_LEN 96 /* 32 bytes as "AB:CD:...", with the end */
#define TLS_MESSAGE_LEN 256

/* Reads certificate chain and key from PEM files. The paths are copied. Sets SIGPIPE to be ignored
 * in the whole process, because OpenSSL writes to sockets with write(). message has TLS_MESSAGE_LEN
 * bytes and gets one sentence on failure. Blocks.
 * Errors: ERR_NOT_FOUND, ERR_DENIED, ERR_INVALID, ERR_NO_MEMORY. */
enum err tls_new(
	const char *cert_path, const char *key_path, char *message, struct tls **ret_tls) MUST_USE;

/* NULL is fine. Connections that were accepted stay valid. */
void tls_free(struct tls *tls);

/* Reads the files again, for connections to come. On failure the old certificate stays. Blocks.
 * Errors: as tls_new(). */
enum err tls_reload(struct tls *tls, char *message) MUST_USE;

/* The SHA-256 of the certificate, as clients show it. */
void tls_fingerprint(struct tls *tls, char ret_text[TLS_FINGERPRINT_LEN]);

/* When the certificate ends, in seconds since 1970. */
int64_t tls_valid_until(struct tls *tls);

/* A TLS session on a descriptor that does not block; the caller frees it with SSL_free(). Errors:
 * ERR_NO_MEMORY. */
enum err tls_accept(struct tls *tls, int fd, struct ssl_st **ret_ssl) MUST_USE;

/* Writes a new self-signed certificate (ECDSA P-256, ten years) for these names and addresses, and
 * its key, to two new files with mode 0600. Existing files are never replaced: ERR_EXISTS. The
 * first name is the common name. Blocks. Errors: ERR_EXISTS, ERR_DENIED, ERR_NOT_FOUND,
 * ERR_NO_SPACE, ERR_IO, ERR_INVALID (a name), ERR_NO_MEMORY. */
enum err tls_make_certificate(const char *cert_path, const char *key_path, const char *const *names,
	size_t name_count, char *message) MUST_USE;

#endif
