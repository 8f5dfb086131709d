/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/logger.h"
#include "tests/lib/test.h"

static char *format(struct metrics *metrics)
{
	char *text = NULL;
	size_t len = 0;
	ck_assert_ok(metrics_format(metrics, &text, &len));
	ck_assert_uint_eq(len, strlen(text));
	return text;
}

static void check_has(const char *text, const char *line)
{
	ck_assert_msg(strstr(text, line) != NULL, "%s is not in:\n%s", line, text);
}

START_TEST(the_shards_of_a_counter_are_added_up)
{
	struct metrics *metrics;
	unsigned reads, writes;
	struct metrics_description description = {.name = "rubus_ops_total",
		.help = "Operations.",
		.labels = "kind=\"read\"",
		.kind = METRICS_COUNTER};

	ck_assert_ok(metrics_new(3, &metrics));
	ck_assert_ok(metrics_register(metrics, &description, &reads));
	description.labels = "kind=\"write\"";
	ck_assert_ok(metrics_register(metrics, &description, &writes));
	for (size_t i = 0; i < 3; i++)
		metrics_count(metrics_shard_at(metrics, i), reads, i + 1);
	char *text = format(metrics);
	ck_assert_str_eq(text,
		"# HELP rubus_ops_total Operations.\n"
		"# TYPE rubus_ops_total counter\n"
		"rubus_ops_total{kind=\"read\"} 6\n"
		"rubus_ops_total{kind=\"write\"} 0\n");
	free(text);
	metrics_free(metrics);
}
END_TEST

START_TEST(a_gauge_is_what_it_was_set_to)
{
	struct metrics *metrics;
	unsigned open;
	struct metrics_description description = {
		.name = "rubus_open", .help = "Open things.", .kind = METRICS_GAUGE};

	ck_assert_ok(metrics_new(2, &metrics));
	ck_assert_ok(metrics_register(metrics, &description, &open));
	metrics_set(metrics_shard_at(metrics, 0), open, 9);
	metrics_set(metrics_shard_at(metrics, 0), open, 4);
	metrics_set(metrics_shard_at(metrics, 1), open, 3);
	char *text = format(metrics);
	check_has(text, "rubus_open 7\n");
	free(text);
	metrics_free(metrics);
}
END_TEST

START_TEST(a_histogram_counts_up_to_each_bound)
{
	static const uint64_t bounds[] = {1000, 10000};
	static const uint64_t values[] = {1, 1000, 1001, 10000, 10001};
	struct metrics *metrics;
	unsigned seconds;
	struct metrics_description description = {.name = "rubus_seconds",
		.help = "Time.",
		.kind = METRICS_HISTOGRAM,
		.bounds = bounds,
		.bound_count = 2,
		.unit = 1e-6};

	ck_assert_ok(metrics_new(1, &metrics));
	ck_assert_ok(metrics_register(metrics, &description, &seconds));
	for (size_t i = 0; i < 5; i++)
		metrics_observe(metrics_shard_at(metrics, 0), seconds, values[i]);
	char *text = format(metrics);
	check_has(text, "rubus_seconds_bucket{le=\"0.001\"} 2\n");
	check_has(text, "rubus_seconds_bucket{le=\"0.01\"} 4\n");
	check_has(text, "rubus_seconds_bucket{le=\"+Inf\"} 5\n");
	check_has(text, "rubus_seconds_sum 0.022003");
	check_has(text, "rubus_seconds_count 5\n");
	free(text);
	metrics_free(metrics);
}
END_TEST

START_TEST(too_many_metrics_are_refused)
{
	struct metrics *metrics;
	unsigned metric;
	struct metrics_description description = {
		.name = "x", .help = "X.", .kind = METRICS_COUNTER};

	ck_assert_ok(metrics_new(1, &metrics));
	for (size_t i = 0; i < METRICS_COUNT_MAX; i++)
		ck_assert_ok(metrics_register(metrics, &description, &metric));
	ck_assert_err(metrics_register(metrics, &description, &metric), ERR_LIMIT);
	metrics_free(metrics);
}
END_TEST

static void collect(void *arg, struct metrics_text *text)
{
	char label[32];
	metrics_text_family(text, "rubus_drive_bytes", "Bytes.", METRICS_GAUGE);
	metrics_text_label(label, sizeof label, "path", arg);
	metrics_text_value(text, label, 4096);
}

START_TEST(a_source_is_asked_and_its_labels_are_escaped)
{
	struct metrics *metrics;
	char path[] = "/a\"b\\c\nd";

	ck_assert_ok(metrics_new(1, &metrics));
	ck_assert_ok(metrics_register_source(metrics, collect, path));
	char *text = format(metrics);
	check_has(text, "rubus_drive_bytes{path=\"/a\\\"b\\\\c\\nd\"} 4096\n");
	free(text);
	metrics_free(metrics);
}
END_TEST

/* --- the log ---------------------------------------------------------------------------------- */

static const char *line_of(bool is_json, uint64_t id, const char *text)
{
	static char line[LOGGER_LINE_LEN_MAX];
	size_t len = logger_format_line(
		is_json, TRACE_INFO, id, 1700000000123, text, line, sizeof line);
	ck_assert_uint_eq(len, strlen(line));
	return line;
}

START_TEST(a_line_has_time_level_and_request)
{
	ck_assert_str_eq(line_of(false, 0xabc, "hello"),
		"2023-11-14T22:13:20.123Z info    0000000000000abc hello\n");
	ck_assert_str_eq(line_of(false, 0, "hello"), "2023-11-14T22:13:20.123Z info    hello\n");
	ck_assert_str_eq(line_of(true, 1, "say \"hi\""),
		"{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\","
		"\"request\":\"0000000000000001\",\"text\":\"say \\\"hi\\\"\"}\n");
}
END_TEST

START_TEST(control_characters_make_no_line_and_no_colour)
{
	ck_assert_str_eq(line_of(false, 0, "a\nb\x1b[31m\x9b"),
		"2023-11-14T22:13:20.123Z info    a\\x0ab\\x1b[31m\\x9b\n");
	ck_assert_ptr_nonnull(strstr(line_of(true, 0, "a\nb\t"), "\"a\\u000ab\\u0009\""));
}
END_TEST

START_TEST(secrets_are_blanked_out)
{
	static const char *rows[] = {"GET /b?X-Amz-Signature=CANARY&x=1",
		"GET /b?X-Amz-Credential=CANARY/2023&x=1", "x-amz-security-token: CANARY",
		"Authorization: AWS4-HMAC-SHA256 Credential=CANARY, Signature=CANARY",
		"x-amz-server-side-encryption-customer-key: CANARY", "Cookie: CANARY; CANARY",
		"secret=CANARY", "authorization:CANARY CANARY"};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *line = line_of(false, 0, rows[i]);
		ck_assert_msg(!strstr(line, "CANARY"), "%s", line);
		ck_assert_ptr_nonnull(strstr(line, "***"));
	}
	ck_assert_ptr_nonnull(strstr(line_of(false, 0, rows[0]), "***&x=1"));
}
END_TEST

START_TEST(a_long_text_ends_with_its_line)
{
	char text[600];
	memset(text, '\n', sizeof text);
	text[sizeof text - 1] = 0;
	const char *line = line_of(true, 1, text);
	ck_assert_str_eq(line + strlen(line) - 3, "\"}\n");
}
END_TEST

START_TEST(events_come_out_in_order_and_below_the_level_not_at_all)
{
	int fds[2];
	struct logger *logger;
	char text[65536];
	size_t len = 0;

	ck_assert_int_eq(pipe(fds), 0);
	struct logger_options options = {.fd = fds[1], .level = TRACE_INFO};
	ck_assert_ok(logger_open(&options, &logger));
	for (int i = 0; i < 100; i++) {
		trace_event(logger_trace(logger), TRACE_DEBUG, 0, "hidden %d", i);
		trace_event(logger_trace(logger), TRACE_WARNING, 7, "event %d.", i);
	}
	logger_close(logger);
	close(fds[1]);
	for (ssize_t n; (n = read(fds[0], text + len, sizeof text - 1 - len)) > 0;)
		len += n;
	text[len] = 0;
	close(fds[0]);
	ck_assert_ptr_null(strstr(text, "hidden"));
	const char *at = text;
	for (int i = 0; i < 100; i++) {
		char expected[32];
		snprintf(expected, sizeof expected, "event %d.\n", i);
		at = strstr(at, expected);
		ck_assert_ptr_nonnull(at);
	}
}
END_TEST

START_TEST(a_reader_that_sleeps_stops_nobody_and_is_told_what_it_missed)
{
	int fds[2];
	struct logger *logger;
	char *text = calloc(1, 4 * LOGGER_RING_LEN);
	size_t len = 0;

	ck_assert_int_eq(pipe(fds), 0);
	struct logger_options options = {.fd = fds[1], .level = TRACE_INFO};
	ck_assert_ok(logger_open(&options, &logger));
	for (int i = 0; i < 20000; i++)
		trace_event(logger_trace(logger), TRACE_INFO, 0, "event %d", i);
	while (len < LOGGER_RING_LEN / 2)
		len += read(fds[0], text + len, 4096);
	/* Now there is room, and the next line says what was lost. */
	trace_event(logger_trace(logger), TRACE_INFO, 0, "the last");
	while (!strstr(text, "the last"))
		len += read(fds[0], text + len, 4096);
	logger_close(logger);
	ck_assert_ptr_nonnull(strstr(text, "lines were dropped"));
	close(fds[0]);
	close(fds[1]);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics");
	TCase *tests = tcase_create("metrics and log");
	tcase_add_test(tests, the_shards_of_a_counter_are_added_up);
	tcase_add_test(tests, a_gauge_is_what_it_was_set_to);
	tcase_add_test(tests, a_histogram_counts_up_to_each_bound);
	tcase_add_test(tests, too_many_metrics_are_refused);
	tcase_add_test(tests, a_source_is_asked_and_its_labels_are_escaped);
	tcase_add_test(tests, a_line_has_time_level_and_request);
	tcase_add_test(tests, control_characters_make_no_line_and_no_colour);
	tcase_add_test(tests, secrets_are_blanked_out);
	tcase_add_test(tests, a_long_text_ends_with_its_line);
	tcase_add_test(tests, events_come_out_in_order_and_below_the_level_not_at_all);
	tcase_add_test(tests, a_reader_that_sleeps_stops_nobody_and_is_told_what_it_missed);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
