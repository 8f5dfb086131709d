/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SHARD_SITE_H
#define STORAGE_SHARD_SITE_H

#include "storage/shard/remote.h"

/* A site: a drive as a loop reaches it, on this node or by calls to the node that has it. Shards
 * are written, read and freed the same way on both; what is said in storage/drive/drive.h holds,
 * and for those of other nodes storage/shard/remote.h besides.
 *
 * A local shard costs one more call of a function pointer than shard_write and its like do, and
 * nothing else. */
struct site {
	uint16_t number; /* of the drive; 0: it cannot be reached */
	struct drive *drive; /* of this node, or NULL: */
	struct peers *peers; /* reach this node */
	struct id node;
};

static inline bool site_is_there(const struct site *site)
{
	return site->number != 0;
}

static inline bool site_is_remote(const struct site *site)
{
	return site->number != 0 && !site->drive;
}

struct site_write {
	struct loop *loop;
	void (*ready)(struct site_write *write, enum err err);
	void (*sealed)(struct site_write *write, enum err err);

	/* Of the module. */
	bool is_remote;
	union {
		struct shard_write local;
		struct remote_write remote;
	};
};

struct site_append {
	void (*done)(struct site_append *append, enum err err);

	/* Of the module. */
	struct site_write *write;
	union {
		struct shard_append local;
		struct remote_append remote;
	};
};

/* As shard_write_open(), except: on another node it is always ERR_BUSY at first, and info->hint is
 * then borrowed until ready(). Errors of ready() besides: those of a call. */
MUST_USE enum err site_write_open(
	struct site_write *write, const struct site *site, const struct shard_info *info);
void site_write_append(struct site_write *write, struct site_append *append, const uint8_t *buf,
	size_t len, const uint64_t *checksums, size_t checksum_count);
void site_write_seal(struct site_write *write);

/* Gives the room back. It was opened, no append is in flight, and seal was not called. */
void site_write_abort(struct site_write *write);

/* Does not wait any longer for an open, a seal or an append of another node; its callback follows.
 * What is on a drive of this node ends by itself. */
void site_write_cancel(struct site_write *write);
void site_append_cancel(struct site_append *append);

struct site_read {
	struct loop *loop;
	void (*done)(struct site_read *read, enum err err);

	/* Of the module. */
	bool is_remote;
	union {
		struct shard_read local;
		struct remote_read remote;
	};
};

void site_read_init(
	struct site_read *read, const struct site *site, struct extent_id extent, uint8_t index);
void site_read_start(struct site_read *read, uint64_t start, size_t len, uint8_t *buf, bool cached);
void site_read_cancel(struct site_read *read);
void site_read_fini(struct site_read *read);

struct site_free {
	struct loop *loop;
	void (*done)(struct site_free *free, enum err err);
	void *owner; /* of the caller */

	/* Of the module. */
	bool is_remote;
	union {
		struct shard_free local;
		struct remote_free remote;
	};
};

void site_free_start(
	struct site_free *free, const struct site *site, struct extent_id extent, uint8_t index);

#endif
