/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/s3_error.h"

#include "tests/lib/test.h"

static uint8_t buf[2048];

static struct bytes format(
	enum s3_code code, const struct s3_error_detail *detail, const char *resource)
{
	struct text_out out;
	text_out_init(&out, buf, sizeof buf);
	s3_error_format(&out, code, detail, bytes_of(resource), bytes_of("4442587FB7D0A2F9"),
		bytes_of("host"));
	ck_assert(!out.overflowed);
	return text_out_bytes(&out);
}

START_TEST(every_code_has_a_name_a_status_and_a_message)
{
	for (int code = S3_OK + 1; code < S3_CODE_COUNT; code++) {
		ck_assert_uint_gt(strlen(s3_error_code(code)), 3);
		ck_assert_uint_gt(strlen(s3_error_message(code)), 3);
		ck_assert_uint_ge(s3_error_status(code), 300);
		ck_assert_uint_lt(s3_error_status(code), 600);
		for (int other = S3_OK + 1; other < code; other++)
			ck_assert_str_ne(s3_error_code(code), s3_error_code(other));
	}
}
END_TEST

START_TEST(the_document_has_the_elements_of_s3_in_order)
{
	struct s3_error_detail detail;
	s3_error_detail_init(&detail);
	s3_error_add(&detail, "BucketName", bytes_of("a<b"));
	s3_error_add_uint(&detail, "Size", 1025);
	ck_assert(bytes_is_text(format(S3_NO_SUCH_BUCKET, &detail, "/a&b"),
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchBucket</Code>"
		"<Message>The specified bucket does not exist</Message><BucketName>a&lt;b</"
		"BucketName>"
		"<Size>1025</Size><Resource>/a&amp;b</"
		"Resource><RequestId>4442587FB7D0A2F9</RequestId>"
		"<HostId>host</HostId></Error>"));
	ck_assert(bytes_is_text(format(S3_ACCESS_DENIED, NULL, ""),
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>"
		"<Message>Access Denied</Message><RequestId>4442587FB7D0A2F9</RequestId>"
		"<HostId>host</HostId></Error>"));
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced)
{
	struct s3_error_detail detail;
	s3_error_detail_init(&detail);
	detail.message = "Special.";
	s3_error_add_copy(&detail, "ArgumentValue", bytes_make("a\xff\xc3", 3));
	struct bytes text = format(S3_INVALID_ARGUMENT, &detail, "");
	ck_assert_ptr_nonnull(memmem(text.data, text.len, "<Message>Special.</Message>", 27));
	ck_assert_ptr_nonnull(memmem(text.data, text.len, ">a\xef\xbf\xbd\xef\xbf\xbd<", 9));
}
END_TEST

START_TEST(more_details_than_there_is_room_for_are_cut)
{
	struct s3_error_detail detail;
	s3_error_detail_init(&detail);
	uint8_t value[300];
	memset(value, 'x', sizeof value);
	for (int i = 0; i < S3_ERROR_FIELDS_MAX + 3; i++)
		s3_error_add_copy(&detail, "X", bytes_make(value, sizeof value));
	ck_assert_uint_eq(detail.field_count, S3_ERROR_FIELDS_MAX);
	ck_assert_uint_eq(detail.fields[0].value.len, 300);
	ck_assert_uint_eq(detail.fields[1].value.len, S3_ERROR_TEXT_MAX - 300);
	ck_assert_uint_eq(detail.fields[2].value.len, 0);
}
END_TEST

START_TEST(our_errors_become_those_of_s3)
{
	ck_assert_int_eq(s3_error_from_err(ERR_NOT_FOUND, S3_NO_SUCH_UPLOAD), S3_NO_SUCH_UPLOAD);
	ck_assert_int_eq(
		s3_error_from_err(ERR_PRECONDITION, S3_NO_SUCH_KEY), S3_PRECONDITION_FAILED);
	ck_assert_int_eq(s3_error_from_err(ERR_NO_SPACE, S3_NO_SUCH_KEY), S3_STORAGE_FULL);
	for (int err = ERR_OK + 1; err < ERR_COUNT; err++)
		ck_assert_int_ne(s3_error_from_err(err, S3_NO_SUCH_KEY), S3_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("s3_error");
	TCase *tc = tcase_create("s3_error");
	tcase_add_test(tc, every_code_has_a_name_a_status_and_a_message);
	tcase_add_test(tc, the_document_has_the_elements_of_s3_in_order);
	tcase_add_test(tc, bytes_that_are_not_utf8_are_replaced);
	tcase_add_test(tc, more_details_than_there_is_room_for_are_cut);
	tcase_add_test(tc, our_errors_become_those_of_s3);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
