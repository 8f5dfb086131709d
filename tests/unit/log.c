/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/log_format.h"

#include "storage/meta/consensus.h"
#include "tests/lib/test.h"

/* The bytes of the log. What it does with them is in tests/sim/log.c. */
static uint8_t buf[3 * LOG_BLOCK_LEN];

static struct log_frame make_frame(void)
{
	uint64_t random = 1;
	struct log_frame frame = {
		.log_id = 0x1111,
		.generation = 0x2222,
		.sequence = 0x3333,
		.offset = 0x4000,
		.low_generation = 0x5555,
		.previous_sum = 0x6666,
		.payload_len = 5000,
		.record_count = 7,
	};
	memset(buf, 0xee, sizeof buf);
	test_random_fill(&random, buf + LOG_FRAME_HEADER_LEN, frame.payload_len);
	log_frame_seal(buf, &frame);
	return frame;
}

START_TEST(a_frame_is_read_as_it_was_sealed)
{
	struct log_frame sealed = make_frame(), frame;
	ck_assert_ok(log_frame_decode(buf, &frame));
	ck_assert_uint_eq(frame.log_id, sealed.log_id);
	ck_assert_uint_eq(frame.generation, sealed.generation);
	ck_assert_uint_eq(frame.sequence, sealed.sequence);
	ck_assert_uint_eq(frame.offset, sealed.offset);
	ck_assert_uint_eq(frame.low_generation, sealed.low_generation);
	ck_assert_uint_eq(frame.previous_sum, sealed.previous_sum);
	ck_assert_uint_eq(frame.payload_sum, sealed.payload_sum);
	ck_assert_uint_eq(frame.payload_len, sealed.payload_len);
	ck_assert_uint_eq(frame.record_count, sealed.record_count);
	ck_assert_uint_eq(frame.sum, sealed.sum);
	ck_assert(log_frame_is_whole(&frame, buf + LOG_FRAME_HEADER_LEN));
}
END_TEST

START_TEST(a_frame_ends_in_zeros_up_to_its_block)
{
	struct log_frame frame = make_frame();
	size_t end = LOG_FRAME_HEADER_LEN + frame.payload_len, len = log_frame_len(5000);
	ck_assert_uint_eq(len, 2 * LOG_BLOCK_LEN);
	for (size_t i = end; i < len; i++)
		ck_assert_uint_eq(buf[i], 0);
	ck_assert_uint_eq(buf[len], 0xee);
}
END_TEST

START_TEST(any_bit_of_a_header_counts)
{
	struct log_frame frame;
	make_frame();
	for (size_t bit = 0; bit < 8 * LOG_FRAME_HEADER_LEN; bit++) {
		buf[bit / 8] ^= 1 << bit % 8;
		ck_assert_err(log_frame_decode(buf, &frame), ERR_NOT_FOUND);
		buf[bit / 8] ^= 1 << bit % 8;
	}
	ck_assert_ok(log_frame_decode(buf, &frame));
}
END_TEST

START_TEST(any_bit_of_a_payload_counts)
{
	struct log_frame frame = make_frame();
	uint8_t *payload = buf + LOG_FRAME_HEADER_LEN;
	for (size_t bit = 0; bit < 8 * (size_t)frame.payload_len; bit += 5) {
		payload[bit / 8] ^= 1 << bit % 8;
		ck_assert(!log_frame_is_whole(&frame, payload));
		payload[bit / 8] ^= 1 << bit % 8;
	}
}
END_TEST

/* The format is final: these are its bytes. */
START_TEST(the_bytes_of_a_frame_are_those_of_version_1)
{
	make_frame();
	ck_assert_mem_eq(buf, "rubuslog\x11\x11\0\0\0\0\0\0\x22\x22\0\0\0\0\0\0\x33\x33", 26);
	ck_assert_uint_eq(get_le64(buf + 32), 0x4000);
	ck_assert_uint_eq(get_le64(buf + 40), 0x5555);
	ck_assert_uint_eq(get_le64(buf + 48), 0x6666);
	ck_assert_uint_eq(get_le64(buf + 56), 0x54b7e8c1461a6195u);
	ck_assert_uint_eq(get_le32(buf + 64), 5000);
	ck_assert_uint_eq(get_le32(buf + 68), 7);
	ck_assert_uint_eq(get_le32(buf + 72), 1);
	ck_assert_uint_eq(get_le64(buf + 88), 0x428eaa4c390abf34u);
}
END_TEST

START_TEST(records_are_read_in_the_order_they_were_written)
{
	struct log_record records[] = {
		{LOG_SEGMENT, 1, 2, bytes_make("123456781234567812345678", 24)},
		{LOG_ENTRY, 3, 4, bytes_make("hello", 5)},
		{LOG_VOTE, 5, 6, {NULL, 0}},
		{LOG_TRUNCATE, 7, 8, {NULL, 0}},
		{LOG_SNAPSHOT, UINT64_MAX, UINT64_MAX, {NULL, 0}},
	};
	size_t len = 0;
	memset(buf, 0xee, sizeof buf);
	for (size_t i = 0; i < ARRAY_COUNT(records); i++) {
		uint8_t *body = log_record_encode(buf + len, &records[i]);
		if (records[i].body.len > 0)
			memcpy(body, records[i].body.data, records[i].body.len);
		len += log_record_len(records[i].body.len);
	}
	struct bytes payload = bytes_make(buf, len);
	for (size_t i = 0; i < ARRAY_COUNT(records); i++) {
		struct log_record record;
		ck_assert_ok(log_record_decode(&payload, &record));
		ck_assert_uint_eq(record.type, records[i].type);
		ck_assert_uint_eq(record.index, records[i].index);
		ck_assert_uint_eq(record.term, records[i].term);
		ck_assert(bytes_is_equal(record.body, records[i].body));
	}
	struct log_record record;
	ck_assert_err(log_record_decode(&payload, &record), ERR_END);
}
END_TEST

START_TEST(a_record_cut_off_is_refused)
{
	struct log_record record = {LOG_ENTRY, 1, 1, bytes_make("0123456789", 10)};
	memcpy(log_record_encode(buf, &record), "0123456789", 10);
	for (size_t len = 1; len < log_record_len(10); len++) {
		struct bytes payload = bytes_make(buf, len);
		ck_assert_err(log_record_decode(&payload, &record), ERR_CORRUPT);
	}
}
END_TEST

START_TEST(a_group_is_read_as_it_was_written)
{
	struct group_command commands[GROUP_COMMANDS_MAX];
	struct group group;
	group_encode_header(buf, GROUP_COMMANDS, 1234567890123, 2);
	group_encode_command_head(buf + 16, 3, 7, 8);
	memcpy(buf + 40, "abc", 3);
	group_encode_command_head(buf + 43, 0, 9, 10);
	ck_assert_ok(group_decode(bytes_make(buf, 67), commands, &group));
	ck_assert_uint_eq(group.time_ms, 1234567890123);
	ck_assert_uint_eq(group.count, 2);
	ck_assert(bytes_is_text(group.commands[0].bytes, "abc"));
	ck_assert_uint_eq(group.commands[0].origin, 7);
	ck_assert_uint_eq(group.commands[0].number, 8);
	ck_assert_uint_eq(group.commands[1].bytes.len, 0);
	ck_assert_uint_eq(group.commands[1].number, 10);
	for (size_t len = 0; len < 67; len++)
		ck_assert_err(group_decode(bytes_make(buf, len), commands, &group), ERR_CORRUPT);
	ck_assert_err(group_decode(bytes_make(buf, 68), commands, &group), ERR_CORRUPT);
	buf[0] = 2;
	ck_assert_err(group_decode(bytes_make(buf, 67), commands, &group), ERR_VERSION);
}
END_TEST

START_TEST(a_group_of_members_has_no_commands)
{
	struct group_command commands[GROUP_COMMANDS_MAX];
	struct group group;
	group_encode_header(buf, GROUP_BARRIER, 5, 0);
	ck_assert_ok(group_decode(bytes_make(buf, 16), commands, &group));
	ck_assert_uint_eq(group.time_ms, 5);
	ck_assert_err(group_decode(bytes_make(buf, 17), commands, &group), ERR_CORRUPT);
	group_encode_header(buf, GROUP_CHANGE, 5, 0);
	ck_assert_ok(group_decode(bytes_make(buf, 17), commands, &group));
	ck_assert_uint_eq(group.count, 0);
	group_encode_header(buf, GROUP_CHANGE, 5, 1);
	ck_assert_err(group_decode(bytes_make(buf, 40), commands, &group), ERR_CORRUPT);
	buf[1] = GROUP_CHANGE + 1;
	ck_assert_err(group_decode(bytes_make(buf, 16), commands, &group), ERR_VERSION);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("format");
	tcase_add_test(tcase, a_frame_is_read_as_it_was_sealed);
	tcase_add_test(tcase, a_frame_ends_in_zeros_up_to_its_block);
	tcase_add_test(tcase, any_bit_of_a_header_counts);
	tcase_add_test(tcase, any_bit_of_a_payload_counts);
	tcase_add_test(tcase, the_bytes_of_a_frame_are_those_of_version_1);
	tcase_add_test(tcase, records_are_read_in_the_order_they_were_written);
	tcase_add_test(tcase, a_record_cut_off_is_refused);
	tcase_add_test(tcase, a_group_is_read_as_it_was_written);
	tcase_add_test(tcase, a_group_of_members_has_no_commands);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
