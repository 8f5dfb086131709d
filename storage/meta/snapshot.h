/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_SNAPSHOT_H
#define STORAGE_META_SNAPSHOT_H

#include "storage/err.h"
#include "storage/loop.h"

/* The seam through which consensus moves a whole state machine to a member that needs what no log
 * has any more: bytes whose meaning is the state machine's.
 *
 * (T1) An export is of one state: that after all groups up to its index, and none behind.
 * (T2) An import is beside the state until install(), which makes it the state at once and durably:
 *      a start finds either the old state or the new one. The next group that is committed() is
 *      the one after its index; meanwhile none is. A state machine that must be opened anew for
 *      that ends install() with ERR_CANCELED when all is durable: then its member has failed, and
 *      what opens it next finishes (V4).
 * (T3) There is one export and one import at a time, and one operation of each.
 */
#define SNAPSHOT_CHUNK_LEN (1u << 20)

struct snapshot_op {
	struct loop *loop;
	void (*done)(struct snapshot_op *op); /* never inside the call that began it */
	uint64_t index; /* open: of the state, a result; begin, install: of the import */
	uint8_t *buf; /* read: SNAPSHOT_CHUNK_LEN bytes; write: the bytes; borrowed until done() */
	size_t len; /* read: a result, 0 at the end; write: how many */
	enum err err; /* valid in done() */
	struct task task; /* of the implementation */
};

struct snapshot_store;

struct snapshot_store_ops {
	/* Begins an export. */
	void (*open)(struct snapshot_store *store, struct snapshot_op *op);
	/* The next bytes. */
	void (*read)(struct snapshot_store *store, struct snapshot_op *op);
	/* Ends it, at any time when no operation is on. */
	void (*close)(struct snapshot_store *store);

	/* Begins an import; one that was begun before is dropped. */
	void (*begin)(struct snapshot_store *store, struct snapshot_op *op);
	void (*write)(struct snapshot_store *store, struct snapshot_op *op);
	/* All bytes are there: checks them and makes them durable. */
	void (*finish)(struct snapshot_store *store, struct snapshot_op *op);
	/* Makes the import the state (T2). */
	void (*install)(struct snapshot_store *store, struct snapshot_op *op);
	/* Drops it, at any time when no operation is on. */
	void (*drop)(struct snapshot_store *store);
};

struct snapshot_store {
	const struct snapshot_store_ops *ops;
};

#endif
