/* SPDX-License-Identifier: Apache-2.0 */
/* A load for an S3 server, in one thread: as many keep-alive connections as asked for, each with
 * one request at a time. Bodies are sent from one buffer, again and again when they are longer, and
 * thrown away in the kernel when they are received (MSG_TRUNC), so that the client costs little
 * beside the server. Every request is signed.
 *
 *	load --port 9000[,9010,…] --key ID --secret SECRET --bucket B --op put --size 4096
 *--connections 32
 *
 * Prints "NAME_ops VALUE 1/s", bytes, and latencies, NAME being --name. Any answer that is not the
 * expected one is counted as an error and makes the exit status 1. */
#include <arpa/inet.h>
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

#include "bench/load_page.h"
#include "bench/load_sign.h"
#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"

#define CONNECTIONS_MAX 4096
#define HEAD_LEN 4096
#define PATTERN_LEN (64u << 20) /* longer bodies repeat it */
#define LATENCY_STEPS 64 /* in each power of two of microseconds */
#define LATENCY_BUCKETS (32 * LATENCY_STEPS)
#define PAGE_KEYS_MAX 1000
#define PORTS_MAX 16

enum op { OP_PUT, OP_GET, OP_LIST, OP_HEAD, OP_DELETE };

struct options {
	const char *address, *id, *secret, *bucket, *region, *name, *prefix;
	uint16_t ports[PORTS_MAX]; /* of one node or several; connections go to them in turn */
	unsigned port_count;
	enum op op;
	size_t size;
	unsigned connections;
	double seconds;
	uint64_t keys; /* requests go through so many keys */
	uint64_t count; /* so many requests and no more; 0: until the time is over */
	bool is_signed; /* x-amz-content-sha256 of the body, else UNSIGNED-PAYLOAD */
	bool is_random; /* keys in random order */
	bool is_thin; /* two bits to a byte, for what compresses; else noise */
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
	uint64_t start_ns;
	struct load_page page; /* LIST; its last key is where the next page begins */
};

static struct options options = {.address = "127.0.0.1",
	.ports = {9000},
	.port_count = 1,
	.region = "rubus",
	.name = "load",
	.prefix = "k",
	.size = 4096,
	.connections = 16,
	.seconds = 5,
	.keys = 100000};
static uint8_t *body;
static char body_sha256[65];
static struct load_signer signer;
static int epoll_fd;
static uint64_t next_number, started, ended, errors, bytes_in;
static uint64_t keys_listed;
static uint32_t latencies[LATENCY_BUCKETS];
static uint64_t deadline_ns;
static char first_error[512];

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
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

/* Goes on behind the last page, or from the start when that was the end. */
static void put_list_query(const struct connection *c, char *query, size_t cap)
{
	size_t len = snprintf(query, cap, "list-type=2");
	if (c->page.key_count < PAGE_KEYS_MAX)
		return;
	len += snprintf(query + len, cap - len, "&start-after=");
	for (const char *p = c->page.key; *p && len + 4 < cap; p++)
		len += snprintf(query + len, cap - len, *p == '/' ? "%%2F" : "%c", *p);
}

static void make_head(struct connection *c, const char *path, const char *query)
{
	static const char *const methods[] = {"PUT", "GET", "GET", "HEAD", "DELETE"};
	struct load_request request = {
		.method = methods[options.op],
		.path = path,
		.query = query,
		.payload = options.op == OP_PUT && options.is_signed ? body_sha256
								     : "UNSIGNED-PAYLOAD",
		.has_len = options.op == OP_PUT,
		.len = options.size,
	};
	c->head_len = load_sign(&signer, &request, c->head, sizeof c->head);
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
		put_list_query(c, query, sizeof query);
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

/* Exact below LATENCY_STEPS microseconds, above within 1/64. */
static unsigned bucket_of(uint64_t us)
{
	if (us < LATENCY_STEPS)
		return us;
	unsigned power = 63 - __builtin_clzll(us);
	unsigned bucket = (power - 5) * LATENCY_STEPS + (us >> (power - 6)) % LATENCY_STEPS;
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static uint64_t latency_of(unsigned bucket)
{
	if (bucket < LATENCY_STEPS)
		return bucket;
	unsigned power = bucket / LATENCY_STEPS + 5;
	return (UINT64_C(1) << power) + ((uint64_t)(bucket % LATENCY_STEPS) << (power - 6));
}

static void finish(struct connection *c)
{
	uint64_t us = (now_ns() - c->start_ns) / 1000;
	latencies[bucket_of(us)]++;
	keys_listed += options.op == OP_LIST ? c->page.key_count : 0;
	ended++;
	begin(c);
}

static const char *find_header(const char *head, const char *name)
{
	const char *p = strcasestr(head, name);
	return p ? p + strlen(name) : NULL;
}

/* Bytes of the body; data is NULL when they were thrown away. */
static bool take_body(struct connection *c, const uint8_t *data, size_t len)
{
	bytes_in += len;
	if (options.op == OP_LIST)
		return load_page_take(&c->page, data, len);
	c->body_left -= len;
	return c->body_left == 0;
}

/* Takes the head of an answer off what has come. Says whether the answer is complete. */
static bool take_head(struct connection *c)
{
	c->answer[c->answer_len] = 0;
	char *end = strstr(c->answer, "\r\n\r\n");
	if (!end)
		return false;
	c->has_head = true;
	unsigned status = 0;
	sscanf(c->answer, "HTTP/1.1 %u", &status);
	unsigned expected = options.op == OP_DELETE ? 204 : 200;
	if (status != expected)
		complain("unexpected answer:", c->answer);
	const char *length = find_header(c->answer, "\r\ncontent-length: ");
	c->body_left = length && options.op != OP_HEAD ? strtoull(length, NULL, 10) : 0;
	if (options.op == OP_LIST)
		load_page_begin(&c->page, !length, c->body_left);
	size_t have = c->answer + c->answer_len - (end + 4);
	c->answer_len = 0;
	if (have > 0)
		return take_body(c, (uint8_t *)end + 4, have);
	return c->body_left == 0 && (options.op != OP_LIST || length);
}

/* Takes what is there of the answer. Says whether it is complete. */
static bool take_answer(struct connection *c, ssize_t *ret_got)
{
	static uint8_t scratch[1 << 20];
	if (!c->has_head) {
		*ret_got = recv(c->fd, c->answer + c->answer_len,
			sizeof c->answer - c->answer_len - 1, MSG_DONTWAIT);
		if (*ret_got <= 0)
			return false;
		c->answer_len += *ret_got;
		return take_head(c);
	}
	if (options.op == OP_LIST)
		*ret_got = recv(c->fd, scratch, sizeof scratch, MSG_DONTWAIT);
	else
		*ret_got = recv(c->fd, scratch, c->body_left, MSG_DONTWAIT | MSG_TRUNC);
	return *ret_got > 0 && take_body(c, scratch, *ret_got);
}

static void receive(struct connection *c)
{
	while (c->is_busy) {
		ssize_t got = 0;
		if (take_answer(c, &got)) {
			finish(c);
		} else if (got < 0 && errno == EAGAIN) {
			return;
		} else if (got <= 0) {
			complain("closed by the server", "");
			c->is_busy = false;
		}
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

static int dial(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
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
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latencies[i];
		if (seen > wanted)
			return latency_of(i);
	}
	return latency_of(LATENCY_BUCKETS - 1);
}

static const struct option option_names[] = {{"address", 1, 0, 'a'}, {"port", 1, 0, 'p'},
	{"key", 1, 0, 'i'}, {"secret", 1, 0, 's'}, {"bucket", 1, 0, 'b'}, {"region", 1, 0, 'r'},
	{"op", 1, 0, 'o'}, {"size", 1, 0, 'z'}, {"connections", 1, 0, 'c'}, {"seconds", 1, 0, 't'},
	{"keys", 1, 0, 'k'}, {"count", 1, 0, 'n'}, {"signed", 0, 0, 'S'}, {"random", 0, 0, 'R'},
	{"name", 1, 0, 'N'}, {"prefix", 1, 0, 'P'}, {"thin", 0, 0, 'T'}, {0}};

static bool parse_text(int c, const char *value)
{
	static const char letters[] = "aisbrNP";
	const char **texts[] = {&options.address, &options.id, &options.secret, &options.bucket,
		&options.region, &options.name, &options.prefix};
	const char *letter = strchr(letters, c);
	if (letter)
		*texts[letter - letters] = value;
	return letter != NULL;
}

static void parse_ports(const char *value)
{
	char *end;
	options.port_count = 0;
	do
		options.ports[options.port_count++] = strtoul(value, &end, 10);
	while (*end == ',' && (value = end + 1) && options.port_count < PORTS_MAX);
}

static bool parse_number(int c, const char *value)
{
	if (c == 'p')
		parse_ports(value);
	else if (c == 'z')
		options.size = strtoull(value, NULL, 10);
	else if (c == 'c')
		options.connections = strtoul(value, NULL, 10);
	else if (c == 't')
		options.seconds = strtod(value, NULL);
	else if (c == 'k')
		options.keys = strtoull(value, NULL, 10);
	else if (c == 'n')
		options.count = strtoull(value, NULL, 10);
	else
		return false;
	return true;
}

static void parse(int argc, char **argv)
{
	static const char *const ops[] = {"put", "get", "list", "head", "delete"};
	for (int c; (c = getopt_long(argc, argv, "", option_names, NULL)) != -1;) {
		if (c == 'S')
			options.is_signed = true;
		else if (c == 'R')
			options.is_random = true;
		else if (c == 'T')
			options.is_thin = true;
		else if (c == 'o')
			for (int i = 0; i < 5; i++)
				options.op = strcmp(optarg, ops[i]) == 0 ? (enum op)i : options.op;
		else if (c == '?' || (!parse_text(c, optarg) && !parse_number(c, optarg)))
			exit(2);
	}
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

static void make_body(void)
{
	size_t pattern_len = options.size < PATTERN_LEN ? options.size : PATTERN_LEN;
	body = aligned_alloc(4096, (pattern_len + 4095) / 4096 * 4096 + 4096);
	for (size_t i = 0; i < pattern_len; i += 8) {
		uint64_t v = mix(i + 1);
		if (options.is_thin)
			v = (v & UINT64_C(0x0303030303030303)) + UINT64_C(0x6161616161616161);
		memcpy(body + i, &v, 8);
	}
	uint8_t digest[32];
	digest_sha256(body, pattern_len, digest);
	hex_encode(digest, 32, body_sha256);
}

static void serve(struct connection *connections)
{
	for (unsigned i = 0; i < options.connections; i++)
		begin(&connections[i]);
	while (ended < started && errors <= 100) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll_fd, events, 256, 15000);
		if (count == 0) {
			complain("no answer for 15 s", "");
			return;
		}
		for (int i = 0; i < count; i++) {
			struct connection *c = events[i].data.ptr;
			if (events[i].events & EPOLLOUT)
				send_rest(c);
			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				receive(c);
		}
	}
}

static void print(double seconds)
{
	uint64_t moved = options.op == OP_PUT ? ended * options.size : bytes_in;
	const char *name = options.name;
	printf("%s_ops %.0f 1/s\n", name, ended / seconds);
	printf("%s_rate %.3f GB/s\n", name, moved / seconds / 1e9);
	printf("%s_p50 %lu us\n", name, (unsigned long)percentile(0.5));
	printf("%s_p99 %lu us\n", name, (unsigned long)percentile(0.99));
	printf("%s_count %lu requests\n", name, (unsigned long)ended);
	printf("%s_keys %lu keys\n", name, (unsigned long)keys_listed);
	printf("%s_seconds %.2f s\n", name, seconds);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	make_body();
	signer = (struct load_signer){.address = options.address,
		.port = options.ports[0],
		.id = options.id,
		.region = options.region};
	load_signer_start(&signer, options.secret);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct connection *connections = calloc(options.connections, sizeof *connections);
	for (unsigned i = 0; i < options.connections; i++) {
		connections[i].fd = dial(options.ports[i % options.port_count]);
		watch(&connections[i], EPOLLIN, EPOLL_CTL_ADD);
	}
	uint64_t begin_ns = now_ns();
	deadline_ns = begin_ns + options.seconds * 1e9;
	serve(connections);
	print((now_ns() - begin_ns) / 1e9);
	if (errors)
		fprintf(stderr, "load: %lu errors, the first: %s\n", (unsigned long)errors,
			first_error);
	return errors ? 1 : 0;
}
