/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/consensus.h"

enum { GROUP_VERSION = 1 };

static void proposal_run_done(struct task *task)
{
	struct proposal *proposal = CONTAINER_OF(task, struct proposal, task);
	proposal->done(proposal);
}

void proposal_end(struct proposal *proposal, enum err err)
{
	assert(proposal->result_len <= PROPOSAL_RESULT_LEN);
	proposal->err = err;
	proposal->task.run = proposal_run_done;
	loop_post(proposal->loop, &proposal->task);
}

void group_encode_header(
	uint8_t out[GROUP_HEADER_LEN], enum group_kind kind, uint64_t time_ms, size_t count)
{
	assert(count <= GROUP_COMMANDS_MAX);
	memset(out, 0, GROUP_HEADER_LEN);
	out[0] = GROUP_VERSION;
	out[1] = kind;
	put_le32(out + 4, count);
	put_le64(out + 8, time_ms);
}

void group_encode_command_head(
	uint8_t out[GROUP_COMMAND_HEAD_LEN], size_t len, uint64_t origin, uint64_t number)
{
	memset(out, 0, GROUP_COMMAND_HEAD_LEN);
	put_le32(out, len);
	put_le64(out + 8, origin);
	put_le64(out + 16, number);
}

enum err group_decode_commands(struct bytes bytes, size_t count, struct group_command *commands)
{
	assert(count <= GROUP_COMMANDS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (bytes.len < GROUP_COMMAND_HEAD_LEN)
			return ERR_CORRUPT;
		const uint8_t *head = bytes.data;
		size_t len = get_le32(head);
		bytes = bytes_from(bytes, GROUP_COMMAND_HEAD_LEN);
		if (len > bytes.len)
			return ERR_CORRUPT;
		commands[i] = (struct group_command){
			.bytes = bytes_make(bytes.data, len),
			.origin = get_le64(head + 8),
			.number = get_le64(head + 16),
		};
		bytes = bytes_from(bytes, len);
	}
	return bytes.len == 0 ? ERR_OK : ERR_CORRUPT;
}

enum err group_decode(struct bytes entry, struct group_command *commands, struct group *ret_group)
{
	if (entry.len < GROUP_HEADER_LEN || entry.len > GROUP_LEN_MAX)
		return ERR_CORRUPT;
	if (entry.data[0] != GROUP_VERSION || entry.data[1] > GROUP_CHANGE)
		return ERR_VERSION;
	size_t count = get_le32(entry.data + 4);
	bool has_commands = entry.data[1] == GROUP_COMMANDS;
	if (count > (has_commands ? GROUP_COMMANDS_MAX : 0))
		return ERR_CORRUPT;
	struct bytes rest = bytes_from(entry, GROUP_HEADER_LEN);
	if (entry.data[1] == GROUP_BARRIER && rest.len > 0)
		return ERR_CORRUPT;
	enum err err = has_commands ? group_decode_commands(rest, count, commands) : ERR_OK;
	if (err != ERR_OK)
		return err;
	*ret_group = (struct group){
		.time_ms = get_le64(entry.data + 8), .count = count, .commands = commands};
	return ERR_OK;
}
