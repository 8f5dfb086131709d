/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/steering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 0: it is not there, or no number. */
static enum err read_number(struct index_reader *reader, const char *name, uint64_t *ret_number)
{
	struct bytes value;
	char text[24] = "";
	enum err err = index_setting_get(reader, bytes_of(name), &value);
	*ret_number = 0;
	if (err == ERR_NOT_FOUND || (err == ERR_OK && value.len >= sizeof text))
		return ERR_OK;
	if (err == ERR_OK) {
		memcpy(text, value.data, value.len);
		*ret_number = strtoull(text, NULL, 10);
	}
	return err;
}

static enum err read_period(struct index_reader *reader, uint64_t *ret_period_ms)
{
	struct bytes value;
	enum err err = index_setting_get(reader, bytes_of(STEERING_SCRUB_PERIOD), &value);
	bool is_never = err == ERR_OK && bytes_is_text(value, STEERING_NEVER);
	*ret_period_ms = 0;
	if (err == ERR_OK && !is_never)
		err = read_number(reader, STEERING_SCRUB_PERIOD, ret_period_ms);
	if (*ret_period_ms == 0 && !is_never)
		*ret_period_ms = UINT64_MAX;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err steering_read_settings(struct index_reader *reader, struct steering *ret_steering)
{
	struct steering steering = {0};
	uint64_t repair = 0, scrub = 0;
	enum err err = read_number(reader, STEERING_REPAIR_PAUSED, &repair);
	if (err == ERR_OK)
		err = read_number(reader, STEERING_SCRUB_PAUSED, &scrub);
	if (err == ERR_OK)
		err = read_number(reader, STEERING_REPAIR_SPEED, &steering.repair_speed);
	if (err == ERR_OK)
		err = read_number(reader, STEERING_SCRUB_SPEED, &steering.scrub_speed);
	if (err == ERR_OK)
		err = read_period(reader, &steering.scrub_period_ms);
	if (err != ERR_OK)
		return err;
	steering.is_repair_paused = repair != 0;
	steering.is_scrub_paused = scrub != 0;
	*ret_steering = steering;
	return ERR_OK;
}

bool steering_is_scrub(struct bytes name, uint16_t *ret_drive)
{
	static const char prefix[] = TASK_NAME_SCRUB ".";
	unsigned drive = 0;
	if (bytes_is_text(name, TASK_NAME_SCRUB)) {
		*ret_drive = 0;
		return true;
	}
	if (name.len < sizeof prefix || memcmp(name.data, prefix, sizeof prefix - 1) != 0)
		return false;
	for (size_t i = sizeof prefix - 1; i < name.len; i++) {
		if (name.data[i] < '0' || name.data[i] > '9' || drive > UINT16_MAX)
			return false;
		drive = drive * 10 + name.data[i] - '0';
	}
	*ret_drive = drive;
	return drive > 0 && drive <= UINT16_MAX;
}

/* Tasks have rising ids, so that the last one that is about a drive is the newest. */
static void want(struct steering *steering, const struct store *store, const struct row_task *task)
{
	uint16_t drive;
	if (task->ended_ms != 0 || !steering_is_scrub(task->name, &drive))
		return;
	if (drive == 0)
		steering->scrub_all = task->id;
	for (unsigned i = 0; i < store->drive_count; i++)
		if (drive == 0 || store->drives[i].number == drive)
			steering->scrub_wanted[i] = task->id;
}

enum err steering_read(
	struct index_reader *reader, const struct store *store, struct steering *ret_steering)
{
	struct steering steering;
	struct row_task task = {.id = 0};
	enum err err = steering_read_settings(reader, &steering);
	while (err == ERR_OK) {
		err = index_task_next(reader, task.id + 1, &task);
		if (err == ERR_OK)
			want(&steering, store, &task);
	}
	if (err != ERR_NOT_FOUND)
		return err;
	*ret_steering = steering;
	return ERR_OK;
}
