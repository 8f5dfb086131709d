/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rescue_late.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/identity.h"
#include "storage/drive/shard_list.h"
#include "storage/kv_lmdb.h"
#include "storage/object/hint.h"

#define TABLE_MAP_LEN (UINT64_C(1) << 34)
#define EXTENTS_MAX 200000
#define KEYS_MAX 1000

struct late {
	const struct archive_found *found;
	uint64_t session; /* that is looked at alone; 0: all */
	json_t *extents, *keys; /* objects: sets */
	uint64_t bytes;
	bool has_more;
};

static enum err found_shard(void *arg, const struct shard_info *info)
{
	struct late *late = arg;
	char name[40];
	if (late->session > 0 && info->extent.session != late->session)
		return ERR_END;
	snprintf(name, sizeof name, "%" PRIx64 ".%" PRIx64, info->extent.session,
		info->extent.counter);
	if (json_object_get(late->extents, name))
		return ERR_OK;
	if (json_object_size(late->extents) == EXTENTS_MAX) {
		late->has_more = true;
		return ERR_END;
	}
	if (json_object_set_new(late->extents, name, json_true()) != 0)
		return ERR_NO_MEMORY;
	late->bytes += info->extent_len;
	if (json_object_size(late->keys) == KEYS_MAX) {
		late->has_more = true;
		return ERR_OK;
	}
	struct bytes written_for;
	struct hint_place place;
	hint_read(info->hint, &written_for, &place);
	json_t *text = json_stringn((const char *)written_for.data, written_for.len);
	if (text && written_for.len > 0) /* else it is no text */
		json_object_set_new(late->keys, json_string_value(text), json_true());
	json_decref(text);
	return ERR_OK;
}

static enum err look_at(struct late *late, const struct rescue_drive *drive)
{
	char path[IDENTITY_PATH_LEN];
	struct kv *locations;
	struct extent_id of_session = {
		.session = late->found->session, .counter = late->found->counter};
	struct extent_id later = {.session = archive_late_session(late->found->sequence)};
	enum err err = identity_path(drive->path, "locations", path);
	if (!err)
		err = kv_lmdb_open(path, TABLE_MAP_LEN, &locations);
	if (err)
		return err;
	late->session = of_session.session;
	if (late->session > 0)
		err = shard_list_read(drive->disk, locations, drive->identity.drive, of_session,
			found_shard, late);
	late->session = 0;
	if (!err || err == ERR_END)
		err = shard_list_read(
			drive->disk, locations, drive->identity.drive, later, found_shard, late);
	kv_close(locations);
	return err;
}

json_t *rescue_late_look(const struct rescue_list *list, const struct archive_found *found)
{
	struct late late = {.found = found, .extents = json_object(), .keys = json_object()};
	json_t *names = json_array();
	const char *key;
	json_t *value;
	for (unsigned i = 0; i < list->count; i++)
		if (list->drives[i].disk)
			err_ignore(look_at(&late, &list->drives[i])); /* then less is known */
	json_object_foreach(late.keys, key, value) json_array_append_new(names, json_string(key));
	json_t *result = json_pack("{s:I, s:I, s:o, s:b}", "extents",
		(json_int_t)json_object_size(late.extents), "bytes", (json_int_t)late.bytes, "keys",
		names, "more", late.has_more);
	json_decref(late.extents);
	json_decref(late.keys);
	return result;
}
