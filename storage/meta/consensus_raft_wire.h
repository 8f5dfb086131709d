/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_CONSENSUS_RAFT_WIRE_H
#define STORAGE_META_CONSENSUS_RAFT_WIRE_H

#include "storage/bytes.h"
#include "storage/err.h"
#include "storage/id.h"
#include "storage/meta/consensus_raft.h"

/* What members send each other. All integers are little-endian.
 *
 *   note RAFT, head     version 1, type 1, flags 2, group 4, from 8, to 8, term 8, index 8,
 *                       term of index 8, extra 8, count 4, features 2, capacity 2
 *             payload   of APPEND: for each entry, length 4, 0 (4), term 8, its bytes
 *   call PROPOSE, head  version 1, 0 (3), group 4, life 8, term 8, count 4, 0 (4)
 *             payload   commands as a group has them
 *   call READ_INDEX     version 1, type 1, 0 (2), group 4, term 8, member 8: ASK_TERM's that is
 *                       asked, ASK_INDEX's that asks; answered with 8: the index
 *   call SNAPSHOT       version 1, part 1, 0 (2), group 4, from 8, to 8, term 8, number 8,
 *                       index 8, term of index 8, offset 8, index of the configuration 8,
 *                       cluster time 8
 *             payload   nothing with BEGIN, bytes at the offset with DATA, at the END the
 *                       configuration
 *   configuration       version 1, count 8, then for each: id 8, node (32 hex digits), 0 (1),
 *                       duty 1; zeros up to a multiple of 8 (libraft's, kept in the log)
 *
 * from and to are ids of logs; group is 0, and for more groups than one later. */
#define RAFT_NOTE_LEN 64u
#define RAFT_NOTE_ENTRY_LEN 16u
#define PROPOSE_HEAD_LEN 32u
#define READ_HEAD_LEN 24u
#define SNAPSHOT_HEAD_LEN 80u
#define CONFIGURATION_LEN_MAX (16u + CONSENSUS_MEMBERS_MAX * (8 + 2 * ID_LEN + 2))
#define RAFT_TERM_MAX (UINT64_C(1) << 60) /* and of indices: nothing overflows */

enum raft_note_type { /* on the wire */
	NOTE_APPEND = 1, /* index: before the entries; extra: commit index */
	NOTE_APPEND_RESULT = 2, /* index: the last one stored; extra: the rejected one */
	NOTE_VOTE = 3, /* index: the last one stored */
	NOTE_VOTE_RESULT = 4,
	NOTE_LEAD_NOW = 6, /* index: the leader's last */
};

enum raft_note_flags { /* on the wire */
	NOTE_DISRUPT = 1,
	NOTE_PRE_VOTE = 2,
	NOTE_GRANTED = 4,
	NOTE_QUIET = 8, /* an APPEND without entries: that it arrived is of no interest */
};

enum read_type { /* on the wire */
	READ_ASK_TERM = 1, /* is your term still this? */
	READ_ASK_INDEX = 2,
};

enum snapshot_part { /* on the wire */
	SNAPSHOT_BEGIN = 1,
	SNAPSHOT_DATA = 2,
	SNAPSHOT_END = 3,
};

struct snapshot_head {
	uint8_t part;
	uint64_t from, to, term, number, index, index_term, offset, conf_index, time_ms;
};

void snapshot_head_encode(const struct snapshot_head *head, uint8_t out[SNAPSHOT_HEAD_LEN]);

/* Errors: ERR_INVALID, ERR_VERSION. */
MUST_USE enum err snapshot_head_decode(struct bytes head, struct snapshot_head *ret_head);

struct raft_note {
	uint8_t type;
	uint16_t flags;
	uint64_t from, to, term, index, index_term, extra;
	uint32_t count;
	uint16_t features, capacity;
};

void raft_note_encode(const struct raft_note *note, uint8_t out[RAFT_NOTE_LEN]);

/* Errors: ERR_INVALID, a field is out of its range, or two contradict each other; ERR_VERSION. */
MUST_USE enum err raft_note_decode(struct bytes head, struct raft_note *ret_note);

/* An entry of a payload, checked. */
struct note_entry {
	uint64_t term;
	struct bytes bytes;
};

void note_entry_encode(uint8_t out[RAFT_NOTE_ENTRY_LEN], size_t len, uint64_t term);

/* Takes the first entry off a payload; before is the term of the entry before, most that of the
 * note. Checks that it is a group, and its configuration if it has one. commands has room for
 * GROUP_COMMANDS_MAX. Errors: ERR_INVALID. */
MUST_USE enum err note_entry_decode(struct bytes *payload, uint64_t before, uint64_t most,
	struct group_command *commands, struct note_entry *ret_entry);

/* Decodes a configuration, every byte checked. Errors: ERR_INVALID. */
MUST_USE enum err configuration_decode(struct bytes bytes, struct consensus_members *ret_members);

void node_format(struct id node, char out[2 * ID_LEN + 1]);
MUST_USE enum err node_parse(const char *text, struct id *ret_node);

#endif
