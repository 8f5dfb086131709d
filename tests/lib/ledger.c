/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/ledger.h"

#include <stdlib.h>

#include "storage/meta/index_ledger.h"
#include "tests/lib/segment_reader.h"
#include "tests/lib/test.h"

enum { LIST_BATCH = 64 };

struct shard {
	uint16_t drive;
	struct extent_id extent;
	uint8_t index;
	uint64_t segment, offset; /* of one that is listed */
	bool is_spare; /* missing as far as the index knows, and may be at its place all the same */
	bool is_found;
};

struct shards {
	struct shard *all;
	size_t count, cap;
};

static void add(struct shards *shards, struct shard shard)
{
	if (shards->count == shards->cap) {
		shards->cap = shards->cap ? 2 * shards->cap : 256;
		shards->all = sim_must(reallocarray(shards->all, shards->cap, sizeof *shards->all));
	}
	shards->all[shards->count++] = shard;
}

static int compare(const void *one, const void *other)
{
	const struct shard *a = one, *b = other;
	if (a->drive != b->drive)
		return a->drive < b->drive ? -1 : 1;
	if (a->extent.session != b->extent.session)
		return a->extent.session < b->extent.session ? -1 : 1;
	if (a->extent.counter != b->extent.counter)
		return a->extent.counter < b->extent.counter ? -1 : 1;
	return (int)a->index - (int)b->index;
}

/* --- what the index refers to ----------------------------------------------------------------- */

static void add_extent(struct shards *shards, const struct ring_snapshot *snapshot, uint16_t slot,
	struct extent_id extent, const struct row_extent *row, struct ledger_counts *counts)
{
	const struct ring *ring = ring_snapshot_ring(snapshot);
	unsigned count = row->k + row->m, there = 0;
	ck_assert_uint_le(count, ROW_SHARDS_MAX);
	for (size_t i = 0; i < row_exception_count(row); i++)
		ck_assert_uint_lt(row_exception_at(row, i).shard, count);
	for (unsigned i = 0; i < count; i++) {
		struct ring_places places;
		index_shard_places(snapshot, slot, extent, row, i, &places);
		there += places.count > 0;
		for (unsigned j = 0; j < places.count; j++)
			add(shards,
				(struct shard){.drive = places.drives[j],
					.extent = extent,
					.index = i,
					.is_spare = places.count > 1});
		for (unsigned j = 0; j < ring->width && places.count == 0; j++)
			add(shards,
				(struct shard){.drive = ring_drive(ring, slot, j),
					.extent = extent,
					.index = i,
					.is_spare = true});
	}
	ck_assert_uint_ge(there, row->m > 0 ? row->k + 1u : row->k);
	counts->extents++;
	counts->missing += count - there;
}

static void list_index(struct sim_store *rig, struct shards *shards, struct ledger_counts *counts)
{
	struct ring_snapshot *snapshot = index_ring(rig->index);
	const struct ring *ring = ring_snapshot_ring(snapshot);
	ck_assert_ok(index_view_begin(rig->reader));
	for (uint16_t slot = 0; slot < ring->slot_count; slot++) {
		struct extent_id from = {0, 0};
		struct row_extent row;
		while (index_extent_next(rig->reader, slot, from, &from, &row) == ERR_OK) {
			ck_assert_uint_eq(ring_slot(ring, from), slot);
			add_extent(shards, snapshot, slot, from, &row, counts);
			struct row_body body;
			ck_assert_ok(index_body_get(rig->reader, row.body, &body));
			from.counter++;
		}
	}
	index_view_end(rig->reader);
	ring_snapshot_unref(snapshot);
	if (shards->count > 0)
		qsort(shards->all, shards->count, sizeof *shards->all, compare);
}

/* --- what the drives say ---------------------------------------------------------------------- */

static void list_drive(struct sim_store_drive *drive, struct shards *shards)
{
	struct extent_id from = {0, 0};
	uint8_t from_index = 0;
	struct shard_entry entries[LIST_BATCH];
	size_t count;
	do {
		ck_assert_ok(
			drive_list(drive->drive, from, from_index, entries, LIST_BATCH, &count));
		for (size_t i = 0; i < count; i++)
			add(shards,
				(struct shard){.drive = drive->number,
					.extent = entries[i].extent,
					.index = entries[i].index,
					.segment = entries[i].segment,
					.offset = entries[i].offset});
		if (count > 0) {
			from = entries[count - 1].extent;
			from_index = entries[count - 1].index + 1;
		}
	} while (count > 0);
}

static void compare_drive(struct shards *referred, struct shards *listed)
{
	for (size_t i = 0; i < listed->count; i++) {
		struct shard *shard = &listed->all[i];
		struct shard *found = bsearch(
			shard, referred->all, referred->count, sizeof *referred->all, compare);
		ck_assert_msg(found, "extent %lx/%lu shard %u on drive %u is nobody's",
			(unsigned long)shard->extent.session, (unsigned long)shard->extent.counter,
			shard->index, shard->drive);
		ck_assert(!found->is_found);
		found->is_found = true;
		shard->is_spare = found->is_spare;
	}
}

/* --- what is in the segments ------------------------------------------------------------------ */

static void record_found(void *arg, const struct segment_record *record)
{
	struct shards *listed = arg;
	for (size_t i = 0; i < listed->count; i++) {
		struct shard *shard = &listed->all[i];
		if (shard->segment != record->segment || shard->offset != record->offset)
			continue;
		ck_assert_uint_eq(shard->extent.session, record->session);
		ck_assert_uint_eq(shard->extent.counter, record->counter);
		ck_assert_uint_eq(shard->index, record->index);
		ck_assert(record->bad_blocks == 0 || shard->is_spare);
		shard->is_found = true;
	}
}

static void compare_records(struct sim_store_drive *drive, struct shards *listed)
{
	segment_reader_run(sim_disk_base(drive->disk), record_found, listed);
	for (size_t i = 0; i < listed->count; i++)
		ck_assert_msg(listed->all[i].is_found,
			"extent %lx/%lu shard %u on drive %u has no record",
			(unsigned long)listed->all[i].extent.session,
			(unsigned long)listed->all[i].extent.counter, listed->all[i].index,
			drive->number);
}

/* --- all of it -------------------------------------------------------------------------------- */

static void check_hash(struct sim_store *rig)
{
	struct index_state_hash rolling, counted;
	index_state_hash(rig->index, &rolling);
	ck_assert_ok(index_view_begin(rig->reader));
	ck_assert_ok(index_state_recount(rig->reader, &counted));
	index_view_end(rig->reader);
	ck_assert_uint_eq(rolling.applied, counted.applied);
	for (size_t i = 0; i < ARRAY_COUNT(rolling.tables); i++)
		ck_assert_msg(rolling.tables[i] == counted.tables[i],
			"the hash of table 0x%zx is not that of its rows", i);
}

/* Each drive against the index, and each record against what the drive lists. */
static void check_drives(
	struct sim_store *rig, struct shards *referred, const bool *is_excused, bool has_records)
{
	for (unsigned i = 0; i < rig->options.drive_count; i++) {
		struct sim_store_drive *drive = &rig->drives[i];
		if (!drive->drive || drive_state(drive->drive) != DRIVE_UP) {
			ck_assert(is_excused[i]);
			continue;
		}
		struct shards listed = {0};
		list_drive(drive, &listed);
		compare_drive(referred, &listed);
		if (has_records && !is_excused[i])
			compare_records(drive, &listed);
		free(listed.all);
	}
}

/* What the index refers to on the drives of a node was found there. */
static void check_found(
	struct sim_store *rig, const struct shards *referred, const bool *is_excused)
{
	for (size_t i = 0; i < referred->count; i++) {
		const struct shard *shard = &referred->all[i];
		for (unsigned j = 0; j < rig->options.drive_count; j++)
			ck_assert_msg(shard->is_found || shard->is_spare || is_excused[j] ||
					rig->drives[j].number != shard->drive,
				"extent %lx/%lu shard %u is not on drive %u",
				(unsigned long)shard->extent.session,
				(unsigned long)shard->extent.counter, shard->index, shard->drive);
	}
}

void ledger_check_all(struct sim_store *const *nodes, unsigned node_count, const bool *is_excused,
	bool has_records, struct ledger_counts *ret_counts)
{
	struct ledger_counts counts = {0};
	struct shards referred = {0};
	list_index(nodes[0], &referred, &counts);
	counts.shards = referred.count;
	for (unsigned i = 0; i < node_count; i++)
		check_drives(
			nodes[i], &referred, is_excused + i * SIM_STORE_DRIVES_MAX, has_records);
	for (unsigned i = 0; i < node_count; i++)
		check_found(nodes[i], &referred, is_excused + i * SIM_STORE_DRIVES_MAX);
	free(referred.all);
	for (unsigned i = 0; i < node_count; i++)
		check_hash(nodes[i]);
	*ret_counts = counts;
}

void ledger_check(struct sim_store *rig, const bool *is_excused, bool has_records,
	struct ledger_counts *ret_counts)
{
	ledger_check_all(&rig, 1, is_excused, has_records, ret_counts);
}
