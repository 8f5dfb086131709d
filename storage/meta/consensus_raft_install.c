/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, as who needs one.
 *
 *   IDLE -BEGIN-> OPEN <-DATA-> BUSY -END-> TAKEN --> FILING --> SWITCHING --> MARKING --> IDLE
 *
 * The parts are staged. At the end libraft is told of a snapshot with all that it is; if it wants
 * it, nothing more is delivered, and when all groups are back from the apply loop:
 *
 * (V1) "log-members" names the snapshot as the next place, durably;
 * (V2) the state machine makes the staged state its own, durably;
 * (V3) the log is marked: it holds nothing, and goes on behind the snapshot;
 * (V4) the next place is the place. A start finishes what was begun if the state machine is there
 *      already, and forgets it if not.
 *
 * Proposals in flight may be in the snapshot: they end as unknown. */
#include "storage/meta/consensus_raft_priv.h"

static void advance_install(struct member *member);

/* --- parts ------------------------------------------------------------------------------------ */

static void install_reset(struct member *member)
{
	struct install *install = &member->install;
	if (install->has_import)
		member->setup.snapshots->ops->drop(member->setup.snapshots);
	*install = (struct install){0};
}

static void answer(struct member *member, enum err err)
{
	struct peer_request *request = member->install.request;
	member->install.request = NULL;
	if (request)
		peer_request_answer(request, err);
}

/* All bytes are there: libraft decides. */
static void give_to_raft(struct member *member)
{
	struct install *install = &member->install;
	const struct snapshot_head *head = &install->head;
	const struct raft *raft = &member->raft;
	bool is_late = head->term < raft->current_term ||
		(raft->state == RAFT_LEADER && head->term == raft->current_term);
	struct raft_buffer buf = {install->place.conf, install->place.conf_len};
	char address[ADDRESS_LEN + 1];
	node_format(install->node, address);
	struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT,
		.server_id = head->from,
		.server_address = address,
		.install_snapshot = {
			.version = 1,
			.term = head->term,
			.last_index = head->index,
			.last_term = head->index_term,
			.conf_index = head->conf_index,
		}};
	if (is_late || member_is_dead(member) || member->has_stopped ||
		raft_configuration_decode(&buf, &message.install_snapshot.conf) != 0) {
		answer(member, ERR_REFUSED);
		install_reset(member);
		return;
	}
	install->state = INSTALL_OFFERED;
	struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = &message};
	member_step(member, &event);
	answer(member, ERR_OK);
	if (install->state == INSTALL_OFFERED)
		install_reset(member);
	else
		advance_install(member);
}

static void part_done(struct snapshot_op *op)
{
	struct install *install = CONTAINER_OF(op, struct install, op);
	struct member *member = CONTAINER_OF(install, struct member, install);
	assert(member->magic == MEMBER_MAGIC && install->state == INSTALL_BUSY);
	install->state = INSTALL_OPEN;
	if (op->err != ERR_OK) {
		answer(member, op->err);
		install_reset(member);
	} else if (install->head.part == SNAPSHOT_END) {
		give_to_raft(member);
	} else {
		install->has_import = true;
		if (install->head.part == SNAPSHOT_DATA)
			install->offset += op->len;
		answer(member, ERR_OK);
	}
	member_advance_stop(member);
}

static void start_op(
	struct member *member, void (*start)(struct snapshot_store *store, struct snapshot_op *op))
{
	struct install *install = &member->install;
	install->state = INSTALL_BUSY;
	install->op = (struct snapshot_op){
		.loop = member->loop,
		.done = part_done,
		.index = install->head.index,
		.buf = install->request->payload,
		.len = install->request->payload_len,
	};
	start(member->setup.snapshots, &install->op);
}

static enum err take_end(
	struct member *member, const struct snapshot_head *head, const struct peer_request *request)
{
	struct install *install = &member->install;
	struct consensus_members members;
	struct bytes conf = bytes_make(request->payload, request->payload_len);
	if (configuration_decode(conf, &members) != ERR_OK || head->conf_index == 0 ||
		head->conf_index > head->index)
		return ERR_INVALID;
	install->place = (struct members_place){
		.base_index = head->index,
		.base_term = head->index_term,
		.conf_index = head->conf_index,
		.conf_len = conf.len,
	};
	memcpy(install->place.conf, conf.data, conf.len);
	if (head->time_ms > member->time_ms)
		member->time_ms = head->time_ms;
	return ERR_OK;
}

static enum err take_part(struct member *member, struct peer_request *request)
{
	struct install *install = &member->install;
	struct snapshot_head head;
	enum err err = snapshot_head_decode(request->head, &head);
	if (err != ERR_OK)
		return err;
	if (!member->setup.snapshots)
		return ERR_UNSUPPORTED;
	if (!member->has_started || member->has_stopped || member_is_dead(member))
		return ERR_UNAVAILABLE;
	if (head.to != member->id || head.term < member->raft.current_term)
		return ERR_REFUSED;
	if (install->state != INSTALL_IDLE && install->state != INSTALL_OPEN)
		return ERR_BUSY;
	const struct snapshot_store_ops *ops = member->setup.snapshots->ops;
	if (head.part == SNAPSHOT_BEGIN) {
		install_reset(member);
	} else if (install->state != INSTALL_OPEN || head.number != install->head.number ||
		head.index != install->head.index || head.offset != install->offset ||
		!id_is_equal(request->from, install->node)) {
		return ERR_CONFLICT;
	}
	if (head.part == SNAPSHOT_END)
		err = take_end(member, &head, request);
	if (err != ERR_OK)
		return err;
	install->head = head;
	install->node = request->from;
	install->request = request;
	start_op(member,
		head.part == SNAPSHOT_BEGIN          ? ops->begin
			: head.part == SNAPSHOT_DATA ? ops->write
						     : ops->finish);
	return ERR_OK;
}

void member_serve_snapshot(void *arg, struct peer_request *request)
{
	struct member *member = arg;
	assert(member->magic == MEMBER_MAGIC);
	enum err err = take_part(member, request);
	if (err != ERR_OK)
		peer_request_answer(request, err);
}

/* --- installing ------------------------------------------------------------------------------- */

void member_take_snapshot(struct member *member, const struct raft_snapshot_metadata *metadata)
{
	assert(member->install.state == INSTALL_OFFERED);
	member->install.metadata = *metadata;
	member->install.state = INSTALL_TAKEN;
}

static void switched(struct snapshot_op *op)
{
	struct install *install = CONTAINER_OF(op, struct install, op);
	struct member *member = CONTAINER_OF(install, struct member, install);
	assert(member->magic == MEMBER_MAGIC && install->state == INSTALL_SWITCHING);
	install->has_import = false;
	install->state = INSTALL_SWITCHED;
	if (op->err != ERR_OK)
		member_fail(member, op->err);
	else
		advance_install(member);
	member_advance_stop(member);
}

static void marked(struct member *member)
{
	struct install *install = &member->install;
	uint64_t index = install->place.base_index;
	struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT,
		.persisted_snapshot = {.metadata = install->metadata, .last = true}};
	member->file.now = install->place;
	member->file.next = (struct members_place){0};
	member->is_file_stale = true;
	member->delivered = index;
	member->written = index;
	if (member->commit < index)
		member->commit = index;
	member_lose_flight(member);
	install->state = INSTALL_IDLE;
	install_reset(member);
	member_step(member, &event);
}

static void mark_written(struct log_op *op, enum err err)
{
	struct install *install = CONTAINER_OF(op, struct install, mark);
	struct member *member = CONTAINER_OF(install, struct member, install);
	member->ops_pending--;
	if (err == ERR_OK && !member_is_dead(member))
		marked(member);
	member_advance_stop(member);
}

static void mark(struct member *member)
{
	struct install *install = &member->install;
	install->state = INSTALL_MARKING;
	member_truncate_cache(member, 0);
	member->written = 0;
	member->ops_pending++;
	install->mark.done = mark_written;
	log_mark_snapshot(
		member->log, &install->mark, install->place.base_index, install->place.base_term);
}

static void advance_install(struct member *member)
{
	struct install *install = &member->install;
	if (member_is_dead(member) || member->has_stopped)
		return;
	switch (install->state) {
	case INSTALL_TAKEN:
		if (member->free_count < GROUPS_MAX || member->is_file_writing)
			return;
		install->state = INSTALL_FILING;
		member->file_out = member->file;
		member->file_out.next = install->place;
		member_write_file(member);
		return;
	case INSTALL_FILING:
		if (member->is_file_writing)
			return;
		if (member->file_err != ERR_OK) {
			member_fail(member, member->file_err);
			return;
		}
		install->state = INSTALL_SWITCHING;
		install->op = (struct snapshot_op){
			.loop = member->loop, .done = switched, .index = install->place.base_index};
		member->setup.snapshots->ops->install(member->setup.snapshots, &install->op);
		return;
	case INSTALL_SWITCHED:
		mark(member);
		return;
	default:
		return;
	}
}

void member_advance_install(struct member *member)
{
	advance_install(member);
}

bool member_has_install_op(const struct member *member)
{
	const enum install_state state = member->install.state;
	return state == INSTALL_BUSY || state == INSTALL_SWITCHING || state == INSTALL_MARKING;
}

void member_install_fini(struct member *member)
{
	raft_configuration_close(&member->install.metadata.configuration);
}
