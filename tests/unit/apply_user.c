/* SPDX-License-Identifier: Apache-2.0 */
/* Users, their keys, usage and quotas, seen through proposals and lookups. */
#include <stdio.h>

#include "tests/lib/index_rig.h"
#include "tests/lib/test.h"

static struct rig rig;

static void set_up(void)
{
	rig_open(&rig);
}

static void tear_down(void)
{
	rig_close(&rig);
}

static enum command_code put_user(const char *id, bool is_new, uint32_t set, struct row_quota quota)
{
	struct command command = {.type = COMMAND_USER_PUT};
	command.user_put.id = bytes_of(id);
	command.user_put.must_be_new = is_new;
	command.user_put.set = set;
	command.user_put.name = bytes_of("A. Name");
	command.user_put.policy = bytes_of("{}");
	command.user_put.state = USER_DISABLED;
	command.user_put.quota = quota;
	return rig_code(&rig, &command);
}

static enum command_code new_user(const char *id)
{
	return put_user(id, true, USER_SET_ABOUT, (struct row_quota){0});
}

static enum command_code delete_user(const char *id)
{
	struct command command = {.type = COMMAND_USER_DELETE};
	command.user_delete.id = bytes_of(id);
	return rig_code(&rig, &command);
}

static void put_key_with(const char *id, const char *owner, struct bytes policy)
{
	struct command command = {.type = COMMAND_KEY_PUT};
	command.key_put.policy = policy;
	command.key_put.id = bytes_of(id);
	command.key_put.owner = bytes_of(owner);
	command.key_put.secret = bytes_of("sealed");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}

static void put_key(const char *id, const char *owner)
{
	put_key_with(id, owner, (struct bytes){0});
}

static enum err find_key(const char *id, struct row_access_key *ret_row)
{
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_access_key_get(rig.reader, bytes_of(id), ret_row);
	index_view_end(rig.reader);
	return err;
}

static uint64_t make_bucket(const char *name, const char *owner)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of(name);
	command.bucket_create.owner = bytes_of(owner);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result.id;
}

static enum command_code put(uint64_t bucket, const char *key, const char *data)
{
	struct command command = {.type = COMMAND_OBJECT_PUT};
	command.object_put.bucket = bucket;
	command.object_put.key = bytes_of(key);
	command.object_put.attributes.owner = bytes_of("someone");
	command.object_put.body.len = strlen(data);
	command.object_put.body.inline_data = bytes_of(data);
	return rig_code(&rig, &command);
}

static enum command_code remove_key(uint64_t bucket, const char *key)
{
	static uint8_t list[1024];
	struct fields_out out = {.data = list, .cap = sizeof list};
	command_delete_append(&out, &(struct command_delete){.key = bytes_of(key)});
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command.object_delete.bucket = bucket;
	command.object_delete.deletes = bytes_make(list, out.len);
	return rig_code(&rig, &command);
}

static uint64_t create_upload(uint64_t bucket, const char *key)
{
	struct command create = {.type = COMMAND_UPLOAD_CREATE};
	create.upload_create.bucket = bucket;
	create.upload_create.key = bytes_of(key);
	create.upload_create.attributes.owner = bytes_of("ann");
	struct command_result result = rig_propose(&rig, &create);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result.id;
}

static struct command part_command(
	uint64_t bucket, const char *key, uint64_t upload, const char *data)
{
	struct command part = {.type = COMMAND_UPLOAD_PART};
	part.upload_part.bucket = bucket;
	part.upload_part.key = bytes_of(key);
	part.upload_part.upload = upload;
	part.upload_part.part = 1;
	part.upload_part.body.len = strlen(data);
	part.upload_part.body.inline_data = bytes_of(data);
	part.upload_part.is_counted = true;
	return part;
}

static struct command_result put_part(
	uint64_t bucket, const char *key, uint64_t upload, const char *data)
{
	struct command part = part_command(bucket, key, upload, data);
	return rig_propose(&rig, &part);
}

static void update(uint64_t bucket, uint32_t set, const char *owner, struct row_quota quota)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = set;
	command.bucket_update.owner = bytes_of(owner);
	command.bucket_update.versioning = BUCKET_ENABLED;
	command.bucket_update.quota = quota;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}

static void check_usage(const char *id, uint64_t buckets, uint64_t versions, uint64_t len)
{
	struct row_user_usage usage;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_user_usage_get(rig.reader, bytes_of(id), &usage));
	index_view_end(rig.reader);
	ck_assert_uint_eq(usage.buckets, buckets);
	ck_assert_uint_eq(usage.counts.versions, versions);
	ck_assert_uint_eq(usage.counts.len, len);
}

/* --- users and keys --------------------------------------------------------------------------- */

START_TEST(a_user_is_made_once_and_changed_in_part)
{
	struct row_user row;
	ck_assert_uint_eq(
		put_user("ann", false, USER_SET_STATE, (struct row_quota){0}), COMMAND_NO_KEY);
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	ck_assert_uint_eq(new_user("ann"), COMMAND_EXISTS);
	ck_assert_uint_eq(
		put_user("ann", false, USER_SET_STATE, (struct row_quota){0}), COMMAND_OK);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_user_get(rig.reader, bytes_of("ann"), &row));
	ck_assert(bytes_is_text(row.name, "A. Name"));
	ck_assert_uint_eq(row.state, USER_DISABLED);
	ck_assert_uint_eq(row.policy.len, 0);
	index_view_end(rig.reader);
}
END_TEST

START_TEST(keys_say_whether_their_owner_is_a_user)
{
	struct row_access_key row;
	put_key("BEFORE", "ann");
	put_key("OTHER", "annabel");
	ck_assert_ok(find_key("BEFORE", &row));
	ck_assert(!row.has_user);
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	put_key("AFTER", "ann");
	ck_assert_ok(find_key("BEFORE", &row));
	ck_assert(row.has_user);
	ck_assert_ok(find_key("AFTER", &row));
	ck_assert(row.has_user);
	ck_assert_ok(find_key("OTHER", &row));
	ck_assert(!row.has_user);
}
END_TEST

START_TEST(a_user_goes_with_its_keys_and_not_with_its_buckets)
{
	struct row_access_key row;
	ck_assert_uint_eq(delete_user("ann"), COMMAND_NO_KEY);
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	put_key("ONE", "ann");
	put_key("TWO", "ann");
	put_key("THREE", "bob");
	uint64_t bucket = make_bucket("anns", "ann");
	ck_assert_uint_eq(delete_user("ann"), COMMAND_NOT_EMPTY);
	ck_assert_ok(find_key("ONE", &row));
	update(bucket, BUCKET_SET_OWNER, "bob", (struct row_quota){0});
	ck_assert_uint_eq(delete_user("ann"), COMMAND_OK);
	ck_assert_err(find_key("ONE", &row), ERR_NOT_FOUND);
	ck_assert_err(find_key("TWO", &row), ERR_NOT_FOUND);
	ck_assert_ok(find_key("THREE", &row));
	ck_assert_uint_eq(delete_user("ann"), COMMAND_NO_KEY);
}
END_TEST

START_TEST(a_user_with_too_many_keys_is_neither_made_nor_deleted)
{
	char id[16];
	for (size_t i = 0; i < COMMAND_USER_KEYS_MAX; i++) {
		snprintf(id, sizeof id, "KEY%04zu", i);
		put_key(id, "ann");
	}
	put_key("LAST", "bob");
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	put_key("LAST", "ann");
	ck_assert_uint_eq(delete_user("ann"), COMMAND_LIMIT);
	put_key("LAST", "bob");
	ck_assert_uint_eq(delete_user("ann"), COMMAND_OK);
	struct row_access_key row;
	ck_assert_err(find_key("KEY0000", &row), ERR_NOT_FOUND);
	ck_assert_err(find_key(id, &row), ERR_NOT_FOUND);
}
END_TEST

START_TEST(keys_with_long_policies_are_not_changed_all_at_once)
{
	static uint8_t policy[ROW_POLICY_LEN_MAX];
	enum { FIT = COMMAND_USER_KEYS_LEN_MAX / (ROW_POLICY_LEN_MAX + 256) };
	char id[16];
	memset(policy, ' ', sizeof policy);
	for (size_t i = 0; i < 80; i++) { /* more than the rows of any command */
		snprintf(id, sizeof id, "KEY%04zu", i);
		put_key_with(id, "ann", bytes_make(policy, sizeof policy));
	}
	ck_assert_uint_eq(new_user("ann"), COMMAND_LIMIT);
	for (size_t i = FIT; i < 80; i++) {
		snprintf(id, sizeof id, "KEY%04zu", i);
		put_key(id, "bob");
	}
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	for (size_t i = FIT; i < 80; i++) {
		snprintf(id, sizeof id, "KEY%04zu", i);
		put_key_with(id, "ann", bytes_make(policy, sizeof policy));
	}
	ck_assert_uint_eq(delete_user("ann"), COMMAND_OK);
	struct row_access_key row;
	ck_assert_err(find_key(id, &row), ERR_NOT_FOUND);
}
END_TEST

/* --- usage ------------------------------------------------------------------------------------ */

START_TEST(usage_is_the_sum_of_the_buckets_a_user_owns)
{
	uint64_t one = make_bucket("one", "ann");
	uint64_t other = make_bucket("other", "bob");
	ck_assert_uint_eq(put(one, "a", "12345"), COMMAND_OK);
	ck_assert_uint_eq(put(other, "a", "123456789"), COMMAND_OK);
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	check_usage("ann", 1, 1, 5);
	uint64_t two = make_bucket("two", "ann");
	ck_assert_uint_eq(put(two, "b", "12"), COMMAND_OK);
	ck_assert_uint_eq(put(one, "a", "1"), COMMAND_OK);
	check_usage("ann", 2, 2, 3);
	update(other, BUCKET_SET_OWNER, "ann", (struct row_quota){0});
	check_usage("ann", 3, 3, 12);
	update(one, BUCKET_SET_OWNER, "bob", (struct row_quota){0});
	check_usage("ann", 2, 2, 11);
	ck_assert_uint_eq(remove_key(two, "b"), COMMAND_OK);
	check_usage("ann", 2, 1, 9);
	struct command command = {.type = COMMAND_BUCKET_DELETE};
	command.bucket_delete.bucket = two;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_usage("ann", 1, 1, 9);
}
END_TEST

START_TEST(usage_goes_on_after_a_restart)
{
	uint64_t bucket = make_bucket("one", "ann");
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	rig_reopen(&rig, false);
	ck_assert_uint_eq(put(bucket, "a", "12345"), COMMAND_OK);
	check_usage("ann", 1, 1, 5);
	rig_reopen(&rig, true);
	check_usage("ann", 1, 1, 5);
}
END_TEST

/* What a recount of the buckets gives. */
static struct row_user_usage recount(const char *id)
{
	struct row_user_usage sum = {.buckets = 0};
	struct row_bucket row;
	struct row_bucket_counts counts;
	uint8_t from[ROW_BUCKET_NAME_LEN_MAX + 1];
	size_t from_len = 0;
	ck_assert_ok(index_view_begin(rig.reader));
	while (index_bucket_next(rig.reader, bytes_make(from, from_len), bytes_of(id), &row) ==
		ERR_OK) {
		ck_assert_ok(index_bucket_counts(rig.reader, row.id, &counts));
		sum.counts.objects += counts.objects;
		sum.counts.versions += counts.versions;
		sum.counts.len += counts.len;
		sum.counts.uploads += counts.uploads;
		sum.counts.parts_len += counts.parts_len;
		sum.buckets++;
		memcpy(from, row.name.data, row.name.len);
		from_len = row.name.len;
		from[from_len++] = 0;
	}
	index_view_end(rig.reader);
	return sum;
}

/* One change of a bucket that may be there or not. */
static void change_something(uint64_t *buckets, unsigned chance)
{
	static const char *const owners[] = {"ann", "bob", "carl"};
	uint64_t *bucket = &buckets[chance % 5];
	char name[16], key[16];
	snprintf(name, sizeof name, "bucket-%u", chance % 5);
	snprintf(key, sizeof key, "k%u", chance / 7 % 4);
	if (*bucket == 0) {
		*bucket = make_bucket(name, owners[chance % 3]);
		return;
	}
	struct command command = {.type = COMMAND_BUCKET_DELETE};
	switch (chance / 64 % 8) {
	case 0:
		update(*bucket, BUCKET_SET_OWNER, owners[chance / 512 % 3], (struct row_quota){0});
		break;
	case 1:
		command.bucket_delete.bucket = *bucket;
		if (rig_code(&rig, &command) == COMMAND_OK)
			*bucket = 0;
		break;
	case 2:
		ck_assert_uint_eq(
			put_part(*bucket, key, create_upload(*bucket, key), "12345" + chance % 5)
				.code,
			COMMAND_OK);
		break;
	case 3:
		if (chance % 3 == 0)
			update(*bucket, BUCKET_SET_VERSIONING, "", (struct row_quota){0});
		break;
	case 4:
		ck_assert_uint_eq(remove_key(*bucket, key), COMMAND_OK);
		break;
	default:
		ck_assert_uint_eq(put(*bucket, key, "1234567890" + chance % 10), COMMAND_OK);
	}
}

START_TEST(usage_is_what_a_recount_gives_at_every_moment)
{
	static const char *const users[] = {"ann", "bob"};
	uint64_t buckets[5] = {0};
	uint64_t chance = 88172645463325252u;
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	for (unsigned i = 0; i < 1500; i++) {
		chance ^= chance << 13;
		chance ^= chance >> 7;
		chance ^= chance << 17;
		change_something(buckets, chance >> 40);
		if (i == 500)
			ck_assert_uint_eq(new_user("bob"), COMMAND_OK);
		for (size_t j = 0; j < 1 + (i >= 500); j++) {
			struct row_user_usage usage, sum = recount(users[j]);
			ck_assert_ok(index_view_begin(rig.reader));
			ck_assert_ok(index_user_usage_get(rig.reader, bytes_of(users[j]), &usage));
			index_view_end(rig.reader);
			ck_assert_mem_eq(&usage.counts, &sum.counts, sizeof sum.counts);
			ck_assert_uint_eq(usage.buckets, sum.buckets);
		}
	}
}
END_TEST

/* --- quotas ----------------------------------------------------------------------------------- */

START_TEST(a_users_quota_is_for_all_buckets_together)
{
	uint64_t one = make_bucket("one", "ann"), two = make_bucket("two", "ann");
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	ck_assert_uint_eq(
		put_user("ann", false, USER_SET_QUOTA, (struct row_quota){.len = 10}), COMMAND_OK);
	ck_assert_uint_eq(put(one, "a", "123456"), COMMAND_OK);
	ck_assert_uint_eq(put(two, "a", "12345"), COMMAND_QUOTA);
	ck_assert_uint_eq(put(two, "a", "1234"), COMMAND_OK);
	ck_assert_uint_eq(put(two, "b", "1"), COMMAND_QUOTA);
	ck_assert_uint_eq(put(two, "a", "4321"), COMMAND_OK);
	ck_assert_uint_eq(remove_key(one, "a"), COMMAND_OK);
	ck_assert_uint_eq(put(two, "b", "1"), COMMAND_OK);
	check_usage("ann", 2, 2, 5);
}
END_TEST

START_TEST(a_quota_of_objects_counts_each_version)
{
	uint64_t bucket = make_bucket("one", "ann");
	update(bucket, BUCKET_SET_QUOTA, "", (struct row_quota){.versions = 2});
	ck_assert_uint_eq(put(bucket, "a", "1"), COMMAND_OK);
	ck_assert_uint_eq(put(bucket, "a", "2"), COMMAND_OK);
	ck_assert_uint_eq(put(bucket, "b", "1"), COMMAND_OK);
	ck_assert_uint_eq(put(bucket, "c", "1"), COMMAND_QUOTA);
	ck_assert_uint_eq(put(bucket, "b", "2"), COMMAND_OK);
	update(bucket, BUCKET_SET_VERSIONING, "", (struct row_quota){0});
	ck_assert_uint_eq(put(bucket, "b", "3"), COMMAND_QUOTA);
	ck_assert_uint_eq(remove_key(bucket, "b"), COMMAND_OK); /* makes a marker */
}
END_TEST

START_TEST(soft_quotas_refuse_nothing)
{
	uint64_t bucket = make_bucket("one", "ann");
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	struct row_quota soft = {.soft_len = 1, .soft_versions = 1};
	ck_assert_uint_eq(put_user("ann", false, USER_SET_QUOTA, soft), COMMAND_OK);
	update(bucket, BUCKET_SET_QUOTA, "", soft);
	ck_assert_uint_eq(put(bucket, "a", "12345"), COMMAND_OK);
	ck_assert_uint_eq(put(bucket, "b", "12345"), COMMAND_OK);
}
END_TEST

/* With the first part alone. */
static enum command_code complete(
	uint64_t bucket, const char *key, uint64_t upload, uint64_t change_count)
{
	static const uint8_t list[] = {1, 0};
	struct command command = {.type = COMMAND_UPLOAD_COMPLETE};
	command.upload_complete.bucket = bucket;
	command.upload_complete.key = bytes_of(key);
	command.upload_complete.upload = upload;
	command.upload_complete.change_count = change_count;
	command.upload_complete.parts = bytes_make(list, sizeof list);
	return rig_code(&rig, &command);
}

START_TEST(a_part_that_alone_is_too_much_is_refused)
{
	uint64_t bucket = make_bucket("one", "ann");
	update(bucket, BUCKET_SET_QUOTA, "", (struct row_quota){.len = 4});
	uint64_t upload = create_upload(bucket, "big");
	ck_assert_uint_eq(put_part(bucket, "big", upload, "12345").code, COMMAND_QUOTA);
	ck_assert_uint_eq(put_part(bucket, "big", upload, "1234").code, COMMAND_OK);
}
END_TEST

static void check_parts_len(uint64_t bucket, const char *user, uint64_t expected)
{
	struct row_bucket_counts counts;
	struct row_user_usage usage;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_bucket_counts(rig.reader, bucket, &counts));
	ck_assert_ok(index_user_usage_get(rig.reader, bytes_of(user), &usage));
	index_view_end(rig.reader);
	ck_assert_uint_eq(counts.parts_len, expected);
	ck_assert_uint_eq(usage.counts.parts_len, expected);
}

static void abort_upload(uint64_t bucket, const char *key, uint64_t upload)
{
	struct command command = {.type = COMMAND_UPLOAD_ABORT};
	command.upload_abort.bucket = bucket;
	command.upload_abort.key = bytes_of(key);
	command.upload_abort.upload = upload;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}

START_TEST(parts_of_all_open_uploads_count_together)
{
	uint64_t bucket = make_bucket("one", "ann");
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	ck_assert_uint_eq(
		put_user("ann", false, USER_SET_QUOTA, (struct row_quota){.len = 10}), COMMAND_OK);
	uint64_t a = create_upload(bucket, "a"), b = create_upload(bucket, "b");
	ck_assert_uint_eq(put_part(bucket, "a", a, "1234567").code, COMMAND_OK);
	check_parts_len(bucket, "ann", 7);
	ck_assert_uint_eq(put_part(bucket, "b", b, "1234").code, COMMAND_QUOTA);
	ck_assert_uint_eq(put(bucket, "c", "1234"), COMMAND_QUOTA);
	ck_assert_uint_eq(put_part(bucket, "b", b, "123").code, COMMAND_OK);
	ck_assert_uint_eq(put_part(bucket, "a", a, "12345678").code, COMMAND_QUOTA);
	struct command_result last = put_part(bucket, "a", a, "12");
	ck_assert_uint_eq(last.code, COMMAND_OK);
	check_parts_len(bucket, "ann", 5);
	abort_upload(bucket, "b", b);
	check_parts_len(bucket, "ann", 2);
	ck_assert_uint_eq(complete(bucket, "a", a, last.count), COMMAND_OK);
	check_parts_len(bucket, "ann", 0);
	check_usage("ann", 1, 1, 2);
}
END_TEST

START_TEST(parts_from_before_they_were_counted_are_not_subtracted)
{
	uint64_t bucket = make_bucket("one", "ann");
	ck_assert_uint_eq(new_user("ann"), COMMAND_OK);
	uint64_t a = create_upload(bucket, "a"), b = create_upload(bucket, "b");
	struct command part = part_command(bucket, "a", a, "1234567");
	part.upload_part.is_counted = false;
	ck_assert_uint_eq(rig_code(&rig, &part), COMMAND_OK);
	part.upload_part.part = 2;
	ck_assert_uint_eq(rig_code(&rig, &part), COMMAND_OK);
	ck_assert_uint_eq(put_part(bucket, "b", b, "12345").code, COMMAND_OK);
	check_parts_len(bucket, "ann", 5);
	ck_assert_uint_eq(put_part(bucket, "a", a, "123").code, COMMAND_OK);
	check_parts_len(bucket, "ann", 8);
	abort_upload(bucket, "a", a);
	check_parts_len(bucket, "ann", 5);
}
END_TEST

START_TEST(parts_may_replace_what_a_put_may_replace)
{
	uint64_t bucket = make_bucket("one", "ann");
	update(bucket, BUCKET_SET_QUOTA, "", (struct row_quota){.len = 5, .versions = 1});
	ck_assert_uint_eq(put(bucket, "a", "1234"), COMMAND_OK);
	uint64_t upload = create_upload(bucket, "a");
	ck_assert_uint_eq(put_part(bucket, "a", upload, "123456").code, COMMAND_QUOTA);
	struct command_result part = put_part(bucket, "a", upload, "54321");
	ck_assert_uint_eq(part.code, COMMAND_OK);
	ck_assert_uint_eq(complete(bucket, "a", upload, part.count), COMMAND_OK);
}
END_TEST

START_TEST(a_quota_of_objects_is_asked_when_an_upload_is_completed)
{
	uint64_t bucket = make_bucket("one", "ann");
	update(bucket, BUCKET_SET_QUOTA, "", (struct row_quota){.versions = 1});
	ck_assert_uint_eq(put(bucket, "a", "1"), COMMAND_OK);
	uint64_t upload = create_upload(bucket, "b");
	struct command_result part = put_part(bucket, "b", upload, "1");
	ck_assert_uint_eq(part.code, COMMAND_OK);
	ck_assert_uint_eq(complete(bucket, "b", upload, part.count), COMMAND_QUOTA);
	ck_assert_uint_eq(remove_key(bucket, "a"), COMMAND_OK);
	ck_assert_uint_eq(complete(bucket, "b", upload, part.count), COMMAND_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("apply_user");
	TCase *tc = tcase_create("apply_user");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_user_is_made_once_and_changed_in_part);
	tcase_add_test(tc, keys_say_whether_their_owner_is_a_user);
	tcase_add_test(tc, a_user_goes_with_its_keys_and_not_with_its_buckets);
	tcase_add_test(tc, a_user_with_too_many_keys_is_neither_made_nor_deleted);
	tcase_add_test(tc, keys_with_long_policies_are_not_changed_all_at_once);
	tcase_add_test(tc, usage_is_the_sum_of_the_buckets_a_user_owns);
	tcase_add_test(tc, usage_is_what_a_recount_gives_at_every_moment);
	tcase_add_test(tc, usage_goes_on_after_a_restart);
	tcase_add_test(tc, a_users_quota_is_for_all_buckets_together);
	tcase_add_test(tc, a_quota_of_objects_counts_each_version);
	tcase_add_test(tc, soft_quotas_refuse_nothing);
	tcase_add_test(tc, a_part_that_alone_is_too_much_is_refused);
	tcase_add_test(tc, parts_of_all_open_uploads_count_together);
	tcase_add_test(tc, parts_from_before_they_were_counted_are_not_subtracted);
	tcase_add_test(tc, parts_may_replace_what_a_put_may_replace);
	tcase_add_test(tc, a_quota_of_objects_is_asked_when_an_upload_is_completed);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
