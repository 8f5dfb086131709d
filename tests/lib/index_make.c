/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/index_make.h"

#include "tests/lib/test.h"

struct rig rig;
uint64_t bucket;
static uint8_t extents_buf[COMMAND_LEN_MAX];
uint64_t next_counter;

/* --- making commands -------------------------------------------------------------------------- */

struct etag etag_of(uint8_t n)
{
	return (struct etag){{n, 1, 2, 3}, 0};
}

struct command create_command(const char *name, const char *owner)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of(name);
	command.bucket_create.owner = bytes_of(owner);
	return command;
}

struct command put_command(const char *key, const char *text, uint8_t etag)
{
	struct command command = {.type = COMMAND_OBJECT_PUT};
	command.object_put.bucket = bucket;
	command.object_put.key = bytes_of(key);
	command.object_put.body.len = strlen(text);
	command.object_put.body.inline_data = bytes_of(text);
	command.object_put.body.etag = etag_of(etag);
	return command;
}

struct command_body extents_body(size_t count, uint32_t len, uint8_t etag)
{
	static const uint8_t drives[] = {1, 0, 2, 0, 3, 0};
	struct fields_out out = {.data = extents_buf, .cap = sizeof extents_buf};
	for (size_t i = 0; i < count; i++) {
		struct command_extent extent = {
			.extent = {index_session(rig.index), next_counter++},
			.k = 2,
			.m = 1,
			.unit_len = 65536,
			.len = len,
			.drives = bytes_make(drives, sizeof drives),
		};
		command_extent_append(&out, &extent);
	}
	ck_assert(!out.is_full);
	return (struct command_body){
		.len = (uint64_t)len * count,
		.stored_len = (uint64_t)len * count,
		.etag = etag_of(etag),
		.extents = bytes_make(extents_buf, out.len),
	};
}

struct command put_extents_command(const char *key, size_t count, uint8_t etag)
{
	struct command command = put_command(key, "", etag);
	command.object_put.body = extents_body(count, 1 << 20, etag);
	return command;
}

struct command_result put(const char *key, const char *text, uint8_t etag)
{
	struct command command = put_command(key, text, etag);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result;
}

struct command_result put_extents(const char *key, size_t count, uint8_t etag)
{
	struct command command = put_extents_command(key, count, etag);
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result;
}

struct command_result delete_one(const struct command_delete *item)
{
	static uint8_t list[4096];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command_delete_append(&out, item);
	command.object_delete.bucket = bucket;
	command.object_delete.deletes = bytes_make(list, out.len);
	return rig_propose(&rig, &command);
}

struct command_result delete_key(const char *key)
{
	return delete_one(&(struct command_delete){.key = bytes_of(key)});
}

struct command copy_command(const char *from, const struct object_info *source, const char *to)
{
	struct command command = {.type = COMMAND_OBJECT_COPY};
	command.object_copy.source_bucket = bucket;
	command.object_copy.source_key = bytes_of(from);
	command.object_copy.source_version = source->version;
	command.object_copy.source_body = source->row.body;
	command.object_copy.bucket = bucket;
	command.object_copy.key = bytes_of(to);
	return command;
}

void set_versioning(enum bucket_versioning versioning)
{
	struct command command = {.type = COMMAND_BUCKET_UPDATE};
	command.bucket_update.bucket = bucket;
	command.bucket_update.set = BUCKET_SET_VERSIONING;
	command.bucket_update.versioning = versioning;
	ck_assert_uint_eq(rig_code(&rig, &command), COMMAND_OK);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Numbers of what was found stay valid after the view; its bytes do not. */
enum err find(const char *key, struct object_info *object)
{
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_version_find(rig.reader, bucket, bytes_of(key), object);
	index_view_end(rig.reader);
	return err;
}

bool is_there(const char *key)
{
	struct object_info object;
	return find(key, &object) == ERR_OK && !object.row.is_delete_marker;
}

void check_counts(uint64_t objects, uint64_t versions, uint64_t len, uint64_t uploads)
{
	struct row_bucket_counts counts;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_bucket_counts(rig.reader, bucket, &counts));
	index_view_end(rig.reader);
	ck_assert_uint_eq(counts.objects, objects);
	ck_assert_uint_eq(counts.versions, versions);
	ck_assert_uint_eq(counts.len, len);
	ck_assert_uint_eq(counts.uploads, uploads);
}

enum err body_of(uint64_t body, struct row_body *row)
{
	ck_assert_ok(index_view_begin(rig.reader));
	enum err err = index_body_get(rig.reader, body, row);
	index_view_end(rig.reader);
	return err;
}

/* Has the table any rows? */
bool has_rows(enum row_table table)
{
	struct index_state_hash hash;
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_state_recount(rig.reader, &hash));
	index_view_end(rig.reader);
	return hash.tables[table] != 0;
}

void check_hash(void)
{
	struct index_state_hash rolling, counted;
	index_state_hash(rig.index, &rolling);
	ck_assert_ok(index_view_begin(rig.reader));
	ck_assert_ok(index_state_recount(rig.reader, &counted));
	index_view_end(rig.reader);
	ck_assert_uint_eq(rolling.applied, counted.applied);
	for (int table = 0; table < 256; table++)
		ck_assert_msg(rolling.tables[table] == counted.tables[table], "table %02x", table);
}

void rig_setup(void)
{
	rig_open(&rig);
	rig_add_drives(&rig, 3, (struct ring_profile){2, 1});
	struct command command = create_command("bucket", "owner");
	struct command_result result = rig_propose(&rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	bucket = result.id;
	next_counter = 1;
}

void rig_teardown(void)
{
	if (rig.failed == ERR_OK)
		check_hash();
	rig_close(&rig);
}
