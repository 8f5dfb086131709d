/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_APPLY_H
#define STORAGE_META_APPLY_H

#include "storage/buffer.h"
#include "storage/meta/accounting.h"
#include "storage/meta/command.h"
#include "storage/meta/state_hash.h"
#include "storage/ring/ring.h"

/* Apply: what a command does to the rows.
 *
 * (A1) Inputs are the command, its place in the log, the cluster time of its group, and the rows;
 *      nothing else. The same log gives the same rows and results on every member.
 * (A2) A command changes all of its rows or, with any other result than OK, none but its session's.
 *      (OBJECT_DELETE decides for each key.)
 * (A3) An error of the machine is latched in err: what follows of the command does nothing, it is
 *      never published, and the caller stops the member.
 * (A4) References of a body: one for each version, part, slice and stage that names it. At zero an
 *      inline body goes at once; another one is in the garbage table from that command on.
 * (A5) Counts of a bucket and of a slot change in the command that changes what they count.
 */
#define APPLY_COMMAND_ROWS_LEN (1536 * 1024) /* what the rows of one command take at most */

struct apply {
	struct buffer *buffer; /* borrowed */
	struct state_hash hash; /* as of the last command */
	struct state_hash hash_before; /* and of the one before, which a failed one leaves */
	struct ring_snapshot *ring; /* newest; owned; NULL: none was set */
	struct ring_snapshot *target; /* that its shards move to; owned; NULL: none */

	/* Of the command that is being applied: */
	struct buffer_view view; /* of the writer */
	struct version_id place; /* part 0 of it */
	uint64_t time_ms; /* stays that of the last one */
	uint64_t session; /* that proposed it; 0 after it was closed */
	uint64_t open_low; /* of that session */
	enum err err; /* (A3) */
	struct accounting accounting;
	struct ring_snapshot *ring_next; /* set by it; owned */
	struct ring_snapshot *target_next; /* likewise, if target_changes; NULL: none any more */
	bool target_changes;
	bool access_keys_changed; /* by any since the owner looked; the owner clears it */
	bool nodes_changed; /* likewise; nodes or tokens */
	bool has_users; /* some owner has a row_user, so that usage is counted */
	uint8_t *row_buf; /* ROW_LEN_MAX */
	uint64_t commands; /* applied since start */
};

/* Loads hash and ring from the rows. No command is being applied. Blocks. Errors: those of rows. */
MUST_USE enum err apply_init(struct apply *apply, struct buffer *buffer);
void apply_fini(struct apply *apply);

/* Applies one command between buffer_begin() and buffer_publish(), which the caller calls; command
 * is what stands in the log, hostile until decoded. place: part is 0. Errors: of the machine; then
 * the buffer must not be published. ERR_VERSION: of a type that this program does not know. */
MUST_USE enum err apply_command(struct apply *apply, struct bytes command, struct version_id place,
	uint64_t time_ms, struct command_result *ret_result);

/* Writes what is kept beside the tables; called by the buffer's freezing(). */
void apply_freezing(struct apply *apply);

#endif
