/* SPDX-License-Identifier: Apache-2.0 */
/* What a node sees to before it serves: that the index knows its drives, that there is a ring, and
 * that the first user has a key. Each is a command of its own and is done once; a start that was
 * cut off goes on where it was. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/cluster.h"
#include "server/layout.h"
#include "server/loop_call.h"
#include "server/node_claims.h"
#include "server/node_priv.h"

#define SETTING_ROOT_KEY "root-key-made"
#define ROOT_OWNER "root"
#define BOOTSTRAP_TRIES 10

/* --- proposing from a thread that may wait ---------------------------------------------------- */

struct waiting_proposal {
	struct index_proposal proposal;
	struct completion completion;
};

static void proposal_done(struct index_proposal *proposal)
{
	struct waiting_proposal *waiting = CONTAINER_OF(
		proposal, struct waiting_proposal, proposal);
	completion_end(&waiting->completion, proposal->err);
}

enum err node_propose(
	struct node *node, const struct command *command, struct command_result *ret_result)
{
	uint8_t *bytes = malloc(COMMAND_LEN_MAX);
	if (!bytes)
		return ERR_NO_MEMORY;
	struct waiting_proposal waiting = {.proposal.bytes = bytes};
	waiting.proposal.loop = server_loop_base(node->loops[0]);
	waiting.proposal.done = proposal_done;
	completion_init(&waiting.completion);
	enum err err = command_encode(command, bytes, COMMAND_LEN_MAX, &waiting.proposal.len);
	if (!err) {
		index_propose(node->index, &waiting.proposal);
		err = completion_wait(&waiting.completion);
	}
	if (err == ERR_VERSION)
		trace_event(node->trace, TRACE_WARNING, 0,
			"command %s is not proposed: not all nodes know it (version %u; all know "
			"%u); upgrade the others first",
			command_type_name(command->type), command_type_version(command->type),
			index_known_command_version(node->index));
	if (!err) {
		*ret_result = waiting.proposal.result;
		err = command_code_err(ret_result->code);
	}
	free(bytes);
	return err;
}

enum err node_propose_until(
	struct node *node, const struct command *command, struct command_result *ret_result)
{
	static const struct timespec pause = {.tv_nsec = 500 * 1000 * 1000};
	enum err err = ERR_UNAVAILABLE;
	for (unsigned i = 0; i < BOOTSTRAP_TRIES; i++) {
		err = node_propose(node, command, ret_result);
		if (err != ERR_UNAVAILABLE && err != ERR_UNKNOWN && err != ERR_CLOSED)
			return err;
		nanosleep(&pause, NULL);
	}
	return err;
}

/* --- drives ----------------------------------------------------------------------------------- */

/* The number of a drive that the index knows, or 0. */
static enum err find_number(
	struct node *node, struct id drive, uint16_t *ret_number, uint8_t *ret_state)
{
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	*ret_number = 0;
	struct row_drive row;
	for (uint32_t from = 1; from <= UINT16_MAX; from = row.number + 1u) {
		err = index_drive_next(node->reader, from, &row);
		if (err)
			break;
		if (memcmp(&row.drive, &drive, sizeof drive) != 0)
			continue;
		*ret_number = row.number;
		*ret_state = row.state;
	}
	index_view_end(node->reader);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err add_drive(struct node *node, struct node_drive *drive, uint64_t weight)
{
	const struct drive_identity *identity = drive_identity(drive->drive);
	uint8_t state = DRIVE_ROW_IN;
	enum err err = find_number(node, identity->drive, &drive->number, &state);
	if (!err && drive->number && state >= DRIVE_ROW_GONE)
		return ERR_DENIED;
	if (err || drive->number)
		return err;
	struct drive_space space;
	drive_space(drive->drive, &space);
	struct command command = {.type = COMMAND_DRIVE_ADD};
	command.drive_add.drive = identity->drive;
	command.drive_add.node = node->identity.node;
	command.drive_add.class = identity->class;
	command.drive_add.weight = weight > 0 ? weight : space.total;
	command.drive_add.zone = bytes_of(node->config->zone);
	struct command_result result;
	err = node_propose_until(node, &command, &result);
	if (err == ERR_OK || err == ERR_EXISTS) {
		drive->number = result.id;
		err = ERR_OK;
	}
	return err;
}

enum err node_introduce_drive(struct node *node, unsigned index, uint64_t weight)
{
	struct node_drive *drive = &node->drives[index];
	enum err err = add_drive(node, drive, weight);
	if (!err)
		err = node_claim_drive(node, index);
	if (err)
		return err;
	unsigned at = node->store.drive_count;
	node->store.drives[at] = (struct store_drive){drive->number, drive->drive};
	node->store.drive_count = at + 1;
	return ERR_OK;
}

/* --- the ring --------------------------------------------------------------------------------- */

/* The first ring, of the drives there are; later ones are planned by who adds drives. */
static enum err set_ring(struct node *node)
{
	struct layout *layout;
	enum err err = layout_new(node, &layout);
	if (err)
		return err;
	if (!layout->old) {
		err = layout_plan(layout);
		if (!err)
			err = layout_propose(node, layout, "first ring");
		if (err == ERR_CONFLICT) /* another node set one */
			err = ERR_OK;
	}
	layout_free(layout);
	return err;
}

/* --- the root key ----------------------------------------------------------------------------- */

static enum err has_root(struct node *node, bool *ret_has_root)
{
	enum err err = index_view_begin(node->reader);
	if (err)
		return err;
	struct bytes value;
	err = index_setting_get(node->reader, bytes_of(SETTING_ROOT_KEY), &value);
	index_view_end(node->reader);
	*ret_has_root = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err put_root(struct node *node, const struct root_key *root)
{
	uint8_t sealed[SECRET_BOX_LEN_MAX];
	size_t sealed_len;
	enum err err = secret_box_seal(&node->box, bytes_of(root->secret), sealed, &sealed_len);
	if (err)
		return err;
	struct command command = {.type = COMMAND_KEY_PUT};
	command.key_put.id = bytes_of(root->id);
	command.key_put.secret = bytes_make(sealed, sealed_len);
	command.key_put.owner = bytes_of(ROOT_OWNER);
	command.key_put.description = bytes_of("made at init");
	command.key_put.role = AUTH_ROLE_ADMIN;
	struct command_result result;
	err = node_propose_until(node, &command, &result);
	if (err)
		return err;
	struct command done = {.type = COMMAND_SETTING_PUT};
	done.setting_put.name = bytes_of(SETTING_ROOT_KEY);
	done.setting_put.value = bytes_of("1");
	return node_propose_until(node, &done, &result);
}

static enum err make_root(struct node *node, char *message)
{
	bool is_made;
	enum err err = has_root(node, &is_made);
	if (err || is_made)
		return err;
	struct root_key root;
	err = identity_load_root(node->config->state_dir, &root, message);
	if (!err)
		err = put_root(node, &root);
	sodium_memzero(&root, sizeof root);
	return err;
}

/* The others go on without it. */
static void refuse_drive(struct node *node, struct node_drive *drive, enum err err)
{
	node_close_drive(drive);
	snprintf(drive->why, sizeof drive->why, "drive %.300s %s", drive->path,
		err == ERR_FENCED ? NODE_OLD_COPY : "cannot be written; replace it");
	trace_event(node->trace, TRACE_ERROR, 0, "%s", drive->why);
}

enum err node_bootstrap(struct node *node, char *message)
{
	enum err err = node->cluster ? cluster_seal_recovery(node->cluster, message) : ERR_OK;
	if (!err && node->cluster)
		err = cluster_introduce(node->cluster, message);
	if (err)
		return err;
	for (unsigned i = 0; i < node->drive_count; i++) {
		struct node_drive *drive = &node->drives[i];
		err = drive->drive ? node_introduce_drive(node, i, 0) : ERR_OK;
		if (err == ERR_DENIED) { /* it may be brought here again, and is left alone */
			trace_event(node->trace, TRACE_WARNING, 0,
				"drive %s was given up or removed, and is not used; empty it and "
				"add it anew: rubus drive add",
				drive->path);
			err = ERR_OK;
		}
		if (err == ERR_FENCED || err == ERR_IO) {
			refuse_drive(node, drive, err);
			err = ERR_OK;
		}
		if (err)
			return node_refuse(message, err, "drive %s could not be added: %s",
				drive->path, err_text(err));
	}
	err = set_ring(node);
	if (err)
		return node_refuse(message, err, "no ring could be made: %s", err_text(err));
	message[0] = '\0';
	err = make_root(node, message);
	if (err && !message[0])
		return node_refuse(
			message, err, "the root key could not be made: %s", err_text(err));
	return err;
}
