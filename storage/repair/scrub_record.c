/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repair/scrub_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TAIL(format) \
	",\"task\":%" format ",\"began_ms\":%" format ",\"shards\":%" format ",\"bytes\":%" format \
	",\"bad\":%" format ",\"mended\":%" format ",\"missing\":%" format ",\"unread\":%" format \
	"}"
#define NAME_LEN 32

void scrub_record_name(uint16_t drive, char *name)
{
	snprintf(name, NAME_LEN, "scrub.%u", drive);
}

void scrub_record_format(const struct scrub_record *record, char *text)
{
	const struct scrub_counts *counts = &record->counts;
	size_t len;
	if (record->ended_ms > 0)
		len = snprintf(
			text, SCRUB_RECORD_LEN_MAX, "{\"ended_ms\":%" PRIu64, record->ended_ms);
	else
		len = snprintf(text, SCRUB_RECORD_LEN_MAX, "{\"at\":\"%" PRIx64 "/%" PRIx64 "\"",
			record->at.session, record->at.counter);
	snprintf(text + len, SCRUB_RECORD_LEN_MAX - len, TAIL(PRIu64), record->task,
		record->began_ms, counts->shards, counts->bytes, counts->bad, counts->mended,
		counts->missing, counts->unread);
}

static bool parse_tail(const char *text, struct scrub_record *record)
{
	struct scrub_counts *counts = &record->counts;
	return sscanf(text, TAIL(SCNu64), &record->task, &record->began_ms, &counts->shards,
		       &counts->bytes, &counts->bad, &counts->mended, &counts->missing,
		       &counts->unread) == 8;
}

void scrub_record_parse(struct bytes text, struct scrub_record *ret_record)
{
	char copy[SCRUB_RECORD_LEN_MAX];
	struct scrub_record record = {.is_there = true};
	*ret_record = (struct scrub_record){.is_there = false};
	if (text.len == 0 || text.len >= sizeof copy)
		return;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	const char *tail = strchr(copy, ',');
	if (!tail || !parse_tail(tail, &record))
		return;
	if (sscanf(copy, "{\"at\":\"%" SCNx64 "/%" SCNx64 "\"", &record.at.session,
		    &record.at.counter) != 2 &&
		sscanf(copy, "{\"ended_ms\":%" SCNu64, &record.ended_ms) != 1)
		return;
	*ret_record = record;
}

enum err scrub_record_read(
	struct index_reader *reader, uint16_t drive, struct scrub_record *ret_record)
{
	char name[NAME_LEN];
	struct bytes value;
	scrub_record_name(drive, name);
	enum err err = index_setting_get(reader, bytes_of(name), &value);
	if (err == ERR_NOT_FOUND)
		value = bytes_make(NULL, 0);
	else if (err != ERR_OK)
		return err;
	scrub_record_parse(value, ret_record);
	return ERR_OK;
}

bool scrub_counts_is_bad(const struct scrub_counts *counts)
{
	return counts->bad > counts->mended || counts->unread > 0;
}

const char *scrub_counts_verdict(const struct scrub_counts *counts)
{
	if (scrub_counts_is_bad(counts))
		return "damaged";
	return counts->bad > 0 || counts->missing > 0 ? "mended" : "clean";
}

void scrub_counts_add(struct scrub_counts *to, const struct scrub_counts *counts)
{
	to->shards += counts->shards;
	to->bytes += counts->bytes;
	to->bad += counts->bad;
	to->mended += counts->mended;
	to->missing += counts->missing;
	to->unread += counts->unread;
}

void scrub_counts_format(
	const struct scrub_counts *counts, const char *verdict, char *text, size_t cap)
{
	snprintf(text, cap,
		"{\"verdict\":\"%s\",\"shards\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"bad\":%" PRIu64
		",\"mended\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"unread\":%" PRIu64 "}",
		verdict, counts->shards, counts->bytes, counts->bad, counts->mended,
		counts->missing, counts->unread);
}
