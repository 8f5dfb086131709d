/* SPDX-License-Identifier: Apache-2.0 */
/* Lifecycle rules, and the expirer at work on an index, in days of ten seconds. */
#include "storage/repair/expire.h"

#include <stdio.h>

#include "storage/meta/lifecycle.h"
#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

#define DAY_MS 10000

static struct store store;
static struct store_loop loop;
static struct expirer expirer;
static bool is_stopped;

static void begin(void)
{
	store = (struct store){.index = rig.index, .clock = &rig.clock};
	loop = (struct store_loop){.store = &store, .loop = &rig.loop.loop, .reader = rig.reader};
	is_stopped = false;
	ck_assert_ok(expire_start(&expirer, &loop, DAY_MS));
}

static void note_stop(struct expirer *stopped)
{
	ck_assert_ptr_eq(stopped, &expirer);
	is_stopped = true;
}

static void end(void)
{
	expire_stop(&expirer, note_stop);
	rig_pass(&rig, 10000);
	ck_assert(is_stopped);
}

static void set_up(void)
{
	rig_setup();
	rig.log.time_ms = 1000 * DAY_MS + DAY_MS / 2;
	begin();
}

static void tear_down(void)
{
	end();
	check_hash();
	rig_teardown();
}

/* Time goes on, and the expirer has all the time it needs. */
static void pass_days(unsigned days)
{
	rig.log.time_ms += days * DAY_MS;
	rig_pass(&rig, 20000);
}

static void set_rules(const struct lifecycle_rule *rules, size_t count)
{
	static uint8_t buf[ROW_CONFIG_LEN_MAX];
	struct fields_out out = {.data = buf, .cap = sizeof buf};
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	lifecycle_begin(&out);
	for (size_t i = 0; i < count; i++)
		lifecycle_append(&out, &rules[i]);
	ck_assert(!out.is_full);
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_CONFIG;
	command.bucket_update.config_kind = BUCKET_CONFIG_LIFECYCLE;
	command.bucket_update.config = bytes_make(buf, count > 0 ? out.len : 0);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}

static void set_rule(struct lifecycle_rule rule)
{
	rule.is_enabled = true;
	set_rules(&rule, 1);
}

static uint64_t count_of(uint64_t *ret_objects)
{
	struct row_bucket_counts counts;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_bucket_counts(rig.reader, bucket, &counts));
	index_view_end(rig.reader);
	*ret_objects = counts.objects;
	return counts.versions;
}

static void check(uint64_t objects, uint64_t versions)
{
	uint64_t found;
	ck_assert_uint_eq(count_of(&found), versions);
	ck_assert_uint_eq(found, objects);
}

static struct command_result put_with_tag(const char *key, const char *name, const char *value)
{
	static uint8_t tags[64];
	size_t len = 0;
	struct command command = put_command(key, "text", 1);
	ck_assert_ok(metadata_append(tags, sizeof tags, &len, bytes_of(name), bytes_of(value)));
	command.object_put.attributes.tags = bytes_make(tags, len);
	return rig_propose(&rig, &command);
}

/* --- rules ------------------------------------------------------------------------------------ */

START_TEST(days_end_at_midnight)
{
	ck_assert_uint_eq(lifecycle_due_ms(0, 1, LIFECYCLE_DAY_MS), LIFECYCLE_DAY_MS);
	ck_assert_uint_eq(lifecycle_due_ms(1, 1, LIFECYCLE_DAY_MS), 2 * LIFECYCLE_DAY_MS);
	ck_assert_uint_eq(lifecycle_due_ms(5 * LIFECYCLE_DAY_MS - 1, 30, LIFECYCLE_DAY_MS),
		35 * LIFECYCLE_DAY_MS);
}
END_TEST

START_TEST(a_rule_is_for_what_fits_all_of_its_filter)
{
	uint8_t one[64], two[64];
	size_t one_len = 0, two_len = 0;
	ck_assert_ok(metadata_append(one, 64, &one_len, bytes_of("a"), bytes_of("1")));
	ck_assert_ok(metadata_append(two, 64, &two_len, bytes_of("b"), bytes_of("1")));
	ck_assert_ok(metadata_append(two, 64, &two_len, bytes_of("a"), bytes_of("1")));
	struct lifecycle_rule rule = {.is_enabled = true,
		.prefix = bytes_of("logs/"),
		.tags = bytes_make(one, one_len),
		.has_above = true,
		.above = 10,
		.has_below = true,
		.below = 20};
	struct bytes key = bytes_of("logs/a"), tags = bytes_make(two, two_len);
	ck_assert(lifecycle_fits(&rule, key, tags, 11));
	ck_assert(!lifecycle_fits(&rule, key, tags, 10));
	ck_assert(!lifecycle_fits(&rule, key, tags, 20));
	ck_assert(!lifecycle_fits(&rule, bytes_of("log"), tags, 11));
	ck_assert(!lifecycle_fits(&rule, key, bytes_make(NULL, 0), 11));
	ck_assert(!lifecycle_fits_key(&rule, key));
	rule.is_enabled = false;
	ck_assert(!lifecycle_fits(&rule, key, tags, 11));
}
END_TEST

START_TEST(rules_that_are_damaged_are_refused)
{
	struct bytes list;
	struct lifecycle_rule rule;
	ck_assert_err(lifecycle_open(bytes_make(NULL, 0), &list), ERR_CORRUPT);
	ck_assert_err(lifecycle_open(bytes_make("\2", 1), &list), ERR_VERSION);
	ck_assert_ok(lifecycle_open(bytes_make("\1\5\1", 3), &list));
	ck_assert_err(lifecycle_next(&list, &rule), ERR_CORRUPT);
	ck_assert_ok(lifecycle_open(bytes_make("\1\6\13\4\377\377\377\377", 8), &list));
	ck_assert_err(lifecycle_next(&list, &rule), ERR_CORRUPT); /* so many days */
}
END_TEST

/* --- at work ---------------------------------------------------------------------------------- */

START_TEST(what_is_old_enough_goes_and_the_rest_stays)
{
	put("logs/old", "text", 1); /* before there are rules */
	put("other", "text", 1);
	set_rule((struct lifecycle_rule){.prefix = bytes_of("logs/"), .days = 3});
	pass_days(2);
	put("logs/new", "text", 1);
	pass_days(1);
	check(3, 3); /* three days were over at the half of the fourth */
	pass_days(1);
	check(2, 2);
	ck_assert(!is_there("logs/old") && is_there("logs/new") && is_there("other"));
	pass_days(2);
	ck_assert(!is_there("logs/new") && is_there("other"));
	check(1, 1);
	ck_assert(!has_rows(TABLE_EVENT));
}
END_TEST

START_TEST(nothing_is_read_twice_or_written_in_vain)
{
	char name[16];
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%d", i);
		put(name, "text", 1);
	}
	set_rule((struct lifecycle_rule){.has_above = true, .above = 1000, .days = 50});
	pass_days(1);
	ck_assert_uint_eq(expirer.counters.filled, 300);
	ck_assert_uint_eq(expirer.counters.events, 0);
	pass_days(100);
	ck_assert_uint_eq(expirer.counters.events, 300);
	check(300, 300);
	ck_assert(!has_rows(TABLE_EVENT));
	struct index_status before, after;
	index_status(rig.index, &before);
	pass_days(1);
	index_status(rig.index, &after);
	ck_assert_uint_eq(before.commands, after.commands);
	ck_assert_uint_eq(expirer.counters.events, 300);
}
END_TEST

START_TEST(what_no_rule_is_for_is_not_filed)
{
	char name[16];
	const char *const others[] = {"a", "kept", "logs", "mm", "tmq", "z"};
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%s%d", others[i % 6], i);
		put(name, "text", 1);
	}
	put("logs/1", "text", 1), put("logs/2", "text", 1), put("tmp/x", "text", 1);
	struct lifecycle_rule rules[] = {
		{.is_enabled = true, .prefix = bytes_of("tmp/"), .days = 3},
		{.is_enabled = false, .prefix = bytes_of("kept"), .days = 1},
		{.is_enabled = true, .prefix = bytes_of("logs/"), .days = 2},
		{.is_enabled = true, .prefix = bytes_of("zz"), .days = 2},
	};
	set_rules(rules, ARRAY_COUNT(rules));
	pass_days(1);
	ck_assert_uint_eq(expirer.counters.filled, 3);
	check(303, 303);
	pass_days(2);
	check(301, 301);
	pass_days(1);
	check(300, 300);
}
END_TEST

START_TEST(a_bucket_without_rules_has_no_events)
{
	put("a", "text", 1);
	set_versioning(BUCKET_ENABLED);
	put("a", "text", 1);
	pass_days(3);
	ck_assert(!has_rows(TABLE_EVENT));
	set_rule((struct lifecycle_rule){.days = 100});
	pass_days(1);
	put("b", "text", 1);
	ck_assert(has_rows(TABLE_EVENT));
	set_rules(NULL, 0);
	pass_days(1);
	ck_assert(!has_rows(TABLE_EVENT));
	put("c", "text", 1);
	ck_assert(!has_rows(TABLE_EVENT));
	pass_days(200);
	check(3, 4);
}
END_TEST

START_TEST(rules_that_are_taken_away_and_given_again_begin_anew)
{
	struct lifecycle_rule rule = {.is_enabled = true, .days = 3};
	put("a", "text", 1);
	set_rules(&rule, 1);
	pass_days(1);
	set_rules(NULL, 0);
	pass_days(10);
	put("b", "text", 1);
	check(2, 2);
	set_rules(&rule, 1);
	pass_days(1);
	ck_assert(!is_there("a") && is_there("b"));
	pass_days(4);
	ck_assert(!is_there("b"));
}
END_TEST

START_TEST(a_versioned_key_gets_a_marker_then_its_versions_go_then_the_marker)
{
	set_versioning(BUCKET_ENABLED);
	put("a", "text", 1);
	put("a", "text", 1);
	set_rule((struct lifecycle_rule){.days = 2, .old_days = 3});
	pass_days(3);
	check(0, 3); /* both, and a marker */
	pass_days(1);
	check(0, 2); /* the first was old as long as the second was there */
	pass_days(3);
	pass_days(3);
	check(0, 0);
}
END_TEST

START_TEST(the_newest_old_versions_are_kept)
{
	set_versioning(BUCKET_ENABLED);
	for (int i = 0; i < 10; i++)
		put("a", "text", 1);
	set_rule((struct lifecycle_rule){.old_days = 1, .old_keep = 3});
	pass_days(3);
	check(1, 4);
	put("a", "text", 1);
	pass_days(3);
	check(1, 4);
}
END_TEST

START_TEST(a_marker_that_is_alone_goes)
{
	set_versioning(BUCKET_ENABLED);
	struct command_result first = put("a", "text", 1);
	delete_key("a");
	put("b", "text", 1);
	set_rule((struct lifecycle_rule){.removes_markers = true});
	pass_days(5);
	check(1, 3);
	struct command_delete item = {.key = bytes_of("a"), .version = first.version};
	ck_assert_uint_eq(delete_one(&item).code, COMMAND_OK);
	pass_days(1);
	check(1, 1);
}
END_TEST

START_TEST(a_locked_version_outlives_every_rule)
{
	set_versioning(BUCKET_ENABLED);
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_LOCK;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	command = put_command("a", "text", 1);
	command.object_put.attributes.retention = RETENTION_GOVERNANCE;
	command.object_put.attributes.retain_until_ms = rig.log.time_ms + 20 * DAY_MS;
	rig_propose(&rig, &command);
	command = put_command("b", "text", 1);
	command.object_put.attributes.has_legal_hold = true;
	rig_propose(&rig, &command);
	delete_key("a");
	delete_key("b");
	set_rule((struct lifecycle_rule){.old_days = 1});
	pass_days(10);
	check(0, 4);
}
END_TEST

START_TEST(a_tag_that_comes_late_counts)
{
	struct command_result done = put_with_tag("a", "keep", "no");
	uint8_t tags[64];
	size_t len = 0;
	ck_assert_ok(metadata_append(tags, sizeof tags, &len, bytes_of("keep"), bytes_of("yes")));
	set_rule((struct lifecycle_rule){.days = 2, .tags = bytes_make(tags, len)});
	pass_days(5);
	check(1, 1);
	struct command command = {.type = COMMAND_OBJECT_UPDATE};
	command.object_update = (struct command_object_update){.bucket = bucket,
		.key = bytes_of("a"),
		.version = done.version,
		.set = OBJECT_SET_TAGS,
		.tags = bytes_make(tags, len)};
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	pass_days(1);
	check(0, 0);
}
END_TEST

START_TEST(from_a_date_on_everything_goes)
{
	put("a", "text", 1);
	set_rule((struct lifecycle_rule){.date_ms = rig.log.time_ms + 5 * DAY_MS});
	pass_days(4);
	put("b", "text", 1);
	check(2, 2);
	pass_days(2);
	check(0, 0);
	put("c", "text", 1);
	pass_days(1);
	check(0, 0);
}
END_TEST

START_TEST(an_upload_that_nobody_completes_is_aborted)
{
	struct command command = {.type = COMMAND_UPLOAD_CREATE};
	command.upload_create.bucket = bucket;
	command.upload_create.key = bytes_of("a");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	set_rule((struct lifecycle_rule){.abort_days = 2});
	pass_days(1);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	check_counts(0, 0, 0, 2);
	pass_days(2);
	check_counts(0, 0, 0, 1);
	pass_days(1);
	check_counts(0, 0, 0, 0);
}
END_TEST

START_TEST(uploads_that_no_rule_is_for_are_not_read)
{
	char name[16];
	const char *const others[] = {"a", "logs", "mm", "tmq", "z"};
	struct command command = {.type = COMMAND_UPLOAD_CREATE};
	command.upload_create.bucket = bucket;
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%s%d", others[i % 5], i);
		command.upload_create.key = bytes_of(name);
		ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	}
	const char *const ours[] = {"logs/", "logs/1", "tmp/", "tmp/x", "tmp/x"};
	for (int i = 0; i < 5; i++) {
		command.upload_create.key = bytes_of(ours[i]);
		ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	}
	struct lifecycle_rule rules[] = {
		{.is_enabled = true, .prefix = bytes_of("tmp/"), .abort_days = 2},
		{.is_enabled = true, .prefix = bytes_of("logs/"), .abort_days = 2},
	};
	set_rules(rules, ARRAY_COUNT(rules));
	pass_days(1);
	ck_assert_uint_eq(expirer.counters.filled, 5);
	ck_assert_uint_le(expirer.counters.uploads, 5 + 2 * (ARRAY_COUNT(rules) + 1));
	pass_days(2);
	check_counts(0, 0, 0, 300);
}
END_TEST

START_TEST(a_bucket_that_goes_leaves_no_events)
{
	put("a", "text", 1);
	set_rule((struct lifecycle_rule){.days = 50});
	pass_days(1);
	delete_key("a");
	ck_assert(has_rows(TABLE_EVENT));
	struct command command = {.type = COMMAND_BUCKET_DELETE};
	command.bucket_delete.bucket = bucket;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	pass_days(1);
	ck_assert(!has_rows(TABLE_EVENT));
}
END_TEST

START_TEST(much_is_done_in_many_commands_and_again_by_the_next)
{
	char name[16];
	set_versioning(BUCKET_ENABLED);
	for (int i = 0; i < 700; i++) {
		snprintf(name, sizeof name, "%d", i % 350);
		put(name, "text", 1);
	}
	set_rule((struct lifecycle_rule){.days = 2, .old_days = 2});
	rig_pass(&rig, 3); /* in the middle of something */
	end();
	begin();
	pass_days(1);
	end();
	begin();
	pass_days(4);
	pass_days(4);
	pass_days(4);
	check(0, 0);
	ck_assert(!has_rows(TABLE_EVENT));
}
END_TEST

START_TEST(nothing_goes_before_it_is_due_in_cluster_time)
{
	struct lifecycle_rule rule = {.is_enabled = true, .days = 3};
	struct command_result done = put("a", "text", 1);
	set_rules(&rule, 1);
	pass_days(1);
	uint8_t list[64];
	struct fields_out out = {.data = list, .cap = sizeof list};
	command_expire_append(&out,
		&(struct command_expire_item){.kind = EXPIRE_CURRENT,
			.key = bytes_of("a"),
			.version = done.version,
			.due_ms = rig.log.time_ms + 2});
	struct row_bucket row;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_bucket_get(rig.reader, bucket, &row));
	index_view_end(rig.reader);
	struct command command = {.type = COMMAND_EXPIRE};
	command.expire = (struct command_expire){
		.bucket = bucket, .watched = row.watched, .items = bytes_make(list, out.len)};
	ck_assert_uint_eq(rig_propose(&rig, &command).count, 0);
	ck_assert(is_there("a"));
	command.expire.watched ^= 2;
	rig.log.time_ms += 100;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_STALE);
	command.expire.watched ^= 2;
	ck_assert_uint_eq(rig_propose(&rig, &command).count, 1);
	ck_assert(!is_there("a"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("expire");
	TCase *rules = tcase_create("rules");
	tcase_add_test(rules, days_end_at_midnight);
	tcase_add_test(rules, a_rule_is_for_what_fits_all_of_its_filter);
	tcase_add_test(rules, rules_that_are_damaged_are_refused);
	suite_add_tcase(suite, rules);
	TCase *work = tcase_create("work");
	tcase_add_checked_fixture(work, set_up, tear_down);
	tcase_add_test(work, what_is_old_enough_goes_and_the_rest_stays);
	tcase_add_test(work, nothing_is_read_twice_or_written_in_vain);
	tcase_add_test(work, what_no_rule_is_for_is_not_filed);
	tcase_add_test(work, a_bucket_without_rules_has_no_events);
	tcase_add_test(work, rules_that_are_taken_away_and_given_again_begin_anew);
	tcase_add_test(work, a_versioned_key_gets_a_marker_then_its_versions_go_then_the_marker);
	tcase_add_test(work, the_newest_old_versions_are_kept);
	tcase_add_test(work, a_marker_that_is_alone_goes);
	tcase_add_test(work, a_locked_version_outlives_every_rule);
	tcase_add_test(work, a_tag_that_comes_late_counts);
	tcase_add_test(work, from_a_date_on_everything_goes);
	tcase_add_test(work, an_upload_that_nobody_completes_is_aborted);
	tcase_add_test(work, uploads_that_no_rule_is_for_are_not_read);
	tcase_add_test(work, a_bucket_that_goes_leaves_no_events);
	tcase_add_test(work, much_is_done_in_many_commands_and_again_by_the_next);
	tcase_add_test(work, nothing_goes_before_it_is_due_in_cluster_time);
	suite_add_tcase(suite, work);
	return test_run(suite);
}
