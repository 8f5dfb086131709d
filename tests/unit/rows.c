/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/rows.h"

#include "storage/meta/fields.h"
#include "storage/meta/row_keys.h"
#include "tests/lib/test.h"

static uint8_t buf[ROW_LEN_MAX];

static struct row_version make_version(void)
{
	return (struct row_version){
		.is_null = true,
		.body = 0x1122334455667788,
		.len = 4096,
		.etag = {"0123456789abcde", 3},
		.time_ms = 1700000000123,
		.class = 2,
		.checksum_algorithm = CHECKSUM_CRC64NVME,
		.invocation = UINT64_MAX,
		.owner = bytes_of("someone"),
		.metadata = bytes_of("meta"),
		.tags = bytes_of("tags"),
		.retention = RETENTION_COMPLIANCE,
		.retain_until_ms = 5,
		.has_legal_hold = true,
	};
}

static void check_version(const struct row_version *got)
{
	struct row_version want = make_version();
	ck_assert(got->is_null && !got->is_delete_marker && got->has_legal_hold);
	ck_assert_uint_eq(got->body, want.body);
	ck_assert_uint_eq(got->len, want.len);
	ck_assert(etag_is_equal(&got->etag, &want.etag));
	ck_assert_uint_eq(got->time_ms, want.time_ms);
	ck_assert_uint_eq(got->class, want.class);
	ck_assert_uint_eq(got->checksum_algorithm, want.checksum_algorithm);
	ck_assert_uint_eq(got->invocation, want.invocation);
	ck_assert(bytes_is_equal(got->owner, want.owner));
	ck_assert(bytes_is_equal(got->metadata, want.metadata));
	ck_assert(bytes_is_equal(got->tags, want.tags));
	ck_assert_uint_eq(got->retention, want.retention);
	ck_assert_uint_eq(got->retain_until_ms, want.retain_until_ms);
}

START_TEST(a_version_reads_as_it_was_written)
{
	struct row_version row = make_version();
	struct row_version got;
	size_t len = row_version_encode(&row, buf);
	ck_assert_uint_le(len, ROW_VERSION_LEN_MAX);
	ck_assert_ok(row_version_decode(bytes_make(buf, len), &got));
	check_version(&got);
}
END_TEST

START_TEST(fields_of_a_newer_writer_are_skipped)
{
	struct row_version row = make_version();
	struct row_version got;
	size_t len = row_version_encode(&row, buf);
	/* Tag 200 with a value that looks like fields of ours, in front and behind. */
	static const uint8_t unknown[] = {200, 4, 1, 1, 0, 4};
	memmove(buf + 1 + sizeof unknown, buf + 1, len - 1);
	memcpy(buf + 1, unknown, sizeof unknown);
	memcpy(buf + len + sizeof unknown, unknown, sizeof unknown);
	ck_assert_ok(row_version_decode(bytes_make(buf, len + 2 * sizeof unknown), &got));
	check_version(&got);
}
END_TEST

START_TEST(a_newer_format_is_told_from_damage)
{
	struct row_version row = make_version();
	size_t len = row_version_encode(&row, buf);
	struct row_version got;
	buf[0] = ROW_FORMAT + 1;
	ck_assert_err(row_version_decode(bytes_make(buf, len), &got), ERR_VERSION);
	buf[0] = 0;
	ck_assert_err(row_version_decode(bytes_make(buf, len), &got), ERR_CORRUPT);
	ck_assert_err(row_version_decode(bytes_make(buf, 0), &got), ERR_CORRUPT);
}
END_TEST

START_TEST(a_row_cut_anywhere_is_read_or_refused)
{
	struct row_version row = make_version();
	struct row_version got;
	size_t len = row_version_encode(&row, buf);
	unsigned refused = 0;
	for (size_t cut = 1; cut < len; cut++)
		refused += row_version_decode(bytes_make(buf, cut), &got) == ERR_CORRUPT;
	ck_assert_uint_gt(refused, len / 2);
}
END_TEST

START_TEST(what_is_zero_takes_no_room)
{
	ck_assert_uint_eq(row_version_encode(&(struct row_version){0}, buf), 1);
	ck_assert_uint_eq(row_body_encode(&(struct row_body){0}, buf), 1);
	ck_assert_uint_eq(row_upload_encode(&(struct row_upload){0}, buf), 1);
}
END_TEST

/* Encoding what was decoded gives the same bytes, whatever the struct was. */
#define CHECK_STABLE(name, row_value) \
	do { \
		struct row_##name row = row_value, got; \
		static uint8_t again[ROW_LEN_MAX]; \
		size_t len = row_##name##_encode(&row, buf); \
		ck_assert_ok(row_##name##_decode(bytes_make(buf, len), &got)); \
		ck_assert_uint_eq(row_##name##_encode(&got, again), len); \
		ck_assert_mem_eq(buf, again, len); \
		ck_assert_uint_gt(len, 8); \
	} while (0)

#define ROW(name, ...) ((struct row_##name){__VA_ARGS__})

START_TEST(every_table_reads_as_it_was_written)
{
	struct bytes text = bytes_of("some bytes");
	struct checksum checksum = {CHECKSUM_SHA256, CHECKSUM_COMPOSITE, 32, {9, 8, 7}};
	CHECK_STABLE(bucket,
		ROW(bucket, .id = 1 << 20, .name = text, .owner = text,
			.versioning = BUCKET_SUSPENDED, .has_lock = true));
	CHECK_STABLE(bucket_counts, ROW(bucket_counts, 1, 2, UINT64_C(1) << 40, 4));
	CHECK_STABLE(overflow, ROW(overflow, text, text));
	CHECK_STABLE(body,
		ROW(body, .kind = BODY_EXTENTS, .refs = 3, .generation = 7, .len = 1 << 30,
			.checksums = {{0}, checksum}, .key = text));
	CHECK_STABLE(extent,
		ROW(extent, .k = 4, .m = 2, .unit_len = 262144, .len = 64 << 20, .body = 77,
			.exceptions = bytes_make("\1\2\3", 3)));
	CHECK_STABLE(upload,
		ROW(upload, .change_count = 9, .metadata = text, .tags = text, .version = {5, 6},
			.etag = {"md5", 4}));
	CHECK_STABLE(part, ROW(part, .body = 5, .len = 6, .depth = 1, .checksum = checksum));
	CHECK_STABLE(session,
		ROW(session, .node = {"node"}, .start = 5, .read_low = 99, .result_low = 1));
	CHECK_STABLE(garbage, ROW(garbage, .bucket = 5, .key = text, .parts_taken = text));
	CHECK_STABLE(drive,
		ROW(drive, .number = 3, .drive = {"drive"}, .node = {"node"},
			.weight = UINT64_C(1) << 41, .zone = text));
	CHECK_STABLE(access_key, ROW(access_key, .secret = text, .owner = text, .state = 1));
	CHECK_STABLE(move,
		ROW(move, .from = 300, .to = 2, .cursor = {1 << 20, 7}, .is_ended = true,
			.began_ms = 1700000000123));
	CHECK_STABLE(leftover, ROW(leftover, .since = UINT64_C(1) << 50));
	CHECK_STABLE(drive_counts, ROW(drive_counts, .exceptions = UINT64_C(1) << 50));
	CHECK_STABLE(span, ROW(span, .shard = 5, .cursor = {1 << 20, 7}, .began_ms = 9));
	CHECK_STABLE(slot_counts,
		ROW(slot_counts, .extents = 300, .len = 1 << 30, .exceptions = 5, .missing = 1,
			.shards[2] = {3, 4, 5, 1}, .codes[1] = {300, 1 << 30},
			.kinds[1] = {2, 1, true, 300, 1 << 30}));
}
END_TEST

START_TEST(a_move_knows_how_far_it_is)
{
	struct row_move move = {.from = 300, .to = 65535, .cursor = {1 << 20, 7}, .began_ms = 9};
	struct row_move got;
	size_t len = row_move_encode(&move, buf);
	ck_assert_ok(row_move_decode(bytes_make(buf, len), &got));
	ck_assert_uint_eq(got.from, 300);
	ck_assert_uint_eq(got.to, 65535);
	ck_assert(extent_id_is_equal(got.cursor, move.cursor));
	ck_assert(!got.is_ended);
	ck_assert_uint_eq(got.began_ms, 9);
	struct row_span span = {.shard = 31, .cursor = {3, UINT64_MAX}, .began_ms = 8};
	struct row_span got_span;
	len = row_span_encode(&span, buf);
	ck_assert_ok(row_span_decode(bytes_make(buf, len), &got_span));
	ck_assert_uint_eq(got_span.shard, 31);
	ck_assert(extent_id_is_equal(got_span.cursor, span.cursor));
	ck_assert_uint_eq(got_span.began_ms, 8);
}
END_TEST

START_TEST(pieces_read_as_they_were_written)
{
	struct row_piece pieces[ROW_PIECES_MAX];
	for (size_t i = 0; i < ROW_PIECES_MAX; i++) {
		pieces[i] = (struct row_piece){.len = i};
		if (i % 2)
			pieces[i].extent = (struct extent_id){UINT64_MAX, i};
		else
			pieces[i].body = i << 40;
		pieces[i].slot = i % 2 * 1023;
		pieces[i].part = i % 2 ? 0 : i;
	}
	size_t len = row_pieces_encode(pieces, ROW_PIECES_MAX, buf);
	struct row_pieces row;
	struct row_piece piece;
	ck_assert_ok(row_pieces_decode(bytes_make(buf, len), &row));
	for (size_t i = 0; i < ROW_PIECES_MAX; i++) {
		ck_assert_ok(row_piece_next(&row, &piece));
		ck_assert_mem_eq(&piece, &pieces[i], sizeof piece);
	}
	ck_assert_err(row_piece_next(&row, &piece), ERR_END);
}
END_TEST

START_TEST(random_bytes_are_never_trusted)
{
	uint64_t seed = 7;
	for (int i = 0; i < 20000; i++) {
		size_t len = test_random(&seed) % 200;
		test_random_fill(&seed, buf, len);
		if (len > 0)
			buf[0] = ROW_FORMAT;
		struct bytes value = bytes_make(buf, len);
		struct row_version version;
		struct row_body body;
		struct row_upload upload;
		struct row_pieces pieces;
		struct row_piece piece;
		err_ignore(row_version_decode(value, &version)); /* either is fine */
		err_ignore(row_body_decode(value, &body));
		err_ignore(row_upload_decode(value, &upload));
		if (row_pieces_decode(value, &pieces) == ERR_OK) {
			while (row_piece_next(&pieces, &piece) == ERR_OK) {
			}
		}
	}
}
END_TEST

/* --- metadata --------------------------------------------------------------------------------- */

START_TEST(metadata_reads_as_it_was_appended)
{
	uint8_t metadata[100];
	size_t len = 0;
	ck_assert_ok(metadata_append(
		metadata, sizeof metadata, &len, bytes_of("content-type"), bytes_of("text/plain")));
	ck_assert_ok(metadata_append(
		metadata, sizeof metadata, &len, bytes_of("x-amz-meta-a"), bytes_of("")));
	struct bytes rest = bytes_make(metadata, len);
	struct metadata_pair pair;
	ck_assert(metadata_is_valid(rest));
	ck_assert(metadata_next(&rest, &pair));
	ck_assert(bytes_is_text(pair.name, "content-type"));
	ck_assert(bytes_is_text(pair.value, "text/plain"));
	ck_assert(metadata_next(&rest, &pair));
	ck_assert(bytes_is_text(pair.name, "x-amz-meta-a"));
	ck_assert_uint_eq(pair.value.len, 0);
	ck_assert(!metadata_next(&rest, &pair));
	ck_assert(!metadata_is_valid(bytes_make(metadata, len - 1)));
}
END_TEST

START_TEST(metadata_that_does_not_fit_is_refused)
{
	uint8_t metadata[20];
	size_t len = 0;
	ck_assert_err(metadata_append(metadata, sizeof metadata, &len, bytes_of("123456789"),
			      bytes_of("123456789")),
		ERR_LIMIT);
	ck_assert_uint_eq(len, 0);
	ck_assert_ok(metadata_append(
		metadata, sizeof metadata, &len, bytes_of("12345678"), bytes_of("123456789")));
}
END_TEST

/* --- keys ------------------------------------------------------------------------------------- */

static struct row_key version_key(struct bytes s3_key, uint64_t index)
{
	struct row_key key;
	row_key_version(&key, 5, s3_key, (struct version_id){index, 0});
	return key;
}

static int compare(struct bytes a, struct bytes b)
{
	struct row_key x = version_key(a, 1);
	struct row_key y = version_key(b, 1);
	return bytes_compare(row_key_bytes(&x), row_key_bytes(&y));
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

START_TEST(rows_are_in_the_order_of_s3_keys)
{
	uint64_t seed = 3;
	for (int i = 0; i < 20000; i++) {
		uint8_t a[6], b[6];
		size_t a_len = test_random(&seed) % 6 + 1;
		size_t b_len = test_random(&seed) % 6 + 1;
		static const uint8_t letters[] = {0, 1, 0xff, 0xfe, 'a'};
		for (size_t j = 0; j < 6; j++) {
			a[j] = letters[test_random(&seed) % sizeof letters];
			b[j] = letters[test_random(&seed) % sizeof letters];
		}
		struct bytes x = bytes_make(a, a_len);
		struct bytes y = bytes_make(b, b_len);
		ck_assert_int_eq(sign(compare(x, y)), sign(bytes_compare(x, y)));
	}
}
END_TEST

START_TEST(the_newest_version_comes_first)
{
	struct row_key old = version_key(bytes_of("key"), 5);
	struct row_key new = version_key(bytes_of("key"), 6);
	ck_assert_int_lt(bytes_compare(row_key_bytes(&new), row_key_bytes(&old)), 0);
	struct row_key start;
	row_key_object(&start, TABLE_VERSION, 5, bytes_of("key"));
	ck_assert(bytes_has_prefix(row_key_bytes(&new), row_key_bytes(&start)));
}
END_TEST

START_TEST(a_key_gives_back_what_it_was_made_of)
{
	uint8_t s3_key[ROW_KEY_LEN_MAX];
	uint8_t key_buf[ROW_KEY_LEN_MAX];
	memset(s3_key, 0, sizeof s3_key); /* the longest there is */
	s3_key[5] = 0xff;
	struct bytes name = bytes_make(s3_key, sizeof s3_key);
	struct row_key key;
	struct row_object_key parsed;
	row_key_version(&key, 77, name, (struct version_id){UINT64_C(1) << 43, 12345});
	ck_assert_ok(row_key_parse_object(row_key_bytes(&key), key_buf, &parsed));
	ck_assert_uint_eq(parsed.bucket, 77);
	ck_assert(bytes_is_equal(parsed.key, name));
	ck_assert_uint_eq(parsed.version.index, UINT64_C(1) << 43);
	ck_assert_uint_eq(parsed.version.position, 12345);
	row_key_upload(&key, 78, bytes_of("k"), 999);
	ck_assert_ok(row_key_parse_object(row_key_bytes(&key), key_buf, &parsed));
	ck_assert_uint_eq(parsed.upload, 999);
	key.len--;
	ck_assert_err(row_key_parse_object(row_key_bytes(&key), key_buf, &parsed), ERR_CORRUPT);
}
END_TEST

START_TEST(moves_are_filed_by_slot_and_spans_by_drive)
{
	struct row_key key;
	row_key_move(&key, 0x0102, 3);
	ck_assert_uint_eq(key.len, 4);
	ck_assert_mem_eq(key.data, "\x62\x01\x02\x03", 4);
	row_key_span(&key, 0x0102, 0x0304);
	ck_assert_uint_eq(key.len, 5);
	ck_assert_mem_eq(key.data, "\x63\x01\x02\x03\x04", 5);
}
END_TEST

START_TEST(ids_are_in_the_order_of_the_log)
{
	struct version_id a = {7, row_position_make(511, 2047)};
	struct version_id b = {8, row_position_make(0, 0)};
	ck_assert_uint_lt(row_id_make(a), row_id_make(b));
	ck_assert_uint_ne(row_id_make((struct version_id){1, 0}), 0);
	ck_assert_uint_lt(row_position_make(511, 2047), 1 << 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rows");
	TCase *tc = tcase_create("rows");
	tcase_add_test(tc, a_version_reads_as_it_was_written);
	tcase_add_test(tc, fields_of_a_newer_writer_are_skipped);
	tcase_add_test(tc, a_newer_format_is_told_from_damage);
	tcase_add_test(tc, a_row_cut_anywhere_is_read_or_refused);
	tcase_add_test(tc, what_is_zero_takes_no_room);
	tcase_add_test(tc, every_table_reads_as_it_was_written);
	tcase_add_test(tc, a_move_knows_how_far_it_is);
	tcase_add_test(tc, moves_are_filed_by_slot_and_spans_by_drive);
	tcase_add_test(tc, pieces_read_as_they_were_written);
	tcase_add_test(tc, random_bytes_are_never_trusted);
	tcase_add_test(tc, metadata_reads_as_it_was_appended);
	tcase_add_test(tc, metadata_that_does_not_fit_is_refused);
	tcase_add_test(tc, rows_are_in_the_order_of_s3_keys);
	tcase_add_test(tc, the_newest_version_comes_first);
	tcase_add_test(tc, a_key_gives_back_what_it_was_made_of);
	tcase_add_test(tc, ids_are_in_the_order_of_the_log);
	suite_add_tcase(suite, tc);
	return test_run(suite);
}
