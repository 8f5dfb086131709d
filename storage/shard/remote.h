/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SHARD_REMOTE_H
#define STORAGE_SHARD_REMOTE_H

#include "storage/drive/drive.h"
#include "storage/peer.h"
#include "storage/shard/shard_wire.h"

/* A shard on a drive of another node, written, read and freed by calls to that node. Each struct is
 * the counterpart of the one in storage/drive/drive.h and is used in the same order; the other end
 * is storage/shard/shard_service.h.
 *
 * (R1) Nothing that a call says is believed of a unit that does not match its checksums: the
 *      service checks what arrives before it writes, the reader what it is answered.
 * (R2) An operation that ends with ERR_UNAVAILABLE, ERR_CLOSED, ERR_TIMEOUT or ERR_CANCELED may
 *      have had its effect or may have it later, unless the link breaks; whoever finds nothing of
 *      it in the index frees it (storage/repair/collect.h).
 * (R3) Every operation ends within REMOTE_DEADLINE_MS, and soon after it was canceled.
 */
#define REMOTE_DEADLINE_MS 10000

struct remote_write {
	void (*ready)(struct remote_write *write, enum err err);
	void (*sealed)(struct remote_write *write, enum err err);

	/* Of the module. */
	struct peers *peers;
	struct id node;
	struct shard_key key;
	uint64_t shard_len, written_len;
	size_t in_flight, in_flight_len;
	bool is_calling, is_sealing;
	enum err err; /* of an append that failed */
	struct peer_call call; /* OPEN, then SEAL */
	uint8_t head[SHARD_OPEN_LEN];
};

struct remote_append {
	void (*done)(struct remote_append *append, enum err err);

	/* Of the module. */
	struct remote_write *write;
	size_t len;
	bool is_calling;
	struct peer_call call;
	uint8_t head[SHARD_APPEND_LEN + SHARD_SUMS_LEN_MAX];
};

/* Asks for the room of the record; ready() follows. The drive is the one with that number of that
 * node. info->hint is borrowed until ready(). */
void remote_write_open(struct remote_write *write, struct peers *peers, struct id node,
	uint16_t drive, const struct shard_info *info);

/* As shard_write_append(); the answer says that the drive has written it. */
void remote_write_append(struct remote_write *write, struct remote_append *append,
	const uint8_t *buf, size_t len, const uint64_t *checksums, size_t checksum_count);
void remote_write_seal(struct remote_write *write);

/* Tells the other node to give the room back. Nothing is in flight. */
void remote_write_abort(struct remote_write *write);

/* Ends an open or a seal that is in flight, or an append; its callback follows. Fine when nothing
 * is. */
void remote_write_cancel(struct remote_write *write);
void remote_append_cancel(struct remote_append *append);

struct remote_read {
	void (*done)(struct remote_read *read, enum err err);

	/* Of the module. */
	struct peers *peers;
	struct id node;
	struct shard_read_range range;
	uint8_t *buf;
	bool is_calling;
	struct peer_call call;
	uint8_t head[SHARD_READ_LEN];
};

void remote_read_init(struct remote_read *read, struct peers *peers, struct id node, uint16_t drive,
	struct extent_id extent, uint8_t index);

/* As shard_read_start(), of at most SHARD_TRANSFER_LEN_MAX bytes. */
void remote_read_start(
	struct remote_read *read, uint64_t start, size_t len, uint8_t *buf, bool cached);
void remote_read_cancel(struct remote_read *read);

struct remote_free {
	void (*done)(struct remote_free *free, enum err err);

	/* Of the module. */
	struct peer_call call;
	uint8_t head[SHARD_KEY_LEN];
};

void remote_free_start(struct remote_free *free, struct peers *peers, struct id node,
	uint16_t drive, struct extent_id extent, uint8_t index);

#endif
