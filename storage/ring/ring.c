/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ring/ring.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "erasure/checksum.h"
#include "storage/meta/fields.h"

uint32_t ring_slot(const struct ring *ring, struct extent_id extent)
{
	uint8_t bytes[EXTENT_ID_LEN];
	extent_id_encode(extent, bytes);
	return checksum(bytes, sizeof bytes, 0) & (ring->slot_count - 1);
}

struct ring_profile ring_profile_default(size_t domain_count)
{
	static const struct ring_profile profiles[] = {
		{1, 0}, {1, 0}, {1, 1}, {2, 1}, {2, 2}, {3, 2}, {4, 2}};
	size_t last = ARRAY_COUNT(profiles) - 1;
	return profiles[domain_count < last ? domain_count : last];
}

uint32_t ring_count_drive(const struct ring *ring, uint16_t drive)
{
	uint32_t count = 0;
	for (size_t i = 0; i < ring->slots_len; i += 2)
		count += get_le16(ring->slots + i) == drive;
	return count;
}

/* --- bytes ------------------------------------------------------------------------------------ */

#define RING_FORMAT 1
#define SLOTS_LEN_MAX (2u * RING_SLOTS_MAX * RING_WIDTH_MAX)
#define HEAD_LEN_MAX 64

/* What is written of a ring. */
struct ring_record {
	uint8_t class, width, domain, drive_class, k, m;
	uint32_t slot_count;
	uint64_t version;
	struct bytes slots;
};

static const struct field ring_list[] = {
	FIELD(1, FIELD_U8, struct ring_record, class, 0),
	FIELD(2, FIELD_U64, struct ring_record, version, 0),
	FIELD(3, FIELD_U32, struct ring_record, slot_count, 0),
	FIELD(4, FIELD_U8, struct ring_record, width, 0),
	FIELD(5, FIELD_U8, struct ring_record, domain, 0),
	FIELD(6, FIELD_U8, struct ring_record, drive_class, 0),
	FIELD(7, FIELD_U8, struct ring_record, k, 0),
	FIELD(8, FIELD_U8, struct ring_record, m, 0),
	FIELD(9, FIELD_BYTES, struct ring_record, slots, SLOTS_LEN_MAX),
};
static FIELDS(ring_fields, struct ring_record, ring_list);

size_t ring_encoded_len(const struct ring *ring)
{
	return HEAD_LEN_MAX + ring->slots_len;
}

enum err ring_encode(const struct ring *ring, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct ring_record record = {
		.class = ring->class,
		.width = ring->width,
		.domain = ring->domain,
		.drive_class = ring->drive_class,
		.k = ring->profile.k,
		.m = ring->profile.m,
		.slot_count = ring->slot_count,
		.version = ring->version,
		.slots = bytes_make(ring->slots, ring->slots_len),
	};
	struct fields_out out = {.data = buf, .cap = cap};
	fields_append(&out, &(uint8_t){RING_FORMAT}, 1);
	fields_encode(&out, &ring_fields, &record);
	if (out.is_full)
		return ERR_LIMIT;
	*ret_len = out.len;
	return ERR_OK;
}

static bool is_shape(const struct ring_record *record)
{
	uint32_t slots = record->slot_count;
	if (slots == 0 || slots > RING_SLOTS_MAX || (slots & (slots - 1)) != 0)
		return false;
	if (record->width == 0 || record->width > RING_WIDTH_MAX || record->k == 0 ||
		record->k + record->m > record->width || record->domain > RING_DOMAIN_ZONE)
		return false;
	return record->version > 0 && record->slots.len == 2 * (size_t)slots * record->width;
}

enum err ring_decode(struct bytes in, struct ring *ret_ring)
{
	struct ring_record record;
	if (in.len == 0 || in.data[0] == 0)
		return ERR_INVALID;
	if (in.data[0] > RING_FORMAT)
		return ERR_VERSION;
	enum err err = fields_decode(&ring_fields, bytes_from(in, 1), &record);
	if (err != ERR_OK)
		return err;
	if (!is_shape(&record))
		return ERR_INVALID;
	*ret_ring = (struct ring){
		.class = record.class,
		.version = record.version,
		.slot_count = record.slot_count,
		.width = record.width,
		.domain = record.domain,
		.drive_class = record.drive_class,
		.profile = {record.k, record.m},
		.slots = record.slots.data,
		.slots_len = record.slots.len,
	};
	return ERR_OK;
}

/* --- snapshots -------------------------------------------------------------------------------- */

struct ring_snapshot {
	atomic_size_t refs;
	struct ring ring;
	struct ring_profile profile; /* what is written */
	size_t move_count, gone_count;
	const uint16_t *gone;
	const uint8_t *slots;
	struct ring_moving moves[];
};

enum err ring_snapshot_new_moving(const struct ring *ring, const struct ring *target,
	const struct ring_moving *moves, size_t move_count, const uint16_t *gone, size_t gone_count,
	struct ring_snapshot **ret_snapshot)
{
	size_t moves_len = move_count * sizeof *moves, gone_len = gone_count * sizeof *gone;
	struct ring_snapshot *snapshot = malloc(
		sizeof *snapshot + moves_len + gone_len + ring->slots_len);
	if (!snapshot)
		return ERR_NO_MEMORY;
	atomic_init(&snapshot->refs, 1);
	uint8_t *end = (uint8_t *)snapshot->moves + moves_len;
	if (move_count > 0)
		memcpy(snapshot->moves, moves, moves_len);
	if (gone_count > 0)
		memcpy(end, gone, gone_len);
	memcpy(end + gone_len, ring->slots, ring->slots_len);
	snapshot->move_count = move_count;
	snapshot->gone_count = gone_count;
	snapshot->gone = (const uint16_t *)end;
	snapshot->slots = end + gone_len;
	snapshot->ring = *ring;
	snapshot->ring.slots = snapshot->slots;
	snapshot->profile = target && target->profile.k + target->profile.m <= ring->width
		? target->profile
		: ring->profile;
	*ret_snapshot = snapshot;
	return ERR_OK;
}

enum err ring_snapshot_new(const struct ring *ring, struct ring_snapshot **ret_snapshot)
{
	return ring_snapshot_new_moving(ring, NULL, NULL, 0, NULL, 0, ret_snapshot);
}

const struct ring_moving *ring_snapshot_move(
	const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard)
{
	size_t low = 0, high = snapshot->move_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct ring_moving *move = &snapshot->moves[middle];
		if (move->slot == slot && move->shard == shard)
			return move;
		if (move->slot < slot || (move->slot == slot && move->shard < shard))
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct ring_moving *ring_snapshot_moves(
	const struct ring_snapshot *snapshot, size_t *ret_count)
{
	*ret_count = snapshot->move_count;
	return snapshot->moves;
}

const uint16_t *ring_snapshot_gone(const struct ring_snapshot *snapshot, size_t *ret_count)
{
	*ret_count = snapshot->gone_count;
	return snapshot->gone;
}

bool ring_snapshot_is_steady(const struct ring_snapshot *snapshot)
{
	return snapshot->move_count == 0 && snapshot->gone_count == 0;
}

bool ring_snapshot_is_gone(const struct ring_snapshot *snapshot, uint16_t drive)
{
	for (size_t i = 0; i < snapshot->gone_count; i++)
		if (snapshot->gone[i] == drive)
			return true;
	return false;
}

void ring_snapshot_arrived(
	const struct ring_snapshot *snapshot, uint8_t *slots, struct ring *ret_ring)
{
	*ret_ring = snapshot->ring;
	memcpy(slots, snapshot->slots, snapshot->ring.slots_len);
	ret_ring->slots = slots;
	for (size_t i = 0; i < snapshot->move_count; i++) {
		const struct ring_moving *move = &snapshot->moves[i];
		bool is_turned = move->to == 0 || ring_snapshot_is_gone(snapshot, move->to);
		put_le16(slots + 2 * ((size_t)move->slot * ret_ring->width + move->shard),
			is_turned ? move->from : move->to);
	}
}

static uint16_t owner(const struct ring *ring, uint32_t slot, uint8_t shard)
{
	return slot < ring->slot_count && shard < ring->width ? ring_drive(ring, slot, shard) : 0;
}

uint16_t ring_snapshot_goal(const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard)
{
	const struct ring_moving *move = ring_snapshot_move(snapshot, slot, shard);
	uint16_t drive = move ? move->to : owner(&snapshot->ring, slot, shard);
	return ring_snapshot_is_gone(snapshot, drive) ? 0 : drive;
}

uint16_t ring_snapshot_leaving(const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard)
{
	const struct ring_moving *move = ring_snapshot_move(snapshot, slot, shard);
	return move && move->to == 0 && !ring_snapshot_is_gone(snapshot, move->from) ? move->from
										     : 0;
}

struct ring_profile ring_snapshot_profile(const struct ring_snapshot *snapshot)
{
	return snapshot->profile;
}

bool ring_snapshot_is_place(
	const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard, uint16_t drive)
{
	const struct ring_moving *move = ring_snapshot_move(snapshot, slot, shard);
	if (drive == 0)
		return false;
	return move ? drive == move->from || drive == move->to
		    : drive == owner(&snapshot->ring, slot, shard);
}

static void add_place(
	const struct ring_snapshot *snapshot, uint16_t drive, struct ring_places *places)
{
	if (drive != 0 && !ring_snapshot_is_gone(snapshot, drive))
		places->drives[places->count++] = drive;
}

void ring_snapshot_places(const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard,
	struct extent_id extent, struct ring_places *ret_places)
{
	*ret_places = (struct ring_places){0};
	const struct ring_moving *move = ring_snapshot_move(snapshot, slot, shard);
	if (!move) {
		add_place(snapshot, owner(&snapshot->ring, slot, shard), ret_places);
		return;
	}
	add_place(snapshot, move->to, ret_places);
	if (!ring_moving_has_passed(move, extent))
		add_place(snapshot, move->from, ret_places);
}

struct ring_snapshot *ring_snapshot_ref(struct ring_snapshot *snapshot)
{
	atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
	return snapshot;
}

void ring_snapshot_unref(struct ring_snapshot *snapshot)
{
	if (snapshot && atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) == 1)
		free(snapshot);
}

const struct ring *ring_snapshot_ring(const struct ring_snapshot *snapshot)
{
	return &snapshot->ring;
}
