/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_PUT_H
#define STORAGE_OBJECT_PUT_H

#include "erasure/stripe.h"
#include "storage/object/store.h"

/* PUT: the bytes of one body go to the drives.
 *
 * The owner asks for room with put_buffer(), receives into it, says how much came with
 * put_filled(), and so on until all len bytes were there. Each full frame (a data unit, or the
 * rest at the end) is shown to the owner with frame(), so that it can be digested while it is in
 * cache; it stays until put_frame_done(). A stripe whose frames are done is coded and written to
 * its shards. When all is durable, durable() is called and put->draft says what the index has to be
 * told; the owner then proposes a command that names the draft, or calls put_discard().
 *
 * (U1) durable(ERR_OK) means that every extent of the draft has k+1 durable shards on distinct
 *      drives (k when its code has m = 0), each flushed.
 * (U2) The put holds one stripe, and a second one while the pool has it to spare.
 * (U3) Callbacks never come inside a call; durable() is the last but for discarded(), and comes
 *      only when nothing is in flight.
 * (U4) An extent that cannot reach k+1 shards any more is written again with a narrower code from
 *      what its shards hold, as long as two drives are there; the first attempt becomes garbage.
 */
#define PUT_SHARDS_MAX 20
#define PUT_STRIPES_MAX 2

enum put_state {
	PUT_IDLE,
	PUT_OPENING, /* an extent's shards are being opened */
	PUT_STREAMING,
	PUT_SEALING,
	PUT_NARROWING,
	PUT_DURABLE,
	PUT_FAILED,
	PUT_DISCARDING,
};

/* One frame of client bytes, shown to the owner. */
struct put_frame {
	const uint8_t *data;
	size_t len;
	void *owner_data; /* of the owner, while it has the frame */
};

struct put;

struct put_setup {
	struct store_loop *store;
	uint64_t bucket_id; /* with the key it chooses the slot */
	struct bytes key; /* borrowed until put_start() returns */
	struct bytes hint; /* likewise; kept in the records for rescue */
	uint64_t len; /* of the body */
	uint8_t storage_class;
	uint64_t request_id;
	void (*room)(struct put *put); /* after put_buffer() said ERR_BUSY */
	void (*frame)(struct put *put, struct put_frame *frame);
	void (*durable)(struct put *put, enum err err);
	void (*discarded)(
		struct put *put); /* after put_discard(): the put may be reused or freed */
};

/* Begins. Errors: ERR_NO_SPACE; ERR_QUORUM, too few drives for P1; the put is then not begun. */
MUST_USE enum err put_start(struct put *put, const struct put_setup *setup);

/* Where the next bytes of the body go. Errors: ERR_BUSY, room() follows; ERR_END, all bytes are
 * there; what went wrong otherwise, and durable() will say so too. */
MUST_USE enum err put_buffer(struct put *put, uint8_t **ret_buf, size_t *ret_cap);

/* len bytes, at most cap of them, were placed into the buffer. May call frame() (the one callback
 * that comes inside a call: it hands out what the call completed). */
void put_filled(struct put *put, size_t len);

/* The owner is done with a frame. */
void put_frame_done(struct put *put, struct put_frame *frame);

/* The body will not be used: stops what can be stopped, frees what was written, then discarded().
 * Allowed in every state after put_start() succeeded; durable() does not come any more. */
void put_discard(struct put *put);

/* The draft was taken over by the index; returns memory. Only after durable(ERR_OK). */
void put_fini(struct put *put);

#endif
