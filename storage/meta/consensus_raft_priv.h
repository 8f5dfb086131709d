/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_CONSENSUS_RAFT_PRIV_H
#define STORAGE_META_CONSENSUS_RAFT_PRIV_H

#include <pthread.h>
#include <raft.h>
#include <stdatomic.h>

#include "storage/meta/consensus_raft.h"
#include "storage/meta/consensus_raft_wire.h"

/* Shared by consensus_raft*.c; what each is for is told in consensus_raft.c. */
#define MEMBER_MAGIC 0x72616674u

enum {
	ENTRIES_CACHED = 1024, /* a power of two */
	ENTRIES_CACHED_LEN = 8 << 20,
	AHEAD_MAX = 256, /* entries read at a time, for who lags */
	AHEAD_LEN = 1 << 20,
	IN_FLIGHT_MAX = GROUPS_MAX, /* entries sent to a follower and not yet confirmed */
	NOTE_ENTRIES_MAX = IN_FLIGHT_MAX,
	HELD_MAX = 64, /* messages that wait for a vote to be durable; the rest are lost */
	BATCHES_MAX = 2 * CONSENSUS_MEMBERS_MAX,
	ADDRESS_LEN = 2 * ID_LEN, /* a node's id as libraft has it, in hex */
	RETRY_MS = 50,
	TICK_MS = 500,
	TIMER_MS_MIN = 5,
	FORWARD_MS_MAX = 5000,
	ASK_MS_MAX = 1000,
	SNAPSHOT_MS_MAX = 30000, /* for each part */
	STOP_MS_MAX = 3000,
};

struct member;

/* An entry in memory: being written, sent, applied, or kept for those. */
struct entry {
	unsigned refs;
	bool is_void; /* taken back before it was durable: its write counts for nothing (R8) */
	uint64_t index, term;
	struct member *member;
	struct log_op op;
	struct bytes part;
	size_t len;
	uint8_t bytes[];
};

/* A vote, a truncation or a snapshot mark on its way to the log. */
struct member_op {
	struct log_op op;
	struct member *member;
};

/* A committed group on its way to the apply loop and back. */
struct member_group {
	struct group group;
	struct member *member;
	struct member_group *next;
	struct entry *entry;
	struct task task;
	struct group_command commands[GROUP_COMMANDS_MAX];
};

struct held_note {
	struct id node;
	struct raft_note note;
};

struct told {
	uint64_t id, commit;
};

struct proposals {
	struct proposal *first, **last;
};

/* Commands that another member sent here, in the order they came. */
struct batch {
	struct peer_request *request;
	size_t count;
	bool is_used;
};

/* How far the numbers of a node's life were taken in a term: what comes again is not taken twice.
 */
struct origin {
	struct id node;
	uint64_t life, term, number;
};

enum forward_state { FORWARD_IDLE, FORWARD_CALLING, FORWARD_WAITING };

/* Commands on their way to the leader; the same batch until it is known to be taken or not. */
struct forward {
	enum forward_state state;
	struct peer_call call;
	uint64_t term, first, last; /* numbers */
	bool was_sent; /* may have arrived */
	uint8_t head[PROPOSE_HEAD_LEN];
	uint8_t *buf; /* GROUP_LEN_MAX */
	size_t len;
};

struct reads {
	struct read_index *first, **last;
};

/* The question to one voter: is my term still yours? */
struct ask {
	struct peer_call call;
	struct member *member;
	uint64_t id, round;
	bool is_busy, is_yes;
	uint8_t head[READ_HEAD_LEN];
};

struct remote_read {
	struct peer_request *request;
	bool is_used, is_asked;
};

/* The committed configuration, as "log-members" has it. */
struct members_place {
	uint64_t base_index, base_term; /* entries up to here are of no use to others */
	uint64_t conf_index;
	size_t conf_len;
	uint8_t conf[CONFIGURATION_LEN_MAX];
};

struct members_file {
	uint64_t log_id;
	struct members_place now;
	struct members_place next; /* a snapshot that is being installed; base_index 0: none */
};

enum push_state { PUSH_IDLE, PUSH_OPENING, PUSH_READING, PUSH_SENDING };

/* A snapshot on its way to a member. */
struct push {
	enum push_state state;
	bool is_open;
	uint64_t to, term, number, index, index_term, offset, conf_index;
	struct id node;
	enum snapshot_part part;
	struct snapshot_op op;
	struct peer_call call;
	uint8_t head[SNAPSHOT_HEAD_LEN];
	uint8_t *buf; /* SNAPSHOT_CHUNK_LEN */
	size_t conf_len;
	uint8_t conf[CONFIGURATION_LEN_MAX];
};

enum install_state {
	INSTALL_IDLE,
	INSTALL_OPEN,
	INSTALL_BUSY,
	INSTALL_OFFERED,
	INSTALL_TAKEN,
	INSTALL_FILING,
	INSTALL_SWITCHING,
	INSTALL_SWITCHED,
	INSTALL_MARKING,
};

/* A snapshot that arrives. */
struct install {
	enum install_state state;
	bool has_import;
	struct snapshot_head head; /* of the last part */
	struct id node;
	struct peer_request *request; /* being written */
	uint64_t offset;
	struct snapshot_op op;
	struct members_place place;
	struct raft_snapshot_metadata metadata; /* libraft's, from TAKEN to the end */
	struct log_op mark;
};

struct member {
	struct consensus consensus;
	uint32_t magic;
	struct consensus_raft_setup setup;
	struct consensus_apply apply;
	struct log *log;
	struct loop *loop; /* the log's, and ours */
	uint64_t id, life;
	size_t len_max; /* of an entry */

	/* libraft, consensus_raft_step.c */
	struct raft raft;
	bool has_started; /* RAFT_START was given */
	bool is_stepping, is_settling, is_settle_posted;
	struct task settle_task;
	struct entry **taken; /* entries of the event in hand, by index - taken_first */
	uint64_t taken_first;
	struct timer timer, tick, retry;
	uint64_t written; /* durable, to be told to libraft */
	bool is_written_posted;
	struct task written_task;
	size_t ops_pending, votes_pending;
	struct held_note held[HELD_MAX];
	size_t held_count;
	uint64_t renewed_term; /* begun by this member in this life (R12) */
	uint64_t barrier_index; /* 0: this member does not lead */
	struct told told[CONSENSUS_MEMBERS_MAX];
	uint64_t time_ms;
	uint8_t *out; /* a note being made */
	struct group_command scratch[GROUP_COMMANDS_MAX]; /* for looking at an entry */
	uint64_t bad_notes;
	uint64_t quiet_term; /* while a quiet note of this term is received; else 0 */

	/* Entries, consensus_raft_entry.c */
	struct entry *entries[ENTRIES_CACHED];
	uint64_t entries_first, entries_end; /* indices cached, without a gap */
	size_t entries_len;
	struct entry *ahead[AHEAD_MAX]; /* read again, from ahead_first on */
	uint64_t ahead_first;
	size_t ahead_count, ahead_len;

	/* Proposals, consensus_raft_propose.c */
	struct proposals pending, in_flight;
	uint64_t next_number;
	struct batch batches[BATCHES_MAX];
	size_t batch_first, batch_count;
	struct origin origins[BATCHES_MAX];
	struct forward forward;

	/* Committed groups, consensus_raft_apply.c */
	uint64_t commit; /* never goes back */
	uint64_t delivered;
	struct member_group *groups, *free_groups; /* GROUPS_MAX */
	size_t free_count;
	/* Of the apply loop. */
	struct member_group *queue, **queue_last;
	bool is_applying, is_deliver_posted;
	struct task deliver_task, failed_task, stopped_task;

	/* Reads, consensus_raft_read.c */
	struct reads waiting_reads, asked_reads;
	struct remote_read remote_reads[BATCHES_MAX];
	struct ask asks[CONSENSUS_MEMBERS_MAX];
	uint64_t round, round_index;
	bool is_asking; /* a round is on */
	struct peer_call read_call;
	bool is_reading;
	uint8_t read_head[READ_HEAD_LEN];

	/* Members, consensus_raft_member.c */
	struct consensus_change *change;
	struct members_file file, file_out;
	struct work file_work;
	bool is_file_writing, is_file_stale;
	struct push push;
	struct install install;
	enum err file_err;
	uint64_t released_wanted;
	pthread_mutex_t lock; /* of what follows */
	struct consensus_members members;

	/* Starting and stopping, consensus_raft.c */
	struct task start_task, stop_task, release_task;
	uint64_t replay_after;
	bool must_mark; /* the log, for a snapshot that was installed when this member died */
	bool is_founder; /* the first entry is still to be written */
	struct log_op found_op;
	struct entry *found_entry;
	struct bytes found_part;
	struct raft_entry *start_entries; /* of the log, from start_first on */
	size_t start_count;
	uint64_t start_first;
	bool is_raft_init;
	bool is_stopping, has_stopped, has_given_lead, is_log_stopped;
	uint64_t stop_due_ms;
	void (*stopped)(void *arg);
	void *stopped_arg;

	_Atomic int err; /* enum err */
	_Atomic int role;
	_Atomic bool is_release_posted;
	_Atomic uint64_t leader_id, term, commit_index, released, log_len, group_count,
		command_count;
};

static inline struct member *member_of(struct consensus *consensus)
{
	struct member *member = CONTAINER_OF(consensus, struct member, consensus);
	assert(member->magic == MEMBER_MAGIC);
	return member;
}

static inline bool member_is_dead(struct member *member)
{
	return atomic_load(&member->err) != ERR_OK;
}

static inline bool member_leads(const struct member *member)
{
	return member->has_started && member->raft.state == RAFT_LEADER;
}

static inline uint64_t member_now_ms(const struct member *member)
{
	return loop_now_ms(member->loop);
}

/* --- consensus_raft.c ------------------------------------------------------------------------- */

/* Stops the member: nothing is committed any more. */
void member_fail(struct member *member, enum err err);

/* Goes on with a stop, if there is one. */
void member_advance_stop(struct member *member);

/* --- consensus_raft_step.c: libraft ----------------------------------------------------------- */

/* Gives libraft an event and does what it says; then whatever follows from the new state. */
void member_step(struct member *member, struct raft_event *event);

/* Looks at all that may have become possible. */
void member_settle(struct member *member);
/* When the tasks that are queued now have run: one look at all that they brought. */
void member_settle_soon(struct member *member);

/* Submits an entry, as leader; takes the reference. Errors: ERR_UNAVAILABLE. */
MUST_USE enum err member_submit(
	struct member *member, struct entry *entry, enum raft_entry_type type);

/* Is this the only voter, as far as its log knows? */
bool member_is_only_voter(const struct member *member);

/* As member_step(), but looks at nothing. */
void member_step_bare(struct member *member, struct raft_event *event);

/* The configuration that is the uncommitted one is committed. */
void member_commit_configuration(struct member *member, uint64_t index);

/* The term of an entry that libraft knows; 0: it does not. */
uint64_t member_term_of(const struct member *member, uint64_t index);

/* The node of the leader. Returns false if there is none but this. */
bool member_leader_node(struct member *member, struct id *ret_node);

void member_step_init(struct member *member);

/* Retries and deadlines: soon, and all half second while somebody waits. */
void member_retry(struct member *member);
void member_watch_deadlines(struct member *member);

/* --- consensus_raft_send.c, consensus_raft_receive.c: notes ----------------------------------- */

void member_send(struct member *member, const struct raft_message *message);
void member_send_held(struct member *member);

/* Says to who sent an APPEND of an earlier term that the term is over. */
void member_send_refusal(struct member *member, struct id node, const struct raft_note *append);

/* Tells followers of the commit index, if nothing else did (R7). */
void member_send_commit(struct member *member);

/* Does the node speak for that member, as far as is known here? */
bool member_is_of_node(const struct member *member, uint64_t id, struct id node);
void member_receive(void *arg, struct peer_request *request);

/* --- consensus_raft_entry.c ------------------------------------------------------------------- */

/* A new entry of so many bytes, with one reference; NULL: no memory. */
struct entry *entry_new(struct member *member, uint64_t index, uint64_t term, size_t len);
struct entry *entry_ref(struct entry *entry);
void entry_unref(struct entry *entry);

/* The entry kept in memory, or read from the log, which blocks; gives a reference. Errors: those
 * of log_read(). */
MUST_USE enum err member_entry(struct member *member, uint64_t index, struct entry **ret_entry);
struct entry *member_cached(struct member *member, uint64_t index);

/* Keeps an entry, the next one, and writes it. Takes the reference. */
void member_append(struct member *member, struct entry *entry);

/* Forgets entries from index on. */
void member_truncate_cache(struct member *member, uint64_t index);

/* Frees what is kept beyond the bounds, or all. */
void member_trim_cache(struct member *member, bool all);

/* --- consensus_raft_propose.c ----------------------------------------------------------------- */

void proposals_push(struct proposals *list, struct proposal *proposal);
void member_propose(struct consensus *consensus, struct proposal *proposal);
void member_serve_propose(void *arg, struct peer_request *request);

/* As leader makes a group, as follower sends what waits to the leader. */
void member_gather(struct member *member);

/* The proposal of this life with that number, taken off the list; NULL: none. */
struct proposal *member_match(struct member *member, uint64_t origin, uint64_t number);

/* An entry of that term is about to be applied: what was given to leaders of terms before, and is
 * not applied, never will be. */
void member_void_terms_before(struct member *member, uint64_t term);

/* Refuses what members sent here, when the lead is lost. */
void member_refuse_batches(struct member *member);

void member_expire_proposals(struct member *member, uint64_t now_ms);
void member_end_proposals(struct member *member);

/* What is in flight may be in a snapshot: it ends as unknown. */
void member_lose_flight(struct member *member);
bool member_has_proposals(const struct member *member);
void member_propose_init(struct member *member);

/* --- consensus_raft_apply.c ------------------------------------------------------------------- */

void member_deliver(struct member *member);
void member_group_applied(struct consensus *consensus, struct group *group);
void member_apply_init(struct member *member);

/* --- consensus_raft_read.c -------------------------------------------------------------------- */

void member_read_index(struct consensus *consensus, struct read_index *read);
void member_serve_read(void *arg, struct peer_request *request);

/* Asks what can be asked. */
void member_ask(struct member *member);

/* Reads for which this member cannot answer any more. */
void member_lose_reads(struct member *member);
void member_expire_reads(struct member *member, uint64_t now_ms);
void member_end_reads(struct member *member);
bool member_has_reads(const struct member *member);
void member_read_init(struct member *member);

/* --- consensus_raft_member.c ------------------------------------------------------------------ */

/* Lets the log forget what may go, and libraft with it. */
void member_release(struct member *member);

/* Begins to give the lead to any other voter, if there is one. */
void member_give_lead(struct member *member);

/* Encodes a list as a configuration. Errors: ERR_NO_MEMORY. */
MUST_USE enum err members_encode(const struct consensus_members *members,
	uint8_t out[CONFIGURATION_LEN_MAX], size_t *ret_len);

/* An entry with a configuration; NULL: no memory. */
struct entry *member_change_entry(struct member *member, uint64_t index, uint64_t term,
	const struct consensus_members *members);

/* Keeps the list of members and the file up to date with libraft's configurations. */
void member_keep_members(struct member *member);
void member_advance_change(struct member *member);
void member_end_change(struct member *member, enum err err);
bool member_is_of_group(const struct member *member, struct id node);

/* Writes member->file_out to "log-members". */
void member_write_file(struct member *member);

/* --- consensus_raft_push.c, consensus_raft_install.c ------------------------------------------ */

/* Begins to send a snapshot to a member, unless one is being sent. */
void member_push(struct member *member, uint64_t to, struct id node);
bool member_is_pushing(const struct member *member);

void member_serve_snapshot(void *arg, struct peer_request *request);

/* libraft takes what it was offered. */
void member_take_snapshot(struct member *member, const struct raft_snapshot_metadata *metadata);
void member_advance_install(struct member *member);
bool member_has_install_op(const struct member *member);
void member_install_fini(struct member *member);

/* --- consensus_raft_file.c -------------------------------------------------------------------- */

MUST_USE enum err members_file_read(struct disk *disk, struct members_file *ret_file);
MUST_USE enum err members_file_write(struct disk *disk, const struct members_file *file);

/* --- consensus_raft_open.c -------------------------------------------------------------------- */

/* Reads the log into what RAFT_START is given. Errors: ERR_CORRUPT, ERR_NO_MEMORY. */
MUST_USE enum err member_open_log(struct member *member);
void member_open_fini(struct member *member);

/* Decides what counts of log and file, when the state machine has everything up to an index.
 * Errors: ERR_CORRUPT, they do not fit. */
MUST_USE enum err member_open_place(struct member *member, uint64_t after);

/* The first entry was written: it is in the log as if it had been read. Errors: ERR_NO_MEMORY. */
MUST_USE enum err member_open_founded(struct member *member);

/* Gives RAFT_START, with what is in the log; the former begins a term first, if it must. */
void member_start_in_term(struct member *member);

/* The same, after an entry that makes this member the whole group (R13). */
void member_take_over(struct member *member);
void member_start_raft(struct member *member);

#endif
