/* SPDX-License-Identifier: Apache-2.0 */
#include "server/identity.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

static char dir[PATH_MAX], state_dir[PATH_MAX + 16];
static char message[IDENTITY_MESSAGE_LEN];
static struct identity identity;

static void set_up(void)
{
	test_dir_make(dir);
	snprintf(state_dir, sizeof state_dir, "%s/node", dir);
	unsetenv("RUBUS_ROOT_ACCESS_KEY");
	unsetenv("RUBUS_ROOT_SECRET_KEY");
	unsetenv("RUBUS_ROOT_ACCESS_KEY_FILE");
	unsetenv("RUBUS_ROOT_SECRET_KEY_FILE");
	message[0] = '\0';
}

static void tear_down(void)
{
	identity_fini(&identity);
	test_dir_remove(dir);
}

static const char *path_of(const char *name)
{
	static char path[IDENTITY_PATH_LEN];
	ck_assert_ok(identity_path(state_dir, name, path));
	return path;
}

static void write_text(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "we");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void make_node(void)
{
	ck_assert_ok(identity_begin(state_dir, &identity, message));
	ck_assert_ok(identity_finish(state_dir, &identity, message));
}

START_TEST(a_node_is_who_it_was_made)
{
	make_node();
	struct identity loaded;
	ck_assert_ok(identity_load(state_dir, &loaded, message));
	ck_assert_mem_eq(&loaded, &identity, sizeof loaded);
	ck_assert(identity_is_there(state_dir));
}
END_TEST

START_TEST(two_nodes_are_not_the_same)
{
	make_node();
	struct identity first = identity;
	snprintf(state_dir, sizeof state_dir, "%s/other", dir);
	make_node();
	ck_assert_mem_ne(&first.cluster, &identity.cluster, sizeof first.cluster);
	ck_assert_mem_ne(&first.node, &identity.node, sizeof first.node);
	ck_assert_mem_ne(first.cluster_key, identity.cluster_key, IDENTITY_KEY_LEN);
	ck_assert_mem_ne(first.node_key, identity.node_key, IDENTITY_KEY_LEN);
}
END_TEST

START_TEST(only_the_owner_may_read_the_keys)
{
	static const char *const names[] = {
		"cluster.key", "node.key", "root.key", "identity"};
	umask(0);
	make_node();
	struct stat info;
	ck_assert_int_eq(stat(state_dir, &info), 0);
	ck_assert_uint_eq(info.st_mode & 0777, 0700);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		ck_assert_int_eq(stat(path_of(names[i]), &info), 0);
		ck_assert_uint_eq(info.st_mode & 0777, 0600);
	}
}
END_TEST

START_TEST(an_init_that_was_cut_off_goes_on_as_the_same_cluster)
{
	ck_assert_ok(identity_begin(state_dir, &identity, message));
	ck_assert(!identity_is_there(state_dir));
	struct identity again;
	ck_assert_err(identity_load(state_dir, &again, message), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(message, "rubus init"));
	ck_assert_ok(identity_begin(state_dir, &again, message));
	ck_assert_mem_eq(&again, &identity, sizeof again);
	ck_assert_ok(identity_finish(state_dir, &again, message));
	ck_assert_int_ne(access(path_of("identity.begun"), F_OK), 0);
}
END_TEST

START_TEST(a_node_that_joins_has_the_keys_of_its_cluster)
{
	struct id cluster = {{7}}, other = {{8}};
	struct identity loaded;
	ck_assert_ok(identity_begin_join(state_dir, cluster, NULL, &identity, message));
	ck_assert_mem_eq(&identity.cluster, &cluster, sizeof cluster);
	ck_assert_int_ne(access(path_of("root.key"), F_OK), 0);
	struct id node = identity.node;
	ck_assert_err(identity_begin_join(state_dir, other, NULL, &loaded, message), ERR_FOREIGN);
	ck_assert_err(identity_begin(state_dir, &loaded, message), ERR_FOREIGN);
	ck_assert_ok(identity_begin_join(state_dir, cluster, NULL, &identity, message));
	ck_assert_mem_eq(&identity.node, &node, sizeof node);
	memset(identity.cluster_key, 1, IDENTITY_KEY_LEN);
	ck_assert_ok(identity_put_key(state_dir, &identity, message));
	ck_assert_ok(identity_finish(state_dir, &identity, message));
	ck_assert_ok(identity_load(state_dir, &loaded, message));
	ck_assert_mem_eq(&loaded, &identity, sizeof loaded);
	ck_assert(loaded.is_joined);
}
END_TEST

START_TEST(a_node_is_made_once)
{
	make_node();
	ck_assert_err(identity_begin(state_dir, &identity, message), ERR_EXISTS);
	ck_assert_ptr_nonnull(strstr(message, "rubus serve"));
}
END_TEST

START_TEST(a_directory_with_other_files_is_left_alone)
{
	ck_assert_int_eq(mkdir(state_dir, 0700), 0);
	write_text("precious", "data");
	ck_assert_err(identity_begin(state_dir, &identity, message), ERR_NOT_EMPTY);
	ck_assert_int_ne(access(path_of("cluster.key"), F_OK), 0);
	ck_assert_int_eq(access(path_of("precious"), F_OK), 0);
}
END_TEST

START_TEST(a_damaged_file_is_not_believed)
{
	struct identity loaded;
	make_node();
	write_text("cluster.key", "key: 12\n");
	ck_assert_err(identity_load(state_dir, &loaded, message), ERR_CORRUPT);
	write_text("identity", "format: 1\ncluster: zz\nnode: zz\n");
	ck_assert_err(identity_load(state_dir, &loaded, message), ERR_CORRUPT);
	write_text("identity", "");
	ck_assert_err(identity_load(state_dir, &loaded, message), ERR_CORRUPT);
	write_text("identity", "format: 2\n");
	ck_assert_err(identity_load(state_dir, &loaded, message), ERR_VERSION);
}
END_TEST

START_TEST(the_first_key_is_random_and_long)
{
	struct root_key first, second;
	make_node();
	ck_assert_ok(identity_load_root(state_dir, &first, message));
	ck_assert_uint_eq(strlen(first.id), 20);
	ck_assert_uint_eq(strlen(first.secret), 40);
	identity_make_access_key(&second);
	ck_assert_str_ne(first.id, second.id);
	ck_assert_str_ne(first.secret, second.secret);
}
END_TEST

START_TEST(the_first_key_may_come_from_the_environment)
{
	struct root_key root;
	setenv("RUBUS_ROOT_ACCESS_KEY", "mykey", 1);
	setenv("RUBUS_ROOT_SECRET_KEY", "mysecret123", 1);
	make_node();
	ck_assert_ok(identity_load_root(state_dir, &root, message));
	ck_assert_str_eq(root.id, "mykey");
	ck_assert_str_eq(root.secret, "mysecret123");
}
END_TEST

START_TEST(the_first_key_may_come_from_files)
{
	struct root_key root;
	char id_path[PATH_MAX + 16], secret_path[PATH_MAX + 16];
	snprintf(id_path, sizeof id_path, "%s/id", dir);
	snprintf(secret_path, sizeof secret_path, "%s/secret", dir);
	FILE *file = fopen(id_path, "we");
	fputs("filekey\n", file);
	fclose(file);
	file = fopen(secret_path, "we");
	fputs("filesecret\r\n", file);
	fclose(file);
	setenv("RUBUS_ROOT_ACCESS_KEY_FILE", id_path, 1);
	setenv("RUBUS_ROOT_SECRET_KEY_FILE", secret_path, 1);
	make_node();
	ck_assert_ok(identity_load_root(state_dir, &root, message));
	ck_assert_str_eq(root.id, "filekey");
	ck_assert_str_eq(root.secret, "filesecret");
}
END_TEST

START_TEST(a_first_key_that_is_not_whole_is_refused)
{
	static const char *const pairs[][2] = {
		{"mykey", NULL},
		{NULL, "mysecret123"},
		{"my", "mysecret123"},
		{"mykey", "short"},
		{"my key", "mysecret123"},
		{"my/key", "mysecret123"},
		{"mykey", "my secret 123"},
		{"mykey", ""},
	};
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		unsetenv("RUBUS_ROOT_ACCESS_KEY");
		unsetenv("RUBUS_ROOT_SECRET_KEY");
		if (pairs[i][0])
			setenv("RUBUS_ROOT_ACCESS_KEY", pairs[i][0], 1);
		if (pairs[i][1])
			setenv("RUBUS_ROOT_SECRET_KEY", pairs[i][1], 1);
		ck_assert_err(identity_begin(state_dir, &identity, message), ERR_INVALID);
		ck_assert_ptr_nonnull(strstr(message, "RUBUS_ROOT_"));
	}
	char long_secret[ACCESS_SECRET_LEN_MAX + 2];
	memset(long_secret, 'x', sizeof long_secret - 1);
	long_secret[sizeof long_secret - 1] = '\0';
	setenv("RUBUS_ROOT_ACCESS_KEY", "mykey", 1);
	setenv("RUBUS_ROOT_SECRET_KEY", long_secret, 1);
	ck_assert_err(identity_begin(state_dir, &identity, message), ERR_INVALID);
}
END_TEST

START_TEST(the_file_of_the_first_key_follows_the_key)
{
	struct root_key root;
	make_node();
	ck_assert_ok(identity_load_root(state_dir, &root, message));
	snprintf(root.secret, sizeof root.secret, "another-secret");
	ck_assert_ok(identity_put_root(state_dir, &root, message));
	memset(&root, 0, sizeof root);
	ck_assert_ok(identity_load_root(state_dir, &root, message));
	ck_assert_str_eq(root.secret, "another-secret");
	ck_assert_ok(identity_put_root(state_dir, NULL, message));
	ck_assert_err(identity_load_root(state_dir, &root, message), ERR_NOT_FOUND);
	ck_assert_ok(identity_put_root(state_dir, NULL, message));
}
END_TEST

START_TEST(the_secret_of_the_cluster_is_made_once_and_may_be_anothers)
{
	uint8_t first[IDENTITY_KEY_LEN], again[IDENTITY_KEY_LEN];
	make_node();
	ck_assert_ok(identity_need_secret(state_dir, first, message));
	ck_assert_ok(identity_need_secret(state_dir, again, message));
	ck_assert_mem_eq(first, again, sizeof first);
	first[0] ^= 1;
	ck_assert_ok(identity_put_secret(state_dir, first, message));
	ck_assert_ok(identity_need_secret(state_dir, again, message));
	ck_assert_mem_eq(first, again, sizeof first);
	write_text("cluster.secret", "key: 12\n");
	ck_assert_err(identity_need_secret(state_dir, again, message), ERR_CORRUPT);
}
END_TEST

START_TEST(a_state_directory_that_was_copied_to_another_machine_is_refused)
{
	char here[IDENTITY_PATH_LEN], there[IDENTITY_PATH_LEN];
	make_node();
	write_text("id-here", "3d1219c7c4c5404aaa1f6d2a48adfda4\n");
	write_text("id-there", "3d1219c7c4c5404aaa1f6d2a48adfda5\n");
	write_text("id-none", "\n");
	snprintf(here, sizeof here, "%s", path_of("id-here"));
	snprintf(there, sizeof there, "%s", path_of("id-there"));
	/* A machine without an id binds nothing. */
	ck_assert_ok(identity_bind_machine(state_dir, &identity, path_of("id-none"), message));
	ck_assert_ok(identity_bind_machine(state_dir, &identity, path_of("missing"), message));
	ck_assert_int_ne(access(path_of("machine"), F_OK), 0);
	ck_assert_ok(identity_bind_machine(state_dir, &identity, here, message));
	ck_assert_ok(identity_bind_machine(state_dir, &identity, here, message));
	ck_assert_err(identity_bind_machine(state_dir, &identity, there, message), ERR_FOREIGN);
	ck_assert_ptr_nonnull(strstr(message, "rubus init"));
	write_text("machine", "what is this\n");
	ck_assert_err(identity_bind_machine(state_dir, &identity, here, message), ERR_CORRUPT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("identity");
	TCase *tcase = tcase_create("identity");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_node_is_who_it_was_made);
	tcase_add_test(tcase, two_nodes_are_not_the_same);
	tcase_add_test(tcase, only_the_owner_may_read_the_keys);
	tcase_add_test(tcase, an_init_that_was_cut_off_goes_on_as_the_same_cluster);
	tcase_add_test(tcase, a_node_that_joins_has_the_keys_of_its_cluster);
	tcase_add_test(tcase, a_node_is_made_once);
	tcase_add_test(tcase, a_directory_with_other_files_is_left_alone);
	tcase_add_test(tcase, a_damaged_file_is_not_believed);
	tcase_add_test(tcase, the_first_key_is_random_and_long);
	tcase_add_test(tcase, the_first_key_may_come_from_the_environment);
	tcase_add_test(tcase, the_first_key_may_come_from_files);
	tcase_add_test(tcase, a_first_key_that_is_not_whole_is_refused);
	tcase_add_test(tcase, the_file_of_the_first_key_follows_the_key);
	tcase_add_test(tcase, the_secret_of_the_cluster_is_made_once_and_may_be_anothers);
	tcase_add_test(tcase, a_state_directory_that_was_copied_to_another_machine_is_refused);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
