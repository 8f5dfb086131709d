/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_PUT_H
#define STORAGE_OBJECT_PUT_H

#include "erasure/stripe.h"
#include "storage/object/store.h"
#include "storage/shard/whole.h"

/* PUT: the bytes of one body go to the drives.
 *
 * The owner asks for room with put_buffer(), receives into it, says how much came with
 * put_filled(), and so on until all len bytes were there. Each full frame (a data unit, or the
 * rest at the end) is shown to the owner with frame(), so that it can be digested; it stays until
 * put_frame_done(). A full stripe is coded and written to its shards meanwhile. When all is
 * durable, durable() is called and put_body() says what the index has to be told; the owner, when
 * it has all digests too, proposes a command with that, or calls put_discard().
 *
 * (U1) durable(ERR_OK) means that every extent of the body has k+1 durable shards on distinct
 *      drives (k when its code has m = 0), each flushed.
 * (U2) The put holds one stripe, and a second one while the pool has it to spare.
 * (U3) Callbacks never come inside a call; durable() is the last but for discarded(), and comes
 *      only when nothing is in flight but, with ERR_OK, frames that the owner has.
 * (U4) Where drives of a slot are missing when an extent begins, it is written with a narrower code
 *      on those that are there; so also when they turn out to be missing while it is opened, or,
 *      if the extent is one stripe of copies and so still in memory, while it is written; it
 *      stays copies then. Any other that falls below k+1 shards, and not below k, is written to
 *      its end all the same, read back, and written anew as a narrower one (put_rescue.c); what was
 *      written first is freed. Below k the put fails (ERR_QUORUM).
 * (U5) Shards may be on drives of any node. Once k+1 have done a step (have written a stripe, are
 *      durable), those of other nodes that have not get PUT_LATE_FACTOR times what the others
 *      needed, at least PUT_LATE_MS_MIN; then they count as failed. What can be done anew does not
 *      wait for k+1: one is enough, except at the last try.
 * (U6) The length of a body may come in pieces: a put that is_open has as many bytes as were
 *      announced so far, at first len, then more by put_extend(), until put_close(). An extent
 *      never has more than was announced when it began; nor when it is written anew (U4).
 */
#define PUT_STRIPES_MAX 2
#define PUT_LATE_MS_MIN 1000
#define PUT_LATE_FACTOR 8
#define PUT_TRIES_MAX 3 /* of one extent, each without those that failed before */
#define PUT_LEN_MAX (UINT64_C(5) << 30) /* of one body */
#define PUT_EXTENT_LEN_MAX 100 /* of one in the list of its extents */
#define PUT_EXTENTS_LEN_MAX 8192 /* of that list; a put of more fails (ERR_LIMIT) */

enum put_state {
	PUT_IDLE,
	PUT_OPENING, /* an extent's shards are being opened */
	PUT_STREAMING,
	PUT_SEALING,
	PUT_RESCUING, /* the extent has too few shards, and is written anew */
	PUT_WAITING, /* all that was announced is durable; more may be (U6) */
	PUT_DURABLE,
	PUT_UNWINDING, /* failed or discarded: what was written is freed */
	PUT_OVER,
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
	/* Kept in the records for rescue (hint.h): the name of the object, and, if the body is a
	 * part of an upload, which one. Borrowed until put_start() returns. */
	struct bytes hint;
	uint64_t upload;
	uint16_t part;
	uint64_t len; /* of the body; of its beginning, if is_open */
	bool is_open; /* (U6); len is above STORE_INLINE_LEN_MAX */
	uint8_t storage_class;
	bool is_rescue; /* of what another put wrote, with its hint; it is not rescued itself */
	bool is_packed; /* stored as frames: nobody could read it without its row (pack.h) */
	bool must_fit; /* rather fail (ERR_QUORUM) than write a narrower code */
	uint64_t request_id;
	void (*room)(struct put *put); /* after put_buffer() said ERR_BUSY */
	void (*frame)(struct put *put, struct put_frame *frame);
	void (*durable)(struct put *put, enum err err);
	void (*discarded)(
		struct put *put); /* after put_discard(): the put may be reused or freed */
};

/* One stripe in memory. */
struct put_stripe {
	struct put *put;
	uint8_t *units[CODE_UNITS_MAX]; /* data, then parity; with k = 1 only the first is there */
	unsigned unit_count; /* buffers taken */
	uint32_t number; /* in its extent */
	uint32_t body_len; /* client bytes it will hold */
	uint32_t filled_len;
	uint32_t unit_len;
	unsigned frames_out; /* shown to the owner and not yet given back */
	unsigned frames_shown;
	struct put_frame frames[CODE_DATA_MAX];
	unsigned appends_in_flight;
	uint32_t appending; /* shards whose appends are in flight */
	unsigned copies_in_flight; /* that are written from it by one call */
	bool is_used;
	bool is_written; /* its appends were started */
	uint64_t written_ms, allowed_ms; /* when they were; their (U5) */

	struct site_append appends[CODE_UNITS_MAX]; /* set when they are begun */
};

/* Which drives an extent is opened on. */
enum put_choice {
	PUT_CHOOSES_SOUND, /* not those that puts avoid */
	PUT_CHOOSES_UNTRIED, /* those, too, rather than too few; but none that failed this put */
	PUT_CHOOSES_ANY,
};

/* One shard of the extent being written. */
struct put_shard {
	struct put *put;
	struct site_write write;
	uint16_t drive; /* its number */
	bool is_opening, is_open, is_sealing, was_sealing, is_sealed, is_failed;
	bool is_whole; /* a copy, written by one call: see put->copies */
};

/* A short copy on another node, which is on its way by one call. */
struct put_copy {
	struct site_whole whole;
	struct put_stripe *stripe;
};

struct put {
	uint32_t magic;
	enum put_state state;
	struct put_setup setup;
	enum err err; /* the first thing that went wrong */
	uint16_t failed[CODE_UNITS_MAX]; /* drives that refused or did not answer it */
	unsigned failed_count;
	bool was_full; /* one of them had no space */
	bool is_discarded;
	struct index_hold hold; /* keeps the extents from being taken for garbage */
	size_t extents_len;
	uint64_t session; /* that all of its extents are of */
	uint64_t first_counter; /* of the extent that was begun first; 0: none was */
	uint64_t stored_len;
	uint64_t taken_len; /* of the body: received so far */
	uint64_t extent_start; /* in the body */

	/* A body that goes into the index. */
	uint8_t *inline_buf;
	struct put_frame inline_frame;
	bool inline_frame_out;

	/* The extent being written. */
	struct geometry geometry;
	struct extent_id extent;
	uint32_t slot;
	uint32_t stripe_count;
	uint32_t stripe_next; /* the next one to be filled */
	uint32_t stripes_written; /* begun to be written */
	unsigned shards_in_flight; /* opening or sealing */
	unsigned tries; /* of this extent, before this one */
	bool is_short; /* it fell below k+1 shards, and is to be written anew */
	bool is_weak; /* it has k shards left, and is to be rescued */
	struct put_rescue *rescue; /* owned; NULL: none is in flight */
	struct put_stripe *kept; /* all of it, when it can be */
	uint64_t step_ms, allowed_ms; /* when the opening or the sealing began; its (U5) */
	enum put_choice choice;
	bool has_remote; /* shards of it are on drives of other nodes */
	struct timer late; /* (U5) */

	struct put_stripe *filling; /* the stripe that takes bytes now */
	struct pool_wait wait;
	bool wants_room; /* the owner waits for room() */

	struct task advance_task;
	bool is_advance_posted;
	bool is_extent_unwound;
	size_t unwound_len; /* of the list of extents: those whose shards were freed */
	unsigned frees_in_flight;
	size_t hint_len;
	struct put_stripe stripes[PUT_STRIPES_MAX]; /* zeroed when they are taken, but is_used */

	/* What is set before it is used, and not zeroed: an inline body needs none of it. */
	struct code code;
	union {
		struct put_shard shards[CODE_UNITS_MAX]; /* those of the geometry */
		struct { /* of copies, which are few */
			struct put_shard copied_shards[1 + CODE_PARITY_MAX];
			struct put_copy copies[1 + CODE_PARITY_MAX]; /* of those that are is_whole
								      */
		};
	};
	struct site_free frees[CODE_UNITS_MAX];
	uint16_t frees_drive[CODE_UNITS_MAX]; /* of which drive each is */
	uint8_t extents[PUT_EXTENTS_LEN_MAX]; /* list of command_extent: what is durable */
	uint8_t hint[DRIVE_HINT_LEN_MAX];
};

/* Begins. Errors: ERR_NO_SPACE; ERR_QUORUM, too few drives for P1; the put is then not begun. */
MUST_USE enum err put_start(struct put *put, const struct put_setup *setup);

/* Where the next bytes of the body go. Errors: ERR_BUSY, room() follows; ERR_END, all bytes
 * that were announced are there; what went wrong otherwise, and durable() will say so too. */
MUST_USE enum err put_buffer(struct put *put, uint8_t **ret_buf, size_t *ret_cap);

/* len bytes, at most cap of them, were placed into the buffer. May call frame() (the one callback
 * that comes inside a call: it hands out what the call completed). */
void put_filled(struct put *put, size_t len);

/* (U6) So many bytes more will come, at least 1. */
void put_extend(struct put *put, uint64_t len);

/* (U6) What was announced is all. */
void put_close(struct put *put);

/* The owner is done with a frame. */
void put_frame_done(struct put *put, struct put_frame *frame);

/* The body will not be used: stops what can be stopped, frees what was written, then discarded().
 * Allowed in every state after put_start() succeeded; durable() does not come any more. */
void put_discard(struct put *put);

/* Fills in what a command says of where the body is: len, stored_len, and inline_data or extents,
 * borrowed from the put. Only after durable(ERR_OK). */
void put_body(const struct put *put, struct command_body *body);

/* The session that its extents are of, which their proposal needs; 0: it has none. */
static inline uint64_t put_session(const struct put *put)
{
	return put->extents_len > 0 ? put->session : 0;
}

/* The index took the body over, or its answer is not known; returns memory. Only after
 * durable(ERR_OK), with all frames given back. */
void put_fini(struct put *put);

#endif
