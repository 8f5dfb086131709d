/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_JOIN_H
#define SERVER_JOIN_H

#include "server/channel.h"

/* How a machine becomes a node of a cluster: a token, once.
 *
 * A token is text, made on a node and carried to the new machine by a person:
 *
 *	rubus-join-1.<base64url without padding>
 *
 *	0 version 1 (1)  1 address count (1)  2 zero (2)  4 cluster (16)  20 fingerprint of the
 *	issuer's key (16)  36 secret (32)  68 end, seconds since 1970 (8)
 *	76 addresses: length (1), "host:port" each   last: checksum, 4 bytes of BLAKE2b
 *
 * (J1) The new node shakes hands with the secret of the token in the place of the cluster's, names
 *      the token by a number (BLAKE2b of the secret), and proves its own new key. It sees the key
 *      of the issuer's fingerprint or goes no further, so that nobody in between learns anything.
 * (J2) It asks once; who admits nodes (struct channel_join) spends the token and admits the node in
 *      one step, so a token admits one node. A token that is unknown, spent or past its end has no
 *      secret, and the handshake fails as with any other stranger.
 * (J3) The answer is the cluster's secret, the cluster's key with its number, the epoch and the
 *      table of nodes. It is encrypted, whatever the setting of the channel.
 * (J4) A node whose answer was lost asks again with the same id and key; for that one asker the
 *      token stays good until its end.
 */
#define JOIN_TOKEN_TEXT_MAX 640
#define JOIN_SECRET_LEN 32
#define JOIN_NAME_LEN 64
#define JOIN_ASK_LEN 304
#define JOIN_ASK_WIRE_LEN (CHANNEL_FRAME_WIRE_LEN + JOIN_ASK_LEN + CHANNEL_TRAILER_LEN)
#define JOIN_WELCOME_LEN_MAX PEER_HEAD_LEN_MAX

struct join_token {
	struct id cluster;
	char fingerprint[CHANNEL_FINGERPRINT_LEN + 1];
	uint8_t secret[JOIN_SECRET_LEN];
	int64_t end_s;
	struct channel_address addresses[CHANNEL_ADDRESS_COUNT_MAX];
	unsigned address_count;
};

/* Makes a token with a new secret. */
void join_token_make(struct join_token *ret_token, const struct channel_self *issuer,
	const struct channel_address *addresses, unsigned address_count, int64_t end_s);
void join_token_format(const struct join_token *token, char text[JOIN_TOKEN_TEXT_MAX]);

/* Reads a token that somebody typed; space around it is fine. Errors: ERR_INVALID, not a token;
 * ERR_CHECKSUM, a typing error; ERR_VERSION. */
MUST_USE enum err join_token_parse(const char *text, struct join_token *ret_token);

/* The number of a token, by which it is known and which tells nothing of the secret. */
struct id join_token_number(const uint8_t secret[JOIN_SECRET_LEN]);

/* --- admitting -------------------------------------------------------------------------------- */

/* What an admitted node gets. */
struct join_welcome {
	uint8_t secret[CHANNEL_KEY_LEN]; /* of the cluster */
	uint8_t cluster_key_number;
	uint8_t cluster_key[CHANNEL_KEY_LEN];
	uint64_t epoch;
	size_t node_count;
	struct channel_node nodes[CHANNEL_NODE_COUNT_MAX];
};

/* One that asks, lent to who admits until join_request_end(). */
struct channel_join_request {
	struct id token;
	struct channel_node node; /* id and key are proven; addresses as it says */
	char name[JOIN_NAME_LEN];
	struct channel_link *link; /* NULL: it is gone */
};

struct channel_join;

struct channel_join_ops {
	/* Gives the secret of a token that is neither spent nor past its end, or was spent by who
	 * may ask again (J4). On the listener's loop; does not wait. Errors: ERR_NOT_FOUND. */
	enum err (*find)(
		struct channel_join *join, struct id token, uint8_t ret_secret[JOIN_SECRET_LEN]);
	/* Spends the token and admits the node, or not; join_request_end() follows, on the same
	 * loop, inside this call or later. */
	void (*admit)(struct channel_join *join, struct channel_join_request *request);
};

struct channel_join {
	const struct channel_join_ops *ops;
};

/* Answers: err ERR_OK and a welcome, or why not. Takes the request. */
void join_request_end(
	struct channel_join_request *request, enum err err, const struct join_welcome *welcome);

/* --- asking ----------------------------------------------------------------------------------- */

/* What the new node says of itself; its id and key are those of self. */
struct join_ask {
	struct channel_address addresses[CHANNEL_ADDRESS_COUNT_MAX];
	unsigned address_count;
	char name[JOIN_NAME_LEN];
};

/* Joins: tries the token's addresses in order. self is the new node, with the cluster of the token;
 * its secret is ignored. Blocks, at most timeout_ms for each address. Gives a welcome that the
 * caller wipes and frees. message (CHANNEL_MESSAGE_LEN) says in one line what is wrong and what to
 * do. Errors: ERR_UNAVAILABLE, nobody answers; ERR_DENIED, the token or who answers is not good;
 * ERR_REFUSED; ERR_NO_MEMORY. */
MUST_USE enum err join_run(const struct join_token *token, const struct channel_self *self,
	const struct join_ask *ask, unsigned timeout_ms, struct join_welcome **ret_welcome,
	char *message);

/* --- of the channel --------------------------------------------------------------------------- */

void join_take_ask(struct channel_link *link);
/* The link of a request is gone. */
void join_request_leave(struct channel_join_request *request);

/* Bytes of asks and welcomes; for tests too. */
void join_ask_encode(const struct join_ask *ask, uint8_t out[JOIN_ASK_LEN]);
MUST_USE enum err join_ask_decode(const uint8_t in[JOIN_ASK_LEN], struct join_ask *ret_ask);
/* Errors: ERR_LIMIT, more nodes than fit. */
MUST_USE enum err join_welcome_encode(
	const struct join_welcome *welcome, uint8_t *out, size_t cap, size_t *ret_len);
MUST_USE enum err join_welcome_decode(struct bytes in, struct join_welcome *ret_welcome);

#endif
