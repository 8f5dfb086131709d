/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/consensus_raft_wire.h"

enum {
	WIRE_VERSION = 1,
	CONFIGURATION_VERSION = 1,
	DUTY_LEARNER = 0, /* libraft's RAFT_STANDBY and RAFT_VOTER */
	DUTY_VOTER = 1,
};

/* --- notes ------------------------------------------------------------------------------------ */

void raft_note_encode(const struct raft_note *note, uint8_t out[RAFT_NOTE_LEN])
{
	memset(out, 0, RAFT_NOTE_LEN);
	out[0] = WIRE_VERSION;
	out[1] = note->type;
	put_le16(out + 2, note->flags);
	put_le64(out + 8, note->from);
	put_le64(out + 16, note->to);
	put_le64(out + 24, note->term);
	put_le64(out + 32, note->index);
	put_le64(out + 40, note->index_term);
	put_le64(out + 48, note->extra);
	put_le32(out + 56, note->count);
	put_le16(out + 60, note->features);
	put_le16(out + 62, note->capacity);
}

/* What each type may say (R9). */
static bool note_makes_sense(const struct raft_note *note)
{
	bool has_index = note->index > 0;
	switch (note->type) {
	case NOTE_APPEND:
		return (note->flags & ~NOTE_QUIET) == 0 && has_index == (note->index_term > 0) &&
			note->count <= (note->flags & NOTE_QUIET ? 0 : UINT16_MAX);
	case NOTE_APPEND_RESULT:
		return note->flags == 0 && note->count == 0 &&
			(note->extra == 0 || note->index < note->extra);
	case NOTE_VOTE:
		return (note->flags & ~(NOTE_DISRUPT | NOTE_PRE_VOTE)) == 0 && note->count == 0 &&
			has_index == (note->index_term > 0) && note->index_term <= note->term;
	case NOTE_VOTE_RESULT:
		return (note->flags & ~(NOTE_GRANTED | NOTE_PRE_VOTE)) == 0 && note->count == 0;
	case NOTE_LEAD_NOW:
		return note->flags == 0 && note->count == 0 && has_index && note->index_term > 0;
	default:
		return false;
	}
}

enum err raft_note_decode(struct bytes head, struct raft_note *ret_note)
{
	if (head.len < 1 || head.data[0] != WIRE_VERSION)
		return ERR_VERSION;
	if (head.len != RAFT_NOTE_LEN || get_le32(head.data + 4) != 0)
		return ERR_INVALID;
	const uint8_t *in = head.data;
	struct raft_note note = {
		.type = in[1],
		.flags = get_le16(in + 2),
		.from = get_le64(in + 8),
		.to = get_le64(in + 16),
		.term = get_le64(in + 24),
		.index = get_le64(in + 32),
		.index_term = get_le64(in + 40),
		.extra = get_le64(in + 48),
		.count = get_le32(in + 56),
		.features = get_le16(in + 60),
		.capacity = get_le16(in + 62),
	};
	bool is_in_range = note.from != 0 && note.to != 0 && note.from != note.to &&
		note.term > 0 && note.term < RAFT_TERM_MAX && note.index < RAFT_TERM_MAX &&
		note.index_term <= note.term && note.extra < RAFT_TERM_MAX;
	if (!is_in_range || !note_makes_sense(&note))
		return ERR_INVALID;
	*ret_note = note;
	return ERR_OK;
}

void note_entry_encode(uint8_t out[RAFT_NOTE_ENTRY_LEN], size_t len, uint64_t term)
{
	put_le32(out, len);
	put_le32(out + 4, 0);
	put_le64(out + 8, term);
}

enum err note_entry_decode(struct bytes *payload, uint64_t before, uint64_t most,
	struct group_command *commands, struct note_entry *ret_entry)
{
	if (payload->len < RAFT_NOTE_ENTRY_LEN)
		return ERR_INVALID;
	size_t len = get_le32(payload->data);
	uint64_t term = get_le64(payload->data + 8);
	struct bytes rest = bytes_from(*payload, RAFT_NOTE_ENTRY_LEN);
	if (len > rest.len || term == 0 || term < before || term > most)
		return ERR_INVALID;
	struct bytes bytes = bytes_make(rest.data, len);
	struct group group;
	if (group_decode(bytes, commands, &group) != ERR_OK)
		return ERR_INVALID;
	struct consensus_members members;
	if (group_kind(bytes) == GROUP_CHANGE &&
		configuration_decode(bytes_from(bytes, GROUP_HEADER_LEN), &members) != ERR_OK)
		return ERR_INVALID;
	*ret_entry = (struct note_entry){term, bytes};
	*payload = bytes_from(rest, len);
	return ERR_OK;
}

/* --- snapshots -------------------------------------------------------------------------------- */

void snapshot_head_encode(const struct snapshot_head *head, uint8_t out[SNAPSHOT_HEAD_LEN])
{
	memset(out, 0, SNAPSHOT_HEAD_LEN);
	out[0] = WIRE_VERSION;
	out[1] = head->part;
	put_le64(out + 8, head->from);
	put_le64(out + 16, head->to);
	put_le64(out + 24, head->term);
	put_le64(out + 32, head->number);
	put_le64(out + 40, head->index);
	put_le64(out + 48, head->index_term);
	put_le64(out + 56, head->offset);
	put_le64(out + 64, head->conf_index);
	put_le64(out + 72, head->time_ms);
}

enum err snapshot_head_decode(struct bytes bytes, struct snapshot_head *ret_head)
{
	if (bytes.len < 1 || bytes.data[0] != WIRE_VERSION)
		return ERR_VERSION;
	if (bytes.len != SNAPSHOT_HEAD_LEN || get_le32(bytes.data + 4) != 0)
		return ERR_INVALID;
	const uint8_t *in = bytes.data;
	struct snapshot_head head = {
		.part = in[1],
		.from = get_le64(in + 8),
		.to = get_le64(in + 16),
		.term = get_le64(in + 24),
		.number = get_le64(in + 32),
		.index = get_le64(in + 40),
		.index_term = get_le64(in + 48),
		.offset = get_le64(in + 56),
		.conf_index = get_le64(in + 64),
		.time_ms = get_le64(in + 72),
	};
	bool is_in_range = head.part >= SNAPSHOT_BEGIN && head.part <= SNAPSHOT_END &&
		head.from != 0 && head.to != 0 && head.from != head.to && head.number != 0 &&
		head.term > 0 && head.term < RAFT_TERM_MAX && head.index > 0 &&
		head.index < RAFT_TERM_MAX && head.index_term > 0 && head.index_term <= head.term &&
		head.conf_index <= head.index;
	if (!is_in_range)
		return ERR_INVALID;
	*ret_head = head;
	return ERR_OK;
}

/* --- configurations --------------------------------------------------------------------------- */

void node_format(struct id node, char out[2 * ID_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < ID_LEN; i++) {
		out[2 * i] = digits[node.bytes[i] >> 4];
		out[2 * i + 1] = digits[node.bytes[i] & 15];
	}
	out[2 * ID_LEN] = 0;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err node_parse(const char *text, struct id *ret_node)
{
	struct id node;
	for (size_t i = 0; i < ID_LEN; i++) {
		int high = digit_of(text[2 * i]);
		int low = high < 0 ? -1 : digit_of(text[2 * i + 1]);
		if (low < 0)
			return ERR_INVALID;
		node.bytes[i] = high << 4 | low;
	}
	if (text[2 * ID_LEN] != 0)
		return ERR_INVALID;
	*ret_node = node;
	return ERR_OK;
}

static bool is_new(const struct consensus_members *members, const struct consensus_member *member)
{
	for (size_t i = 0; i < members->count; i++)
		if (members->members[i].id == member->id ||
			id_is_equal(members->members[i].node, member->node))
			return false;
	return true;
}

static enum err decode_member(struct bytes *rest, struct consensus_member *ret_member)
{
	const size_t len = 8 + 2 * ID_LEN + 2;
	if (rest->len < len || rest->data[8 + 2 * ID_LEN] != 0)
		return ERR_INVALID;
	uint8_t duty = rest->data[len - 1];
	struct consensus_member member = {
		.id = get_le64(rest->data),
		.duty = duty == DUTY_VOTER ? CONSENSUS_VOTER : CONSENSUS_LEARNER,
	};
	if (member.id == 0 || (duty != DUTY_VOTER && duty != DUTY_LEARNER))
		return ERR_INVALID;
	if (node_parse((const char *)rest->data + 8, &member.node) != ERR_OK)
		return ERR_INVALID;
	*ret_member = member;
	*rest = bytes_from(*rest, len);
	return ERR_OK;
}

enum err configuration_decode(struct bytes bytes, struct consensus_members *ret_members)
{
	if (bytes.len < 9 || bytes.len % 8 != 0 || bytes.len > CONFIGURATION_LEN_MAX)
		return ERR_INVALID;
	if (bytes.data[0] != CONFIGURATION_VERSION)
		return ERR_INVALID;
	uint64_t count = get_le64(bytes.data + 1);
	if (count == 0 || count > CONSENSUS_MEMBERS_MAX)
		return ERR_INVALID;
	struct consensus_members members = {0};
	size_t voters = 0;
	struct bytes rest = bytes_from(bytes, 9);
	for (uint64_t i = 0; i < count; i++) {
		struct consensus_member *member = &members.members[i];
		enum err err = decode_member(&rest, member);
		if (err != ERR_OK || !is_new(&members, member))
			return ERR_INVALID;
		voters += member->duty == CONSENSUS_VOTER;
		members.count++;
	}
	if (rest.len >= 8 || voters == 0)
		return ERR_INVALID;
	*ret_members = members;
	return ERR_OK;
}
