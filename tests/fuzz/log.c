/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in a log segment, and in an entry of it, is hostile: the decoders take any bytes. The
 * input is a payload, which is sealed first so that its checksums are right, and then also taken as
 * a frame as it is, and as an entry. */
#include <stdlib.h>

#include "storage/meta/consensus.h"
#include "storage/meta/log_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Each record lies inside the payload, and they add up to it. */
static void walk(struct bytes payload)
{
	const uint8_t *end = payload.data + payload.len;
	struct log_record record;
	enum err err;
	while ((err = log_record_decode(&payload, &record)) == ERR_OK) {
		assert(record.body.data + record.body.len <= payload.data);
		assert(payload.data + payload.len == end);
	}
	assert(err == ERR_END || err == ERR_CORRUPT);
}

static void seal_and_read(const uint8_t *data, size_t len)
{
	uint8_t *buf = malloc(log_frame_len(len));
	assert(buf);
	memcpy(buf + LOG_FRAME_HEADER_LEN, data, len);
	struct log_frame sealed = {.log_id = 1, .generation = 2, .payload_len = len}, frame;
	log_frame_seal(buf, &sealed);
	enum err err = log_frame_decode(buf, &frame);
	assert(err == ERR_OK && frame.sum == sealed.sum && frame.payload_len == len);
	assert(log_frame_is_whole(&frame, buf + LOG_FRAME_HEADER_LEN));
	walk(bytes_make(buf + LOG_FRAME_HEADER_LEN, len));
	free(buf);
}

static void decode_group(struct bytes entry)
{
	static struct group_command commands[GROUP_COMMANDS_MAX];
	struct group group;
	if (group_decode(entry, commands, &group) != ERR_OK)
		return;
	if (group_kind(entry) == GROUP_CHANGE) {
		assert(group.count == 0);
		return;
	}
	size_t sum = GROUP_HEADER_LEN;
	for (size_t i = 0; i < group.count; i++)
		sum += GROUP_COMMAND_HEAD_LEN + group.commands[i].bytes.len;
	assert(sum == entry.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct log_frame frame;
	if (len >= LOG_FRAME_HEADER_LEN)
		err_ignore(log_frame_decode(data, &frame)); /* Any answer will do. */
	if (len <= LOG_FRAME_LEN_MAX - LOG_FRAME_HEADER_LEN)
		seal_and_read(data, len);
	decode_group(bytes_make(data, len));
	return 0;
}
