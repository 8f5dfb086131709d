/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_UNPACK_H
#define STORAGE_OBJECT_UNPACK_H

#include "storage/object/frame_seal.h"
#include "storage/object/get.h"

/* GET with frames: a range of one body as clients see it, whatever its frames are (frame.h). It is
 * used as a get is (get.h), and is no more than that where the body has none.
 *
 * (N1) The range is read run by run: bodies without frames that follow each other, as parts of an
 *      upload do, in one run, each body with frames in one of its own, by its frames alone that
 *      are touched.
 * (N2) Every byte of a piece was checked (G1), its frame's tag too if it is sealed.
 * (N3) Memory for a frame is taken once, before the first get of a body with frames begins, and
 *      kept to the end.
 * (N4) The hold of the unpack keeps what is not being read yet (G2).
 */
struct unpack;

struct unpack_setup {
	struct store_loop *store;
	uint64_t body; /* its id */
	uint64_t start, len; /* the range; within the body; not empty */
	uint64_t request_id;
	/* Opens the key of a sealed body, by what its row says; for the call. Errors end the read.
	 */
	enum err (*open)(struct unpack *unpack, struct bytes encryption, struct frame_key *ret_key);
	void (*piece)(struct unpack *unpack, const uint8_t *data,
		size_t len); /* borrowed until unpack_sent() */
	void (*done)(struct unpack *unpack, enum err err);
};

struct unpack {
	uint32_t magic;
	struct unpack_setup setup;
	enum err err;
	struct index_hold hold; /* (N4) */
	uint64_t next_offset, end_offset; /* in the body: of what is not handed out yet */
	bool is_get_active;
	bool is_out; /* a piece is with the owner */
	bool is_canceled;

	/* The run being read. */
	uint64_t run_end; /* in the body */
	bool has_frames;
	struct index_leaf leaf;
	struct frame_walk walk;
	struct frame_seal seal;
	const uint8_t *data; /* of the get, not looked at yet */
	size_t data_len;
	bool has_data; /* a piece of the get is here */
	struct frame frame;
	bool is_in_frame;
	uint32_t payload_done, tag_done;
	uint8_t tag[FRAME_TAG_LEN];
	uint64_t skip_len; /* of the frame: before the range */

	uint8_t *buffers[2]; /* a frame, and its payload while it is zipped; NULL: not taken */
	struct pool_wait wait;
	struct task task;
	bool is_posted;

	struct get get; /* get_start() sets it up */
};

/* Begins. Under the view in which the body was found. */
void unpack_start(struct unpack *unpack, const struct unpack_setup *setup);

/* As get_sent() and get_cancel(). */
void unpack_sent(struct unpack *unpack);
void unpack_cancel(struct unpack *unpack);

#endif
