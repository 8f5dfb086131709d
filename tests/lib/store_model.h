/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_MODEL_H
#define TESTS_LIB_STORE_MODEL_H

#include "storage/meta/rows.h"

/* What a store is judged by: the bytes that each object was written with, and the history of each
 * key, which has to be linearizable.
 *
 * A content is a number that names bytes: random ones of its own, or slices of other contents one
 * after the other. It travels in the ETag. 0 is no content: the key is not there.
 *
 * A history has events with a beginning and an end, in steps of one clock. A write whose outcome is
 * not known may have happened between its beginning and the next start of the node, or not at all.
 */
#define STORE_MODEL_KEYS 8
#define STORE_MODEL_EVENTS 124 /* of one key */
#define STORE_MODEL_CONTENTS 512
#define STORE_MODEL_SLICES 4 /* of one content */

enum store_event_kind {
	STORE_READ, /* finds value */
	STORE_WRITE, /* makes it value */
	STORE_CREATE, /* makes it value; there was none */
	STORE_REFUSED, /* a create that found something */
};

struct store_event {
	enum store_event_kind kind;
	uint32_t value; /* a content */
	uint64_t from, to; /* UINT64_MAX: it has not ended */
	bool is_certain; /* it happened */
	bool is_void; /* it did not happen */
};

struct store_slice {
	uint32_t content;
	uint64_t offset, len;
};

struct store_content {
	uint64_t len;
	unsigned slice_count; /* 0: bytes of its own */
	struct store_slice slices[STORE_MODEL_SLICES];
};

struct store_history {
	struct store_event events[STORE_MODEL_EVENTS];
	unsigned count;
};

struct store_model {
	uint64_t seed, clock;
	struct store_content contents[STORE_MODEL_CONTENTS];
	uint32_t content_count;
	struct store_history keys[STORE_MODEL_KEYS];
};

void store_model_init(struct store_model *model, uint64_t seed);

/* --- contents --- */

uint32_t store_content_new(struct store_model *model, uint64_t len);
uint32_t store_content_join(
	struct store_model *model, const struct store_slice *slices, unsigned count);
uint64_t store_content_len(const struct store_model *model, uint32_t content);
void store_content_fill(const struct store_model *model, uint32_t content, uint64_t offset,
	uint8_t *buf, size_t len);
bool store_content_matches(const struct store_model *model, uint32_t content, uint64_t offset,
	const uint8_t *data, size_t len);

struct etag store_content_etag(const struct store_model *model, uint32_t content);

/* The content of an ETag; 0 if it is of none, or of another world. */
uint32_t store_content_of(const struct store_model *model, const struct etag *etag);

/* --- histories --- */

/* Has the key room for some more events? */
bool store_model_has_room(const struct store_model *model, unsigned key);

/* Begins a write; returns the number of its event. */
unsigned store_model_begin(
	struct store_model *model, unsigned key, enum store_event_kind kind, uint32_t value);

/* It happened, before now. */
void store_model_happened(struct store_model *model, unsigned key, unsigned event);

/* It was a create, and was refused before now because there was something. */
void store_model_refused(struct store_model *model, unsigned key, unsigned event);

/* It did not happen and never will. */
void store_model_did_not(struct store_model *model, unsigned key, unsigned event);

/* The key had that value at some time since an earlier moment; store_model_now() says which that
 * is.
 */
uint64_t store_model_now(struct store_model *model);
void store_model_read_since(
	struct store_model *model, unsigned key, uint64_t since, uint32_t value);

/* Now the key has that value. */
void store_model_read(struct store_model *model, unsigned key, uint32_t value);

/* The node started anew: what has no end either happened before now or did not. */
void store_model_restart(struct store_model *model);

/* Is there an order of the key's events that explains them all? */
bool store_model_is_linearizable(const struct store_model *model, unsigned key);

/* Writes the key's history to stderr. */
void store_model_print(const struct store_model *model, unsigned key);

#endif
