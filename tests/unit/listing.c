/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/listing.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

enum { ROWS_MAX = 64, TEXT_MAX = 12 };

/* Rows in memory, in order. */
struct row {
	uint8_t key[TEXT_MAX];
	size_t key_len;
	char sub[3]; /* "" where rows are keys */
};

struct rows {
	struct listing_cursor cursor;
	struct row rows[ROWS_MAX];
	size_t count;
	size_t at;
	size_t seek_count, next_count;
	size_t fail_at; /* the step that fails with ERR_IO; 0: none */
};

static struct rows rows;
static struct listing listing;
static struct listing_item item;

static struct bytes key_of(const struct row *row)
{
	return bytes_make(row->key, row->key_len);
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = bytes_compare(key_of(x), key_of(y));
	return order != 0 ? order : strcmp(x->sub, y->sub);
}

static enum err arrive(size_t at)
{
	rows.at = at;
	if (rows.fail_at > 0 && rows.seek_count + rows.next_count == rows.fail_at)
		return ERR_IO;
	if (at >= rows.count)
		return ERR_NOT_FOUND;
	rows.cursor.key = key_of(&rows.rows[at]);
	rows.cursor.sub = bytes_of(rows.rows[at].sub);
	return ERR_OK;
}

static enum err seek(struct listing_cursor *cursor, struct bytes key)
{
	ck_assert_ptr_eq(cursor, &rows.cursor);
	size_t at = 0;
	while (at < rows.count && bytes_compare(key_of(&rows.rows[at]), key) < 0)
		at++;
	rows.seek_count++;
	return arrive(at);
}

static enum err seek_after(struct listing_cursor *cursor, struct bytes key, struct bytes sub)
{
	struct row row = {.key_len = key.len};
	(void)cursor;
	ck_assert_uint_le(key.len, sizeof row.key);
	memcpy(row.key, key.data, key.len);
	memcpy(row.sub, sub.data, sub.len);
	size_t at = 0;
	while (at < rows.count && compare_rows(&rows.rows[at], &row) <= 0)
		at++;
	rows.seek_count++;
	return arrive(at);
}

static enum err next(struct listing_cursor *cursor)
{
	(void)cursor;
	rows.next_count++;
	return arrive(rows.at + 1);
}

static void clear_rows(void)
{
	memset(&rows, 0, sizeof rows);
	rows.cursor.seek = seek;
	rows.cursor.seek_after = seek_after;
	rows.cursor.next = next;
}

static void load(const char *const *keys, size_t count)
{
	clear_rows();
	for (size_t i = 0; i < count; i++) {
		rows.rows[i].key_len = strlen(keys[i]);
		memcpy(rows.rows[i].key, keys[i], rows.rows[i].key_len);
	}
	rows.count = count;
	qsort(rows.rows, count, sizeof rows.rows[0], compare_rows);
}

/* Checks a page against the items in `expected`, joined by spaces, prefixes in brackets. */
static void check_page(const char *expected)
{
	char text[512] = "";
	struct text_out out;
	enum err err;
	text_out_init(&out, text, sizeof text - 1);
	while ((err = listing_next(&listing, &item)) == ERR_OK) {
		text_put_text(&out, out.len > 0 ? " " : "");
		text_put_text(&out, item.is_prefix ? "[" : "");
		text_put_bytes(&out, item.key);
		if (item.sub.len > 0)
			text_put_char(&out, '#');
		text_put_bytes(&out, item.sub);
		text_put_text(&out, item.is_prefix ? "]" : "");
	}
	text[out.len] = 0;
	ck_assert_int_eq(err, ERR_END);
	ck_assert_str_eq(text, expected);
	ck_assert_int_eq(listing_next(&listing, &item), ERR_END);
}

static void start(const char *prefix, const char *delimiter, const char *after, uint32_t count_max)
{
	listing_init(&listing, &rows.cursor, bytes_of(prefix), bytes_of(delimiter), count_max);
	listing_after_key(&listing, bytes_of(after));
}

static const char *const some[] = {"a", "a-b", "a/b", "a/c", "a0", "b/", "b/x", "c"};

START_TEST(keys_are_in_the_order_of_their_bytes)
{
	load(some, ARRAY_COUNT(some));
	start("", "", "", 1000);
	check_page("a a-b a/b a/c a0 b/ b/x c");
	ck_assert(!listing.is_truncated);
}
END_TEST

START_TEST(common_prefixes_are_merged_into_the_same_order)
{
	load(some, ARRAY_COUNT(some));
	start("", "/", "", 1000);
	check_page("a a-b [a/] a0 [b/] c");
	start("a", "/", "", 1000);
	check_page("a a-b [a/] a0");
	start("b/", "/", "", 1000);
	check_page("b/ b/x");
	start("a", "-b", "", 1000);
	check_page("a [a-b] a/b a/c a0");
	start("zz", "/", "", 1000);
	check_page("");
}
END_TEST

START_TEST(a_page_says_if_there_is_another_item)
{
	load(some, ARRAY_COUNT(some));
	start("", "/", "", 3);
	check_page("a a-b [a/]");
	ck_assert(listing.is_truncated);
	ck_assert(bytes_is_text(listing_last_key(&listing), "a/"));
	start("", "/", "a/", 3);
	check_page("a0 [b/] c");
	ck_assert(!listing.is_truncated);
	start("", "/", "", 0);
	check_page("");
	ck_assert(!listing.is_truncated);
	start("b/", "", "", 2);
	check_page("b/ b/x");
	ck_assert(!listing.is_truncated);
}
END_TEST

START_TEST(a_marker_may_lie_anywhere)
{
	load(some, ARRAY_COUNT(some));
	start("a/", "", "0", 9);
	check_page("a/b a/c");
	start("a/", "", "a/bb", 9);
	check_page("a/c");
	start("a/", "", "b", 9);
	check_page("");
	start("", "/", "a/b", 9);
	check_page("a0 [b/] c");
	start("", "/", "a.", 9);
	check_page("[a/] a0 [b/] c");
	start("", "", "a/", 9);
	check_page("a/b a/c a0 b/ b/x c");
}
END_TEST

START_TEST(what_a_prefix_covers_is_passed_over_by_one_seek)
{
	const char *keys[50];
	char text[50][16];
	for (int i = 0; i < 50; i++) {
		snprintf(text[i], sizeof text[i], "%d/%02d", i / 25, i % 25);
		keys[i] = text[i];
	}
	load(keys, 50);
	start("", "/", "", 1000);
	check_page("[0/] [1/]");
	ck_assert_uint_le(rows.seek_count, 3);
	ck_assert_uint_eq(rows.next_count, 0);
}
END_TEST

START_TEST(versions_of_a_key_continue_behind_their_marker)
{
	static const char *const keys[] = {"a", "a", "b", "b", "b", "c/d"};
	load(keys, ARRAY_COUNT(keys));
	for (size_t i = 0; i < rows.count; i++)
		rows.rows[i].sub[0] = '1' + i;
	listing_init(&listing, &rows.cursor, bytes_of(""), bytes_of("/"), 3);
	check_page("a#1 a#2 b#3");
	ck_assert(listing.is_truncated);
	ck_assert(bytes_is_text(listing_last_key(&listing), "b"));
	ck_assert(bytes_is_text(listing_last_sub(&listing), "3"));

	listing_init(&listing, &rows.cursor, bytes_of(""), bytes_of("/"), 9);
	listing_after_row(&listing, bytes_of("b"), bytes_of("3"));
	check_page("b#4 b#5 [c/]");
	ck_assert_uint_eq(listing_last_sub(&listing).len, 0);
	listing_init(&listing, &rows.cursor, bytes_of(""), bytes_of("/"), 9);
	listing_after_key(&listing, bytes_of("b"));
	check_page("[c/]");
	listing_init(&listing, &rows.cursor, bytes_of(""), bytes_of(""), 9);
	listing_after_row(&listing, bytes_of(""), bytes_of("3"));
	check_page("a#1 a#2 b#3 b#4 b#5 c/d#6");
}
END_TEST

/* --- the model: all items, then a cut -------------------------------------------------------- */

struct model_item {
	struct bytes key;
	bool is_prefix;
};

static size_t model(
	struct bytes prefix, struct bytes delimiter, struct bytes marker, struct model_item *items)
{
	size_t count = 0;
	for (size_t i = 0; i < rows.count; i++) {
		struct model_item now = {key_of(&rows.rows[i]), false};
		if (!bytes_has_prefix(now.key, prefix))
			continue;
		for (size_t at = prefix.len; delimiter.len > 0 && at < now.key.len; at++) {
			if (!bytes_has_prefix(bytes_from(now.key, at), delimiter))
				continue;
			now = (struct model_item){
				bytes_make(now.key.data, at + delimiter.len), true};
			break;
		}
		bool is_repeated = now.is_prefix && count > 0 && items[count - 1].is_prefix &&
			bytes_is_equal(items[count - 1].key, now.key);
		if (!is_repeated && bytes_compare(now.key, marker) > 0)
			items[count++] = now;
	}
	return count;
}

static struct bytes random_text(uint64_t *seed, uint8_t *buf, size_t len_max)
{
	size_t len = test_random(seed) % (len_max + 1);
	for (size_t i = 0; i < len; i++)
		buf[i] = "ab//-\xff"[test_random(seed) % 6];
	return bytes_make(buf, len);
}

static void load_random(uint64_t *seed)
{
	clear_rows();
	rows.count = test_random(seed) % ROWS_MAX;
	for (size_t i = 0; i < rows.count; i++) {
		struct bytes text = random_text(seed, rows.rows[i].key, 6);
		rows.rows[i].key_len = text.len > 0 ? text.len : 1;
		if (text.len == 0)
			rows.rows[i].key[0] = 'a';
	}
	qsort(rows.rows, rows.count, sizeof rows.rows[0], compare_rows);
	size_t kept = 0;
	for (size_t i = 0; i < rows.count; i++) {
		if (kept == 0 || compare_rows(&rows.rows[kept - 1], &rows.rows[i]) != 0)
			rows.rows[kept++] = rows.rows[i];
	}
	rows.count = kept;
}

START_TEST(pages_of_random_rows_agree_with_the_model)
{
	uint64_t seed = 17;
	for (int round = 0; round < 5000; round++) {
		uint8_t prefix_buf[2], delimiter_buf[2], marker_buf[4], last[URI_KEY_LEN_MAX];
		struct model_item items[ROWS_MAX];
		load_random(&seed);
		struct bytes prefix = random_text(&seed, prefix_buf, 2);
		struct bytes delimiter = random_text(&seed, delimiter_buf, 2);
		struct bytes marker = random_text(&seed, marker_buf, 4);
		size_t count = model(prefix, delimiter, marker, items);
		uint32_t count_max = 1 + test_random(&seed) % 5;
		size_t seen = 0;
		do {
			listing_init(&listing, &rows.cursor, prefix, delimiter, count_max);
			listing_after_key(&listing, marker);
			enum err err;
			while ((err = listing_next(&listing, &item)) == ERR_OK) {
				ck_assert_uint_lt(seen, count);
				ck_assert(bytes_is_equal(item.key, items[seen].key));
				ck_assert_int_eq(item.is_prefix, items[seen].is_prefix);
				seen++;
				if (test_random(&seed) % 3 == 0)
					listing_pause(&listing);
			}
			ck_assert_int_eq(err, ERR_END);
			ck_assert_int_eq(listing.is_truncated, seen < count);
			marker = listing_last_key(&listing);
			memcpy(last, marker.data, marker.len);
			marker.data = last;
		} while (listing.is_truncated);
		ck_assert_uint_eq(seen, count);
	}
}
END_TEST

START_TEST(an_error_of_the_cursor_ends_the_listing)
{
	for (size_t n = 1;; n++) {
		load(some, ARRAY_COUNT(some));
		rows.fail_at = n;
		start("", "/", "", 1000);
		enum err err;
		while ((err = listing_next(&listing, &item)) == ERR_OK)
			continue;
		if (err == ERR_END) {
			ck_assert_uint_gt(n, 6);
			return;
		}
		ck_assert_int_eq(err, ERR_IO);
	}
}
END_TEST

/* --- tokens and counts ----------------------------------------------------------------------- */

START_TEST(tokens_give_the_key_back)
{
	uint64_t seed = 2;
	uint8_t key[URI_KEY_LEN_MAX], token[LISTING_TOKEN_LEN_MAX], buf[URI_KEY_LEN_MAX];
	for (size_t len = 1; len <= sizeof key; len++) {
		struct bytes result;
		test_random_fill(&seed, key, len);
		size_t token_len = listing_token_encode(bytes_make(key, len), token);
		for (size_t i = 0; i < token_len; i++)
			ck_assert(uri_is_unreserved(token[i]));
		ck_assert_ok(listing_token_decode(bytes_make(token, token_len), buf, &result));
		ck_assert(bytes_is_equal(result, bytes_make(key, len)));
	}
}
END_TEST

START_TEST(garbage_is_no_token_but_the_empty_one_is_the_start)
{
	static const char *const bad[] = {
		"a", "abc", "AQ==", "AQBh", "-", "AQBhAAAAAAA", "\xff", " "};
	uint8_t token[LISTING_TOKEN_LEN_MAX + 1], buf[URI_KEY_LEN_MAX];
	struct bytes result;
	ck_assert_ok(listing_token_decode(bytes_of(""), buf, &result));
	ck_assert_uint_eq(result.len, 0);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert_err(listing_token_decode(bytes_of(bad[i]), buf, &result), ERR_INVALID);

	size_t len = listing_token_encode(bytes_of("some/key"), token);
	for (size_t i = 0; i < len; i++) {
		uint8_t before = token[i];
		token[i] = before == 'A' ? 'B' : 'A';
		ck_assert_err(
			listing_token_decode(bytes_make(token, len), buf, &result), ERR_INVALID);
		token[i] = before;
		ck_assert_err(listing_token_decode(bytes_make(token, i ? i : 1), buf, &result),
			ERR_INVALID);
	}
	memset(token, 'A', sizeof token);
	ck_assert_err(
		listing_token_decode(bytes_make(token, sizeof token), buf, &result), ERR_INVALID);
}
END_TEST

START_TEST(counts_are_numbers_capped_at_1000)
{
	static const struct {
		const char *text;
		uint32_t count;
	} good[] = {{"0", 0}, {"1", 1}, {"1000", 1000}, {"1001", 1000}, {"2147483647", 1000},
		{"-0", 0}};
	static const char *const bad[] = {"", "-", "a", "1a", "-1a", " 1", "--1", "2147483648",
		"-2147483649", "99999999999999999999", "18446744073709551617"};
	struct s3_error_detail detail;
	uint32_t count;
	s3_error_detail_init(&detail);
	ck_assert_int_eq(
		listing_parse_count("max-keys", (struct bytes){NULL, 0}, &count, &detail), S3_OK);
	ck_assert_uint_eq(count, 1000);
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		ck_assert_int_eq(
			listing_parse_count("max-keys", bytes_of(good[i].text), &count, &detail),
			S3_OK);
		ck_assert_uint_eq(count, good[i].count);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		s3_error_detail_init(&detail);
		ck_assert_int_eq(listing_parse_count("max-keys", bytes_of(bad[i]), &count, &detail),
			S3_INVALID_ARGUMENT);
		ck_assert(bytes_is_text(detail.fields[0].value, "max-keys"));
		ck_assert(bytes_is_text(detail.fields[1].value, bad[i]));
	}
}
END_TEST

START_TEST(a_negative_count_has_words_of_its_own)
{
	static const char *const names[][2] = {{"max-keys", "maxKeys"}, {"max-parts", "max-parts"},
		{"max-uploads", "max-uploads"}};
	static const char *const bad[] = {"-1", "-2147483648"};
	for (size_t i = 0; i < ARRAY_COUNT(names) * ARRAY_COUNT(bad); i++) {
		struct s3_error_detail detail;
		char message[80];
		uint32_t count;
		const char *const *name = names[i / ARRAY_COUNT(bad)];
		s3_error_detail_init(&detail);
		ck_assert_int_eq(listing_parse_count(name[0], bytes_of(bad[i % ARRAY_COUNT(bad)]),
					 &count, &detail),
			S3_INVALID_ARGUMENT);
		ck_assert(bytes_is_text(detail.fields[0].value, name[1]));
		snprintf(message, sizeof message,
			"Argument %s must be an integer between 0 and 2147483647", name[1]);
		ck_assert_str_eq(detail.message, message);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("listing");
	TCase *tc = tcase_create("listing");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, keys_are_in_the_order_of_their_bytes);
	tcase_add_test(tc, common_prefixes_are_merged_into_the_same_order);
	tcase_add_test(tc, a_page_says_if_there_is_another_item);
	tcase_add_test(tc, a_marker_may_lie_anywhere);
	tcase_add_test(tc, what_a_prefix_covers_is_passed_over_by_one_seek);
	tcase_add_test(tc, versions_of_a_key_continue_behind_their_marker);
	tcase_add_test(tc, pages_of_random_rows_agree_with_the_model);
	tcase_add_test(tc, an_error_of_the_cursor_ends_the_listing);
	tcase_add_test(tc, tokens_give_the_key_back);
	tcase_add_test(tc, garbage_is_no_token_but_the_empty_one_is_the_start);
	tcase_add_test(tc, counts_are_numbers_capped_at_1000);
	tcase_add_test(tc, a_negative_count_has_words_of_its_own);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
