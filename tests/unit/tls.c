/* SPDX-License-Identifier: Apache-2.0 */
#include "server/tls.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/wire.h"
#include "tests/lib/test.h"

static const char *const names[] = {"pi.example", "localhost", "127.0.0.1", "::1"};

struct files {
	char dir[PATH_MAX];
	char cert[PATH_MAX + 16], key[PATH_MAX + 16], other_cert[PATH_MAX + 16],
		other_key[PATH_MAX + 16];
};

static void make_files(struct files *files)
{
	char message[TLS_MESSAGE_LEN] = "";
	test_dir_make(files->dir);
	snprintf(files->cert, sizeof files->cert, "%s/cert.pem", files->dir);
	snprintf(files->key, sizeof files->key, "%s/key.pem", files->dir);
	snprintf(files->other_cert, sizeof files->other_cert, "%s/other.pem", files->dir);
	snprintf(files->other_key, sizeof files->other_key, "%s/other_key.pem", files->dir);
	ck_assert_ok(tls_make_certificate(files->cert, files->key, names, 4, message));
	ck_assert_ok(tls_make_certificate(files->other_cert, files->other_key, names, 4, message));
}

/* A client on one end of a pair and a session of ours on the other, after the handshake. */
struct pair {
	SSL_CTX *context;
	SSL *client;
	struct wire wire;
	int client_fd;
};

static bool shake(struct pair *pair, struct tls *tls, const char *protocols, int max_version)
{
	int fds[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	pair->client_fd = fds[0];
	pair->wire = (struct wire){.fd = fds[1]};
	pair->context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(pair->context, max_version);
	SSL_CTX_set_min_proto_version(pair->context, TLS1_VERSION);
	pair->client = SSL_new(pair->context);
	SSL_set_fd(pair->client, fds[0]);
	if (protocols)
		SSL_set_alpn_protos(pair->client, (const uint8_t *)protocols, strlen(protocols));
	ck_assert_ok(tls_accept(tls, fds[1], &pair->wire.ssl));
	for (int i = 0; i < 20; i++) {
		bool is_client_done = SSL_connect(pair->client) == 1;
		enum err err = wire_shake(&pair->wire);
		if (err != ERR_OK && err != ERR_BUSY)
			return false;
		if (is_client_done && err == ERR_OK)
			return true;
	}
	return false;
}

static void close_pair(struct pair *pair)
{
	SSL_free(pair->client);
	SSL_CTX_free(pair->context);
	close(pair->client_fd);
	close(pair->wire.fd);
	wire_fini(&pair->wire);
}

START_TEST(a_certificate_is_made_for_its_names_and_only_its_owner_reads_it)
{
	struct files files;
	struct tls *tls;
	struct pair pair;
	struct stat st;
	char message[TLS_MESSAGE_LEN] = "";

	make_files(&files);
	ck_assert_int_eq(stat(files.key, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_ok(tls_new(files.cert, files.key, message, &tls));
	int64_t days = (tls_valid_until(tls) - time(NULL)) / 86400;
	ck_assert(days > 3640 && days < 3660);
	ck_assert(shake(&pair, tls, NULL, 0));
	X509 *cert = SSL_get1_peer_certificate(pair.client);
	ck_assert_int_eq(X509_check_host(cert, "pi.example", 0, 0, NULL), 1);
	ck_assert_int_eq(X509_check_host(cert, "other.example", 0, 0, NULL), 0);
	ck_assert_int_eq(X509_check_ip_asc(cert, "::1", 0), 1);
	X509_free(cert);
	close_pair(&pair);
	tls_free(tls);
	test_dir_remove(files.dir);
}
END_TEST

START_TEST(a_certificate_never_replaces_a_file)
{
	struct files files;
	char message[TLS_MESSAGE_LEN] = "";
	struct stat before, after;

	make_files(&files);
	ck_assert_int_eq(stat(files.key, &before), 0);
	ck_assert_err(tls_make_certificate(files.cert, files.key, names, 4, message), ERR_EXISTS);
	ck_assert_ptr_nonnull(strstr(message, files.key));
	/* The key is new, but the certificate is there: neither is left behind. */
	ck_assert_int_eq(unlink(files.key), 0);
	ck_assert_err(tls_make_certificate(files.cert, files.key, names, 4, message), ERR_EXISTS);
	ck_assert_int_ne(stat(files.key, &after), 0);
	test_dir_remove(files.dir);
}
END_TEST

START_TEST(names_that_are_none_are_refused)
{
	static const char *const bad[] = {"", "a b", "a,IP:10.0.0.1", "a\nb", "a/b"};
	char message[TLS_MESSAGE_LEN] = "";
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_err(tls_make_certificate("/nowhere/c", "/nowhere/k", &bad[i], 1, message),
			ERR_INVALID);
}
END_TEST

START_TEST(what_cannot_be_used_is_named)
{
	struct files files;
	struct tls *tls = NULL;
	char message[TLS_MESSAGE_LEN] = "";

	make_files(&files);
	ck_assert_err(tls_new("/nowhere/cert.pem", files.key, message, &tls), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(message, "/nowhere/cert.pem"));
	ck_assert_err(tls_new(files.key, files.key, message, &tls), ERR_INVALID);
	ck_assert_err(tls_new(files.cert, files.other_key, message, &tls), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(message, files.other_key));
	ck_assert_ptr_null(tls);
	test_dir_remove(files.dir);
}
END_TEST

START_TEST(a_reload_takes_the_new_certificate_or_keeps_the_old)
{
	struct files files;
	struct tls *tls;
	char message[TLS_MESSAGE_LEN] = "", first[TLS_FINGERPRINT_LEN], other[TLS_FINGERPRINT_LEN];

	make_files(&files);
	ck_assert_ok(tls_new(files.cert, files.key, message, &tls));
	tls_fingerprint(tls, first);
	ck_assert_uint_eq(strlen(first), 32 * 3 - 1);
	ck_assert_int_eq(rename(files.other_cert, files.cert), 0);
	ck_assert_err(tls_reload(tls, message), ERR_INVALID);
	tls_fingerprint(tls, other);
	ck_assert_str_eq(first, other);
	ck_assert_int_eq(rename(files.other_key, files.key), 0);
	ck_assert_ok(tls_reload(tls, message));
	tls_fingerprint(tls, other);
	ck_assert_str_ne(first, other);
	tls_free(tls);
	test_dir_remove(files.dir);
}
END_TEST

START_TEST(only_new_tls_and_http_1_1_are_spoken)
{
	struct files files;
	struct tls *tls;
	struct pair pair;
	char message[TLS_MESSAGE_LEN] = "";

	make_files(&files);
	ck_assert_ok(tls_new(files.cert, files.key, message, &tls));
	ck_assert(!shake(&pair, tls, NULL, TLS1_1_VERSION));
	close_pair(&pair);
	ck_assert(!shake(&pair, tls, "\2h2", 0));
	close_pair(&pair);
	ck_assert(shake(&pair, tls, "\2h2\10http/1.1", 0));
	const uint8_t *name;
	unsigned len;
	SSL_get0_alpn_selected(pair.client, &name, &len);
	ck_assert(len == 8 && memcmp(name, "http/1.1", 8) == 0);
	ck_assert_str_eq(SSL_get_cipher(pair.client), "TLS_AES_128_GCM_SHA256");
	close_pair(&pair);
	ck_assert(shake(&pair, tls, NULL, TLS1_2_VERSION));
	ck_assert_str_eq(SSL_get_cipher(pair.client), "ECDHE-ECDSA-AES128-GCM-SHA256");
	close_pair(&pair);
	tls_free(tls);
	test_dir_remove(files.dir);
}
END_TEST

/* Sends random pieces of any size through the wire and reads them back on the other side. */
static void check_pieces(struct pair *pair, uint64_t *seed)
{
	static uint8_t data[100000], copy[100000];
	struct iovec pieces[4];
	size_t len = 0, read_len = 0;

	test_random_fill(seed, data, sizeof data);
	for (size_t i = 0; i < 4; i++) {
		size_t part = 1 + test_random(seed) % (i % 2 ? 40 : 24000);
		pieces[i] = (struct iovec){data + len, part};
		len += part;
	}
	size_t first = 0;
	while (read_len < len) {
		size_t n = 0;
		enum err err = ERR_BUSY;
		if (first < 4)
			err = wire_write(&pair->wire, pieces + first, 4 - first, &n);
		ck_assert(err == ERR_OK || err == ERR_BUSY);
		while (err == ERR_OK && n > 0) {
			size_t part = n < pieces[first].iov_len ? n : pieces[first].iov_len;
			pieces[first].iov_base = (uint8_t *)pieces[first].iov_base + part;
			pieces[first].iov_len -= part;
			n -= part;
			first += pieces[first].iov_len == 0;
		}
		size_t got = 0;
		if (SSL_read_ex(pair->client, copy + read_len, sizeof copy - read_len, &got) == 1)
			read_len += got;
	}
	ck_assert_uint_eq(read_len, len);
	ck_assert_int_eq(memcmp(copy, data, len), 0);
}

START_TEST(pieces_arrive_in_order_though_writes_are_cut)
{
	struct files files;
	struct tls *tls;
	struct pair pair;
	char message[TLS_MESSAGE_LEN] = "";
	uint64_t seed = 1;
	int small = 4096;

	make_files(&files);
	ck_assert_ok(tls_new(files.cert, files.key, message, &tls));
	ck_assert(shake(&pair, tls, NULL, 0));
	setsockopt(pair.wire.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	for (int i = 0; i < 50; i++)
		check_pieces(&pair, &seed);
	close_pair(&pair);
	tls_free(tls);
	test_dir_remove(files.dir);
}
END_TEST

START_TEST(what_openssl_has_read_already_is_not_waited_for)
{
	struct files files;
	struct tls *tls;
	struct pair pair;
	char message[TLS_MESSAGE_LEN] = "", text[8];
	size_t n = 0;
	bool more = false;

	make_files(&files);
	ck_assert_ok(tls_new(files.cert, files.key, message, &tls));
	ck_assert(shake(&pair, tls, NULL, 0));
	ck_assert_int_eq(SSL_write(pair.client, "hello, ", 7), 7);
	ck_assert_int_eq(SSL_write(pair.client, "world", 5), 5);
	struct iovec piece = {text, 4};
	ck_assert_ok(wire_read(&pair.wire, &piece, 1, &n, &more));
	ck_assert(n == 4 && more);
	piece.iov_len = 8;
	ck_assert_ok(wire_read(&pair.wire, &piece, 1, &n, &more));
	ck_assert(n == 8 && memcmp(text, "o, world", 8) == 0);
	ck_assert_err(wire_read(&pair.wire, &piece, 1, &n, &more), ERR_BUSY);
	SSL_shutdown(pair.client);
	ck_assert_err(wire_read(&pair.wire, &piece, 1, &n, &more), ERR_END);
	close_pair(&pair);
	tls_free(tls);
	test_dir_remove(files.dir);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls");
	TCase *tests = tcase_create("tls");
	tcase_add_test(tests, a_certificate_is_made_for_its_names_and_only_its_owner_reads_it);
	tcase_add_test(tests, a_certificate_never_replaces_a_file);
	tcase_add_test(tests, names_that_are_none_are_refused);
	tcase_add_test(tests, what_cannot_be_used_is_named);
	tcase_add_test(tests, a_reload_takes_the_new_certificate_or_keeps_the_old);
	tcase_add_test(tests, only_new_tls_and_http_1_1_are_spoken);
	tcase_add_test(tests, pieces_arrive_in_order_though_writes_are_cut);
	tcase_add_test(tests, what_openssl_has_read_already_is_not_waited_for);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
