/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_claims.h"

#include "server/node.h"
#include "storage/meta/index_ledger.h"

#define CLAIM_TRIES 5

static enum err read_row(struct node *node, uint16_t number, struct row_drive *ret_row)
{
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	err = index_drive_get(node->reader, number, ret_row);
	index_view_end(node->reader);
	return err;
}

/* (M2) */
static bool is_old_copy(const struct drive_identity *identity, const struct row_drive *row)
{
	return identity->mount < row->mount && identity->claim != row->mount;
}

static enum err propose(struct node *node, const struct row_drive *row)
{
	struct command command = {.type = COMMAND_DRIVE_UPDATE};
	struct command_result result;
	command.drive_update.number = row->number;
	command.drive_update.set = DRIVE_SET_MOUNT;
	command.drive_update.node = node->identity.node;
	command.drive_update.mount = row->mount + 1;
	return node_propose_until(node, &command, &result);
}

/* One try (M1). ERR_CONFLICT: the row was an older one. */
static enum err claim(struct node *node, struct drive *drive, const struct row_drive *row)
{
	struct id own = node->identity.node;
	const struct drive_identity *identity = drive_identity(drive);
	uint64_t next = row->mount + 1;
	struct row_drive then;
	if (is_old_copy(identity, row))
		return ERR_FENCED;
	enum err err = drive_set_mount(drive, own, identity->mount, next);
	if (!err)
		err = propose(node, row);
	if (err == ERR_CONFLICT) {
		/* An earlier try of this proposal, whose end is not known, may have been it. */
		err = read_row(node, row->number, &then);
		if (!err &&
			(then.mount != next || !id_is_equal(then.node, own) ||
				identity->mount >= next))
			err = ERR_CONFLICT;
	}
	return err ? err : drive_set_mount(drive, own, next, 0);
}

enum err node_claim_drive(struct node *node, unsigned index)
{
	const struct node_drive *drive = &node->drives[index];
	enum err err = ERR_CONFLICT;
	for (unsigned i = 0; err == ERR_CONFLICT && i < CLAIM_TRIES; i++) {
		struct row_drive row;
		err = read_row(node, drive->number, &row);
		if (!err)
			err = claim(node, drive->drive, &row);
	}
	return err == ERR_CONFLICT ? ERR_FENCED : err;
}

/* --- looking after them ----------------------------------------------------------------------- */

static void look(struct node *node)
{
	struct index_reader *reader = node->store_loops[0].reader;
	unsigned count = node->drive_count;
	if (index_view_begin(reader) != ERR_OK)
		return;
	for (unsigned i = 0; i < count; i++) {
		struct drive *drive = node->drives[i].drive;
		if (!drive || drive_state(drive) != DRIVE_UP)
			continue;
		if (index_drive_claim(reader, node->drives[i].number, node->identity.node,
			    drive_identity(drive)->mount) == ERR_FENCED)
			drive_fence(drive, ERR_FENCED);
	}
	index_view_end(reader);
}

static void fired(struct timer *timer)
{
	struct node_claims *claims = CONTAINER_OF(timer, struct node_claims, timer);
	look(claims->node);
	timer_set(claims->loop, timer, NODE_CLAIMS_LOOK_MS);
}

void node_claims_start(struct node_claims *claims, struct node *node)
{
	*claims = (struct node_claims){
		.node = node, .loop = node->store_loops[0].loop, .timer.fire = fired};
	timer_set(claims->loop, &claims->timer, NODE_CLAIMS_LOOK_MS);
}

void node_claims_stop(struct node_claims *claims)
{
	timer_cancel(claims->loop, &claims->timer);
}
