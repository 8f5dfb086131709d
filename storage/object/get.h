/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_GET_H
#define STORAGE_OBJECT_GET_H

#include "storage/object/store.h"

/* GET: a range of one body, in order, checked block by block.
 *
 * The owner is called with piece() when the next bytes are there, sends them, and says get_sent();
 * up to GET_WINDOW pieces are read ahead. A unit that is missing, damaged, or slow is decoded from
 * any k others of its stripe.
 *
 * (G1) Every byte of a piece was checked against its block's checksum, or decoded from k checked
 *      units.
 * (G2) A get registers the log index at which its body was found; what that body refers to is not
 *      freed until the get ends, whatever happens to the version.
 * (G3) done() is called once, last, when nothing is in flight; with an error when a byte could not
 *      be had from any k units, and then no byte after the last piece was handed out.
 */
struct get;

struct get_setup {
	struct store_loop *store;
	struct body_id body;
	uint64_t read_index; /* log index of the view in which the body was found */
	uint64_t start, len; /* the range; within the body */
	uint64_t request_id;
	void (*piece)(
		struct get *get, const uint8_t *data, size_t len); /* borrowed until get_sent() */
	void (*done)(struct get *get, enum err err);
};

/* Begins; registers with the index before it returns. */
void get_start(struct get *get, const struct get_setup *setup);

/* The piece was sent; the next one may come. */
void get_sent(struct get *get);

/* Nobody wants the rest: done(ERR_CANCELED) follows. */
void get_cancel(struct get *get);

#endif
