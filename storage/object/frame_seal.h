/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_OBJECT_FRAME_SEAL_H
#define STORAGE_OBJECT_FRAME_SEAL_H

#include "storage/object/frame.h"

/* AES-256-GCM, OpenSSL's, for the frames of one body (F1, F2 of frame.h) and for the keys of
 * bodies. */
struct evp_cipher_ctx_st;
#define FRAME_SEAL_MEMORY_MAX 2048u /* what it takes of the heap; 1.2 KiB measured */

struct frame_seal {
	struct evp_cipher_ctx_st *ctx; /* owned; NULL: not begun */
	uint8_t id[FRAME_ID_LEN];
	bool is_opening;
};

/* Takes the key over into its own memory, which is wiped by fini(). Errors: ERR_NO_MEMORY. */
MUST_USE enum err frame_seal_init(
	struct frame_seal *seal, const struct frame_key *key, bool is_opening);

/* Also of one that is zeroed. */
void frame_seal_fini(struct frame_seal *seal);

/* Begins a frame; what was begun before is forgotten. */
void frame_seal_begin(struct frame_seal *seal, const struct frame *frame);

/* Its next len bytes, in or out of cipher; in and out are the same or do not touch. */
void frame_seal_run(struct frame_seal *seal, const uint8_t *in, size_t len, uint8_t *out);

/* All bytes were there: the tag that is stored. */
void frame_seal_end(struct frame_seal *seal, uint8_t ret_tag[FRAME_TAG_LEN]);

/* All bytes were there: are they those of this tag? Errors: ERR_CHECKSUM. */
MUST_USE enum err frame_seal_check(struct frame_seal *seal, const uint8_t tag[FRAME_TAG_LEN]);

/* A key wrapped by another one that is used for this alone, and what that looks like. Errors of
 * open: ERR_CHECKSUM, it was not wrapped by that key under that id; ERR_NO_MEMORY. */
#define FRAME_WRAPPED_LEN (FRAME_KEY_LEN + FRAME_TAG_LEN)
MUST_USE enum err frame_key_wrap(const struct frame_key *key, const uint8_t by[FRAME_KEY_LEN],
	uint8_t ret_wrapped[FRAME_WRAPPED_LEN]);
MUST_USE enum err frame_key_unwrap(const uint8_t wrapped[FRAME_WRAPPED_LEN],
	const uint8_t by[FRAME_KEY_LEN], const uint8_t id[FRAME_ID_LEN], struct frame_key *ret_key);

/* Forgets a key in a way that a compiler keeps. */
void frame_key_wipe(struct frame_key *key);

#endif
