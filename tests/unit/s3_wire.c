/* SPDX-License-Identifier: Apache-2.0 */
/* Services that answer in their own time, and those who ask them: s3_wire, s3_client, webhook. */
#include "server/s3_wire.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/s3_client.h"
#include "server/webhook.h"
#include "tests/lib/test.h"

/* --- a service -------------------------------------------------------------------------------- */

#define INTERIM "HTTP/1.1 103 Early Hints\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* Answers one connection. */
static struct service {
	int fd;
	uint16_t port;
	unsigned interims; /* before the answer */
	bool drips; /* a byte each 20 ms, of a head that does not end soon */
	pthread_t thread;
} service;

static void answer(int fd)
{
	char request[4096];
	ssize_t count = service.drips ? 1 : recv(fd, request, sizeof request, 0);
	for (unsigned i = 0; i < 100 && count > 0 && service.drips; i++) {
		usleep(20000);
		count = send(fd, "x", 1, MSG_NOSIGNAL);
	}
	for (unsigned i = 0; i < service.interims && count > 0; i++)
		count = send(fd, INTERIM, strlen(INTERIM), MSG_NOSIGNAL);
	if (count > 0)
		(void)!send(fd, ANSWER, strlen(ANSWER), MSG_NOSIGNAL);
	while (count > 0)
		count = recv(fd, request, sizeof request, 0);
}

static void *serve(void *unused)
{
	int fd = accept(service.fd, NULL, NULL);
	if (fd >= 0) {
		answer(fd);
		close(fd);
	}
	return unused;
}

static void setup(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	service = (struct service){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	ck_assert_int_eq(bind(service.fd, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(service.fd, 1), 0);
	ck_assert_int_eq(getsockname(service.fd, (struct sockaddr *)&at, &len), 0);
	service.port = ntohs(at.sin_port);
}

static void start_service(void)
{
	ck_assert_int_eq(pthread_create(&service.thread, NULL, serve, NULL), 0);
}

static void teardown(void)
{
	pthread_join(service.thread, NULL);
	close(service.fd);
}

/* --- who asks --------------------------------------------------------------------------------- */

START_TEST(reads_that_are_limited_end_though_bytes_drip)
{
	char message[S3_WIRE_MESSAGE_LEN], buf[16];
	struct s3_wire_place place = {.host = "127.0.0.1", .port = service.port};
	struct s3_wire *wire;
	size_t len, sum = 0;
	service.drips = true;
	start_service();
	ck_assert_ok(s3_wire_open(&place, message, &wire));
	s3_wire_limit_reads(wire, 200);
	enum err err;
	while ((err = s3_wire_read(wire, buf, sizeof buf, &len)) == ERR_OK)
		sum += len;
	ck_assert_int_eq(err, ERR_TIMEOUT);
	ck_assert_uint_gt(sum, 0);
	s3_wire_limit_reads(wire, 0);
	ck_assert_ok(s3_wire_read(wire, buf, sizeof buf, &len));
	s3_wire_close(wire);
}
END_TEST

static const struct {
	unsigned interims;
	enum err err;
} runs[] = {
	{S3_WIRE_INTERIMS_MAX, ERR_OK}, {S3_WIRE_INTERIMS_MAX + 1, ERR_LIMIT}, {1000, ERR_LIMIT}};

START_TEST(a_client_takes_a_few_interim_answers)
{
	static struct s3_client client;
	struct s3_client_options options = {
		.place = {.host = "127.0.0.1", .port = service.port},
		.access_key_id = "key",
		.secret = "secret",
		.region = "garden",
	};
	struct s3_call call = {.method = "GET"};
	service.interims = runs[_i].interims;
	start_service();
	s3_client_init(&client, &options);
	ck_assert_int_eq(s3_client_call(&client, &call), runs[_i].err);
	s3_client_fini(&client);
}
END_TEST

/* A loop on which one task is posted, from the webhook's thread. */
static struct {
	struct loop loop;
	struct task *_Atomic task;
} asker;

static void post_task(struct loop *loop, struct task *task)
{
	(void)loop;
	atomic_store(&asker.task, task);
}

static void post_done(struct notifier_post *post)
{
	(void)post; /* its err says all */
}

START_TEST(a_webhook_takes_a_few_interim_answers)
{
	static const struct loop_ops ops = {.post = post_task};
	char url[64];
	struct webhook *webhook;
	struct notifier_post post = {
		.body = bytes_of("{}"), .loop = &asker.loop, .done = post_done};
	asker.loop.ops = &ops;
	atomic_store(&asker.task, NULL);
	service.interims = runs[_i].interims;
	start_service();
	snprintf(url, sizeof url, "http://127.0.0.1:%u/", (unsigned)service.port);
	ck_assert_ok(webhook_new(&(struct webhook_setup){.url = url}, &webhook));
	webhook_door(webhook)->post(webhook_door(webhook), &post);
	struct task *task;
	while (!(task = atomic_load(&asker.task)))
		usleep(1000);
	task->run(task);
	ck_assert_int_eq(post.err, runs[_i].err);
	webhook_free(webhook);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("s3_wire");
	TCase *answers = tcase_create("answers");
	tcase_add_checked_fixture(answers, setup, teardown);
	suite_add_tcase(suite, answers);
	tcase_add_test(answers, reads_that_are_limited_end_though_bytes_drip);
	tcase_add_loop_test(answers, a_client_takes_a_few_interim_answers, 0, ARRAY_COUNT(runs));
	tcase_add_loop_test(answers, a_webhook_takes_a_few_interim_answers, 0, ARRAY_COUNT(runs));
	return test_run(suite);
}
