/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_INDEX_LEDGER_H
#define STORAGE_META_INDEX_LEDGER_H

#include "storage/meta/index.h"

/* The ledger, for who moves, repairs and counts: what is not where it should be. Under a view;
 * errors as of all lookups. A ring snapshot that is used with rows of a view is taken after the
 * view began: a shard leaves its old place only when no such view is left. */

/* Where a shard of an extent may be, the best first. None: it is nowhere until it is made anew. */
void index_shard_places(const struct ring_snapshot *ring, uint16_t slot, struct extent_id extent,
	const struct row_extent *row, uint8_t shard, struct ring_places *ret_places);

/* May the drive keep that shard of an extent that has a row? One that is missing by its row may be
 * on its way to where the ring wants it. */
bool index_shard_belongs(const struct ring_snapshot *ring, uint16_t slot,
	const struct row_extent *row, uint8_t shard, uint16_t drive);

/* --- walks over extents
 * ------------------------------------------------------------------------------ From a place on,
 * at most so many rows are looked at: ERR_BUSY, that many were in vain and the place is where to go
 * on; ERR_NOT_FOUND, the end. Slots that have nothing of the kind cost one lookup. When one is
 * found the place is its own; the next is at or behind counter + 1.
 */
struct index_place {
	uint16_t slot;
	struct extent_id extent;
};

MUST_USE enum err index_exception_next(struct index_reader *reader, struct index_place *place,
	size_t rows_max, struct row_extent *ret_row);

/* An extent with another code than the profile gives to one of its length. */
MUST_USE enum err index_off_profile_next(struct index_reader *reader, struct index_place *place,
	struct ring_profile profile, size_t rows_max, struct row_extent *ret_row);

/* --- moves, spans, leftovers
 * ------------------------------------------------------------------------- The first at or behind
 * a place.
 */
struct index_move {
	uint16_t slot;
	uint8_t shard;
	struct row_move row;
};
MUST_USE enum err index_move_next(
	struct index_reader *reader, uint16_t slot, uint8_t shard, struct index_move *ret_move);

struct index_span {
	uint16_t drive, slot;
	struct row_span row;
	uint64_t left; /* shards that are not known to be anywhere else */
};
MUST_USE enum err index_span_next(
	struct index_reader *reader, uint16_t drive, uint16_t slot, struct index_span *ret_span);

struct index_leftover {
	uint16_t slot;
	uint8_t shard;
	uint16_t drive;
	struct row_leftover row;
};
MUST_USE enum err index_leftover_next(struct index_reader *reader, uint16_t slot, uint8_t shard,
	uint16_t drive, struct index_leftover *ret_leftover);

/* --- counts -----------------------------------------------------------------------------------*/

/* Of all slots, for a profile with m parity units. No scan of extents. */
struct index_slot_sums {
	uint64_t extents, len;
	uint64_t exceptions; /* missing ones too */
	uint64_t missing; /* by exceptions */
	uint64_t lost; /* on gone drives, as spans have it */
	uint64_t under_extents, under_len; /* under profile */
};
MUST_USE enum err index_slot_sums(
	struct index_reader *reader, uint8_t m, struct index_slot_sums *ret_sums);

/* What is coded otherwise than a put of today would. No scan of extents; garbage counts until it is
 * collected. */
struct index_profile_sums {
	uint64_t off_extents, off_len; /* of any other code */
	uint64_t under_extents, under_len; /* of them, with fewer parity units */
	uint64_t bare_extents, bare_len; /* of these, with none: one loss takes them */
	uint64_t wide_extents; /* of off_extents, with more shards than the profile */
};
MUST_USE enum err index_profile_sums(struct index_reader *reader, struct ring_profile profile,
	struct index_profile_sums *ret_sums);

/* Shards that are on a drive by exceptions; on a gone drive they are lost, too. */
MUST_USE enum err index_drive_exceptions(
	struct index_reader *reader, uint16_t drive, uint64_t *ret_count);

/* --- ring and drives --------------------------------------------------------------------------*/

/* The ring as the view has it, which index_ring() is not: with the leftovers of the same view it
 * says what a drive may forget. Copies all of it. ERR_NOT_FOUND: none was set. */
MUST_USE enum err index_ring_view(struct index_reader *reader, struct ring_snapshot **ret_ring);

/* The target that the ring moves to; a reference for the caller. ERR_NOT_FOUND: none. */
MUST_USE enum err index_ring_target(struct index_reader *reader, struct ring_snapshot **ret_target);

/* The version of commands that all members know: a type may be proposed if
 * command_type_version() is not above it. COMMAND_VERSION while no node has a row. */
MUST_USE enum err index_command_version(struct index_reader *reader, uint16_t *ret_version);

/* The epoch of the cluster, 0 before any forced recovery. */
MUST_USE enum err index_cluster_epoch(struct index_reader *reader, uint64_t *ret_epoch);

/* Is nothing to be freed (COMMAND_SETTING_HELD)? As long as that cannot be read, neither. Under a
 * view. */
bool index_is_held(struct index_reader *reader);

/* ERR_OK: the claim of a node on a drive is the newest, and the drive is not given up. ERR_FENCED:
 * not so; the node takes the drive out of service. */
MUST_USE enum err index_drive_claim(
	struct index_reader *reader, uint16_t drive, struct id node, uint64_t mount);

#endif
