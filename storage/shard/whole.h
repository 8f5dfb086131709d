/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SHARD_WHOLE_H
#define STORAGE_SHARD_WHOLE_H

#include "storage/shard/site.h"

/* A short shard, all of whose bytes are at hand, is opened, written and sealed by one operation; on
 * another node by one call, PEER_SHARD_WHOLE.
 *
 *	CALLING → OVER
 *	   ↓ it is not known there
 *	OPENING → WRITING → SEALING → OVER
 *
 * A drive of this node begins with OPENING; so ends a call to a node of an older version.
 *
 * (H1) done(ERR_OK) means that the shard is on the drive, durably.
 * (H2) After any other end it may be there, or come to be there later, unless the link broke (R2 of
 *      storage/shard/remote.h).
 * (H3) done() is called once, never inside a call, and within REMOTE_DEADLINE_MS of each step.
 */
enum whole_step {
	WHOLE_OVER,
	WHOLE_CALLING,
	WHOLE_OPENING,
	WHOLE_WRITING,
	WHOLE_SEALING,
};

struct site_whole {
	struct loop *loop;
	void (*done)(struct site_whole *whole, enum err err);

	/* Of the module. */
	struct site site;
	struct shard_info info;
	const uint8_t *buf;
	size_t sum_count;
	uint64_t sums[SHARD_WHOLE_SUMS_MAX];
	enum whole_step step;
	bool is_open, is_canceled;
	enum err err;
	struct task task;
	union {
		struct { /* step by step */
			struct site_write write;
			struct site_append append;
		};
		struct { /* the call */
			struct peer_call call;
			uint8_t head[SHARD_WHOLE_HEAD_LEN + DRIVE_HINT_LEN_MAX];
		};
	};
};

/* Writes info->shard_len bytes of buf, at most SHARD_WHOLE_LEN_MAX, with the checksums of their
 * blocks. buf and info->hint are borrowed until done(), info and sums until it returns. Errors of
 * done(): those of shard_write_open() and of a seal, and those of a call. */
void site_whole_start(struct site_whole *whole, const struct site *site,
	const struct shard_info *info, const uint8_t *buf, const uint64_t *sums, size_t sum_count);

/* Does not wait any longer for another node; done() follows. What is on a drive of this node ends
 * by itself. */
void site_whole_cancel(struct site_whole *whole);

#endif
