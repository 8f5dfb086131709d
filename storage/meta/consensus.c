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

void group_encode_header(uint8_t out[GROUP_HEADER_LEN], uint64_t time_ms, size_t count)
{
	assert(count <= GROUP_COMMANDS_MAX);
	memset(out, 0, GROUP_HEADER_LEN);
	out[0] = GROUP_VERSION;
	put_le32(out + 4, count);
	put_le64(out + 8, time_ms);
}

enum err group_decode(struct bytes entry, struct group_command *commands, struct group *ret_group)
{
	if (entry.len < GROUP_HEADER_LEN || entry.len > GROUP_LEN_MAX)
		return ERR_CORRUPT;
	if (entry.data[0] != GROUP_VERSION)
		return ERR_VERSION;
	size_t count = get_le32(entry.data + 4);
	if (count > GROUP_COMMANDS_MAX)
		return ERR_CORRUPT;
	struct bytes rest = bytes_from(entry, GROUP_HEADER_LEN);
	for (size_t i = 0; i < count; i++) {
		if (rest.len < 4)
			return ERR_CORRUPT;
		size_t len = get_le32(rest.data);
		rest = bytes_from(rest, 4);
		if (len > rest.len)
			return ERR_CORRUPT;
		commands[i] = (struct group_command){bytes_make(rest.data, len), NULL};
		rest = bytes_from(rest, len);
	}
	if (rest.len > 0)
		return ERR_CORRUPT;
	*ret_group = (struct group){
		.time_ms = get_le64(entry.data + 8), .count = count, .commands = commands};
	return ERR_OK;
}
