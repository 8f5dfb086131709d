/* SPDX-License-Identifier: Apache-2.0 */
/* Object lock at apply: the last gate before a version goes. The letters are those of
 * storage/meta/apply_lock.c. */
#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

/* A bucket with lock in the place of that of the rig. */
static void setup(void)
{
	rig_setup();
	struct command command = create_command("locked", "owner");
	command.bucket_create.has_lock = true;
	command.bucket_create.versioning = BUCKET_ENABLED;
	bucket = rig_propose(&rig, &command).id;
}

static struct command_result put_with(uint8_t mode, uint64_t until_ms, bool has_hold)
{
	struct command command = put_command("key", "hello", 1);
	command.object_put.attributes.retention = mode;
	command.object_put.attributes.retain_until_ms = until_ms;
	command.object_put.attributes.has_legal_hold = has_hold;
	return rig_propose(&rig, &command);
}

static enum command_code delete_version(struct version_id version, bool bypasses)
{
	static uint8_t list[1024];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command_delete item = {.key = bytes_of("key"), .version = version};
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command_delete_append(&out, &item);
	command.object_delete.bucket = bucket;
	command.object_delete.bypass_governance = bypasses;
	command.object_delete.deletes = bytes_make(list, out.len);
	return rig_code(&rig, &command);
}

static struct command update_of(struct version_id version, uint32_t set)
{
	struct command command = {.type = COMMAND_OBJECT_UPDATE};
	command.object_update.bucket = bucket;
	command.object_update.key = bytes_of("key");
	command.object_update.version = version;
	command.object_update.set = set;
	return command;
}

static enum command_code retain(
	struct version_id version, uint8_t mode, uint64_t until_ms, bool bypasses)
{
	struct command command = update_of(version, OBJECT_SET_RETENTION);
	command.object_update.retention = mode;
	command.object_update.retain_until_ms = until_ms;
	command.object_update.bypass_governance = bypasses;
	return rig_code(&rig, &command);
}

static enum command_code hold(struct version_id version, bool is_on)
{
	struct command command = update_of(version, OBJECT_SET_LEGAL_HOLD);
	command.object_update.has_legal_hold = is_on;
	return rig_code(&rig, &command);
}

static struct row_version row_of(struct version_id version)
{
	struct object_info object;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_version_get(rig.reader, bucket, bytes_of("key"), version, &object));
	index_view_end(rig.reader);
	return object.row;
}

static enum command_code set_rule(const struct row_bucket_lock *rule)
{
	static uint8_t row[ROW_LEN_MAX];
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_CONFIG;
	command.bucket_update.config_kind = BUCKET_CONFIG_LOCK;
	if (rule)
		command.bucket_update.config = bytes_make(row, row_bucket_lock_encode(rule, row));
	return rig_code(&rig, &command);
}

/* --- (K1) ------------------------------------------------------------------------------------- */

START_TEST(governance_gives_way_to_a_bypass)
{
	struct version_id version =
		put_with(RETENTION_GOVERNANCE, rig.log.time_ms + DAY_MS, false).version;
	ck_assert_uint_eq(delete_version(version, false), COMMAND_LOCKED);
	ck_assert_uint_eq(delete_version(version, true), COMMAND_OK);
	check_counts(0, 0, 0, 0);
}
END_TEST

START_TEST(compliance_ends_by_time_alone)
{
	struct version_id version =
		put_with(RETENTION_COMPLIANCE, rig.log.time_ms + DAY_MS, false).version;
	ck_assert_uint_eq(delete_version(version, true), COMMAND_LOCKED);
	rig.log.time_ms += DAY_MS;
	ck_assert_uint_eq(delete_version(version, false), COMMAND_OK);
	check_counts(0, 0, 0, 0);
}
END_TEST

START_TEST(a_legal_hold_gives_way_to_nobody)
{
	struct version_id version = put_with(RETENTION_NONE, 0, true).version;
	rig.log.time_ms += 1000 * DAY_MS;
	ck_assert_uint_eq(delete_version(version, true), COMMAND_LOCKED);
	ck_assert_uint_eq(hold(version, false), COMMAND_OK);
	struct row_version row = row_of(version);
	ck_assert(!row.has_legal_hold && row.had_legal_hold);
	ck_assert_uint_eq(delete_version(version, false), COMMAND_OK);
}
END_TEST

START_TEST(what_is_kept_may_be_hidden)
{
	struct version_id version = put_with(RETENTION_NONE, 0, true).version;
	struct command_result marker = delete_key("key");
	ck_assert_uint_eq(marker.code, COMMAND_OK);
	check_counts(0, 2, 5, 0);
	ck_assert_uint_eq(delete_version(marker.version, false), COMMAND_OK);
	ck_assert(row_of(version).has_legal_hold);
	check_counts(1, 1, 5, 0);
}
END_TEST

START_TEST(one_locked_version_of_many_deletes_stays_alone)
{
	static uint8_t list[1024];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct version_id versions[3];
	for (int i = 0; i < 3; i++) {
		versions[i] = put_with(RETENTION_NONE, 0, i == 1).version;
		struct command_delete item = {.key = bytes_of("key"), .version = versions[i]};
		command_delete_append(&out, &item);
	}
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command.object_delete.bucket = bucket;
	command.object_delete.bypass_governance = true;
	command.object_delete.deletes = bytes_make(list, out.len);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(
			command_result_delete(&result, i), i == 1 ? DELETE_LOCKED : DELETE_DONE);
	ck_assert(row_of(versions[1]).has_legal_hold);
	check_counts(1, 1, 5, 0);
}
END_TEST

/* --- (K2) ------------------------------------------------------------------------------------- */

START_TEST(a_bucket_without_lock_takes_none)
{
	struct command command = create_command("plain", "owner");
	command.bucket_create.versioning = BUCKET_ENABLED;
	bucket = rig_propose(&rig, &command).id;
	ck_assert_uint_eq(put_with(RETENTION_NONE, 0, true).code, COMMAND_REFUSED);
	ck_assert_uint_eq(put_with(RETENTION_GOVERNANCE, UINT64_MAX, false).code, COMMAND_REFUSED);
	struct version_id version = put("key", "hello", 1).version;
	ck_assert_uint_eq(hold(version, true), COMMAND_REFUSED);
	ck_assert_uint_eq(retain(version, RETENTION_COMPLIANCE, UINT64_MAX, true), COMMAND_REFUSED);
	struct row_bucket_lock rule = {.mode = RETENTION_GOVERNANCE, .days = 1};
	ck_assert_uint_eq(set_rule(&rule), COMMAND_REFUSED);
	command = (struct command){.type = COMMAND_UPLOAD_CREATE};
	command.upload_create.bucket = bucket;
	command.upload_create.key = bytes_of("key");
	command.upload_create.attributes.has_legal_hold = true;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
}
END_TEST

START_TEST(versioning_stays_where_lock_is)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_VERSIONING;
	command.bucket_update.versioning = BUCKET_SUSPENDED;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_LOCKED);
	struct version_id version = put_with(RETENTION_NONE, 0, true).version;
	put("key", "again", 2);
	ck_assert(row_of(version).has_legal_hold);
}
END_TEST

START_TEST(lock_comes_only_to_buckets_with_versions)
{
	struct command command = create_command("plain", "owner");
	bucket = rig_propose(&rig, &command).id;
	command = (struct command){.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_LOCK;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_LOCKED);
	set_versioning(BUCKET_SUSPENDED);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_LOCKED);
	set_versioning(BUCKET_ENABLED);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}
END_TEST

/* --- (K3) ------------------------------------------------------------------------------------- */

START_TEST(a_retention_is_made_longer_by_anybody)
{
	uint64_t until_ms = rig.log.time_ms + DAY_MS;
	struct version_id version = put_with(RETENTION_COMPLIANCE, until_ms, false).version;
	ck_assert_uint_eq(retain(version, RETENTION_COMPLIANCE, until_ms + 1, false), COMMAND_OK);
	ck_assert_uint_eq(retain(version, RETENTION_COMPLIANCE, until_ms, true), COMMAND_LOCKED);
	ck_assert_uint_eq(
		retain(version, RETENTION_GOVERNANCE, until_ms + 9, true), COMMAND_LOCKED);
	ck_assert_uint_eq(retain(version, RETENTION_NONE, 0, true), COMMAND_LOCKED);
	ck_assert_uint_eq(row_of(version).retain_until_ms, until_ms + 1);
}
END_TEST

START_TEST(governance_is_changed_by_a_bypass_alone)
{
	uint64_t until_ms = rig.log.time_ms + DAY_MS;
	struct version_id version = put_with(RETENTION_GOVERNANCE, until_ms, false).version;
	ck_assert_uint_eq(
		retain(version, RETENTION_GOVERNANCE, until_ms - 1, false), COMMAND_LOCKED);
	ck_assert_uint_eq(
		retain(version, RETENTION_COMPLIANCE, until_ms + 1, false), COMMAND_LOCKED);
	ck_assert_uint_eq(retain(version, RETENTION_NONE, 0, false), COMMAND_LOCKED);
	ck_assert_uint_eq(retain(version, RETENTION_NONE, 0, true), COMMAND_OK);
	ck_assert_uint_eq(retain(version, RETENTION_COMPLIANCE, until_ms, false), COMMAND_OK);
}
END_TEST

START_TEST(a_retention_that_has_ended_is_none)
{
	uint64_t until_ms = rig.log.time_ms + DAY_MS;
	struct version_id version = put_with(RETENTION_COMPLIANCE, until_ms, false).version;
	rig.log.time_ms = until_ms;
	ck_assert_uint_eq(
		retain(version, RETENTION_GOVERNANCE, until_ms + DAY_MS, false), COMMAND_OK);
	ck_assert_uint_eq(delete_version(version, false), COMMAND_LOCKED);
}
END_TEST

/* --- (K4) ------------------------------------------------------------------------------------- */

START_TEST(a_new_version_has_the_retention_of_its_bucket)
{
	struct row_bucket_lock rule = {.mode = RETENTION_COMPLIANCE, .days = 3};
	struct version_id before = put("key", "hello", 1).version;
	ck_assert_uint_eq(set_rule(&rule), COMMAND_OK);
	struct command_result made = put("key", "hello", 1);
	struct row_version row = row_of(made.version);
	ck_assert_uint_eq(row.retention, RETENTION_COMPLIANCE);
	ck_assert_uint_eq(row.retain_until_ms, made.time_ms + 3 * DAY_MS);
	ck_assert_uint_eq(row_of(before).retention, RETENTION_NONE);
	made = put_with(RETENTION_GOVERNANCE, UINT64_MAX, false);
	ck_assert_uint_eq(row_of(made.version).retention, RETENTION_GOVERNANCE);
	rule = (struct row_bucket_lock){.mode = RETENTION_GOVERNANCE, .years = 2};
	ck_assert_uint_eq(set_rule(&rule), COMMAND_OK);
	made = put("key", "hello", 1);
	ck_assert_uint_eq(row_of(made.version).retain_until_ms, made.time_ms + 2 * 365 * DAY_MS);
	ck_assert_uint_eq(set_rule(NULL), COMMAND_OK);
	made = put("key", "hello", 1);
	ck_assert_uint_eq(row_of(made.version).retention, RETENTION_NONE);
}
END_TEST

START_TEST(a_rule_that_is_none_is_refused)
{
	static const struct row_bucket_lock rules[] = {
		{.mode = RETENTION_NONE, .days = 1},
		{.mode = RETENTION_COMPLIANCE + 1, .days = 1},
		{.mode = RETENTION_COMPLIANCE},
		{.mode = RETENTION_COMPLIANCE, .days = 1, .years = 1},
		{.mode = RETENTION_COMPLIANCE, .days = ROW_LOCK_DAYS_MAX + 1},
		{.mode = RETENTION_COMPLIANCE, .years = ROW_LOCK_YEARS_MAX + 1},
	};
	for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
		ck_assert_uint_eq(set_rule(&rules[i]), COMMAND_REFUSED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("apply_lock");
	TCase *tc = tcase_create("apply_lock");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, rig_teardown);
	tcase_add_test(tc, governance_gives_way_to_a_bypass);
	tcase_add_test(tc, compliance_ends_by_time_alone);
	tcase_add_test(tc, a_legal_hold_gives_way_to_nobody);
	tcase_add_test(tc, what_is_kept_may_be_hidden);
	tcase_add_test(tc, one_locked_version_of_many_deletes_stays_alone);
	tcase_add_test(tc, a_bucket_without_lock_takes_none);
	tcase_add_test(tc, versioning_stays_where_lock_is);
	tcase_add_test(tc, lock_comes_only_to_buckets_with_versions);
	tcase_add_test(tc, a_retention_is_made_longer_by_anybody);
	tcase_add_test(tc, governance_is_changed_by_a_bypass_alone);
	tcase_add_test(tc, a_retention_that_has_ended_is_none);
	tcase_add_test(tc, a_new_version_has_the_retention_of_its_bucket);
	tcase_add_test(tc, a_rule_that_is_none_is_refused);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
