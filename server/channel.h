/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHANNEL_H
#define SERVER_CHANNEL_H

#include "server/channel_shake.h"
#include "server/listen.h"
#include "storage/peer.h"
#include "storage/trace.h"

/* The node channel of one process: the real thing behind storage/peer.h. The bytes, and what holds
 * of them, are in server/channel_format.h.
 *
 *	channel_new() -> channel_add() for each loop -> channel_listen() -> channel_set_table()
 *	-> ... -> channel_stop() -> (requests are answered, loops end) -> channel_free()
 *
 * A struct peers dials every other node of the table, keeps the link while the node answers pings,
 * and dials again, later and later, when it breaks. Links that others dialed are shaken on the
 * listener's loop and then handed to the peers of their purpose that have the fewest.
 *
 * Memory: each accepted link is granted one window of credit; the pool of its peers is as big as
 * all their windows together, so what was granted is there. Accepted are as many links as the
 * admitted nodes can need (channel_link_limit()), and never more than link_count_max.
 */
struct channel;
struct channel_join;

#define CHANNEL_ADDRESS_COUNT_MAX 4
#define CHANNEL_HOST_LEN 56
#define CHANNEL_NODE_COUNT_MAX 256
#define CHANNEL_PEERS_COUNT_MAX 64
#define CHANNEL_MESSAGE_LEN LISTEN_MESSAGE_LEN

/* Hosts are numeric addresses: a name could not be looked up without waiting. */
struct channel_address {
	char host[CHANNEL_HOST_LEN];
	uint16_t port;
};

/* A node that was admitted. */
struct channel_node {
	struct id id;
	uint8_t key[CHANNEL_KEY_LEN]; /* its Ed25519 key */
	struct channel_address addresses[CHANNEL_ADDRESS_COUNT_MAX]; /* tried in this order */
	unsigned address_count;
};

struct channel_table {
	uint64_t epoch; /* of the cluster: others are refused */
	const struct channel_node *nodes;
	size_t node_count; /* at most CHANNEL_NODE_COUNT_MAX; we may be among them */
};

struct channel_settings {
	unsigned connect_timeout_ms;
	unsigned shake_timeout_ms; /* from the first byte to the last */
	unsigned ping_ms;
	unsigned silence_ms; /* a link that is silent for so long is broken */
	unsigned retry_ms_min, retry_ms_max;
	unsigned shake_count_max; /* at a time; the oldest is cut for one more */
	unsigned link_count_max; /* accepted by one struct peers */
	size_t window_len; /* credit of one link; at least CHANNEL_CHARGE_MAX */
	size_t note_queue_len_max; /* of notes that wait for one link; above it they are lost */
};

/* 3 s, 5 s, 1 s, 4 s, 100 ms to 1 s, 64, 32, 2.75 MiB, 4 MiB. */
struct channel_settings channel_settings_default(void);

struct channel_options {
	const struct channel_self *self; /* copied */
	const struct channel_settings *settings; /* copied */
	struct trace *trace; /* may be NULL; borrowed */
	struct channel_join *join; /* admits nodes; may be NULL; borrowed (server/join.h) */
};

/* Errors: ERR_NO_MEMORY. */
MUST_USE enum err channel_new(const struct channel_options *options, struct channel **ret_channel);

/* Makes the struct peers of one of the server's loops. Before the loop runs and before the first
 * table. Borrowed until channel_free(). Errors: ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err channel_add(struct channel *channel, struct loop *loop,
	enum channel_purpose purpose, struct peers **ret_peers);

/* Says who is admitted, at the start and whenever it changes. Links of nodes that are no longer
 * there, have another key, or were made under another epoch end. Copies. Any thread.
 * Errors: ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err channel_set_table(struct channel *channel, const struct channel_table *table);

/* Listens; the loop is one of the server's, running or not. port 0 lets the system choose. message
 * has CHANNEL_MESSAGE_LEN bytes. Errors: as listen_open(). */
MUST_USE enum err channel_listen(struct channel *channel, struct loop *loop, const char *address,
	uint16_t port, char *message);

/* The port that is listened on. */
uint16_t channel_port(const struct channel *channel);

/* Stops listening, ends all links and calls, and dials no more. Blocks until all loops have done
 * so: for threads that may, while the loops run. */
void channel_stop(struct channel *channel);

/* Frees a channel that was stopped or never listened nor got a table; all requests are answered.
 * NULL is fine. */
void channel_free(struct channel *channel);

/* --- numbers ---------------------------------------------------------------------------------- */

struct channel_counts {
	uint64_t messages_out, messages_in; /* calls, notes, answers */
	uint64_t bytes_out, bytes_in; /* on the wire */
	uint64_t writes, reads; /* system calls */
	uint64_t links_dialed, links_accepted, links_broken;
	uint64_t notes_lost, timeouts;
	uint64_t refused_us; /* by others */
	uint64_t refused[CHANNEL_REFUSAL_COUNT]; /* by us */
	/* Of messages_out, by kind: calls and notes, answers. */
	uint64_t asked[PEER_KIND_COUNT], answered[PEER_KIND_COUNT];
};

/* Adds what has been counted to *io_counts. Any thread. */
void channel_add_counts(struct channel *channel, struct channel_counts *io_counts);

/* Links now: those dialed that are ready, those accepted. Any thread. */
void channel_link_count(struct channel *channel, unsigned *ret_dialed, unsigned *ret_accepted);

/* The highest epoch of which a node has refused us, or was refused by us, after it had proven
 * itself; 0: none. If it is above our own, a forced recovery has left this node behind. Any thread.
 */
uint64_t channel_epoch_seen(const struct channel *channel);

/* The most that peers may make us keep of what they sent, with the nodes that are admitted now. Any
 * thread. */
uint64_t channel_memory_max(struct channel *channel);

/* What a refusal means and what to do about it, in one sentence. */
const char *channel_refusal_text(enum channel_refusal reason);

#endif
