/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/channel.h"
#include "server/clock_real.h"
#include "server/loop.h"

/* What do calls between nodes cost? Two nodes in one process, a loop each, over loopback; next to
 * memcpy() and to two threads with a plain socket. Prints name, value, unit. */
enum { PAYLOAD_LEN = 256 << 10, RUN_MS = 700, DEPTH_MAX = 32 };

static void print(const char *name, double value, const char *unit)
{
	printf("%-36s %12.3f %s\n", name, value, unit);
	fflush(stdout);
}

static void fail(const char *what, enum err err)
{
	if (err == ERR_OK)
		return;
	fprintf(stderr, "%s: %s\n", what, err_text(err));
	exit(1);
}

static double now_s(void)
{
	return clock_mono_ns(clock_real()) / 1e9;
}

static double cpu_s(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* --- what there is to compare with ------------------------------------------------------------ */

static void measure_memcpy(void)
{
	size_t len = 64 << 20, copied = 0;
	uint8_t *from = malloc(len), *to = malloc(len);
	memset(from, 1, len);
	memset(to, 2, len);
	double start_s = now_s();
	while (now_s() - start_s < RUN_MS / 2000.0) {
		for (size_t at = 0; at < len; at += PAYLOAD_LEN)
			memcpy(to + at, from + at, PAYLOAD_LEN);
		copied += len;
	}
	print("memcpy_256k", copied / (now_s() - start_s) / 1e9, "GB/s");
	free(from);
	free(to);
}

static void make_pair(int fds[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof address;
	int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
		listen(listener, 1) != 0 ||
		getsockname(listener, (struct sockaddr *)&address, &len) != 0)
		fail("listen", ERR_IO);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fds[0], (struct sockaddr *)&address, sizeof address) != 0)
		fail("connect", ERR_IO);
	fds[1] = accept(listener, NULL, NULL);
	for (unsigned i = 0; i < 2; i++)
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	close(listener);
}

static void *drain(void *arg)
{
	uint8_t *buf = malloc(PAYLOAD_LEN);
	while (recv(*(int *)arg, buf, PAYLOAD_LEN, 0) > 0)
		;
	free(buf);
	return NULL;
}

static void *echo(void *arg)
{
	uint8_t buf[64];
	ssize_t len;
	while ((len = recv(*(int *)arg, buf, sizeof buf, 0)) > 0) {
		if (send(*(int *)arg, buf, len, MSG_NOSIGNAL) != len)
			break;
	}
	return NULL;
}

static void measure_socket(void)
{
	int fds[2];
	pthread_t thread;
	uint8_t *buf = calloc(1, PAYLOAD_LEN);
	size_t sent = 0;
	unsigned count = 0;
	make_pair(fds);
	pthread_create(&thread, NULL, drain, &fds[1]);
	double start_s = now_s(), start_cpu_s = cpu_s();
	while (now_s() - start_s < RUN_MS / 1000.0) {
		ssize_t len = send(fds[0], buf, PAYLOAD_LEN, 0);
		if (len <= 0)
			fail("send", ERR_IO);
		sent += len;
	}
	print("socket_256k", sent / (now_s() - start_s) / 1e9, "GB/s");
	print("socket_256k_cpu", (cpu_s() - start_cpu_s) / (sent / 1e9), "s/GB");
	shutdown(fds[0], SHUT_RDWR);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);

	make_pair(fds);
	pthread_create(&thread, NULL, echo, &fds[1]);
	start_s = now_s();
	while (now_s() - start_s < RUN_MS / 1000.0) {
		if (send(fds[0], buf, 64, 0) != 64 || recv(fds[0], buf, 64, MSG_WAITALL) != 64)
			fail("echo", ERR_IO);
		count++;
	}
	print("socket_echo_depth_1", count / (now_s() - start_s), "calls/s");
	shutdown(fds[0], SHUT_RDWR);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
	free(buf);
}

/* --- the channel ------------------------------------------------------------------------------ */

enum { KIND_EMPTY = 100 };

struct node {
	struct channel_self self;
	struct channel *channel;
	struct server_loop *loop;
	struct peers *peers;
};

static struct node nodes[2];

static void answer_empty(void *arg, struct peer_request *request)
{
	(void)arg;
	peer_request_answer(request, ERR_OK);
}

static void start_node(struct node *node, unsigned number, bool is_integrity_only)
{
	struct id cluster = {{1}}, id = {{number}};
	uint8_t seed[32] = {number}, secret[32] = {7};
	char message[CHANNEL_MESSAGE_LEN];
	struct channel_settings settings = channel_settings_default();
	struct server_loop_options loop_options = {.is_ringless = true};
	channel_self_init(&node->self, cluster, id, seed, secret);
	node->self.is_integrity_only = is_integrity_only;
	struct channel_options options = {.self = &node->self, .settings = &settings};
	fail("loop", server_loop_new(number, "bench", &loop_options, &node->loop));
	fail("channel", channel_new(&options, &node->channel));
	struct loop *loop = server_loop_base(node->loop);
	fail("peers", channel_add(node->channel, loop, CHANNEL_CLIENTS, &node->peers));
	peers_serve(node->peers, KIND_EMPTY, answer_empty, NULL);
	fail("listen", channel_listen(node->channel, loop, "127.0.0.1", 0, message));
	fail("thread", server_loop_start(node->loop));
}

static void start_nodes(bool is_integrity_only)
{
	struct channel_node described[2] = {0};
	for (unsigned i = 0; i < 2; i++) {
		start_node(&nodes[i], i + 1, is_integrity_only);
		described[i].id = nodes[i].self.node;
		memcpy(described[i].key, nodes[i].self.public_key, CHANNEL_KEY_LEN);
		snprintf(described[i].addresses[0].host, CHANNEL_HOST_LEN, "127.0.0.1");
		described[i].addresses[0].port = channel_port(nodes[i].channel);
		described[i].address_count = 1;
	}
	struct channel_table table = {1, described, 2};
	for (unsigned i = 0; i < 2; i++)
		fail("table", channel_set_table(nodes[i].channel, &table));
	for (unsigned dialed = 0, accepted; dialed == 0;) {
		usleep(1000);
		channel_link_count(nodes[0].channel, &dialed, &accepted);
	}
}

static void stop_nodes(void)
{
	for (unsigned i = 0; i < 2; i++)
		channel_stop(nodes[i].channel);
	for (unsigned i = 0; i < 2; i++) {
		server_loop_stop(nodes[i].loop);
		server_loop_join(nodes[i].loop);
		channel_free(nodes[i].channel);
		server_loop_free(nodes[i].loop);
	}
}

static struct run {
	struct task task;
	struct peer_call calls[DEPTH_MAX];
	unsigned depth, running;
	struct bytes payload;
	uint64_t count;
	double end_s;
	sem_t ended;
} run;

static void call_done(struct peer_call *call)
{
	fail("call", call->err);
	run.count++;
	if (now_s() < run.end_s)
		peer_call_start(nodes[0].peers, call);
	else if (--run.running == 0)
		sem_post(&run.ended);
}

static void run_calls(struct task *task)
{
	(void)task;
	for (unsigned i = 0; i < run.depth; i++) {
		run.calls[i] = (struct peer_call){.node = nodes[1].self.node,
			.kind = KIND_EMPTY,
			.deadline_ms = 10000,
			.payload = run.payload,
			.done = call_done};
		peer_call_start(nodes[0].peers, &run.calls[i]);
	}
}

static void measure_calls(const char *name, unsigned depth, size_t payload_len)
{
	uint8_t *payload = calloc(1, payload_len + 1);
	char text[64];
	run.task.run = run_calls;
	run.depth = run.running = depth;
	run.payload = bytes_make(payload, payload_len);
	run.count = 0;
	sem_init(&run.ended, 0, 0);
	double start_s = now_s(), start_cpu_s = cpu_s();
	run.end_s = start_s + RUN_MS / 1000.0;
	loop_post(nodes[0].peers->loop, &run.task);
	sem_wait(&run.ended);
	double elapsed_s = now_s() - start_s, elapsed_cpu_s = cpu_s() - start_cpu_s;
	double sent_gb = run.count * (double)payload_len / 1e9;
	print(name, payload_len > 0 ? sent_gb / elapsed_s : run.count / elapsed_s,
		payload_len > 0 ? "GB/s" : "calls/s");
	snprintf(text, sizeof text, "%s_cpu", name);
	print(text, payload_len > 0 ? elapsed_cpu_s / sent_gb : elapsed_cpu_s / run.count * 1e6,
		payload_len > 0 ? "s/GB" : "us/call");
	free(payload);
}

int main(void)
{
	measure_memcpy();
	measure_socket();
	start_nodes(false);
	measure_calls("channel_empty_depth_1", 1, 0);
	measure_calls("channel_empty_depth_32", 32, 0);
	struct channel_counts before = {0}, after = {0};
	channel_add_counts(nodes[0].channel, &before);
	measure_calls("channel_256k_depth_8", 8, PAYLOAD_LEN);
	channel_add_counts(nodes[0].channel, &after);
	print("channel_256k_per_write",
		(double)(after.bytes_out - before.bytes_out) / (after.writes - before.writes), "B");
	stop_nodes();
	start_nodes(true);
	measure_calls("channel_256k_integrity_only", 8, PAYLOAD_LEN);
	stop_nodes();
	return 0;
}
