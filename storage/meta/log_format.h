/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_LOG_FORMAT_H
#define STORAGE_META_LOG_FORMAT_H

#include "storage/bytes.h"
#include "storage/err.h"

/* The bytes of the log. This format is final; what is new gets a new version or record type.
 *
 * A log is a set of segment files, log/<16 hex digits>, each written with zeros once when it is
 * made. A segment is used, freed when nothing in it is needed any more, and used again under the
 * next *generation*, a number that counts the uses of all segments. The log is the segments in the
 * order of their generations, from the low one to the highest.
 *
 * In a segment, from its beginning, there is one *frame* for each write: 4 KiB-aligned, a header of
 * LOG_FRAME_HEADER_LEN bytes, a payload, zeros up to a multiple of 4 KiB. A payload is records; the
 * first frame of a segment begins with a SEGMENT record, which repeats what was known then, so that
 * older segments can go. A frame that does not fit into the rest of a segment goes into the next.
 *
 *   header    magic 8, log id 8, generation 8, sequence 8, offset in the segment 8,
 *             low generation 8, chain sum of the frame before 8, XXH3 of the payload 8,
 *             payload length 4, record count 4, version 4, 0 (12), chain sum 8
 *   record    type 4, body length 4, index 8, term 8, the body, zeros up to a multiple of 8
 *   body of SEGMENT   term 8, vote 8, length of the segment 8
 *
 * All integers are little-endian. The chain sum is XXH3 of all of the header before it. A write is
 * one frame, so what a torn write leaves is one frame that does not check, never several.
 *
 * (F1) A frame is written once, into bytes that are zero or of an earlier generation; one write is
 *      in flight at a time. After a start the log goes on in a fresh segment. So there is at most
 *      one torn frame for each life, and it is the last frame of its segment.
 * (F2) Sequences count frames without a gap; each frame names the chain sum of the one before. A
 *      frame that is missing, or stands where another belongs, breaks the chain.
 * (F3) A reading stops at the first place where the next frame is not. It is the end of the log if
 *      the next segment's first frame does not go on from there, and nothing later is anywhere: no
 *      header with our log id and a higher sequence, or with the next sequence at a place or in a
 *      generation where it does not belong. Otherwise frames are lost that had been written whole,
 *      and may have been acknowledged: damage.
 * (F4) A segment of a generation below the low generation of a durable frame may be used again, and
 *      no other. So from the last frame's low generation on all segments must be there.
 * (F5) Entries have indices without a gap. TRUNCATE voids the entries from its index on; its term
 * is that of the entry before. SNAPSHOT voids all; its index and term are those of the last entry
 *      that the snapshot holds. Term and vote of the last VOTE record count.
 * (F6) What an opening reads it has flushed before: a frame of a write that was in flight when a
 *      process died counts from then on, and may not go with the power later.
 * (F7) The log id is random and made with the empty log: a frame of another log is not a frame.
 */
#define LOG_BLOCK_LEN 4096u
#define LOG_FRAME_HEADER_LEN 96u
#define LOG_RECORD_HEADER_LEN 24u
#define LOG_SEGMENT_BODY_LEN 24u
#define LOG_FRAME_LEN_MAX (1024u * 1024 + 64 * 1024)
#define LOG_FORMAT_VERSION 1

enum log_record_type { /* kept on disk */
	LOG_SEGMENT = 1, /* index: of the next entry; term: of the last one */
	LOG_ENTRY = 2,
	LOG_VOTE = 3, /* index: whom, 0 for nobody; term: the current one */
	LOG_TRUNCATE = 4,
	LOG_SNAPSHOT = 5,
};

struct log_frame {
	uint64_t log_id;
	uint64_t generation;
	uint64_t sequence;
	uint64_t offset;
	uint64_t low_generation;
	uint64_t previous_sum;
	uint64_t payload_sum;
	uint32_t payload_len;
	uint32_t record_count;
	uint64_t sum; /* of the header: the chain */
};

struct log_record {
	uint32_t type;
	uint64_t index, term;
	struct bytes body;
};

/* Bytes that a frame takes in its segment. */
static inline size_t log_frame_len(size_t payload_len)
{
	return round_up(LOG_FRAME_HEADER_LEN + payload_len, LOG_BLOCK_LEN);
}

/* Bytes that a record takes in a payload. */
static inline size_t log_record_len(size_t body_len)
{
	return LOG_RECORD_HEADER_LEN + round_up(body_len, 8);
}

/* Writes the header before the payload, which stands at buf + LOG_FRAME_HEADER_LEN, and zeros
 * behind it up to log_frame_len(); fills in the sums. */
void log_frame_seal(uint8_t *buf, struct log_frame *frame);

/* Reads a header. Errors: ERR_NOT_FOUND, there is none; ERR_VERSION. */
MUST_USE enum err log_frame_decode(
	const uint8_t buf[LOG_FRAME_HEADER_LEN], struct log_frame *ret_frame);

/* Does the payload check? */
bool log_frame_is_whole(const struct log_frame *frame, const uint8_t *payload);

/* Writes the header of a record; returns where the body goes, and writes the zeros behind it. */
uint8_t *log_record_encode(uint8_t *out, const struct log_record *record);

/* Takes the first record off the payload. Errors: ERR_END, nothing is left; ERR_CORRUPT. */
MUST_USE enum err log_record_decode(struct bytes *payload, struct log_record *ret_record);

#endif
