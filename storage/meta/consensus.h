/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_CONSENSUS_H
#define STORAGE_META_CONSENSUS_H

#include "storage/bytes.h"
#include "storage/err.h"
#include "storage/loop.h"

/* The seam through which commands pass: many loops propose, one loop applies, and what is between
 * makes them durable and puts them in one order. With one member it is a log
 * (storage/meta/consensus_single.h); with more it is a group of them
 * (storage/meta/consensus_raft.h).
 *
 *   proposal (any loop) --> group --> log(s) --> committed() on the apply loop --> proposal's
 * done()
 *
 * Commands that wait while a group is being written make up the next group, so that there is one
 * flush for each group, not for each command. A group is one entry of the log:
 *
 *   version 1 (1 byte), kind (1), 0 (2), count of commands (4), cluster time in ms (8),
 *   then for each command: length (4), 0 (4), origin (8), number (8), its bytes
 *                                                           all little-endian, nothing between
 *
 * Kind 0 is commands. Kinds 1 and 2 are of the members among themselves: a group without commands,
 * in which kind 2 has a configuration after the header. Origin and number tell a member which of
 * its proposals a command is; origins are random for each life of a member, 0 with one member.
 *
 * (N1) committed() is called for every group that is in the log after the first index asked for, in
 *      the order of indices, without a gap, one at a time: the next follows group_applied().
 * (N2) A group is durable (on a majority, when there are several members) before committed().
 * (N3) The cluster time of a group is that of its proposer's clock, but never less than that of the
 *      group before it.
 * (N4) A group has at most GROUP_COMMANDS_MAX commands and GROUP_LEN_MAX bytes; a group may have no
 *      command.
 * (N5) A proposal has one end: done(), on its loop. Either the apply side ends it with a result, or
 *      consensus does with an error: ERR_UNAVAILABLE, it is in no log and never will be, or
 *      ERR_UNKNOWN, it may be applied now or later; ERR_LIMIT, it is too long.
 * (N6) Memory is bounded by the proposals, which belong to their proposers, and GROUPS_MAX groups.
 */
#define GROUP_LEN_MAX (1024 * 1024)
#define GROUP_COMMANDS_MAX 512
#define GROUP_HEADER_LEN 16
#define GROUP_COMMAND_HEAD_LEN 24
#define GROUPS_MAX 8 /* on their way from the first command to group_applied() */
#define PROPOSAL_RESULT_LEN 256

struct consensus;

/* A command on its way. Embedded in the operation that proposes; zeroed before its first use. */
struct proposal {
	struct loop *loop;
	struct bytes command; /* borrowed until done() */
	void (*done)(struct proposal *proposal);

	/* Valid in done(). Without an error, the result is what the apply side put there. */
	enum err err;
	uint16_t result_len;
	uint8_t result[PROPOSAL_RESULT_LEN];

	/* Of consensus. */
	struct consensus *consensus;
	struct task task;
	struct proposal *next;
	uint64_t number, term, due_ms;
};

/* Ends a proposal: done() runs on its loop. By whoever has it: the apply side those that came with
 * a group, after writing the result. Any thread. */
void proposal_end(struct proposal *proposal, enum err err);

enum group_kind { /* in the log */
	GROUP_COMMANDS = 0,
	GROUP_BARRIER = 1,
	GROUP_CHANGE = 2,
};

struct group_command {
	struct bytes bytes; /* borrowed until group_applied() or the proposal's end */
	uint64_t origin, number; /* as in the log */
	struct proposal *proposal; /* of this process, to be ended by the apply side; else NULL */
};

struct group {
	uint64_t index, term; /* of the entry; the first entry of a log has index 1 */
	uint64_t time_ms; /* (N3) */
	size_t count;
	const struct group_command *commands;
};

/* Encode the header of a group, and the head of each command. */
void group_encode_header(
	uint8_t out[GROUP_HEADER_LEN], enum group_kind kind, uint64_t time_ms, size_t count);
void group_encode_command_head(
	uint8_t out[GROUP_COMMAND_HEAD_LEN], size_t len, uint64_t origin, uint64_t number);

/* Decodes the commands that follow a header, or are on their way to one. Errors: ERR_CORRUPT. */
MUST_USE enum err group_decode_commands(
	struct bytes bytes, size_t count, struct group_command *commands);

/* The kind of an entry that has a header, unchecked. */
static inline uint8_t group_kind(struct bytes entry)
{
	assert(entry.len >= GROUP_HEADER_LEN);
	return entry.data[1];
}

/* Decodes an entry into commands, of which there is room for GROUP_COMMANDS_MAX; index and term of
 * the group are the caller's to set. Refuses bytes after the last command. Errors: ERR_CORRUPT,
 * ERR_VERSION. */
MUST_USE enum err group_decode(
	struct bytes entry, struct group_command *commands, struct group *ret_group);

/* What the apply side asks: an index which all that was acknowledged before the question is at or
 * below. A read that waits until so much is applied is linearizable. Embedded; zeroed before. */
struct read_index {
	struct loop *loop;
	void (*done)(struct read_index *read);

	/* Valid in done(). ERR_UNAVAILABLE: no leader that could be asked. */
	enum err err;
	uint64_t index;

	/* Of consensus. */
	struct consensus *consensus;
	struct task task;
	struct read_index *next;
	uint64_t due_ms;
};

enum consensus_role {
	CONSENSUS_STOPPED, /* not started, stopping, or failed */
	CONSENSUS_FOLLOWER,
	CONSENSUS_LEADER,
};

struct consensus_info {
	enum consensus_role role;
	enum err err; /* what it failed with */
	uint64_t id; /* of this member's log */
	uint64_t leader; /* 0: unknown */
	uint64_t term;
	uint64_t commit_index; /* durable */
	uint64_t released_index; /* entries up to here may be gone from the log */
	uint64_t log_len; /* bytes of all segments */
	/* Of a log that copies of the index stand beside; 0: not told. */
	uint64_t first_index; /* the first entry that is still there */
	uint64_t live_len; /* bytes of the segments that are needed */
	uint64_t groups, commands; /* committed since the start */
};

/* Where committed groups go. */
struct consensus_apply {
	struct loop *loop; /* where the following are called */
	uint64_t time_ms; /* cluster time of the last group that was applied before the start */
	void (*committed)(void *arg, struct group *group);
	/* Once: the log failed; nothing is committed any more. Proposals end by themselves. */
	void (*failed)(void *arg, enum err err);
	void *arg;
};

struct consensus_ops {
	enum err (*replay)(struct consensus *consensus, uint64_t after,
		enum err (*found)(void *arg, const struct group *group), void *arg);
	void (*start)(struct consensus *consensus, const struct consensus_apply *apply);
	void (*propose)(struct consensus *consensus, struct proposal *proposal);
	void (*group_applied)(struct consensus *consensus, struct group *group);
	void (*read_index)(struct consensus *consensus, struct read_index *read);
	void (*release)(struct consensus *consensus, uint64_t index);
	void (*info)(struct consensus *consensus, struct consensus_info *ret_info);
	void (*stop)(struct consensus *consensus, void (*stopped)(void *arg), void *arg);
	void (*close)(struct consensus *consensus);
};

struct consensus {
	const struct consensus_ops *ops;
};

/* Reads the groups after an index that this member has and knows to be committed, in order. Blocks;
 * after opening, before consensus_start(). The group is borrowed during found(), whose error ends
 * the reading. Errors: ERR_CORRUPT, also when the log begins later than after + 1; ERR_VERSION;
 * ERR_IO; what found() returned. */
MUST_USE static inline enum err consensus_replay(struct consensus *consensus, uint64_t after,
	enum err (*found)(void *arg, const struct group *group), void *arg)
{
	return consensus->ops->replay(consensus, after, found, arg);
}

/* Begins to take part: committed() follows for the groups after those replayed. Once, on any
 * thread, when the loops are there. */
static inline void consensus_start(struct consensus *consensus, const struct consensus_apply *apply)
{
	consensus->ops->start(consensus, apply);
}

/* Proposes a command, of any bytes, shorter than a group. done() is never called inside. Any
 * thread. */
static inline void consensus_propose(struct consensus *consensus, struct proposal *proposal)
{
	assert(proposal->loop && proposal->done);
	consensus->ops->propose(consensus, proposal);
}

/* Says that the apply side is done with a group and its commands: all its proposals are ended. On
 * the apply loop; also inside committed(). */
static inline void group_applied(struct consensus *consensus, struct group *group)
{
	consensus->ops->group_applied(consensus, group);
}

/* Any thread. done() is never called inside. */
static inline void consensus_read_index(struct consensus *consensus, struct read_index *read)
{
	assert(read->loop && read->done);
	consensus->ops->read_index(consensus, read);
}

/* Allows entries up to the index to go: their effects are durable elsewhere. Any thread. */
static inline void consensus_release(struct consensus *consensus, uint64_t index)
{
	consensus->ops->release(consensus, index);
}

/* Any thread. */
static inline void consensus_info(struct consensus *consensus, struct consensus_info *ret_info)
{
	consensus->ops->info(consensus, ret_info);
}

/* Takes no proposals any more (ERR_UNAVAILABLE), waits for those it has, until the last group is
 * applied and the log touches its disk no more, then calls stopped() on the apply loop. Any thread,
 * once, after the start. */
static inline void consensus_stop(
	struct consensus *consensus, void (*stopped)(void *arg), void *arg)
{
	consensus->ops->stop(consensus, stopped, arg);
}

/* Closes the log and frees. Blocks; after the loops have stopped. */
static inline void consensus_close(struct consensus *consensus)
{
	if (consensus)
		consensus->ops->close(consensus);
}

#endif
