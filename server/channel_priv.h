/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHANNEL_PRIV_H
#define SERVER_CHANNEL_PRIV_H

#include <h2o.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/channel.h"
#include "storage/pool.h"

#define LINK_MAGIC 0x4c4e4b31
#define REQUEST_MAGIC 0x52455131

enum {
	LINK_IN_LEN = 40 << 10, /* a frame and the longest head, and more */
	LINK_OUT_CHUNKS = 4,
	LINK_OUT_LEN = LINK_OUT_CHUNKS * (CHANNEL_CHUNK_LEN + CHANNEL_TRAILER_LEN) + 4096,
	LINK_SLOT_COUNT = 1024, /* calls of one link that wait for their answer */
	SLOT_NONE = UINT16_MAX,
	SPARE_OUT_COUNT = 4,
};

static_assert(LINK_IN_LEN > CHANNEL_FRAME_WIRE_LEN + PEER_HEAD_LEN_MAX + CHANNEL_TRAILER_LEN,
	"a frame and its head fit");
static_assert(LINK_OUT_LEN > CHANNEL_FRAME_WIRE_LEN + PEER_HEAD_LEN_MAX + CHANNEL_TRAILER_LEN,
	"a frame and its head fit");

/* A counter with one writer at a time and many readers. */
static inline void channel_count(_Atomic uint64_t *cell, uint64_t by)
{
	uint64_t value = atomic_load_explicit(cell, memory_order_relaxed);
	atomic_store_explicit(cell, value + by, memory_order_relaxed);
}

struct channel_cells {
	_Atomic uint64_t messages_out, messages_in, bytes_out, bytes_in, writes, reads;
	_Atomic uint64_t links_dialed, links_accepted, links_broken, notes_lost, timeouts;
	_Atomic uint64_t refused_us;
	_Atomic uint64_t asked[PEER_KIND_COUNT], answered[PEER_KIND_COUNT];
};

/* --- calls and requests ----------------------------------------------------------------------- */

/* Of a struct peer_call. A note that waits is a peer_call too. */
enum call_state {
	CALL_NEW,
	CALL_QUEUED,
	CALL_SENDING,
	CALL_SENT,
	CALL_LOCAL, /* to ourselves: its request is there */
	CALL_ENDING, /* its task is posted, or done() runs */
};

struct call_queue {
	struct peer_call *first, *last;
};

void call_queue_push(struct call_queue *queue, struct peer_call *call);
void call_queue_remove(struct call_queue *queue, struct peer_call *call);

struct queued_note {
	struct peer_call call;
	size_t *total; /* of its queue's notes */
	uint8_t bytes[];
};

struct link_slot {
	struct peer_call *call;
	uint64_t number;
	uint16_t next; /* in the list of the free, or of those to cancel */
};

enum request_state { REQUEST_HANDED, REQUEST_ANSWERED, REQUEST_SENDING, REQUEST_ENDING };

/* Owned by the peers; with the handler until it is answered. */
struct channel_request {
	uint32_t magic;
	enum request_state state;
	struct peer_request base;
	struct channel_link *link; /* NULL: it broke, or the request is our own */
	struct peer_call *local; /* of a call to ourselves that has not ended */
	bool is_local;
	bool is_canceled;
	uint32_t charge;
	uint8_t *buffer; /* of the pool */
	uint8_t *long_head; /* of the answer, when it does not fit below */
	size_t head_cap;
	uint8_t head[];
};

struct request_list {
	struct peer_request *first, *last;
};

/* --- links ------------------------------------------------------------------------------------ */

enum link_state {
	LINK_CONNECTING,
	LINK_SHAKING, /* hello sent or awaited */
	LINK_PROVING, /* accept sent, the proof is awaited; dialer: proof sent, READY is awaited */
	LINK_MOVING, /* proven, on its way to its loop */
	LINK_JOINING, /* proven, its one question is with the one who admits */
	LINK_OPEN,
	LINK_CLOSED,
};

/* What is being received after a frame. */
struct link_in {
	uint8_t *buffer; /* LINK_IN_LEN */
	size_t from, to;
	bool has_frame;
	bool has_head;
	bool is_void; /* a chunk said so: the message is forgotten (K8) */
	struct channel_frame frame;
	struct channel_request *request; /* of a call or note */
	struct peer_call *call; /* of an answer; NULL: nobody wants it */
	uint8_t *head; /* of an answer */
	uint8_t short_head[512];
	uint8_t *payload; /* where it goes; NULL: nowhere */
	size_t chunk_offset; /* of the payload: the chunk that is being received */
	size_t chunk_got; /* of that chunk and its trailer */
	uint8_t trailers[CHANNEL_CHUNK_COUNT_MAX][CHANNEL_TRAILER_LEN];
};

/* What is being sent. */
struct link_out {
	uint8_t *buffer; /* LINK_OUT_LEN; NULL while there is nothing to send */
	size_t from, to;
	bool is_message; /* a payload is being sent */
	bool is_void; /* it is no longer there: zeros go in its place (K8) */
	const uint8_t *payload;
	size_t payload_len, payload_at;
	struct peer_call *call;
	struct channel_request *request;
};

struct channel_remote;

struct channel_link {
	uint32_t magic;
	enum link_state state;
	bool is_dialer;
	bool is_dirty; /* in the list of those to flush */
	bool is_read_watched, is_write_awaited;
	struct channel *channel;
	struct channel_peers *peers; /* NULL while the listener has it */
	struct channel_remote *remote; /* NULL for a node that just left the table */
	struct channel_link *next, *prev; /* accepted by the peers, or shaken by the listener */
	struct channel_link *next_dirty;
	struct channel_link *next_proven; /* of all accepted of the channel; under its lock */
	struct task task;
	h2o_socket_t *socket;
	int fd;
	char name[80]; /* for the log */
	struct timer timer;
	uint64_t tick_ms, opened_ms;
	_Atomic uint64_t heard_ms;
	struct channel_shake *shake; /* while shaking */
	struct channel_join_request *joining;
	struct id node;
	uint64_t life, epoch;
	uint32_t index;
	uint8_t purpose;
	struct channel_seal seal_in, seal_out;
	struct link_in in;
	struct link_out out;

	/* Of the dialer. */
	struct call_queue queue;
	size_t note_len; /* of those in the queue */
	struct link_slot *slots; /* LINK_SLOT_COUNT */
	uint16_t free_slot, cancel_slot;
	uint64_t call_count;
	uint64_t credit, spent;
	bool ping_owed;
	uint64_t ping_us; /* when the last ping went; 0: it came back */

	/* Of the other side. */
	struct request_list requests; /* with the handlers */
	struct request_list answers; /* to be sent */
	uint64_t received, granted, announced; /* charges (K7) */
	bool ready_owed, pong_owed;
	uint64_t pong_value;
};

/* Another node, as one struct peers knows it. */
struct channel_remote {
	struct channel_remote *next;
	struct channel_peers *peers;
	struct channel_node node;
	struct channel_link *link; /* dialed */
	bool is_linked; /* watches know */
	bool is_seen; /* while the table is compared */
	struct timer retry;
	unsigned address_index;
	unsigned retry_ms;
	uint32_t rtt_us;
	uint64_t heard_ms; /* 0: never */
};

struct channel_peers {
	struct peers base;
	struct channel *channel;
	struct loop *loop;
	uint32_t index;
	uint8_t purpose;
	bool is_stopped;
	uint64_t epoch;
	struct pool pool;
	size_t reserved_len; /* windows of links, and charges of requests that outlive theirs */
	size_t limit_len;
	unsigned request_count;
	struct channel_remote *remotes;
	struct channel_link *accepted;
	_Atomic unsigned accepted_count; /* those on their way too */
	_Atomic unsigned linked_count;
	struct channel_link *dirty;
	struct task flush_task, table_task;
	_Atomic bool is_table_posted;
	bool is_flush_posted;
	uint8_t *spare_outs[SPARE_OUT_COUNT];
	unsigned spare_out_count;
	uint8_t *scratch; /* a chunk that nobody wants */

	/* To ourselves. */
	struct call_queue self_queue;
	size_t self_note_len;
	size_t self_spent;
	struct task self_task;
	bool is_self_posted;

	struct channel_cells cells;
};

struct channel_complaint {
	enum channel_refusal reason;
	uint64_t who;
	uint64_t at_ms;
};

struct channel_listener {
	struct loop *loop;
	int fd;
	uint16_t port;
	bool is_stopped;
	h2o_socket_t *socket;
	struct task start;
	struct timer pause;
	struct channel_link *shaking, *oldest; /* newest first */
	unsigned shaking_count;
};

struct channel {
	struct channel_self self;
	struct channel_settings settings;
	struct trace *trace;
	struct channel_join *join;
	struct channel_peers *peers[CHANNEL_PEERS_COUNT_MAX];
	unsigned peers_count;
	struct channel_listener listener;
	pthread_mutex_t lock; /* of what follows */
	uint64_t epoch;
	bool has_table;
	struct channel_node *nodes;
	size_t node_count;
	size_t other_count; /* of nodes, without this one */
	struct channel_link *proven;
	struct channel_complaint complaints[16];
	_Atomic uint64_t refused[CHANNEL_REFUSAL_COUNT];
	_Atomic uint64_t epoch_seen; /* the highest that a node of this cluster has proven */
};

/* --- channel.c -------------------------------------------------------------------------------- */

/* Copies a node of the table and gives the epoch. */
bool channel_find_node(
	struct channel *channel, struct id id, struct channel_node *ret_node, uint64_t *ret_epoch);

/* Counts a refusal by us and logs it, if the same was not logged lately. */
__attribute__((format(printf, 4, 5))) void channel_complain(struct channel *channel,
	enum channel_refusal reason, uint64_t who, const char *format, ...);

void peers_settle(struct channel_peers *peers);

/* A node that has proven itself is of that epoch. Any thread. */
void channel_note_epoch(struct channel *channel, uint64_t epoch);

static inline uint64_t channel_who(struct id id)
{
	return get_le64(id.bytes);
}

#define ID_TEXT_LEN (2 * ID_LEN + 1)
const char *channel_id_text(struct id id, char text[ID_TEXT_LEN]);

/* --- channel_link.c --------------------------------------------------------------------------- */

/* Makes a link that has a descriptor. */
MUST_USE enum err link_new(struct channel *channel, int fd, struct channel_link **ret_link);
void link_attach(struct channel_link *link, struct loop *loop);
/* Takes the descriptor from the loop and leaves it open. */
void link_detach(struct channel_link *link);
void link_watch_read(struct channel_link *link);
void link_await_write(struct channel_link *link);
/* Readiness of a link that is shaking. */
void link_step_dialed(struct channel_link *link);
void link_step_accepted(struct channel_link *link);
/* Reads exactly len bytes, over as many calls as it takes. Errors: ERR_BUSY, ERR_CLOSED. */
MUST_USE enum err link_read_exactly(struct channel_link *link, size_t len);
/* Sends a short message whole; a fresh socket takes it. Errors: ERR_CLOSED. */
MUST_USE enum err link_send_now(struct channel_link *link, const uint8_t *data, size_t len);
/* Makes buffers and keys for frames. Errors: ERR_NO_MEMORY. */
MUST_USE enum err link_open(struct channel_link *link);
/* Ends it: its calls end, its requests go on without it. Frees it. */
void link_close(struct channel_link *link, const char *why);
/* Puts the link among those that are flushed at the end of this turn. */
void link_mark(struct channel_link *link);
void link_flush_marked(struct task *task);

/* --- channel_out.c, channel_in.c -------------------------------------------------------------- */

/* Sends what there is until the socket is full. Errors: ERR_CLOSED and those of seals. */
MUST_USE enum err link_flush(struct channel_link *link);
void link_drop_out(struct channel_link *link);

/* Reads what there is, up to a bound. Errors: ERR_CLOSED, ERR_INVALID, ERR_CHECKSUM, … */
MUST_USE enum err link_receive(struct channel_link *link);

/* --- channel_call.c --------------------------------------------------------------------------- */

MUST_USE enum err link_make_slots(struct channel_link *link);
/* Takes a slot for a call and gives it its number; false: none is free. */
bool link_take_slot(struct channel_link *link, struct peer_call *call);
struct peer_call *link_find_call(struct channel_link *link, uint64_t number);
/* Takes an owed cancel; 0: none. */
uint64_t link_take_cancel(struct channel_link *link);
/* The answer is there. Ends the call. */
void link_end_answered(struct channel_link *link, struct peer_call *call);
void link_end_calls(struct channel_link *link);
void call_end(struct peer_call *call, enum err err);
/* Ends a call now, whose task is not posted. */
void call_end_now(struct peer_call *call, enum err err);
/* Makes a note with copies of its bytes and puts it into a queue, whose notes have *io_total bytes.
 * False: there is no room for it. */
bool note_push(struct channel_peers *peers, struct call_queue *queue, size_t *io_total,
	uint16_t kind, struct bytes head, struct bytes payload);
void note_free(struct peer_call *note);
void channel_call(struct peers *peers, struct peer_call *call);
void channel_cancel(struct peers *peers, struct peer_call *call);
void channel_note(struct peers *peers, struct id node, uint16_t kind, struct bytes head,
	struct bytes payload);
struct channel_remote *channel_find_remote(struct channel_peers *peers, struct id node);

/* --- channel_serve.c -------------------------------------------------------------------------- */

void request_list_push(struct request_list *list, struct channel_request *request);
void request_list_remove(struct request_list *list, struct channel_request *request);
/* Makes the request of a call or note, with room for its payload. Errors: ERR_NO_MEMORY. */
MUST_USE enum err request_new(struct channel_peers *peers, struct channel_link *link,
	const struct channel_frame *frame, struct channel_request **ret_request);
/* Gives it to its handler. */
void request_hand(struct channel_request *request, struct id from);
/* Forgets one that was never handed. */
void request_drop(struct channel_request *request);
/* The answer is out, or will never be. */
void request_end(struct channel_request *request);
void request_give_room(struct channel_request *request);
void request_cancel(struct channel_link *link, uint64_t number);
void link_orphan_requests(struct channel_link *link);
void channel_answer(struct peers *peers, struct peer_request *request);

/* --- channel_self.c --------------------------------------------------------------------------- */

void self_call(struct channel_peers *peers, struct peer_call *call);
void self_note(struct channel_peers *peers, uint16_t kind, struct bytes head, struct bytes payload);
void self_cancel(struct channel_peers *peers, struct peer_call *call);
void self_answer(struct channel_request *request);
void self_post(struct channel_peers *peers);
void self_run(struct task *task);
void self_stop(struct channel_peers *peers);

/* --- channel_dial.c, channel_accept.c --------------------------------------------------------- */

/* Compares the remotes with the table. */
void peers_take_table(struct task *task);
void remote_set_linked(struct channel_remote *remote, bool is_linked);
/* The link is ready: READY was there. */
void remote_note_ready(struct channel_link *link);
/* The link is gone: dials again, later. */
void remote_note_closed(struct channel_link *link, bool was_open);
void peers_drop_remotes(struct channel_peers *peers);

/* Bytes at a link that the listener has. */
void listener_forget(struct channel_link *link);
void channel_stop_listening(struct channel *channel);
/* Takes the link out of the list of all accepted. */
/* How many links one struct peers accepts now. Under the channel's lock. */
unsigned channel_link_limit(const struct channel *channel, enum channel_purpose purpose);

void channel_forget_proven(struct channel_link *link);

#endif
