/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/text_out.h"

#include "tests/lib/test.h"

struct collected {
	char text[256];
	size_t len;
	size_t flush_count;
};

static void collect(struct text_out *out)
{
	struct collected *collected = out->context;
	ck_assert_uint_le(collected->len + out->len, sizeof collected->text);
	memcpy(collected->text + collected->len, out->buf, out->len);
	collected->len += out->len;
	collected->flush_count++;
}

START_TEST(what_does_not_fit_is_dropped_and_told)
{
	char buf[4];
	struct text_out out;
	text_out_init(&out, buf, sizeof buf);
	text_put_text(&out, "abc");
	ck_assert(!out.overflowed);
	text_put_text(&out, "de");
	text_put_text(&out, "f");
	ck_assert(out.overflowed);
	ck_assert(bytes_is_text(text_out_bytes(&out), "abc"));
}
END_TEST

START_TEST(a_row_that_did_not_fit_can_be_taken_back)
{
	char buf[4];
	struct text_out out;
	text_out_init(&out, buf, sizeof buf);
	text_put_text(&out, "ab");
	size_t before = out.len;
	text_put_text(&out, "c");
	text_put_text(&out, "de");
	text_out_rewind(&out, before);
	text_put_text(&out, "xy");
	ck_assert(!out.overflowed);
	ck_assert(bytes_is_text(text_out_bytes(&out), "abxy"));
}
END_TEST

START_TEST(with_flush_any_length_goes_through_a_small_buffer)
{
	char buf[7];
	struct collected collected = {.len = 0};
	struct text_out out;
	text_out_init(&out, buf, sizeof buf);
	out.flush = collect;
	out.context = &collected;
	text_put_text(&out, "abc");
	text_put_text(&out, "the quick brown fox");
	text_put_uint(&out, UINT64_MAX);
	text_put_uint(&out, 0);
	text_put_hex(&out, bytes_make("\x00\xaf", 2));
	text_out_flush(&out);
	ck_assert(!out.overflowed);
	ck_assert_uint_gt(collected.flush_count, 5);
	ck_assert(bytes_is_text(bytes_make(collected.text, collected.len),
		"abcthe quick brown fox18446744073709551615000af"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text_out");
	TCase *tc = tcase_create("text_out");
	tcase_add_test(tc, what_does_not_fit_is_dropped_and_told);
	tcase_add_test(tc, a_row_that_did_not_fit_can_be_taken_back);
	tcase_add_test(tc, with_flush_any_length_goes_through_a_small_buffer);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
