/* SPDX-License-Identifier: Apache-2.0 */
/* Notices: rules, and what commands leave in the queues of webhooks. */
#include "storage/meta/notice.h"

#include <stdio.h>

#include "tests/lib/index_make.h"
#include "tests/lib/test.h"

#define CREATED \
	(1u << NOTICE_CREATED_PUT | 1u << NOTICE_CREATED_COPY | 1u << NOTICE_CREATED_COMPLETE)
#define REMOVED (1u << NOTICE_REMOVED_DELETE | 1u << NOTICE_REMOVED_MARKER)

static uint8_t config[ROW_CONFIG_LEN_MAX];

static struct notice_rule rule_of(const char *target, uint32_t events, const char *prefix)
{
	return (struct notice_rule){.id = bytes_of("rule"),
		.form = NOTICE_QUEUE,
		.target = bytes_of(target),
		.arn = bytes_of("arn"),
		.events = events,
		.has_prefix = true,
		.prefix = bytes_of(prefix)};
}

static void notify(const struct notice_rule *rules, size_t count)
{
	struct fields_out out = {.data = config, .cap = sizeof config};
	struct command command = {.type = COMMAND_BUCKET_NOTIFY};
	notice_begin(&out);
	for (size_t i = 0; i < count; i++)
		notice_append(&out, &rules[i]);
	command.bucket_notify.bucket = bucket;
	command.bucket_notify.config = bytes_make(config, count > 0 ? out.len : 0);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}

static void notify_one(const char *target, uint32_t events, const char *prefix)
{
	struct notice_rule rule = rule_of(target, events, prefix);
	notify(&rule, 1);
}

/* The notices that wait for a webhook, in their order: "event key " of each. */
static const char *queue_of(const char *target)
{
	static char text[1024];
	struct index_notice notice = {.place = {0, 0}};
	struct row_notice_queue queue = {0};
	size_t len = 0, count = 0;
	text[0] = '\0';
	ck_assert_ok(index_view_begin(rig.reader));
	while (index_notice_next(rig.reader, bytes_of(target), notice.place, &notice) == ERR_OK) {
		len += snprintf(text + len, sizeof text - len, "%u %.*s ", notice.row.event,
			(int)notice.row.key.len, (const char *)notice.row.key.data);
		count++;
	}
	err_ignore(index_notice_queue(rig.reader, bytes_of(target), &queue)); /* none: 0 */
	index_view_end(rig.reader);
	ck_assert_uint_eq(queue.count, count);
	return text;
}

static struct index_notice first_of(const char *target)
{
	static uint8_t key[ROW_KEY_LEN_MAX];
	struct index_notice notice;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(
		index_notice_next(rig.reader, bytes_of(target), (struct version_id){0}, &notice));
	memcpy(key, notice.row.key.data, notice.row.key.len);
	index_view_end(rig.reader);
	return notice;
}

static uint64_t done(const char *target, struct version_id place)
{
	struct command command = {.type = COMMAND_NOTICE_DONE};
	command.notice_done = (struct command_notice_done){
		.target = bytes_of(target), .place = place};
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result.count;
}

static void tear_down(void)
{
	check_hash();
	rig_teardown();
}

/* --- rules ------------------------------------------------------------------------------------ */

START_TEST(rules_that_share_an_event_and_a_key_overlap)
{
	struct notice_rule a = rule_of("a", CREATED, "logs/"), b = rule_of("b", CREATED, "logs/x");
	ck_assert(notice_overlaps(&a, &b));
	ck_assert(notice_overlaps(&b, &a));
	b.events = REMOVED;
	ck_assert(!notice_overlaps(&a, &b));
	b.events = CREATED;
	b.prefix = bytes_of("other/");
	ck_assert(!notice_overlaps(&a, &b));
	b.prefix = a.prefix;
	a.suffix = bytes_of(".jpg");
	ck_assert(notice_overlaps(&a, &b));
	b.suffix = bytes_of(".png");
	ck_assert(!notice_overlaps(&a, &b));
}
END_TEST

START_TEST(rules_that_are_damaged_tell_nothing)
{
	struct notice_rule rule;
	ck_assert_uint_eq(notice_events_of(bytes_make(NULL, 0)), 0);
	ck_assert_uint_eq(notice_events_of(bytes_of("\2x")), 0);
	ck_assert_uint_eq(notice_events_of(bytes_of("\1\7x")), 0);
	ck_assert(!notice_find(bytes_of("\1\7x"), NOTICE_CREATED_PUT, bytes_of("k"), &rule));
}
END_TEST

/* --- what commands leave ---------------------------------------------------------------------- */

START_TEST(a_bucket_that_tells_nothing_leaves_no_rows)
{
	put("a", "x", 1);
	delete_key("a");
	notify_one("hook", CREATED, "");
	notify(NULL, 0);
	put("b", "x", 1);
	ck_assert(!has_rows(TABLE_NOTICE));
	ck_assert(!has_rows(TABLE_NOTICE_QUEUE));
}
END_TEST

START_TEST(what_happens_is_queued_in_its_order)
{
	struct object_info source;
	notify_one("hook", CREATED | REMOVED, "");
	put("a", "x", 1);
	ck_assert_ok(find("a", &source));
	struct command copy = copy_command("a", &source, "b");
	ck_assert_uint_eq(rig_code(&rig, &copy), COMMAND_OK);
	put("a", "y", 2);
	delete_key("a");
	delete_key("a");
	delete_key("nothing");
	ck_assert_str_eq(queue_of("hook"), "0 a 2 b 0 a 4 a ");
	ck_assert_str_eq(queue_of("other"), "");
}
END_TEST

START_TEST(a_notice_knows_the_version_and_who)
{
	struct command command = put_command("a", "text", 7);
	command.object_put.origin = bytes_of("somebody");
	set_versioning(BUCKET_ENABLED);
	notify_one("hook", CREATED, "");
	struct command_result result = rig_propose(&rig, &command);
	struct index_notice notice = first_of("hook");
	ck_assert(version_id_is_equal(notice.row.version, result.version));
	ck_assert_uint_eq(notice.row.len, 4);
	ck_assert_uint_eq(notice.row.time_ms, result.time_ms);
	ck_assert(notice.row.has_body && !notice.row.is_null);
	struct etag etag = etag_of(7);
	ck_assert(etag_is_equal(&notice.row.etag, &etag));
}
END_TEST

START_TEST(removals_of_versions_and_markers_are_told)
{
	set_versioning(BUCKET_ENABLED);
	notify_one("hook", REMOVED, "");
	struct command_result made = put("a", "x", 1);
	struct command_result marker = delete_key("a");
	delete_one(&(struct command_delete){.key = bytes_of("a"), .version = made.version});
	delete_one(&(struct command_delete){.key = bytes_of("a"), .version = marker.version});
	delete_one(&(struct command_delete){.key = bytes_of("a"), .version = marker.version});
	ck_assert_str_eq(queue_of("hook"), "5 a 4 a 4 a ");
}
END_TEST

START_TEST(a_command_that_is_refused_is_not_told)
{
	struct command command = put_command("a", "x", 1);
	notify_one("hook", CREATED | REMOVED, "");
	put("a", "x", 1);
	command.object_put.conditions.if_none_match_any = true;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_PRECONDITION);
	ck_assert_str_eq(queue_of("hook"), "0 a ");
}
END_TEST

START_TEST(each_rule_has_its_filter_and_its_queue)
{
	struct notice_rule rules[2] = {
		rule_of("images", CREATED, "images/"), rule_of("logs", CREATED, "logs/")};
	rules[0].has_suffix = true;
	rules[0].suffix = bytes_of(".jpg");
	notify(rules, 2);
	put("images/1.jpg", "x", 1);
	put("images/1.png", "x", 1);
	put("logs/1", "x", 1);
	put("1.jpg", "x", 1);
	delete_key("logs/1");
	ck_assert_str_eq(queue_of("images"), "0 images/1.jpg ");
	ck_assert_str_eq(queue_of("logs"), "0 logs/1 ");
}
END_TEST

START_TEST(tags_that_change_are_told)
{
	static uint8_t tags[64];
	size_t len = 0;
	struct object_info object;
	notify_one("hook", 1u << NOTICE_TAGS_PUT | 1u << NOTICE_TAGS_DELETE, "");
	put("a", "x", 1);
	ck_assert_ok(find("a", &object));
	ck_assert_ok(metadata_append(tags, sizeof tags, &len, bytes_of("k"), bytes_of("v")));
	struct command command = {.type = COMMAND_OBJECT_UPDATE};
	command.object_update.bucket = bucket;
	command.object_update.key = bytes_of("a");
	command.object_update.version = object.version;
	command.object_update.set = OBJECT_SET_TAGS;
	command.object_update.tags = bytes_make(tags, len);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	command.object_update.tags.len = 0;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_str_eq(queue_of("hook"), "8 a 9 a ");
}
END_TEST

START_TEST(what_was_told_goes_up_to_its_place)
{
	notify_one("hook", CREATED, "");
	put("a", "x", 1);
	struct version_id first = first_of("hook").place;
	put("b", "x", 1);
	ck_assert_uint_eq(done("other", (struct version_id){UINT64_MAX, UINT32_MAX}), 0);
	ck_assert_uint_eq(done("hook", first), 0);
	ck_assert_str_eq(queue_of("hook"), "0 b ");
	ck_assert_uint_eq(done("hook", first), 0);
	ck_assert_str_eq(queue_of("hook"), "0 b ");
	ck_assert_uint_eq(done("hook", first_of("hook").place), 0);
	ck_assert(!has_rows(TABLE_NOTICE));
	ck_assert(!has_rows(TABLE_NOTICE_QUEUE));
}
END_TEST

START_TEST(notices_are_done_in_steps)
{
	char key[16];
	notify_one("hook", CREATED, "");
	for (unsigned i = 0; i < COMMAND_NOTICE_STEP + 1; i++) {
		snprintf(key, sizeof key, "%u", i);
		put(key, "x", 1);
	}
	struct version_id end = {UINT64_MAX, UINT32_MAX};
	ck_assert_uint_eq(done("hook", end), 1);
	ck_assert_str_eq(queue_of("hook"), "0 400 ");
	ck_assert_uint_eq(done("hook", end), 0);
	ck_assert_str_eq(queue_of("hook"), "");
}
END_TEST

static uint64_t count_of(uint64_t *ret_dropped)
{
	struct row_notice_queue queue;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_notice_queue(rig.reader, bytes_of("hook"), &queue));
	index_view_end(rig.reader);
	*ret_dropped = queue.dropped;
	return queue.count;
}

START_TEST(a_full_queue_counts_what_it_drops)
{
	static uint8_t list[4096];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	uint64_t dropped;
	set_versioning(BUCKET_ENABLED);
	notify_one("hook", REMOVED, "");
	for (unsigned i = 0; i < 100; i++)
		command_delete_append(&out, &(struct command_delete){.key = bytes_of("a")});
	command.object_delete.bucket = bucket;
	command.object_delete.deletes = bytes_make(list, out.len);
	for (unsigned i = 0; i <= NOTICE_QUEUE_MAX / 100; i++)
		ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(count_of(&dropped), NOTICE_QUEUE_MAX);
	ck_assert_uint_eq(dropped, 100);
	done("hook", first_of("hook").place);
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
	ck_assert_uint_eq(count_of(&dropped), NOTICE_QUEUE_MAX);
	ck_assert_uint_eq(dropped, 199);
}
END_TEST

START_TEST(a_configuration_without_an_event_is_refused)
{
	struct command command = {.type = COMMAND_BUCKET_NOTIFY};
	command.bucket_notify.bucket = bucket;
	command.bucket_notify.config = bytes_of("\1\7x");
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_REFUSED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notices");
	TCase *tcase = tcase_create("notices");
	tcase_add_checked_fixture(tcase, rig_setup, tear_down);
	tcase_add_test(tcase, rules_that_share_an_event_and_a_key_overlap);
	tcase_add_test(tcase, rules_that_are_damaged_tell_nothing);
	tcase_add_test(tcase, a_bucket_that_tells_nothing_leaves_no_rows);
	tcase_add_test(tcase, what_happens_is_queued_in_its_order);
	tcase_add_test(tcase, a_notice_knows_the_version_and_who);
	tcase_add_test(tcase, removals_of_versions_and_markers_are_told);
	tcase_add_test(tcase, a_command_that_is_refused_is_not_told);
	tcase_add_test(tcase, each_rule_has_its_filter_and_its_queue);
	tcase_add_test(tcase, tags_that_change_are_told);
	tcase_add_test(tcase, what_was_told_goes_up_to_its_place);
	tcase_add_test(tcase, notices_are_done_in_steps);
	tcase_add_test(tcase, a_full_queue_counts_what_it_drops);
	tcase_add_test(tcase, a_configuration_without_an_event_is_refused);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
