/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

static char dir[PATH_MAX], path[PATH_MAX + 16];
static char message[CONFIG_MESSAGE_LEN];
static struct config *config;

static void set_up(void)
{
	test_dir_make(dir);
	snprintf(path, sizeof path, "%s/rubus.yaml", dir);
	config = NULL;
}

static void tear_down(void)
{
	config_free(config);
	test_dir_remove(dir);
}

static enum err load(const char *text)
{
	FILE *file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	return config_load(path, &config, message);
}

#define MINIMAL "state_dir: /tmp/state\ndrives:\n  - path: /tmp/drive1\n"

START_TEST(a_minimal_file_gets_the_defaults)
{
	ck_assert_ok(load(MINIMAL));
	ck_assert_str_eq(config->s3_address, "0.0.0.0:9000");
	ck_assert_str_eq(config->admin_address, "127.0.0.1:9001");
	ck_assert_uint_eq(config->max_connections, 1024);
	ck_assert_uint_eq(config->drives_count, 1);
	ck_assert_int_eq(config->log_level, CONFIG_LOG_INFO);
	ck_assert_int_ge(config->loops, 1);
}
END_TEST

START_TEST(a_full_file_is_read)
{
	ck_assert_ok(load("state_dir: /s\ns3_address: '[::1]:9000'\nadmin_address: :9001\n"
			  "region: here\ndomains: [s3.example.org, s3.local]\nrequire_tls: true\n"
			  "max_connections: 77\nloops: 3\nlog_format: json\nlog_level: warning\n"
			  "io: plain\ndrives:\n  - path: /a\n    class: hdd\n  - path: /b\n"));
	ck_assert_uint_eq(config->domains_count, 2);
	ck_assert_str_eq(config->domains[1], "s3.local");
	ck_assert(config->require_tls);
	ck_assert_int_eq(config->log_format, CONFIG_LOG_JSON);
	ck_assert_int_eq(config->drives[0].class, DRIVE_HDD);
	ck_assert_int_eq(config->drives[1].class, DRIVE_NVME);
	ck_assert_int_eq(config->io, CONFIG_IO_PLAIN);
}
END_TEST

START_TEST(a_wrong_value_is_named_with_its_line)
{
	ck_assert_err(load(MINIMAL "s3_address: nowhere\n"), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(message, "rubus.yaml:4: s3_address is 'nowhere'"));
	ck_assert_err(load(MINIMAL "loops: 1000\n"), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(message, ":4: loops is 1000"));
	ck_assert_err(load(MINIMAL "max_connections: many\n"), ERR_INVALID);
	ck_assert_msg(strstr(message, "line: 4"), "%s", message);
}
END_TEST

START_TEST(the_cluster_is_told_where_a_node_is_found)
{
	ck_assert_ok(load(MINIMAL));
	ck_assert_str_eq(config->cluster_address, "");
	ck_assert_int_gt(strlen(config->node_name), 0);
	config_free(config);
	config = NULL;
	ck_assert_err(load(MINIMAL "cluster_address: 0.0.0.0:9002\n"), ERR_INVALID);
	ck_assert_msg(strstr(message, "advertised_addresses"), "%s", message);
	ck_assert_err(load(MINIMAL "cluster_address: here\n"), ERR_INVALID);
	ck_assert_err(load(MINIMAL "node_name: my pi\n"), ERR_INVALID);
	ck_assert_ok(load("state_dir: /s\nrole: witness\ncluster_address: 0.0.0.0:9002\n"
			  "advertised_addresses: ['10.0.0.7:9002', '[fe80::1]:9002']\n"));
	ck_assert_int_eq(config->role, CONFIG_ROLE_WITNESS);
	ck_assert_uint_eq(config->advertised_addresses_count, 2);
	ck_assert_uint_eq(config->drives_count, 0);
}
END_TEST

#define NOTIFY(name, url) "notify:\n  - name: " name "\n    url: " url "\n"

START_TEST(webhooks_have_names_and_addresses)
{
	ck_assert_ok(load(MINIMAL NOTIFY("a.b-c_1", "https://h:8443/x?y") "    token_file: /t\n"));
	ck_assert_uint_eq(config->notify_count, 1);
	ck_assert_str_eq(config->notify[0].token_file, "/t");
	ck_assert_ptr_null(config->notify[0].certificate);
	config_free(config);
	config = NULL;
	ck_assert_err(load(MINIMAL NOTIFY("a b", "http://h")), ERR_INVALID);
	ck_assert_msg(strstr(message, "has the name 'a b'"), "%s", message);
	ck_assert_err(load(MINIMAL NOTIFY("a", "ftp://h")), ERR_INVALID);
	ck_assert_msg(strstr(message, "has the url 'ftp://h'"), "%s", message);
	ck_assert_err(load(MINIMAL NOTIFY("a", "http://h") "  - name: a\n    url: http://i\n"),
		ERR_INVALID);
	ck_assert_msg(strstr(message, "twice"), "%s", message);
	ck_assert_err(load(MINIMAL "notify:\n  - name: a\n"), ERR_INVALID);
}
END_TEST

START_TEST(a_domain_is_for_buckets_or_for_websites)
{
	ck_assert_ok(load(MINIMAL "domains: [s3.test]\nwebsite_domains: [web.test]\n"));
	ck_assert_str_eq(config->website_domains[0], "web.test");
	config_free(config);
	config = NULL;
	ck_assert_err(
		load(MINIMAL "domains: [s3.test]\nwebsite_domains: [S3.test]\n"), ERR_INVALID);
	ck_assert_msg(strstr(message, "website_domains has 's3.test'"), "%s", message);
}
END_TEST

START_TEST(a_witness_with_drives_is_refused)
{
	ck_assert_err(load(MINIMAL "role: witness\n"), ERR_INVALID);
	ck_assert_msg(strstr(message, "a witness has no drives"), "%s", message);
}
END_TEST

START_TEST(an_unknown_name_is_refused)
{
	ck_assert_err(load(MINIMAL "s3_adress: 0.0.0.0:9000\n"), ERR_INVALID);
	ck_assert_msg(strstr(message, "rubus.yaml:4: s3_adress"), "%s", message);
}
END_TEST

START_TEST(what_is_not_yaml_is_refused)
{
	ck_assert_err(load("state_dir: [\n"), ERR_INVALID);
	ck_assert_err(load(""), ERR_INVALID);
	ck_assert_err(load("&a [*a]\n"), ERR_INVALID);
}
END_TEST

START_TEST(a_missing_file_is_told)
{
	ck_assert_err(config_load("/nowhere/rubus.yaml", &config, message), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(message, "/nowhere/rubus.yaml"));
}
END_TEST

START_TEST(the_environment_lies_over_the_file)
{
	setenv("RUBUS_S3_ADDRESS", "127.0.0.1:1234", 1);
	setenv("RUBUS_REQUIRE_TLS", "true", 1);
	ck_assert_ok(load(MINIMAL));
	ck_assert_str_eq(config->s3_address, "127.0.0.1:1234");
	ck_assert(config->require_tls);
	config_free(config);
	config = NULL;
	setenv("RUBUS_REQUIRE_TLS", "perhaps", 1);
	ck_assert_err(load(MINIMAL), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(message, "RUBUS_REQUIRE_TLS"));
	unsetenv("RUBUS_S3_ADDRESS");
	unsetenv("RUBUS_REQUIRE_TLS");
}
END_TEST

START_TEST(drives_must_be_there_once_and_absolute)
{
	ck_assert_err(load("state_dir: /s\n"), ERR_INVALID);
	ck_assert_err(load("state_dir: /s\ndrives:\n  - path: a\n"), ERR_INVALID);
	ck_assert_err(load("state_dir: /s\ndrives:\n  - path: /a\n  - path: /a\n"), ERR_INVALID);
	ck_assert_err(load("state_dir: /s\ndrives:\n  - path: /s\n"), ERR_INVALID);
}
END_TEST

START_TEST(addresses_are_parsed)
{
	char host[64];
	uint16_t port;
	ck_assert_ok(config_parse_address("127.0.0.1:9000", host, &port));
	ck_assert_str_eq(host, "127.0.0.1");
	ck_assert_uint_eq(port, 9000);
	ck_assert_ok(config_parse_address("[::1]:1", host, &port));
	ck_assert_str_eq(host, "::1");
	ck_assert_ok(config_parse_address(":9", host, &port));
	ck_assert_str_eq(host, "");
	ck_assert_err(config_parse_address("9000", host, &port), ERR_INVALID);
	ck_assert_err(config_parse_address("1.2.3.4:99999", host, &port), ERR_INVALID);
	ck_assert_err(config_parse_address("host:80", host, &port), ERR_INVALID);
	ck_assert_err(config_parse_address("1.2.3.4:", host, &port), ERR_INVALID);
	ck_assert_err(config_parse_address("[::1:80", host, &port), ERR_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_minimal_file_gets_the_defaults);
	tcase_add_test(tc, a_full_file_is_read);
	tcase_add_test(tc, a_wrong_value_is_named_with_its_line);
	tcase_add_test(tc, the_cluster_is_told_where_a_node_is_found);
	tcase_add_test(tc, a_witness_with_drives_is_refused);
	tcase_add_test(tc, webhooks_have_names_and_addresses);
	tcase_add_test(tc, a_domain_is_for_buckets_or_for_websites);
	tcase_add_test(tc, an_unknown_name_is_refused);
	tcase_add_test(tc, what_is_not_yaml_is_refused);
	tcase_add_test(tc, a_missing_file_is_told);
	tcase_add_test(tc, the_environment_lies_over_the_file);
	tcase_add_test(tc, drives_must_be_there_once_and_absolute);
	tcase_add_test(tc, addresses_are_parsed);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
