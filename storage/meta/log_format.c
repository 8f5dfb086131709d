/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/meta/log_format.h"

#include <xxhash.h>

enum {
	SUM_OFFSET = LOG_FRAME_HEADER_LEN - 8,
};

static const char magic[8] = "rubuslog";

void log_frame_seal(uint8_t *buf, struct log_frame *frame)
{
	uint8_t *payload = buf + LOG_FRAME_HEADER_LEN;
	size_t end = LOG_FRAME_HEADER_LEN + frame->payload_len;
	memset(buf + end, 0, log_frame_len(frame->payload_len) - end);
	frame->payload_sum = XXH3_64bits(payload, frame->payload_len);
	memset(buf, 0, LOG_FRAME_HEADER_LEN);
	memcpy(buf, magic, 8);
	put_le64(buf + 8, frame->log_id);
	put_le64(buf + 16, frame->generation);
	put_le64(buf + 24, frame->sequence);
	put_le64(buf + 32, frame->offset);
	put_le64(buf + 40, frame->low_generation);
	put_le64(buf + 48, frame->previous_sum);
	put_le64(buf + 56, frame->payload_sum);
	put_le32(buf + 64, frame->payload_len);
	put_le32(buf + 68, frame->record_count);
	put_le32(buf + 72, LOG_FORMAT_VERSION);
	frame->sum = XXH3_64bits(buf, SUM_OFFSET);
	put_le64(buf + SUM_OFFSET, frame->sum);
}

enum err log_frame_decode(const uint8_t buf[LOG_FRAME_HEADER_LEN], struct log_frame *ret_frame)
{
	uint64_t sum = get_le64(buf + SUM_OFFSET);
	if (memcmp(buf, magic, 8) != 0 || sum != XXH3_64bits(buf, SUM_OFFSET))
		return ERR_NOT_FOUND;
	if (get_le32(buf + 72) != LOG_FORMAT_VERSION)
		return ERR_VERSION;
	struct log_frame frame = {
		.log_id = get_le64(buf + 8),
		.generation = get_le64(buf + 16),
		.sequence = get_le64(buf + 24),
		.offset = get_le64(buf + 32),
		.low_generation = get_le64(buf + 40),
		.previous_sum = get_le64(buf + 48),
		.payload_sum = get_le64(buf + 56),
		.payload_len = get_le32(buf + 64),
		.record_count = get_le32(buf + 68),
		.sum = sum,
	};
	if (frame.payload_len > LOG_FRAME_LEN_MAX - LOG_FRAME_HEADER_LEN)
		return ERR_NOT_FOUND;
	*ret_frame = frame;
	return ERR_OK;
}

bool log_frame_is_whole(const struct log_frame *frame, const uint8_t *payload)
{
	return XXH3_64bits(payload, frame->payload_len) == frame->payload_sum;
}

uint8_t *log_record_encode(uint8_t *out, const struct log_record *record)
{
	assert(record->body.len <= LOG_FRAME_LEN_MAX);
	put_le32(out, record->type);
	put_le32(out + 4, record->body.len);
	put_le64(out + 8, record->index);
	put_le64(out + 16, record->term);
	uint8_t *body = out + LOG_RECORD_HEADER_LEN;
	size_t body_end = LOG_RECORD_HEADER_LEN + record->body.len;
	memset(out + body_end, 0, log_record_len(record->body.len) - body_end);
	return body;
}

enum err log_record_decode(struct bytes *payload, struct log_record *ret_record)
{
	if (payload->len == 0)
		return ERR_END;
	if (payload->len < LOG_RECORD_HEADER_LEN)
		return ERR_CORRUPT;
	const uint8_t *in = payload->data;
	size_t body_len = get_le32(in + 4);
	if (body_len > payload->len || log_record_len(body_len) > payload->len)
		return ERR_CORRUPT;
	uint32_t type = get_le32(in);
	if (type < LOG_SEGMENT || type > LOG_SNAPSHOT)
		return ERR_CORRUPT;
	if (type == LOG_SEGMENT ? body_len != LOG_SEGMENT_BODY_LEN
				: type != LOG_ENTRY && body_len != 0)
		return ERR_CORRUPT;
	*ret_record = (struct log_record){
		.type = type,
		.index = get_le64(in + 8),
		.term = get_le64(in + 16),
		.body = bytes_make(in + LOG_RECORD_HEADER_LEN, body_len),
	};
	*payload = bytes_from(*payload, log_record_len(body_len));
	return ERR_OK;
}
