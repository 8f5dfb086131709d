/* SPDX-License-Identifier: Apache-2.0 */
#include "server/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/bytes.h"

#define NAMES_LEN_MAX 4096
#define VALID_DAYS 3650
#define SESSION_CONTEXT "rubus"

struct tls {
	char *cert_path, *key_path;
	pthread_mutex_t lock; /* of context */
	SSL_CTX *context;
};

/* Hardware AES is everywhere but on a Raspberry Pi 4; there a client that prefers ChaCha20 gets it.
 */
static const char ciphers_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
				  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
				  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers_1_3[] =
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

static enum err complain(char *message, enum err err, const char *what, const char *path)
{
	char reason[128] = "";
	unsigned long code = ERR_peek_last_error();

	if (code != 0)
		ERR_error_string_n(code, reason, sizeof reason);
	ERR_clear_error();
	snprintf(message, TLS_MESSAGE_LEN, "%s %.100s: %s%s%.80s", what, path, err_text(err),
		reason[0] ? ": " : "", reason);
	return err;
}

/* OpenSSL says only that a file could not be used; why is asked of the kernel. */
static enum err check_readable(const char *path, char *message)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return complain(message, err_from_errno(errno), "cannot read", path);
	close(fd);
	return ERR_OK;
}

static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
	const unsigned char *offered, unsigned offered_len, void *arg)
{
	(void)ssl;
	(void)arg;
	for (unsigned i = 0; i < offered_len && i + 1 + offered[i] <= offered_len;
		i += 1 + offered[i]) {
		if (bytes_is_text(bytes_make(offered + i + 1, offered[i]), "http/1.1")) {
			*ret_name = offered + i + 1;
			*ret_len = offered[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Applies what we speak. */
static bool set_up(SSL_CTX *context)
{
	SSL_CTX_set_mode(context,
		SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(context,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
			SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_read_ahead(context, 1); /* header and body of a record with one call */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets need none */
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
		SSL_CTX_set_cipher_list(context, ciphers_1_2) == 1 &&
		SSL_CTX_set_ciphersuites(context, ciphers_1_3) == 1 &&
		SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1 &&
		SSL_CTX_set_session_id_context(context, (const unsigned char *)SESSION_CONTEXT,
			sizeof SESSION_CONTEXT - 1) == 1;
}

static enum err load(
	const char *cert_path, const char *key_path, char *message, SSL_CTX **ret_context)
{
	enum err err = check_readable(cert_path, message);

	if (err == ERR_OK)
		err = check_readable(key_path, message);
	if (err != ERR_OK)
		return err;
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context || !set_up(context))
		err = complain(message, ERR_NO_MEMORY, "cannot set up TLS for", cert_path);
	else if (SSL_CTX_use_certificate_chain_file(context, cert_path) != 1)
		err = complain(message, ERR_INVALID, "cannot use certificate", cert_path);
	else if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1)
		err = complain(message, ERR_INVALID, "cannot use key", key_path);
	else if (SSL_CTX_check_private_key(context) != 1)
		err = complain(message, ERR_INVALID, "the certificate does not fit key", key_path);
	if (err != ERR_OK) {
		SSL_CTX_free(context);
		return err;
	}
	*ret_context = context;
	return ERR_OK;
}

enum err tls_new(const char *cert_path, const char *key_path, char *message, struct tls **ret_tls)
{
	struct tls *tls = calloc(1, sizeof *tls);
	enum err err = ERR_NO_MEMORY;

	snprintf(message, TLS_MESSAGE_LEN, "no memory");
	if (!tls)
		return ERR_NO_MEMORY;
	pthread_mutex_init(&tls->lock, NULL);
	tls->cert_path = strdup(cert_path);
	tls->key_path = strdup(key_path);
	if (tls->cert_path && tls->key_path)
		err = load(cert_path, key_path, message, &tls->context);
	if (err != ERR_OK) {
		tls_free(tls);
		return err;
	}
	signal(SIGPIPE, SIG_IGN);
	*ret_tls = tls;
	return ERR_OK;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	pthread_mutex_destroy(&tls->lock);
	free(tls->cert_path);
	free(tls->key_path);
	free(tls);
}

enum err tls_reload(struct tls *tls, char *message)
{
	SSL_CTX *context = NULL;
	enum err err = load(tls->cert_path, tls->key_path, message, &context);

	if (err != ERR_OK)
		return err;
	pthread_mutex_lock(&tls->lock);
	SSL_CTX *old = tls->context;
	tls->context = context;
	pthread_mutex_unlock(&tls->lock);
	SSL_CTX_free(old); /* goes with the last connection that uses it */
	return ERR_OK;
}

/* The context as it is now, with a reference of the caller's own. */
static SSL_CTX *borrow(struct tls *tls)
{
	pthread_mutex_lock(&tls->lock);
	SSL_CTX *context = tls->context;
	SSL_CTX_up_ref(context);
	pthread_mutex_unlock(&tls->lock);
	return context;
}

void tls_fingerprint(struct tls *tls, char ret_text[TLS_FINGERPRINT_LEN])
{
	SSL_CTX *context = borrow(tls);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	int is_done = X509_digest(SSL_CTX_get0_certificate(context), EVP_sha256(), digest, &len);
	assert(is_done == 1 && len == 32);
	for (unsigned i = 0; i < len; i++)
		snprintf(ret_text + i * 3, 4, "%02X%s", digest[i], i + 1 < len ? ":" : "");
	SSL_CTX_free(context);
}

int64_t tls_valid_until(struct tls *tls)
{
	SSL_CTX *context = borrow(tls);
	struct tm tm = {0};

	int is_done = ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(context)), &tm);
	SSL_CTX_free(context);
	return is_done == 1 ? timegm(&tm) : 0;
}

enum err tls_accept(struct tls *tls, int fd, struct ssl_st **ret_ssl)
{
	SSL_CTX *context = borrow(tls);
	SSL *ssl = SSL_new(context);

	SSL_CTX_free(context);
	if (!ssl || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return ERR_NO_MEMORY;
	}
	*ret_ssl = ssl;
	return ERR_OK;
}

/* --- a certificate of our own ----------------------------------------------------------------- */

static bool is_name(const char *name)
{
	for (const char *c = name; *c; c++) {
		bool is_letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
		if (!is_letter && !(*c >= '0' && *c <= '9') && !strchr(".-*:_", *c))
			return false;
	}
	return name[0] && strlen(name) <= 253;
}

static bool is_address(const char *name)
{
	uint8_t address[16];
	return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* "DNS:a,IP:192.0.2.1": the names as OpenSSL's configuration writes them. */
static bool format_names(const char *const *names, size_t count, char text[NAMES_LEN_MAX])
{
	size_t len = 0;

	for (size_t i = 0; i < count; i++) {
		if (!is_name(names[i]))
			return false;
		len += snprintf(text + len, NAMES_LEN_MAX - len, "%s%s:%s", i > 0 ? "," : "",
			is_address(names[i]) ? "IP" : "DNS", names[i]);
		if (len >= NAMES_LEN_MAX)
			return false;
	}
	return count > 0;
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	bool is_added = extension && X509_add_ext(cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return is_added;
}

static bool set_serial(X509 *cert)
{
	BIGNUM *serial = BN_new();
	bool is_set = serial && BN_rand(serial, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
		BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert));
	BN_free(serial);
	return is_set;
}

static X509 *sign_certificate(EVP_PKEY *key, const char *common_name, const char *names)
{
	X509 *cert = X509_new();
	X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;

	bool is_made = cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
		X509_gmtime_adj(X509_getm_notBefore(cert), -24 * 60 * 60) &&
		X509_time_adj_ex(X509_getm_notAfter(cert), VALID_DAYS, 0, NULL) &&
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
			(const unsigned char *)common_name, strnlen(common_name, 64), -1, 0) == 1 &&
		X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1 &&
		add_extension(cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		add_extension(cert, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
		add_extension(cert, NID_ext_key_usage, "serverAuth") &&
		add_extension(cert, NID_subject_key_identifier, "hash") &&
		add_extension(cert, NID_subject_alt_name, names) &&
		X509_sign(cert, key, EVP_sha256()) > 0;
	if (is_made)
		return cert;
	X509_free(cert);
	return NULL;
}

/* Writes either PEM to a new file and flushes it. */
static enum err write_pem(const char *path, X509 *cert, EVP_PKEY *key)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	FILE *file = fdopen(fd, "w");
	if (!file) {
		close(fd);
		unlink(path);
		return ERR_NO_MEMORY;
	}
	bool is_written = cert ? PEM_write_X509(file, cert) == 1
			       : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
	is_written = is_written && fflush(file) == 0 && fsync(fd) == 0;
	enum err err = is_written ? ERR_OK : err_from_errno(errno);
	if (fclose(file) != 0 && err == ERR_OK)
		err = err_from_errno(errno);
	if (err != ERR_OK)
		unlink(path);
	return err;
}

enum err tls_make_certificate(const char *cert_path, const char *key_path, const char *const *names,
	size_t name_count, char *message)
{
	char text[NAMES_LEN_MAX];

	ERR_clear_error();
	if (!format_names(names, name_count, text))
		return complain(message, ERR_INVALID, "cannot make a certificate for",
			name_count > 0 ? names[0] : "no name");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? sign_certificate(key, names[0], text) : NULL;
	enum err err = ERR_OK;
	if (!cert) {
		err = complain(message, ERR_NO_MEMORY, "cannot make a certificate for", names[0]);
		goto out;
	}
	err = write_pem(key_path, NULL, key);
	if (err != ERR_OK) {
		err = complain(message, err, "cannot write", key_path);
		goto out;
	}
	err = write_pem(cert_path, cert, NULL);
	if (err != ERR_OK) {
		err = complain(message, err, "cannot write", cert_path);
		unlink(key_path);
	}
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	return err;
}
