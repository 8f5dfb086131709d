/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_PEER_H
#define STORAGE_PEER_H

#include "storage/err.h"
#include "storage/id.h"
#include "storage/loop.h"

/* The seam to other nodes: notes, which may be lost, and calls, which have an end.
 *
 * Each loop that speaks to others has a struct peers of its own, with its own connections; what
 * arrives on them is handled on that loop. Loops of one purpose meet: those of the clients' loops
 * talk to clients' loops, that of consensus to that of consensus.
 *
 *   peer_call_start(peers, call) --head, payload--> service->handle(request) on the other node
 *            call->done(call)   <--err, head, payload--   peer_request_answer(request)
 *
 * (E1) A call has one end, done(), on its loop, never inside the call that began it. ERR_OK: it was
 *      answered, and answer_err is what the other said. Else the link or the deadline ended it: the
 *      other may or may not have got it, and may still be handling it.
 * (E2) What one struct peers starts towards one node arrives in that order, up to a break of the
 *      link; what is started after a break never arrives before what was started ahead of it.
 *      Nothing arrives twice. Answers come in any order.
 * (E3) A note is lost, late, or there; nobody learns which. Notes and calls keep (E2) together.
 * (E4) The payload of a call waits at the sender until the receiver has room for it, so that a
 *      request that arrives always has its bytes in memory of the receiver's pool for peers. While
 *      a request is not answered, it holds that room.
 * (E5) request->from was proven to be that node, of this cluster and epoch.
 * (E6) Bytes are what the other sent, or the link breaks; whether they make sense is for the
 *      service to judge: every field of a head is hostile until it was checked.
 *
 * Kinds are numbered here, so that no two services meet. A node answers a kind that it does not
 * know with ERR_UNSUPPORTED.
 */
#define PEER_HEAD_LEN_MAX (32u << 10)
#define PEER_PAYLOAD_LEN_MAX ((1u << 20) + (64u << 10)) /* one group of commands fits */
#define PEER_NOTE_LEN_MAX PEER_PAYLOAD_LEN_MAX

enum peer_kind { /* on the wire: never renumbered */
	PEER_PING = 1, /* head and payload come back */
	/* Consensus: storage/meta. */
	PEER_RAFT = 16, /* note: a message of the group */
	PEER_PROPOSE = 17,
	PEER_READ_INDEX = 18,
	PEER_SNAPSHOT = 19,
	/* Shards: storage/drive. */
	PEER_SHARD_OPEN = 32,
	PEER_SHARD_APPEND = 33,
	PEER_SHARD_SEAL = 34,
	PEER_SHARD_ABORT = 35,
	PEER_SHARD_READ = 36,
	PEER_SHARD_FREE = 37,
	PEER_SHARD_LIST = 38,
	PEER_SHARD_CENSUS = 39,
	PEER_SHARD_WHOLE = 40,
	/* Nodes: storage/meta, server. */
	PEER_STATUS = 64,
	PEER_REMOVED = 65, /* the one who is asked is no node of the cluster any more */
	PEER_REST = 66, /* take no writes; end */
	PEER_BACKGROUND = 72, /* server/background.h */
	PEER_FARE = 73, /* server/fares.h */
	PEER_SOUND = 74, /* server/sounding.h */
	PEER_NET_WAY = 75, /* server/net_errand.h */
	PEER_KIND_COUNT = 128,
};

struct peers;

/* --- calling ------------------------------------------------------------------------------------
 * Embedded in the operation it is about, zeroed before its first use; belongs to the loop of its
 * peers. */
struct peer_call {
	struct id node;
	uint16_t kind;
	uint32_t deadline_ms; /* from the start; not 0 */
	struct bytes head, payload; /* borrowed until done() */
	uint8_t *answer_buf; /* where the answer's payload goes; borrowed until done() */
	size_t answer_cap;
	void (*done)(struct peer_call *call);

	/* In done(). Errors: ERR_UNAVAILABLE, there is no link, and nothing was sent; ERR_CLOSED,
	 * the link broke; ERR_TIMEOUT; ERR_CANCELED; ERR_LIMIT, the answer is longer than
	 * answer_cap; ERR_NO_MEMORY. */
	enum err err;
	enum err answer_err;
	struct bytes answer_head; /* borrowed until done() returns */
	size_t answer_len; /* in answer_buf */

	/* Of the implementation. */
	struct peers *peers;
	struct peer_call *next, *prev;
	void *link;
	uint64_t number, deadline;
	uint32_t state;
	struct task task;
	struct timer timer; /* the deadline */
};

/* --- serving --------------------------------------------------------------------------------- */

/* A note or a call of another node, lent to the handler until it is answered. */
struct peer_request {
	struct peers *peers;
	struct id from;
	uint16_t kind;
	bool is_note; /* answered too, with nothing */
	struct bytes head; /* borrowed until the answer */
	uint8_t *payload; /* 4 KiB-aligned; may be changed by the handler; borrowed until the answer
			   */
	size_t payload_len;
	void *handler_data; /* of the handler */

	/* The answer. */
	enum err answer_err;
	struct bytes answer_head; /* copied by peer_request_answer() */
	struct bytes answer_payload; /* borrowed until sent() */
	void (*sent)(struct peer_request *request); /* may be NULL; the last that is heard of it */

	/* Of the implementation. */
	struct peer_request *next, *prev;
	void *link;
	uint64_t number;
	uint32_t state;
	struct task task;
};

struct peer_service {
	/* Takes the request; answers now or later, on this loop. */
	void (*handle)(void *arg, struct peer_request *request);
	void *arg;
};

/* --- who is there ---------------------------------------------------------------------------- */

struct peer_info {
	bool is_linked; /* a call would be sent now */
	uint32_t rtt_us; /* of recent pings, smoothed; 0: unknown */
	uint64_t silent_ms; /* since something arrived from it; UINT64_MAX: never */
};

/* Told on the loop when a node becomes linked or is no longer. Embedded. */
struct peer_watch {
	void (*changed)(struct peer_watch *watch, struct id node, bool is_linked);
	struct peer_watch *next;
};

struct peers_ops {
	void (*call)(struct peers *peers, struct peer_call *call);
	void (*cancel)(struct peers *peers, struct peer_call *call);
	void (*note)(struct peers *peers, struct id node, uint16_t kind, struct bytes head,
		struct bytes payload);
	void (*answer)(struct peers *peers, struct peer_request *request);
	void (*info)(struct peers *peers, struct id node, struct peer_info *ret_info);
};

struct peers {
	const struct peers_ops *ops;
	struct loop *loop;
	struct id self;
	struct peer_service services[PEER_KIND_COUNT];
	struct peer_watch *watches;
};

/* Registers what answers a kind. Before the loops run. */
static inline void peers_serve(struct peers *peers, uint16_t kind,
	void (*handle)(void *arg, struct peer_request *request), void *arg)
{
	assert(kind < PEER_KIND_COUNT && !peers->services[kind].handle);
	peers->services[kind] = (struct peer_service){handle, arg};
}

/* Before the loops run. */
static inline void peers_watch(struct peers *peers, struct peer_watch *watch)
{
	watch->next = peers->watches;
	peers->watches = watch;
}

/* Starts a call. On the loop of the peers. */
static inline void peer_call_start(struct peers *peers, struct peer_call *call)
{
	assert(call->done && call->deadline_ms > 0 && call->kind < PEER_KIND_COUNT);
	assert(call->head.len <= PEER_HEAD_LEN_MAX && call->payload.len <= PEER_PAYLOAD_LEN_MAX);
	call->peers = peers;
	peers->ops->call(peers, call);
}

/* Ends a call that has not ended: done() follows with ERR_CANCELED, or with the end that was on its
 * way already. What the call borrows is free in done() and not before. */
static inline void peer_call_cancel(struct peer_call *call)
{
	call->peers->ops->cancel(call->peers, call);
}

/* Sends a note; head and payload are copied or sent before it returns. */
static inline void peer_note(
	struct peers *peers, struct id node, uint16_t kind, struct bytes head, struct bytes payload)
{
	assert(head.len <= PEER_HEAD_LEN_MAX && payload.len <= PEER_NOTE_LEN_MAX);
	peers->ops->note(peers, node, kind, head, payload);
}

/* Answers; also when the link is gone, since that gives the request back. */
static inline void peer_request_answer(struct peer_request *request, enum err err)
{
	request->answer_err = err;
	request->peers->ops->answer(request->peers, request);
}

/* A node is linked to itself always: calls to self are served here, without a wire. */
static inline void peer_info(struct peers *peers, struct id node, struct peer_info *ret_info)
{
	peers->ops->info(peers, node, ret_info);
}

#endif
