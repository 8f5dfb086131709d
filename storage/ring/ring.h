/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_RING_RING_H
#define STORAGE_RING_RING_H

#include "storage/bytes.h"
#include "storage/err.h"
#include "storage/id.h"

/* The ring: which drives hold the shards of an extent.
 *
 * A table of slots, each an ordered row of drives; shard i of an extent is on the i-th drive of its
 * slot, unless the extent's row names an exception. Part of the table are the profile and the level
 * of the domains that the drives of one slot differ in.
 *
 * (R1) The drives of a slot are in different domains, as far as the ring reaches: width of them.
 * (R2) Every slot is full; every drive is known and in, with a weight above 0.
 * How often a drive is chosen, and what may move from one ring to the next: ring_plan.h.
 *
 * Bytes: a format byte and fields; the slots are 2 bytes for each drive number, little-endian, slot
 * by slot. In the index they are kept in parts of at most RING_PART_LEN bytes.
 */
#define RING_SLOTS_DEFAULT 1024
#define RING_SLOTS_MAX 65536
#define RING_WIDTH_MAX 32
#define RING_DRIVES_MAX 4096
#define RING_PART_LEN (2 * 1024) /* so that a flip of one slot writes little */
#define RING_MOVES_MAX 1024 /* pending at a time */
#define RING_STANDARD 0 /* ring of the storage class STANDARD */

enum ring_domain { /* kept on disk */
	RING_DOMAIN_DRIVE = 0,
	RING_DOMAIN_NODE = 1,
	RING_DOMAIN_ZONE = 2,
};

struct ring_profile {
	uint8_t k, m;
};

struct ring {
	uint8_t class; /* storage class; names profile and drive class */
	uint64_t version; /* from 1 */
	uint32_t slot_count; /* a power of two */
	uint8_t width; /* drives per slot: k + m of the profile */
	uint8_t domain; /* enum ring_domain */
	uint8_t drive_class; /* enum drive_class it prefers */
	struct ring_profile profile;
	const uint8_t *slots; /* see ring_drive(); borrowed or owned as its holder says */
	size_t slots_len; /* slot_count * width * 2 */
};

/* The number of the drive that shard belongs on. */
static inline uint16_t ring_drive(const struct ring *ring, uint32_t slot, uint8_t shard)
{
	assert(slot < ring->slot_count && shard < ring->width);
	return get_le16(ring->slots + 2 * ((size_t)slot * ring->width + shard));
}

/* The slot of an extent: by its id alone, so that a drive's census finds the row of a shard by what
 * the drive knows of it. */
uint32_t ring_slot(const struct ring *ring, struct extent_id extent);

/* A drive, as the planner and the checker see it. */
struct ring_drive_info {
	uint16_t number; /* 1 or more */
	struct id node;
	struct bytes zone;
	uint64_t weight; /* bytes; 0: takes nothing */
	uint8_t class;
};

/* What a profile is by default, from the number of domains: 1: 1+0, 2: 1+1, 3: 2+1, 4: 2+2,
 * 5: 3+2, 6 and more: 4+2. */
struct ring_profile ring_profile_default(size_t domain_count);

/* The code of mirrored extents (bodies up to 128 KiB): (1, m). */
#define RING_MIRROR_LEN_MAX (128u << 10) /* counted by apply: never another number */
static inline struct ring_profile ring_profile_mirror(struct ring_profile profile)
{
	return (struct ring_profile){1, profile.m};
}

/* The code of an extent of so many bytes. */
static inline struct ring_profile ring_profile_of_len(struct ring_profile profile, uint64_t len)
{
	return len <= RING_MIRROR_LEN_MAX ? ring_profile_mirror(profile) : profile;
}

static inline bool ring_profile_is_equal(struct ring_profile a, struct ring_profile b)
{
	return a.k == b.k && a.m == b.m;
}

/* How many domains the drives with a weight are in. */
size_t ring_domain_count(
	const struct ring_drive_info *drives, size_t drive_count, enum ring_domain domain);

/* The level of the domains by default: nodes if the drives are on several, else drives. */
enum ring_domain ring_domain_default(const struct ring_drive_info *drives, size_t drive_count);

/* Plans a first table, of the storage class STANDARD (ring_plan.h). slots gets slot_count * (k + m)
 * * 2 bytes and is borrowed by ret_ring. The version is 1. Errors: ERR_QUORUM, fewer domains than k
 * + m; ERR_INVALID, numbers out of range; ERR_NO_MEMORY. */
MUST_USE enum err ring_plan_initial(const struct ring_drive_info *drives, size_t drive_count,
	struct ring_profile profile, enum ring_domain domain, uint32_t slot_count, uint8_t *slots,
	struct ring *ret_ring);

/* Checks (R1) and (R2), with code of its own. Errors: ERR_INVALID. */
MUST_USE enum err ring_check(
	const struct ring *ring, const struct ring_drive_info *drives, size_t drive_count);

/* Would the loss of one domain take both? */
bool ring_share_domain(
	const struct ring_drive_info *a, const struct ring_drive_info *b, enum ring_domain domain);

/* Slots' positions that a drive holds. */
uint32_t ring_count_drive(const struct ring *ring, uint16_t drive);

/* How long the bytes of a ring are. */
size_t ring_encoded_len(const struct ring *ring);

/* Errors: ERR_LIMIT. */
MUST_USE enum err ring_encode(const struct ring *ring, uint8_t *buf, size_t cap, size_t *ret_len);

/* Reads a ring; slots are borrowed from in. Errors: ERR_INVALID; ERR_VERSION. */
MUST_USE enum err ring_decode(struct bytes in, struct ring *ret_ring);

/* --- snapshots
 * ------------------------------------------------------------------------------------- A ring in
 * memory that many threads read: counted, never changed. With it are the moves that are pending and
 * the drives that are gone, so that who has one needs no rows to know where shards are.
 */
struct ring_snapshot;

/* A shard of a slot on its way to another drive (storage/meta/apply_move.c). */
struct ring_moving {
	uint16_t slot;
	uint8_t shard;
	bool is_ended; /* all extents have moved */
	uint16_t from, to; /* 0: none */
	struct extent_id cursor; /* extents up to this one have moved */
	uint64_t since; /* log index, and the name of the move */
};

static inline bool ring_moving_has_passed(const struct ring_moving *move, struct extent_id extent)
{
	if (move->is_ended || extent.session != move->cursor.session)
		return move->is_ended || extent.session < move->cursor.session;
	return extent.counter <= move->cursor.counter;
}

/* Copies the ring. Errors: ERR_NO_MEMORY. One reference is the caller's. */
MUST_USE enum err ring_snapshot_new(const struct ring *ring, struct ring_snapshot **ret_snapshot);

/* With moves, ascending by slot and shard, and drives that are gone, ascending; and the ring that
 * it is on its way to, if there is one, of which only the profile is kept. */
MUST_USE enum err ring_snapshot_new_moving(const struct ring *ring, const struct ring *target,
	const struct ring_moving *moves, size_t move_count, const uint16_t *gone, size_t gone_count,
	struct ring_snapshot **ret_snapshot);

/* What is written now, and what is to be coded anew if it was written otherwise: the profile of the
 * target if its shards have places in the ring that there is, so that a ring which gets narrower
 * gets rid of what is wide; else that of the ring. */
struct ring_profile ring_snapshot_profile(const struct ring_snapshot *snapshot);

/* The pending move of a shard; NULL: none. All moves: ascending by slot and shard. */
const struct ring_moving *ring_snapshot_move(
	const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard);
const struct ring_moving *ring_snapshot_moves(
	const struct ring_snapshot *snapshot, size_t *ret_count);

/* The ring as it is once all moves that are pending have arrived, but for those that go nowhere:
 * they end at once if the next target wants their place (apply_move.c (M9)). slots has room for
 * slots_len and is borrowed by ret_ring. From there a new target is planned and put in order
 * (ring_order.h). */
void ring_snapshot_arrived(
	const struct ring_snapshot *snapshot, uint8_t *slots, struct ring *ret_ring);

/* Does nothing move, and is no drive gone? Then the table alone says where shards are. */
bool ring_snapshot_is_steady(const struct ring_snapshot *snapshot);

bool ring_snapshot_is_gone(const struct ring_snapshot *snapshot, uint16_t drive);
const uint16_t *ring_snapshot_gone(const struct ring_snapshot *snapshot, size_t *ret_count);

/* Where a new shard is to be written: the target of a pending move, else the owner. 0: nowhere. */
uint16_t ring_snapshot_goal(const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard);

/* The drive at a position that has no goal since it goes away from there, yet is one to write to
 * for want of others; 0: none. */
uint16_t ring_snapshot_leaving(const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard);

/* Does the ring, with its moves, make the drive a place of that shard of any extent? */
bool ring_snapshot_is_place(
	const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard, uint16_t drive);

/* Where a shard without an exception is, the best first: of a pending move the new drive and then
 * the old one; without those that are gone. None: it is nowhere until it is made anew. */
struct ring_places {
	uint8_t count;
	uint16_t drives[2];
};
void ring_snapshot_places(const struct ring_snapshot *snapshot, uint32_t slot, uint8_t shard,
	struct extent_id extent, struct ring_places *ret_places);

struct ring_snapshot *ring_snapshot_ref(struct ring_snapshot *snapshot); /* any thread */
void ring_snapshot_unref(struct ring_snapshot *snapshot); /* any thread; NULL is fine */
const struct ring *ring_snapshot_ring(const struct ring_snapshot *snapshot);

#endif
