/* SPDX-License-Identifier: Apache-2.0 */
/* A load for an S3 server, in one thread: as many keep-alive connections as asked for, each with
 *one request at a time. Bodies are sent from one buffer, again and again when they are longer, and
 *thrown away in the kernel when they are received (MSG_TRUNC), so that the client costs little
 *beside the server. Every request is signed.
 *
 *	load --port 9000 --key ID --secret SECRET --bucket B --op put --size 4096 --connections 32
 *
 * Prints "NAME_ops VALUE 1/s", bytes, and latencies, NAME being --name. Any answer that is not the
 * expected one is counted as an error and makes the exit status 1. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"
#include "gateway/digest/hmac.h"

#define CONNECTIONS_MAX 4096
#define HEAD_LEN 4096
#define PATTERN_LEN (64u << 20) /* longer bodies repeat it */
#define BUCKETS_OF_LATENCY 40000 /* of 1/64 of a power of two of microseconds … see bucket_of() */

enum op { OP_PUT, OP_GET, OP_LIST, OP_HEAD, OP_DELETE };

struct options {
	const char *address, *id, *secret, *bucket, *region, *name, *prefix;
	uint16_t port;
	enum op op;
	size_t size;
	unsigned connections;
	double seconds;
	uint64_t keys; /* requests go through so many keys */
	uint64_t count; /* so many requests and no more; 0: until the time is over */
	bool is_signed; /* x-amz-content-sha256 of the body, else UNSIGNED-PAYLOAD */
	bool is_random; /* keys in random order */
};

struct connection {
	int fd;
	bool is_busy;
	char head[HEAD_LEN];
	size_t head_len, sent;
	char answer[HEAD_LEN];
	size_t answer_len;
	bool has_head;
	uint64_t body_left;
	bool is_chunked; /* LIST: the answer ends with an empty chunk */
	uint64_t start_ns;
	char last_key[256]; /* LIST: where the next page begins */
};

static struct options options = {.address = "127.0.0.1",
	.port = 9000,
	.region = "rubus",
	.name = "load",
	.prefix = "k",
	.size = 4096,
	.connections = 16,
	.seconds = 5,
	.keys = 100000};
static uint8_t *body;
static char body_sha256[65];
static struct hmac_key signing_key;
static char date[9], amz_date[17];
static int epoll_fd;
static uint64_t next_number, started, ended, errors, bytes_in;
static uint32_t latencies[BUCKETS_OF_LATENCY]; /* microseconds up to 40 ms, then the last */
static uint64_t deadline_ns;
static char first_error[512];

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

/* --- signing ---------------------------------------------------------------------------------- */

static void hmac(const void *key, size_t key_len, const char *text, uint8_t out[32])
{
	struct hmac_key hmac_key;
	hmac_key_init(&hmac_key, key, key_len);
	hmac_sign(&hmac_key, text, strlen(text), out);
}

static void derive_key(void)
{
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(date, sizeof date, "%Y%m%d", &tm);
	strftime(amz_date, sizeof amz_date, "%Y%m%dT%H%M%SZ", &tm);
	char start[256];
	uint8_t a[32], b[32];
	int len = snprintf(start, sizeof start, "AWS4%s", options.secret);
	hmac(start, len, date, a);
	hmac(a, 32, options.region, b);
	hmac(b, 32, "s3", a);
	hmac(a, 32, "aws4_request", b);
	hmac_key_init(&signing_key, b, 32);
}

static const char *const methods[] = {"PUT", "GET", "GET", "HEAD", "DELETE"};

static void make_head(struct connection *c, const char *path, const char *query)
{
	const char *payload = options.op == OP_PUT && options.is_signed ? body_sha256
									: "UNSIGNED-PAYLOAD";
	const char *method = methods[options.op];
	char canonical[2048], to_sign[512], hash[65], signature[65];
	uint8_t digest[32];
	int len = snprintf(canonical, sizeof canonical,
		"%s\n%s\n%s\nhost:%s:%u\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n"
		"host;x-amz-content-sha256;x-amz-date\n%s",
		method, path, query, options.address, options.port, payload, amz_date, payload);
	digest_sha256(canonical, len, digest);
	hex_encode(digest, 32, hash);
	hash[64] = 0;
	len = snprintf(to_sign, sizeof to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s",
		amz_date, date, options.region, hash);
	hmac_sign(&signing_key, to_sign, len, digest);
	hex_encode(digest, 32, signature);
	signature[64] = 0;
	char content[64] = "";
	if (options.op == OP_PUT)
		snprintf(content, sizeof content, "Content-Length: %zu\r\n", options.size);
	c->head_len = snprintf(c->head, sizeof c->head,
		"%s %s%s%s HTTP/1.1\r\nHost: %s:%u\r\n%sx-amz-content-sha256: %s\r\n"
		"x-amz-date: %s\r\nAuthorization: AWS4-HMAC-SHA256 "
		"Credential=%s/%s/%s/s3/aws4_request,"
		"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%s\r\n\r\n",
		method, path, query[0] ? "?" : "", query, options.address, options.port, content,
		payload, amz_date, options.id, date, options.region, signature);
	assert(c->head_len < sizeof c->head);
}

/* --- requests --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void watch(struct connection *c, uint32_t events, int operation)
{
	struct epoll_event event = {.events = events, .data.ptr = c};
	epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void complain(const char *what, const char *more)
{
	errors++;
	if (!first_error[0])
		snprintf(first_error, sizeof first_error, "%s %.300s", what, more);
}

/* Sends what is left of head and body; waits for room when there is none. */
static void send_rest(struct connection *c)
{
	size_t body_len = options.op == OP_PUT ? options.size : 0;
	while (c->sent < c->head_len + body_len) {
		struct iovec pieces[2];
		int count = 0;
		if (c->sent < c->head_len)
			pieces[count++] = (struct iovec){c->head + c->sent, c->head_len - c->sent};
		size_t offset = c->sent > c->head_len ? c->sent - c->head_len : 0;
		if (body_len > offset) {
			size_t at = offset % PATTERN_LEN, left = body_len - offset;
			size_t run = left < PATTERN_LEN - at ? left : PATTERN_LEN - at;
			pieces[count++] = (struct iovec){body + at, run};
		}
		struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
		ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0) {
			if (errno == EAGAIN) {
				watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
				return;
			}
			complain("send", strerror(errno));
			return;
		}
		c->sent += sent;
	}
	watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

static void begin(struct connection *c)
{
	if ((options.count && started >= options.count) ||
		(!options.count && now_ns() >= deadline_ns)) {
		c->is_busy = false;
		return;
	}
	uint64_t number = next_number++ % options.keys;
	if (options.is_random)
		number = mix(next_number * 0x9e3779b97f4a7c15u) % options.keys;
	char path[512], query[512] = "";
	if (options.op == OP_LIST) {
		snprintf(path, sizeof path, "/%s", options.bucket);
		snprintf(query, sizeof query, "list-type=2%s%s",
			c->last_key[0] ? "&start-after=" : "", c->last_key);
	} else {
		snprintf(path, sizeof path, "/%s/%s/%010lu", options.bucket, options.prefix,
			(unsigned long)number);
	}
	make_head(c, path, query);
	c->sent = c->answer_len = 0;
	c->has_head = false;
	c->is_busy = true;
	c->start_ns = now_ns();
	started++;
	send_rest(c);
}

static void finish(struct connection *c)
{
	uint64_t us = (now_ns() - c->start_ns) / 1000;
	latencies[us < BUCKETS_OF_LATENCY ? us : BUCKETS_OF_LATENCY - 1]++;
	ended++;
	begin(c);
}

static const char *find_header(const char *head, const char *name)
{
	const char *p = strcasestr(head, name);
	return p ? p + strlen(name) : NULL;
}

/* Takes the head of an answer off what has come. */
static void take_head(struct connection *c)
{
	c->answer[c->answer_len] = 0;
	char *end = strstr(c->answer, "\r\n\r\n");
	if (!end)
		return;
	c->has_head = true;
	unsigned status = 0;
	sscanf(c->answer, "HTTP/1.1 %u", &status);
	unsigned expected = options.op == OP_DELETE ? 204 : 200;
	if (status != expected)
		complain("unexpected answer:", c->answer);
	const char *length = find_header(c->answer, "\r\ncontent-length: ");
	c->body_left = length && options.op != OP_HEAD ? strtoull(length, NULL, 10) : 0;
	size_t have = c->answer + c->answer_len - (end + 4);
	c->is_chunked = options.op == OP_LIST && !length;
	if (c->is_chunked)
		c->body_left = UINT64_MAX;
	if (options.op == OP_LIST)
		memmove(c->answer, end + 4, have + 1);
	c->answer_len = options.op == OP_LIST ? have : 0;
	bytes_in += have;
	c->body_left -= have < c->body_left ? have : c->body_left;
}

static void receive(struct connection *c)
{
	static char scratch[1 << 20];
	while (c->is_busy) {
		ssize_t got;
		if (!c->has_head)
			got = recv(c->fd, c->answer + c->answer_len,
				sizeof c->answer - c->answer_len - 1, MSG_DONTWAIT);
		else if (options.op == OP_LIST)
			got = recv(c->fd, scratch,
				c->body_left < sizeof scratch ? c->body_left : sizeof scratch,
				MSG_DONTWAIT);
		else
			got = recv(c->fd, scratch, c->body_left, MSG_DONTWAIT | MSG_TRUNC);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			complain("closed by the server", "");
			c->is_busy = false;
			return;
		}
		if (!c->has_head) {
			c->answer_len += got;
			take_head(c);
			if (!c->has_head)
				continue;
		} else {
			bytes_in += got;
			c->body_left -= got;
			if (options.op == OP_LIST) {
				/* The last key of the page stands near its end. */
				scratch[got < (ssize_t)sizeof scratch ? got : got - 1] = 0;
				for (char *p = scratch; (p = strstr(p, "<Key>"));) {
					char *end = strchr(p += 5, '<');
					if (end && end - p < (ssize_t)sizeof c->last_key) {
						memcpy(c->last_key, p, end - p);
						c->last_key[end - p] = 0;
						for (char *q = c->last_key; (q = strchr(q, '/'));) {
							memmove(q + 3, q + 1, strlen(q));
							memcpy(q, "%2F", 3);
						}
					}
				}
			}
		}
		if (c->is_chunked && c->has_head && got >= 5 &&
			memcmp((c->body_left == UINT64_MAX ? c->answer : scratch) + got - 5,
				"0\r\n\r\n", 5) == 0)
			c->body_left = 0;
		if (c->body_left == 0)
			finish(c);
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options.port)};
	inet_pton(AF_INET, options.address, &address.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		perror("connect");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static uint64_t percentile(double share)
{
	uint64_t seen = 0, wanted = ended * share;
	for (uint32_t us = 0; us < BUCKETS_OF_LATENCY; us++) {
		seen += latencies[us];
		if (seen > wanted)
			return us;
	}
	return BUCKETS_OF_LATENCY;
}

static void set_operation(const char *name)
{
	static const char *const names[] = {"put", "get", "list", "head", "delete"};
	for (int i = 0; i < 5; i++)
		if (strcmp(name, names[i]) == 0)
			options.op = i;
}

static void set_option(int option)
{
	switch (option) {
	case 'a':
		options.address = optarg;
		break;
	case 'p':
		options.port = strtoul(optarg, NULL, 10);
		break;
	case 'i':
		options.id = optarg;
		break;
	case 's':
		options.secret = optarg;
		break;
	case 'b':
		options.bucket = optarg;
		break;
	case 'r':
		options.region = optarg;
		break;
	case 'z':
		options.size = strtoull(optarg, NULL, 10);
		break;
	case 'c':
		options.connections = strtoul(optarg, NULL, 10);
		break;
	case 't':
		options.seconds = strtod(optarg, NULL);
		break;
	case 'k':
		options.keys = strtoull(optarg, NULL, 10);
		break;
	case 'n':
		options.count = strtoull(optarg, NULL, 10);
		break;
	case 'S':
		options.is_signed = true;
		break;
	case 'R':
		options.is_random = true;
		break;
	case 'N':
		options.name = optarg;
		break;
	case 'P':
		options.prefix = optarg;
		break;
	case 'o':
		set_operation(optarg);
		break;
	default:
		exit(2);
	}
}

static void parse(int argc, char **argv)
{
	static const struct option names[] = {{"address", 1, 0, 'a'}, {"port", 1, 0, 'p'},
		{"key", 1, 0, 'i'}, {"secret", 1, 0, 's'}, {"bucket", 1, 0, 'b'},
		{"region", 1, 0, 'r'}, {"op", 1, 0, 'o'}, {"size", 1, 0, 'z'},
		{"connections", 1, 0, 'c'}, {"seconds", 1, 0, 't'}, {"keys", 1, 0, 'k'},
		{"count", 1, 0, 'n'}, {"signed", 0, 0, 'S'}, {"random", 0, 0, 'R'},
		{"name", 1, 0, 'N'}, {"prefix", 1, 0, 'P'}, {0}};
	for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;)
		set_option(option);
	if (!options.id || !options.secret || !options.bucket || options.connections == 0 ||
		options.connections > CONNECTIONS_MAX || options.keys == 0) {
		fprintf(stderr, "load: --key, --secret, --bucket are needed\n");
		exit(2);
	}
	if (options.is_signed && options.size > PATTERN_LEN) {
		fprintf(stderr, "load: a signed body is at most %u bytes\n", PATTERN_LEN);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	size_t pattern_len = options.size < PATTERN_LEN ? options.size : PATTERN_LEN;
	body = aligned_alloc(4096, (pattern_len + 4095) / 4096 * 4096 + 4096);
	for (size_t i = 0; i < pattern_len; i += 8) {
		uint64_t v = mix(i + 1);
		memcpy(body + i, &v, 8);
	}
	uint8_t digest[32];
	digest_sha256(body, pattern_len, digest);
	hex_encode(digest, 32, body_sha256);
	body_sha256[64] = 0;
	derive_key();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct connection *connections = calloc(options.connections, sizeof *connections);
	for (unsigned i = 0; i < options.connections; i++) {
		connections[i].fd = dial();
		watch(&connections[i], EPOLLIN, EPOLL_CTL_ADD);
	}
	uint64_t begin_ns = now_ns();
	deadline_ns = begin_ns + options.seconds * 1e9;
	for (unsigned i = 0; i < options.connections; i++)
		begin(&connections[i]);
	while (ended + errors < started || ended < started) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll_fd, events, 256, 5000);
		if (count == 0) {
			complain("no answer for 5 s", "");
			break;
		}
		for (int i = 0; i < count; i++) {
			struct connection *c = events[i].data.ptr;
			if (events[i].events & EPOLLOUT)
				send_rest(c);
			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				receive(c);
		}
		if (errors > 100)
			break;
	}
	double seconds = (now_ns() - begin_ns) / 1e9;
	uint64_t moved = options.op == OP_PUT ? ended * options.size : bytes_in;
	printf("%s_ops %.0f 1/s\n", options.name, ended / seconds);
	printf("%s_rate %.3f GB/s\n", options.name, moved / seconds / 1e9);
	printf("%s_p50 %lu us\n%s_p99 %lu us\n", options.name, (unsigned long)percentile(0.5),
		options.name, (unsigned long)percentile(0.99));
	printf("%s_count %lu requests\n%s_seconds %.2f s\n", options.name, (unsigned long)ended,
		options.name, seconds);
	if (errors)
		fprintf(stderr, "load: %lu errors, the first: %s\n", (unsigned long)errors,
			first_error);
	return errors ? 1 : 0;
}
