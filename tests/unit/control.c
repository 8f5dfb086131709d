/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control_priv.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/node.h"
#include "tests/lib/test.h"

/* A node of which only the configuration is there: enough for what no call gets to. */
static char dir[PATH_MAX], state_dir[PATH_MAX + 256];
static char message[NODE_MESSAGE_LEN];
static struct config config;
static struct node node;
static struct control *control;

static void set_up(void)
{
	test_dir_make(dir);
	snprintf(state_dir, sizeof state_dir, "%s/node", dir);
	ck_assert_int_eq(mkdir(state_dir, 0700), 0);
	config.state_dir = state_dir;
	node.config = &config;
	node.is_ready = true;
	control = NULL;
}

static void tear_down(void)
{
	control_close(control);
	test_dir_remove(dir);
}

static enum err ask(const char *call, json_t **ret_result)
{
	json_t *request = json_pack("{s:s}", "call", call);
	enum err err = control_ask(state_dir, request, ret_result, message);
	json_decref(request);
	return err;
}

/* Sends bytes as they are and gives the answer, or NULL when the connection ends without one. */
static json_t *send_raw(const void *bytes, size_t len)
{
	struct control_place place;
	ck_assert_ok(control_place_open(state_dir, &place));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&place.address, sizeof place.address), 0);
	control_place_close(&place);
	ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
	ck_assert_int_ge(sent, 0);
	shutdown(fd, SHUT_WR);
	char *line = NULL;
	enum err err = control_line_read(fd, CONTROL_ANSWER_LEN_MAX, &line);
	json_t *answer = err ? NULL : json_loads(line, 0, NULL);
	free(line);
	close(fd);
	return answer;
}

static const char *code_of(const json_t *answer)
{
	const char *code = json_string_value(json_object_get(answer, "code"));
	return code ? code : "none";
}

START_TEST(without_a_node_it_is_said_how_to_start_one)
{
	json_t *result;
	ck_assert_err(ask("status", &result), ERR_CLOSED);
	ck_assert_ptr_nonnull(strstr(message, "rubus serve"));
	rmdir(state_dir);
	ck_assert_err(ask("status", &result), ERR_CLOSED);
}
END_TEST

START_TEST(an_unknown_call_is_refused_by_name)
{
	json_t *result;
	ck_assert_ok(control_open(&node, message, &control));
	ck_assert_err(ask("frobnicate", &result), ERR_UNSUPPORTED);
	ck_assert_err(ask("", &result), ERR_UNSUPPORTED);
}
END_TEST

START_TEST(what_is_wrong_comes_back_with_its_text)
{
	json_t *result;
	ck_assert_ok(control_open(&node, message, &control));
	ck_assert_err(ask("key.show", &result), ERR_INVALID);
	ck_assert_str_eq(message, "name the key's id");
}
END_TEST

START_TEST(only_the_owner_reaches_the_socket)
{
	char path[PATH_MAX + 300];
	struct stat info;
	umask(0);
	ck_assert_ok(control_open(&node, message, &control));
	snprintf(path, sizeof path, "%s/%s", state_dir, CONTROL_SOCKET);
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_uint_eq(info.st_mode & 0777, 0700u);
}
END_TEST

START_TEST(a_socket_that_a_dead_process_left_is_replaced)
{
	struct control_place place;
	json_t *result;
	ck_assert_ok(control_place_open(state_dir, &place));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&place.address, sizeof place.address), 0);
	close(fd);
	control_place_close(&place);
	ck_assert_err(ask("frobnicate", &result), ERR_CLOSED);
	ck_assert_ok(control_open(&node, message, &control));
	ck_assert_err(ask("frobnicate", &result), ERR_UNSUPPORTED);
	control_close(control);
	control = NULL;
	ck_assert_err(ask("frobnicate", &result), ERR_CLOSED);
}
END_TEST

START_TEST(a_path_longer_than_an_address_will_do)
{
	json_t *result;
	size_t len = strlen(state_dir);
	memset(state_dir + len, 'n', 200);
	state_dir[len + 200] = '\0';
	ck_assert_int_eq(mkdir(state_dir, 0700), 0);
	ck_assert_ok(control_open(&node, message, &control));
	ck_assert_err(ask("frobnicate", &result), ERR_UNSUPPORTED);
}
END_TEST

START_TEST(bytes_that_are_no_request_do_no_harm)
{
	static const char *const lines[] = {"\n", "nonsense\n", "[]\n", "{\"call\": 7}\n", "{}\n",
		"{\"call\": \"key.show\", \"call\": \"status\"}\n", "{\"call\": \"\\ud800\"}\n"};
	ck_assert_ok(control_open(&node, message, &control));
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		json_t *answer = send_raw(lines[i], strlen(lines[i]));
		ck_assert_msg(!strcmp(code_of(answer), "INVALID") ||
				!strcmp(code_of(answer), "UNSUPPORTED"),
			"%s", lines[i]);
		json_decref(answer);
	}
	/* A line that does not end is no request either; the next is answered. */
	json_t *answer = send_raw("{", 1);
	ck_assert_str_eq(code_of(answer), "CLOSED");
	json_decref(answer);
}
END_TEST

START_TEST(a_request_has_a_bound)
{
	size_t len = 4 * CONTROL_REQUEST_LEN_MAX;
	char *bytes = malloc(len);
	memset(bytes, 'x', len);
	ck_assert_ok(control_open(&node, message, &control));
	json_t *answer = send_raw(bytes, len); /* refused, or cut off before it could be read */
	ck_assert(!answer || !strcmp(code_of(answer), "LIMIT"));
	json_decref(answer);
	free(bytes);
	json_t *result;
	ck_assert_err(ask("frobnicate", &result), ERR_UNSUPPORTED);
}
END_TEST

static uint64_t cpu_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * UINT64_C(1000) + now.tv_nsec / 1000000;
}

START_TEST(without_descriptors_it_waits_and_answers_later)
{
	ck_assert_ok(control_open(&node, message, &control));
	struct control_place place;
	ck_assert_ok(control_place_open(state_dir, &place));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rlimit limit;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	int first = dup(fd); /* the lowest, so that none is left below */
	struct rlimit none = {.rlim_cur = first, .rlim_max = limit.rlim_max};
	close(first);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_lt(dup(fd), 0);
	uint64_t before = cpu_ms();
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&place.address, sizeof place.address), 0);
	usleep(400000);
	ck_assert_uint_lt(cpu_ms() - before, 200);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(send(fd, "{}\n", 3, MSG_NOSIGNAL), 3);
	char *line = NULL;
	ck_assert_ok(control_line_read(fd, CONTROL_ANSWER_LEN_MAX, &line));
	free(line);
	close(fd);
	control_place_close(&place);
}
END_TEST

START_TEST(a_client_that_says_nothing_holds_up_a_stop_only_shortly)
{
	struct control_place place;
	ck_assert_ok(control_open(&node, message, &control));
	ck_assert_ok(control_place_open(state_dir, &place));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&place.address, sizeof place.address), 0);
	control_place_close(&place);
	control_close(control); /* the time limit of the test is the assertion */
	control = NULL;
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *tcase = tcase_create("control");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 2 * CONTROL_REQUEST_TIMEOUT_S);
	tcase_add_test(tcase, without_a_node_it_is_said_how_to_start_one);
	tcase_add_test(tcase, an_unknown_call_is_refused_by_name);
	tcase_add_test(tcase, what_is_wrong_comes_back_with_its_text);
	tcase_add_test(tcase, only_the_owner_reaches_the_socket);
	tcase_add_test(tcase, a_socket_that_a_dead_process_left_is_replaced);
	tcase_add_test(tcase, a_path_longer_than_an_address_will_do);
	tcase_add_test(tcase, bytes_that_are_no_request_do_no_harm);
	tcase_add_test(tcase, a_request_has_a_bound);
	tcase_add_test(tcase, without_descriptors_it_waits_and_answers_later);
	tcase_add_test(tcase, a_client_that_says_nothing_holds_up_a_stop_only_shortly);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
