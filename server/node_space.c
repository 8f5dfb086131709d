/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_space.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "server/facts.h"

static const char *const class_names[] = {"nvme", "ssd", "hdd"};

/* How many drives in service are on the file system of one, itself too. */
static unsigned count_sharing(const struct node *node, unsigned drive)
{
	struct stat own, other;
	unsigned count = 0;
	if (stat(drive_path(node->store.drives[drive].drive), &own) != 0)
		return 1;
	for (unsigned i = 0; i < node->store.drive_count; i++)
		count += i == drive ||
			(stat(drive_path(node->store.drives[i].drive), &other) == 0 &&
				other.st_dev == own.st_dev);
	return count;
}

void node_drive_space(const struct node *node, unsigned drive, struct drive_space *ret_space)
{
	unsigned count = count_sharing(node, drive);
	drive_space(node->store.drives[drive].drive, ret_space);
	ret_space->total /= count;
	ret_space->free /= count;
}

bool node_drives_share(const struct node *node)
{
	for (unsigned i = 0; i < node->store.drive_count; i++)
		if (count_sharing(node, i) > 1)
			return true;
	return false;
}

void node_format_full(
	const struct node *node, const struct index_status *index, char *text, size_t cap)
{
	text[0] = '\0';
	if (index->is_space_low)
		snprintf(text, cap,
			"only deletes are taken: the file system of %.200s has %llu MiB free, "
			"writes need %llu MiB; delete objects, or give it more room",
			node->config->state_dir, (unsigned long long)(index->space_free >> 20),
			(unsigned long long)(index->space_wanted >> 20));
}

/* Objects and bytes of all buckets, from their exact counters. */
static enum err count_objects(struct node *node, uint64_t *ret_objects, uint64_t *ret_len)
{
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	uint8_t from[ROW_BUCKET_NAME_LEN_MAX + 1];
	size_t from_len = 0;
	*ret_objects = *ret_len = 0;
	for (;;) {
		struct row_bucket row;
		struct row_bucket_counts counts;
		err = index_bucket_next(
			node->reader, bytes_make(from, from_len), bytes_make(NULL, 0), &row);
		if (err)
			break;
		if (index_bucket_counts(node->reader, row.id, &counts) == ERR_OK) {
			*ret_objects += counts.objects;
			*ret_len += counts.len;
		}
		memcpy(from, row.name.data, row.name.len);
		from_len = row.name.len;
		from[from_len++] = 0;
	}
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static json_t *drive_name(const struct facts *facts, const struct fact_drive *drive)
{
	const struct node *node = facts->node;
	for (unsigned i = 0; i < node->config->drives_count; i++)
		if (node->drives[i].drive && node->drives[i].number == drive->number)
			return json_string(node->drives[i].path);
	return json_sprintf("drive %u of %s", drive->number, drive->node ? drive->node->name : "?");
}

static json_t *drives_json(const struct facts *facts, uint64_t *ret_total, uint64_t *ret_used)
{
	json_t *list = json_array();
	*ret_total = *ret_used = 0;
	for (size_t i = 0; i < facts->drive_count; i++) {
		const struct fact_drive *drive = &facts->drives[i];
		json_t *json = json_pack("{s:o, s:i, s:s, s:s, s:s}", "path",
			drive_name(facts, drive), "number", (int)drive->number, "node",
			drive->node ? drive->node->name : "?", "state",
			drive->is_up ? "up" : "away", "class",
			drive->class < ARRAY_COUNT(class_names) ? class_names[drive->class] : "?");
		if (drive->has_space) {
			*ret_total += drive->space.total;
			*ret_used += drive->space.used;
			json_object_update_new(json,
				json_pack("{s:I, s:I, s:I}", "total",
					(json_int_t)drive->space.total, "used",
					(json_int_t)drive->space.used, "free",
					(json_int_t)drive->space.free));
		}
		json_array_append_new(list, json);
	}
	return list;
}

enum err node_space(struct node *node, const json_t *request, json_t **ret_result, char *message)
{
	(void)request;
	(void)message;
	struct facts *facts;
	uint64_t objects, len, total, used;
	enum err err = count_objects(node, &objects, &len);
	if (!err)
		err = facts_new(node, &facts);
	if (err)
		return err;
	char full[512];
	node_format_full(node, &facts->index, full, sizeof full);
	json_t *drives = drives_json(facts, &total, &used);
	*ret_result = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "why", full,
		"index_free", (json_int_t)facts->index.space_free, "index_free_wanted",
		(json_int_t)facts->index.space_wanted, "objects", (json_int_t)objects, "bytes",
		(json_int_t)len, "raw_total", (json_int_t)total, "raw_used", (json_int_t)used,
		"drives", drives);
	/* Of drives that have not said yet how they are nothing is known: then neither is this. */
	if (facts->ring && facts->spaces)
		json_object_set_new(*ret_result, "available",
			json_integer(facts->index.is_space_low ? 0 : facts->summary.left_len));
	facts_free(facts);
	return *ret_result ? ERR_OK : ERR_NO_MEMORY;
}
