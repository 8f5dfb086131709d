/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_GET_H
#define STORAGE_OBJECT_GET_H

#include "erasure/stripe.h"
#include "storage/object/store.h"

/* GET: a range of one body, in order, checked block by block.
 *
 * The owner is called with piece() when the next bytes are there, sends them, and says get_sent();
 * up to GET_WINDOW pieces are read ahead. A unit that is missing or damaged is decoded from any k
 * others of its stripe; so is one that another node does not give in time, if there are others.
 * Where shards are whole copies, the nearest is read; where all of a stripe is wanted, parity that
 * is on this node spares a unit of another.
 *
 * (G1) Every byte of a piece was checked against its block's checksum, or decoded from k checked
 *      units.
 * (G2) A get holds the state of the index in which its body was found; what that body refers to is
 *      not freed until the get ends, whatever happens to the version.
 * (G3) done() is called once, last, when nothing is in flight; with an error when a byte could not
 *      be had from any k units, and then no byte after the last piece was handed out.
 * (G4) While a shard is on its way to another drive, it is looked for on both, first on the one
 *      that is nearer; only if neither has it, it is missing.
 */
#define GET_WINDOW 4 /* stripes in flight or waiting to be sent */

struct get;

struct get_extent;

struct get_setup {
	struct store_loop *store;
	uint64_t body; /* its id */
	/* Instead of a body: an extent that the caller has written, and that nobody frees; copied.
	 * start and len are within it. */
	const struct get_extent *extent;
	uint64_t start, len; /* the range; within the body */
	uint64_t request_id;
	void (*piece)(
		struct get *get, const uint8_t *data, size_t len); /* borrowed until get_sent() */
	void (*done)(struct get *get, enum err err);
};

enum get_stripe_state {
	GET_STRIPE_FREE,
	GET_STRIPE_READING, /* the data units of the range */
	GET_STRIPE_DECODING, /* any k units, after one of those could not be had */
	GET_STRIPE_READY,
};

struct get_stripe;

/* Where a part of the body is: one extent, its shards' drives looked up. */
struct get_extent {
	uint64_t body_start; /* of the part, in the body */
	uint64_t len; /* of the part */
	uint64_t offset; /* of the part, in the extent */
	struct extent_id id;
	struct geometry geometry;
	uint16_t drives[CODE_UNITS_MAX]; /* 0: the shard is missing */
	bool is_moving; /* some may be on another drive: */
	uint16_t others[CODE_UNITS_MAX]; /* 0: there is no other; only with is_moving */
};

/* One unit of one stripe, being read. */
struct get_unit {
	struct get_stripe *stripe;
	struct site_read read;
	uint8_t *buf; /* of the stripe's region */
	uint64_t begun_ms; /* when it was asked for */
	uint32_t start, end; /* what is or was read, in the unit; whole blocks */
	bool is_inited; /* read names a shard of the stripe's extent */
	bool is_reading, is_good, is_bad;
	bool is_late; /* it was not waited for, or not asked; it may be if nothing else helps */
	bool is_patient; /* it was late, and is now waited for */
	bool is_spared; /* it is decoded since that is nearer than to have it sent */
	bool is_extra; /* read for decoding only; buf is of decode_pool */
};

/* One stripe, or the part of it that is in the range; or the bytes of an inline body. */
struct get_stripe {
	struct get *get;
	enum get_stripe_state state;
	struct get_extent extent;
	bool has_extent;
	uint32_t number; /* in the extent */
	uint32_t unit_len;
	uint32_t start, end; /* wanted bytes, in the stripe */
	uint32_t region_start,
		region_end; /* the bytes of each unit that have a place in a buffer */
	unsigned wanted_count; /* data units that hold wanted bytes */
	unsigned reads_in_flight;
	uint8_t copy; /* with k = 1: the unit that is read, or was */
	const uint8_t *inline_data; /* the bytes of a whole inline body; else NULL */
	bool is_waiting_to_decode;
	struct pool_wait wait;
	bool has_units; /* they are zeroed when the first is needed: most gets need few or none */
	struct get_unit units[CODE_UNITS_MAX];
};

struct get {
	uint32_t magic;
	struct get_setup setup;
	enum err err;
	struct index_hold hold; /* (G2) */
	uint64_t next_offset; /* in the body: where the next stripe begins */
	uint64_t end_offset;
	struct get_extent extent; /* the one that next_offset is in */
	bool has_extent, has_no_body;
	uint64_t order_read, order_sent; /* stripes begun and sent */
	uint32_t sent_len; /* of the stripe being sent */
	uint32_t sending_len;
	bool is_sending; /* a piece is with the owner */
	struct pool_wait wait;
	struct timer hedge; /* set while units of other nodes are being read */
	struct code_decoder decoder;
	struct task advance_task;
	bool is_advance_posted;
	struct get_stripe stripes[GET_WINDOW]; /* zeroed to their units only */
	uint8_t inline_buf[STORE_INLINE_LEN_MAX]; /* of a whole inline body */
};

/* Begins. Under the view in which the body was found (an extent needs none): what the body refers
 * to stays readable from here on, though the view may end. */
void get_start(struct get *get, const struct get_setup *setup);

/* The piece was sent; the next one may come. */
void get_sent(struct get *get);

/* Nobody wants the rest; a piece that is with the owner is given back too. done(ERR_CANCELED)
 * follows. */
void get_cancel(struct get *get);

#endif
