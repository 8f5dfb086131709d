/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHANNEL_SHAKE_H
#define SERVER_CHANNEL_SHAKE_H

#include "server/channel_seal.h"

/* The handshake of server/channel_format.h as functions on bytes: no socket, no clock, no table.
 * Who is let in is for the caller to say, between the steps. */

/* Who we are. */
struct channel_self {
	struct id cluster, node;
	uint64_t life; /* random, of this process */
	uint8_t signing_key[CHANNEL_SIGNATURE_LEN]; /* Ed25519, as libsodium has it */
	uint8_t public_key[CHANNEL_KEY_LEN];
	uint8_t secret[CHANNEL_KEY_LEN]; /* of the cluster */
	bool is_integrity_only;
	bool has_fast_aes;
};

/* Makes the keys of a node from the seed of its Ed25519 key, and its life. has_fast_aes is what the
 * processor has. The cluster's secret is copied. Wiped by channel_self_fini(). */
void channel_self_init(struct channel_self *self, struct id cluster, struct id node,
	const uint8_t seed[CHANNEL_KEY_LEN], const uint8_t secret[CHANNEL_KEY_LEN]);
void channel_self_fini(struct channel_self *self);

/* What users compare: the first 16 bytes of BLAKE2b of a public key, as hex. */
#define CHANNEL_FINGERPRINT_LEN 32
void channel_fingerprint(
	const uint8_t key[CHANNEL_KEY_LEN], char ret_text[CHANNEL_FINGERPRINT_LEN + 1]);

struct channel_shake {
	const struct channel_self *self; /* borrowed */
	bool is_dialer;
	struct channel_hello hello;
	enum channel_cipher cipher;
	uint16_t version;
	uint8_t secret[CHANNEL_KEY_LEN]; /* of the cluster, or of a token */
	uint8_t ephemeral_secret[CHANNEL_KEY_LEN];
	uint8_t keys[CHANNEL_KEY_LEN]; /* what all others are derived from */
	uint8_t hello_bytes[CHANNEL_HELLO_LEN];
	uint8_t accept_bytes[CHANNEL_ACCEPT_LEN];
	uint8_t peer_key[CHANNEL_KEY_LEN]; /* proven, after the last step */
	uint64_t peer_life; /* likewise */
};

/* Dialer, first: writes a hello. The caller has filled in purpose, cluster, epoch, from, to and
 * index; the rest of *hello is ignored. */
void channel_shake_hello(struct channel_shake *shake, const struct channel_self *self,
	const uint8_t secret[CHANNEL_KEY_LEN], const struct channel_hello *hello,
	uint8_t out[CHANNEL_HELLO_LEN]);

/* Acceptor: takes a hello that was decoded and sees whether it knows the secret.
 * Errors: ERR_DENIED. */
MUST_USE enum err channel_shake_take(struct channel_shake *shake, const struct channel_self *self,
	const uint8_t secret[CHANNEL_KEY_LEN], const struct channel_hello *hello,
	const uint8_t in[CHANNEL_HELLO_LEN]);

/* Acceptor, after take: writes an accept. Errors: ERR_INVALID, the hello's key is no key. */
MUST_USE enum err channel_shake_accept(
	struct channel_shake *shake, uint8_t out[CHANNEL_ACCEPT_LEN]);

/* Acceptor, after take: writes a refusal instead. */
void channel_shake_refuse(const struct channel_shake *shake, const struct channel_refused *refused,
	uint8_t out[CHANNEL_REFUSAL_LEN]);

/* Dialer: reads a refusal. Errors: ERR_INVALID; ERR_DENIED, it does not know the secret. */
MUST_USE enum err channel_shake_refused(const struct channel_shake *shake,
	const uint8_t in[CHANNEL_REFUSAL_LEN], struct channel_refused *ret_refused);

/* Dialer: reads an accept. After it peer_key is proven: that it is the key that was meant is for
 * the caller to see. Then the proof may be sent. Errors: ERR_INVALID; ERR_DENIED. */
MUST_USE enum err channel_shake_accepted(
	struct channel_shake *shake, const uint8_t in[CHANNEL_ACCEPT_LEN]);
void channel_shake_prove(struct channel_shake *shake, uint8_t out[CHANNEL_PROOF_LEN]);

/* Acceptor, last: reads the proof; peer_key is proven after it. Errors: ERR_DENIED. */
MUST_USE enum err channel_shake_proven(
	struct channel_shake *shake, const uint8_t in[CHANNEL_PROOF_LEN]);

/* Makes both directions and wipes what they came from. Errors: ERR_NO_MEMORY. */
MUST_USE enum err channel_shake_finish(
	struct channel_shake *shake, struct channel_seal *ret_out, struct channel_seal *ret_in);

void channel_shake_fini(struct channel_shake *shake);

#endif
