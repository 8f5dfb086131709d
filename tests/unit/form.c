/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/form.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/form_file.h"
#include "gateway/form_policy.h"
#include "tests/lib/test.h"

#define TYPE "multipart/form-data; boundary=xyz"
#define PART(name) "--xyz\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FILE_PART \
	"--xyz\r\ncontent-disposition:form-data;filename=\"a\\b/c.txt\"; NAME=file\r\n" \
	"Content-Type: text/plain\r\n\r\n"

static struct form form;
static uint8_t body[256 << 10];
static size_t body_len;

static void begin(const char *type)
{
	ck_assert_int_eq(form_init(&form, bytes_of(type)), S3_OK);
	body_len = 0;
}

static void add(const void *data, size_t len)
{
	ck_assert_uint_le(len, sizeof body - body_len);
	memcpy(body + body_len, data, len);
	body_len += len;
}

static void add_text(const char *text)
{
	add(text, strlen(text));
}

static bool field_is(const char *name, const char *value)
{
	struct bytes found;
	return form_find(&form, name, &found) && bytes_is_text(found, value);
}

START_TEST(fields_are_the_same_at_every_split)
{
	/* clang-format off */
	static const char text[] =
		"preamble\r\n"
		PART("Key") "a\r\nb\r\n"
		PART("empty") "\r\n"
		"--xyz  \t\r\nX-Other: 1\r\nContent-Disposition: form-data; name=last\r\n\r\n"
		"\r\n--xy\r\n"
		FILE_PART "data\r\n--xyz--\r\n";
	/* clang-format on */
	for (size_t first = 0; first < sizeof text; first++) {
		for (size_t second = first; second < sizeof text; second += 7) {
			const size_t ends[] = {first, second, sizeof text - 1};
			enum form_progress progress = FORM_MORE;
			begin(TYPE);
			add_text(text);
			for (size_t i = 0; i < 3 && progress == FORM_MORE; i++)
				progress = form_feed(&form, body, ends[i]);
			ck_assert_int_eq(progress, FORM_FILE);
			ck_assert_uint_eq(form.field_count, 3);
			ck_assert(field_is("key", "a\r\nb"));
			ck_assert(field_is("empty", ""));
			ck_assert(field_is("last", "\r\n--xy"));
			ck_assert(bytes_is_text(form.file_name, "c.txt"));
			ck_assert_mem_eq(body + form.file_at, "data\r\n", 6);
		}
	}
}
END_TEST

static enum form_progress feed_text(const char *text)
{
	begin(TYPE);
	add_text(text);
	return form_feed(&form, body, body_len);
}

START_TEST(what_is_no_form_is_told_apart)
{
	static const struct {
		const char *type;
		enum s3_code code;
	} types[] = {
		{"text/plain", S3_PRECONDITION_FAILED},
		{"multipart/mixed; boundary=a", S3_PRECONDITION_FAILED},
		{"", S3_PRECONDITION_FAILED},
		{"multipart/form-data", S3_MALFORMED_POST_REQUEST},
		{"multipart/form-data; boundary=", S3_MALFORMED_POST_REQUEST},
		{"multipart/form-data; boundary=\"a", S3_MALFORMED_POST_REQUEST},
		{"multipart/form-data; boundary=\"a \"", S3_MALFORMED_POST_REQUEST},
		{"multipart/form-data; boundary=a\x01", S3_MALFORMED_POST_REQUEST},
		{"multipart/form-data; boundary="
		 "12345678901234567890123456789012345678901234567890123456789012345678901",
			S3_MALFORMED_POST_REQUEST},
		{"Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", S3_OK},
	};
	for (size_t i = 0; i < ARRAY_COUNT(types); i++)
		ck_assert_int_eq(form_init(&form, bytes_of(types[i].type)), types[i].code);
}
END_TEST

START_TEST(broken_forms_have_the_codes_of_s3)
{
	static const struct {
		const char *text;
		enum s3_code code;
	} forms[] = {
		{"--xyzz\r\n", S3_MALFORMED_POST_REQUEST},
		{"--xyz\r\n\r\n\r\n", S3_MALFORMED_POST_REQUEST},
		{"--xyz\r\nno colon\r\n\r\n", S3_MALFORMED_POST_REQUEST},
		{"--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\n",
			S3_MALFORMED_POST_REQUEST},
		{"--xyz\r\nContent-Disposition: form-data; filename=a\r\n\r\n",
			S3_MALFORMED_POST_REQUEST},
		{"--xyz\r\nContent-Disposition: form-data; name=\"a\r\n\r\n",
			S3_MALFORMED_POST_REQUEST},
		{"--xyz\r\nContent-Disposition: form-data; name=a\r\n"
		 "Content-Transfer-Encoding: base64\r\n\r\n",
			S3_NOT_IMPLEMENTED},
		{PART("a") "x\r\n" PART("A") "y\r\n--xyz\r\n", S3_INVALID_ARGUMENT},
	};
	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		ck_assert_msg(feed_text(forms[i].text) == FORM_BAD, "%s", forms[i].text);
		ck_assert_msg(form.code == forms[i].code, "%s: %s", forms[i].text,
			s3_error_code(form.code));
	}
	ck_assert_int_eq(feed_text(PART("a") "x\r\n--xyz--"), FORM_END);
}
END_TEST

START_TEST(what_is_before_the_file_is_bounded)
{
	static uint8_t filler[FORM_HEAD_LEN_MAX + 1];
	memset(filler, 'x', sizeof filler);

	begin(TYPE); /* one field */
	add_text(PART("abc"));
	add(filler, FORM_FIELDS_LEN_MAX - 3);
	add_text("\r\n" FILE_PART);
	ck_assert_int_eq(form_feed(&form, body, body_len), FORM_FILE);
	begin(TYPE);
	add_text(PART("abc"));
	add(filler, FORM_FIELDS_LEN_MAX - 2);
	add_text("\r\n" FILE_PART);
	ck_assert_int_eq(form_feed(&form, body, body_len), FORM_BAD);
	ck_assert_int_eq(form.code, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED);

	begin(TYPE); /* a preamble that does not end */
	add(filler, FORM_HEAD_LEN_MAX);
	ck_assert_int_eq(form_feed(&form, body, body_len), FORM_MORE);
	add("x", 1);
	ck_assert_int_eq(form_feed(&form, body, body_len), FORM_BAD);
	ck_assert_int_eq(form.code, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED);

	begin(TYPE); /* headers that do not end */
	add_text("--xyz\r\n");
	add(filler, FORM_PART_HEAD_LEN_MAX + 4);
	ck_assert_int_eq(form_feed(&form, body, body_len), FORM_BAD);

	begin(TYPE); /* many fields */
	for (int i = 0; i <= FORM_FIELDS_MAX; i++) {
		char text[80];
		snprintf(text, sizeof text,
			"%s--xyz\r\nContent-Disposition: form-data; name=%d\r\n\r\n",
			i > 0 ? "\r\n" : "", i);
		add_text(text);
	}
	ck_assert_int_eq(form_feed(&form, body, body_len), FORM_MORE);
	ck_assert_uint_eq(form.field_count, FORM_FIELDS_MAX);
	add_text("\r\n--xyz");
	ck_assert_int_eq(form_feed(&form, body, body_len), FORM_BAD);
	ck_assert_int_eq(form.code, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED);
}
END_TEST

/* --- the file --------------------------------------------------------------------------------- */

/* An exchange whose body comes in pieces. */
static struct exchange exchange;
static size_t taken_len, piece_len;
static bool is_turn;

static enum err read_piece(struct exchange *x, uint8_t *buf, size_t cap, size_t *ret_len)
{
	(void)x;
	is_turn = !is_turn;
	if (is_turn)
		return ERR_BUSY;
	size_t len = body_len - taken_len;
	if (len == 0)
		return ERR_END;
	if (len > piece_len)
		len = piece_len;
	if (len > cap)
		len = cap;
	memcpy(buf, body + taken_len, len);
	taken_len += len;
	*ret_len = len;
	return ERR_OK;
}

/* Reads the file of the form in body, in pieces; S3_OK with it in ret_data, or why not. */
static enum s3_code read_file(uint8_t *ret_data, size_t *ret_len)
{
	static const struct exchange_ops ops = {.read = read_piece};
	static uint8_t head[FORM_HEAD_LEN_MAX + 4096], tail[FORM_SHORT_LEN_MAX];
	struct form_file file;
	struct s3_error_detail detail = {0};
	enum s3_code code = S3_OK;
	enum err err;
	size_t len = 0, more;

	exchange = (struct exchange){.ops = &ops, .has_body_len = true, .body_len = body_len};
	taken_len = 0;
	*ret_len = 0;
	ck_assert_int_eq(form_init(&form, bytes_of(TYPE)), S3_OK);
	do {
		while ((err = exchange_read(&exchange, head + len, 4096, &more)) == ERR_BUSY)
			;
		ck_assert_int_eq(err, ERR_OK);
		len += more;
	} while (form_feed(&form, head, len) == FORM_MORE);
	ck_assert_int_eq(form.step, FORM_IN_FILE);
	form_file_init(
		&file, &exchange, &form, bytes_make(head + form.file_at, len - form.file_at), tail);
	for (;;) {
		if (!file.is_end_known && file.given_len == file.sure_len) {
			err = form_file_end(&file, &detail, &code);
		} else {
			err = form_file_read(&file, ret_data + *ret_len, piece_len, &more, &code);
			if (err == ERR_OK)
				*ret_len += more;
		}
		if (err == ERR_END)
			return S3_OK;
		if (err != ERR_OK && err != ERR_BUSY)
			return code;
	}
}

static uint8_t data[128 << 10], got[256 << 10];

/* A form with `len` bytes of data and what follows it. */
static void make_file(size_t len, const char *tail)
{
	body_len = 0;
	add_text(PART("key") "k\r\n" FILE_PART);
	add(data, len);
	add_text(tail);
}

static void fill_data(void)
{
	uint64_t state = 1;
	test_random_fill(&state, data, sizeof data);
	/* What nearly is a delimiter. */
	for (size_t i = 0; i + 16 < sizeof data; i += 97)
		memcpy(data + i, "\r\n--xy\r\n--xy-\r\n-", 16);
}

START_TEST(a_file_comes_back_at_every_split)
{
	static const char *const tails[] = {"\r\n--xyz--\r\n", "\r\n--xyz--", "\r\n--xyz--epilogue",
		"\r\n" PART("submit") "Upload\r\n--xyz--\r\n"};
	static const size_t lens[] = {
		0, 1, 200, FORM_TAIL_LEN_MAX, FORM_SHORT_LEN_MAX - 12, FORM_SHORT_LEN_MAX, 50000};
	size_t len;
	fill_data();
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		for (size_t j = 0; j < ARRAY_COUNT(tails); j++) {
			make_file(lens[i], tails[j]);
			for (piece_len = lens[i] < 1000 ? 1 : 997; piece_len < 1300; piece_len++) {
				ck_assert_int_eq(read_file(got, &len), S3_OK);
				ck_assert_uint_eq(len, lens[i]);
				ck_assert(len == 0 || memcmp(got, data, len) == 0);
			}
		}
	}
}
END_TEST

START_TEST(a_long_file_is_right_around_the_bound)
{
	size_t len;
	fill_data();
	piece_len = 4096;
	for (size_t file_len = FORM_SHORT_LEN_MAX - 40; file_len < FORM_SHORT_LEN_MAX + 40;
		file_len++) {
		make_file(file_len, "\r\n--xyz--\r\n");
		ck_assert_int_eq(read_file(got, &len), S3_OK);
		ck_assert_uint_eq(len, file_len);
		ck_assert_mem_eq(got, data, len);
	}
}
END_TEST

START_TEST(a_second_file_is_refused_wherever_it_begins)
{
	size_t len;
	fill_data();
	/* A second file, whose delimiter is at every place around the bound of the tail. */
	for (size_t second = FORM_TAIL_LEN_MAX - 200; second < FORM_TAIL_LEN_MAX + 50; second++) {
		for (piece_len = 5; piece_len < 5000; piece_len = piece_len * 3 + 1) {
			make_file(30000, "\r\n" FILE_PART);
			add(data, second);
			add_text("\r\n--xyz--\r\n");
			ck_assert_int_eq(read_file(got, &len), S3_INCORRECT_NUMBER_OF_FILES);
			ck_assert_uint_lt(len, 30000 + form.delimiter_len);
		}
	}
}
END_TEST

START_TEST(a_file_without_an_end_is_refused)
{
	static const char *const tails[] = {"", "\r\n--xyz", "\r\n--xyz-", "\r\n--xy--\r\n",
		"\r\n--xyz\r\nx", "\r\n" PART("a")};
	static const size_t lens[] = {100, 60000};
	size_t len;
	fill_data();
	piece_len = 1000;
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		for (size_t j = 0; j < ARRAY_COUNT(tails); j++) {
			make_file(lens[i], tails[j]);
			ck_assert_int_eq(read_file(got, &len), S3_MALFORMED_POST_REQUEST);
		}
	}
}
END_TEST

/* --- policies --------------------------------------------------------------------------------- */

static struct form_policy policy;

static enum s3_code weigh(const char *text)
{
	ck_assert_int_eq(feed_text(PART("key") "dir/k\r\n" PART("X-Amz-Meta-A") "b\r\n" PART(
				 "policy") "p\r\n" PART("x-ignore-z") "z\r\n" FILE_PART),
		FORM_FILE);
	policy = (struct form_policy){
		.form = &form,
		.bucket = bytes_of("bkt"),
		.key = bytes_of("dir/k"),
		.now_ms = 1000,
	};
	return form_policy_check(&policy, bytes_of(text));
}

#define POLICY(conditions) \
	"{\"expiration\": \"1970-01-01T00:00:02Z\", \"conditions\": [" conditions "]}"
#define KEY "[\"starts-with\", \"$key\", \"dir/\"]"
#define META "{\"x-amz-meta-a\": \"b\"}"

START_TEST(every_field_is_covered_and_every_condition_holds)
{
	ck_assert_int_eq(weigh(POLICY(KEY "," META)), S3_OK);
	ck_assert_int_eq(weigh(POLICY(KEY "," META ",{\"bucket\": \"bkt\"}")), S3_OK);
	ck_assert_int_eq(weigh(POLICY(KEY)), S3_ACCESS_DENIED);
	ck_assert_str_eq(
		policy.message, "Invalid according to Policy: Extra input fields: x-amz-meta-a");
	ck_assert_int_eq(weigh(POLICY(META)), S3_ACCESS_DENIED);
	ck_assert_int_eq(weigh(POLICY(KEY "," META ",{\"bucket\": \"other\"}")), S3_ACCESS_DENIED);
	ck_assert_str_eq(policy.message,
		"Invalid according to Policy: Policy Condition failed: {\"bucket\": \"other\"}");
	ck_assert_int_eq(weigh(POLICY(KEY "," META ",{\"acl\": \"\"}")), S3_ACCESS_DENIED);
	ck_assert_int_eq(
		weigh(POLICY(KEY "," META ",[\"eq\", \"$key\", \"dir\"]")), S3_ACCESS_DENIED);
}
END_TEST

START_TEST(a_policy_that_is_none_is_told_so)
{
	static const char *const broken[] = {"", "{", "[]", "\"\"", "{}",
		"{\"expiration\": \"x\", \"conditions\": []}",
		"{\"expiration\": 1, \"conditions\": []}",
		"{\"expiration\": \"1970-01-01T00:00:02Z\"}", POLICY("{}"), POLICY("1"),
		POLICY("[]"), POLICY("[\"eq\", \"key\", \"x\"]"), POLICY("[\"eq\", \"$key\"]"),
		POLICY("[\"eq\", \"$key\", 1]"), POLICY("{\"key\": 1}"),
		POLICY("{\"key\": \"a\", \"acl\": \"b\"}"), POLICY("[\"content-length-range\", 1]"),
		POLICY("[\"content-length-range\", -1, 2]"),
		POLICY("[\"content-length-range\", 1, \"x\"]"),
		POLICY("[\"ends-with\", \"$key\", \"\"]")};
	for (size_t i = 0; i < ARRAY_COUNT(broken); i++)
		ck_assert_msg(weigh(broken[i]) == S3_INVALID_POLICY_DOCUMENT, "%s", broken[i]);
}
END_TEST

START_TEST(a_policy_expires_and_bounds_the_length)
{
	ck_assert_int_eq(weigh("{\"expiration\": \"1970-01-01T00:00:01Z\", \"conditions\": []}"),
		S3_ACCESS_DENIED);
	ck_assert_str_eq(policy.message, "Invalid according to Policy: Policy expired.");
	ck_assert_int_eq(weigh(POLICY(KEY "," META ",[\"content-length-range\", 1, \"9\"],"
					  "[\"content-length-range\", 2, 20]")),
		S3_OK);
	ck_assert_uint_eq(policy.len_min, 2);
	ck_assert_uint_eq(policy.len_max, 9);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("form");
	TCase *tc = tcase_create("form");
	tcase_add_test(tc, fields_are_the_same_at_every_split);
	tcase_add_test(tc, what_is_no_form_is_told_apart);
	tcase_add_test(tc, broken_forms_have_the_codes_of_s3);
	tcase_add_test(tc, what_is_before_the_file_is_bounded);
	tcase_add_test(tc, a_file_comes_back_at_every_split);
	tcase_add_test(tc, a_long_file_is_right_around_the_bound);
	tcase_add_test(tc, a_second_file_is_refused_wherever_it_begins);
	tcase_add_test(tc, a_file_without_an_end_is_refused);
	tcase_add_test(tc, every_field_is_covered_and_every_condition_holds);
	tcase_add_test(tc, a_policy_that_is_none_is_told_so);
	tcase_add_test(tc, a_policy_expires_and_bounds_the_length);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
