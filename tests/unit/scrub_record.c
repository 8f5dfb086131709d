/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a scrub, what is wanted of it, and what menders tell each other. */
#include "storage/repair/scrub_record.h"

#include <string.h>

#include "server/background.h"
#include "storage/repair/steering.h"
#include "tests/lib/test.h"

static const struct scrub_counts counts = {
	.shards = 7, .bytes = UINT64_MAX, .bad = 3, .mended = 2, .missing = 1, .unread = 4};

static struct scrub_record read_back(const struct scrub_record *record)
{
	char text[SCRUB_RECORD_LEN_MAX];
	struct scrub_record got;
	scrub_record_format(record, text);
	scrub_record_parse(bytes_of(text), &got);
	return got;
}

static void check_same(const struct scrub_record *got, const struct scrub_record *record)
{
	ck_assert(got->is_there);
	ck_assert(extent_id_is_equal(got->at, record->at));
	ck_assert_uint_eq(got->ended_ms, record->ended_ms);
	ck_assert_uint_eq(got->task, record->task);
	ck_assert_uint_eq(got->began_ms, record->began_ms);
	ck_assert_mem_eq(&got->counts, &record->counts, sizeof record->counts);
}

START_TEST(a_record_reads_as_it_was_written)
{
	struct scrub_record record = {
		.at = {0xabcdef0123456789, UINT64_MAX}, .task = 9, .began_ms = 5, .counts = counts};
	struct scrub_record got = read_back(&record);
	check_same(&got, &record);
	record.at = (struct extent_id){0, 0};
	record.ended_ms = 1795290222030;
	got = read_back(&record);
	check_same(&got, &record);
}
END_TEST

START_TEST(what_is_no_record_is_not_there)
{
	static const char *const texts[] = {"", "{", "{}", "{\"ended_ms\":5}", "{\"at\":\"1/2\"}",
		"{\"ended_ms\":5,\"task\":1,\"began_ms\":2}", ",\"task\":1"};
	struct scrub_record record = {.at = {1, 2}, .counts = counts}, got;
	char text[SCRUB_RECORD_LEN_MAX];
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		scrub_record_parse(bytes_of(texts[i]), &got);
		ck_assert_msg(!got.is_there, "%s", texts[i]);
	}
	scrub_record_format(&record, text);
	for (size_t len = 0; len + 1 < strlen(text); len++) {
		scrub_record_parse(bytes_make((uint8_t *)text, len), &got);
		ck_assert(!got.is_there);
	}
}
END_TEST

START_TEST(a_verdict_is_as_bad_as_what_could_not_be_mended)
{
	ck_assert_str_eq(scrub_counts_verdict(&(struct scrub_counts){.shards = 1}), "clean");
	ck_assert_str_eq(
		scrub_counts_verdict(&(struct scrub_counts){.bad = 2, .mended = 2}), "mended");
	ck_assert_str_eq(scrub_counts_verdict(&(struct scrub_counts){.missing = 1}), "mended");
	ck_assert_str_eq(
		scrub_counts_verdict(&(struct scrub_counts){.bad = 2, .mended = 1}), "damaged");
	ck_assert_str_eq(scrub_counts_verdict(&(struct scrub_counts){.unread = 1}), "damaged");
}
END_TEST

START_TEST(a_task_of_a_scrub_is_known_by_its_name)
{
	static const char *const none[] = {
		"", "scrubs", "scrub.", "scrub.0", "scrub.x", "scrub.1x", "scrub.65536", "repair"};
	uint16_t drive = 7;
	ck_assert(steering_is_scrub(bytes_of("scrub"), &drive));
	ck_assert_uint_eq(drive, 0);
	ck_assert(steering_is_scrub(bytes_of("scrub.65535"), &drive));
	ck_assert_uint_eq(drive, 65535);
	for (size_t i = 0; i < ARRAY_COUNT(none); i++)
		ck_assert_msg(!steering_is_scrub(bytes_of(none[i]), &drive), "%s", none[i]);
}
END_TEST

START_TEST(what_a_mender_tells_is_understood_and_so_is_what_an_older_one_did)
{
	uint8_t buf[BACKGROUND_LEN];
	struct mender_status status = {.is_responsible = true,
		.task = MENDER_BLOCKED,
		.blocked = 5,
		.scrub_now = {.drive = 3, .pass = {.task = 8, .counts = counts}, .used = 77}};
	struct mender_status got;
	for (unsigned work = 0; work < BOOK_WORKS; work++)
		status.works[work] = (struct mender_work){
			.id = work + 1, .bytes_left = 1000 + work, .bytes_per_second = 50 + work};
	size_t len = background_encode(&status, buf);
	ck_assert_uint_le(len, sizeof buf);
	background_decode(bytes_make(buf, len), &got);
	ck_assert(got.is_responsible && got.task == MENDER_BLOCKED && !got.is_paused);
	ck_assert_uint_eq(got.scrub_now.drive, 3);
	ck_assert_mem_eq(&got.scrub_now.pass.counts, &counts, sizeof counts);
	ck_assert_mem_eq(got.works, status.works, sizeof got.works);
	background_decode(bytes_make(buf, 7 * 8 + 3), &got);
	ck_assert(got.is_responsible && got.blocked == 5 && got.works[0].id == 0);
	memset(buf, 0xff, sizeof buf);
	background_decode(bytes_make(buf, len), &got);
	ck_assert_int_eq(got.task, MENDER_NOTHING);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scrub_record");
	TCase *tc = tcase_create("scrub_record");
	tcase_add_test(tc, a_record_reads_as_it_was_written);
	tcase_add_test(tc, what_is_no_record_is_not_there);
	tcase_add_test(tc, a_verdict_is_as_bad_as_what_could_not_be_mended);
	tcase_add_test(tc, a_task_of_a_scrub_is_known_by_its_name);
	tcase_add_test(tc, what_a_mender_tells_is_understood_and_so_is_what_an_older_one_did);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
