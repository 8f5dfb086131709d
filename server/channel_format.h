/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHANNEL_FORMAT_H
#define SERVER_CHANNEL_FORMAT_H

#include "storage/bytes.h"
#include "storage/err.h"
#include "storage/id.h"
#include "storage/peer.h"
#include "storage/version_bump.h"

/* The node channel: what travels on a connection between two nodes. Integers are little-endian.
 *
 * (K1) A link belongs to the struct peers that dialed it. Only the dialer starts calls and notes on
 *      it, and only the side that accepted it serves and answers. So one struct peers has at most
 *      one link to a node, two nodes that dial each other do not compete, and loops may differ in
 *      number on both sides.
 * (K2) Nothing of a peer is believed, and nothing but a refusal is sent to it, before it has proven
 *      to know the cluster's secret; nothing is served before it has proven its node's key and that
 *      key stands in our table. Who does not know the secret gets no byte.
 * (K3) A link of the same peers of the same life of a node replaces the one before, which ends
 *      before anything of the new one is served: calls stay in order across a break (E2).
 * (K4) A node is connected in one life only. While a link of another life was heard from lately,
 *      a new life is refused, counted and logged: somebody has copied a node.
 * (K5) Every length is bounded, and its record authentic, before a byte of memory is taken for it.
 * (K6) A nonce is used once: each direction has a key of its own, derived from both ephemeral keys,
 *      and counts its records. Keys change each CHANNEL_REKEY_RECORDS records.
 * (K7) A call or note costs credit (channel_charge()) that the receiver has granted and holds room
 *      for. Who sends more than it was granted is cut. Credit is a running total since the link
 *      began, so that a grant may be repeated and never counts twice.
 * (K8) What is in a message's frame decides how long the message is, whatever happens meanwhile. A
 *      call that ends while it is being sent has the rest filled with zeros, marked as void, and
 *the receiver forgets it.
 *
 * Handshake: three messages of fixed length, and the first frame.
 *
 *	dialer -> hello     0 "RUBUS-CH"  8 length (2)  10 oldest, newest version (2, 2)
 *	                   14 purpose (1)  15 flags (1)  16 cluster (16)  32 epoch (8)
 *	                   40 from (16)  56 to (16)  72 life (8)  80 number of the peers (4)  84
 *zero 88 X25519 key (32)  120 keyed BLAKE2b of all before (32)
 *	       <- accept    0 "RUBUS-HA"  8 length (2)  10 kind 1 (1)  11 cipher (1)  12 version (2)
 *	                   14 zero  16 X25519 key (32)  48 sealed: life (8), Ed25519 key (32),
 *	                   signature (64), tag (16)
 *	    or <- refusal   0 "RUBUS-HA"  8 length (2)  10 kind 2 (1)  11 reason (1)  12 oldest,
 *newest version (2, 2)  16 value (8)  24 keyed BLAKE2b of hello and all before (32)
 *	       -> proof     sealed: Ed25519 key (32), signature (64), tag (16)
 *	       <- READY, with the first credit; or BYE, with the reason
 *
 * In every version a hello and a refusal have these lengths, and magic, versions and checksum are
 * where they are, so that old and new can tell each other that they do not match. The keys come
 *from BLAKE2b, keyed with the cluster's secret, of hello, accept and the shared X25519 point; each
 * signature covers its side's name and everything that was sent before it, so both identities.
 * A hello that is played again gets an accept and no further: it takes the ephemeral key to go on.
 *
 * To join, the secret is a token's and "to" is the number of the token (server/join.h).
 *
 * Then frames. A frame is a header of 32 bytes and its tag (16); then, if there is a head, a chunk
 * with it; then the payload in chunks of 64 KiB, the last shorter. A chunk is its bytes, one status
 * byte (0; 1 is void) that is authenticated and not encrypted, and a tag (16).
 *
 *	0 type (1)  1 zero (1)  2 kind (2)  4 err (4)  8 head length (4)  12 payload length (4)
 *	16 number (8)  24 value (8)
 *
 *	CALL, NOTE   kind, lengths, number (notes: 0), value: deadline in ms     of the dialer
 *	CANCEL       number: no answer is wanted any more                        of the dialer
 *	PING         value: comes back                                           of the dialer
 *	ANSWER       err, lengths, number, value: credit                         of the other side
 *	CREDIT       value: credit                                               of the other side
 *	PONG         value of the ping                                           of the other side
 *	READY        value: credit                                               of the other side,
 *first BYE          err: reason, value                                          of the other side,
 *first
 *
 * Ciphers: AES-128-GCM where both processors have AES, else ChaCha20-Poly1305. The nonce is the
 * record's number, xor-ed to 12 derived bytes. If both ends are set to integrity only, the same
 * algorithms authenticate and do not encrypt; the handshake and a join are always encrypted.
 */
#define CHANNEL_VERSION_MIN 1
#define CHANNEL_VERSION_MAX (1 + RUBUS_TEST_VERSION_BUMP)

#define CHANNEL_MAC_LEN 32
#define CHANNEL_KEY_LEN 32
#define CHANNEL_SIGNATURE_LEN 64
#define CHANNEL_TAG_LEN 16
#define CHANNEL_HELLO_LEN (120 + CHANNEL_MAC_LEN)
#define CHANNEL_ACCEPT_CLEAR_LEN 48
#define CHANNEL_ACCEPT_LEN \
	(CHANNEL_ACCEPT_CLEAR_LEN + 8 + CHANNEL_KEY_LEN + CHANNEL_SIGNATURE_LEN + CHANNEL_TAG_LEN)
#define CHANNEL_REFUSAL_LEN (24 + CHANNEL_MAC_LEN)
#define CHANNEL_PROOF_LEN (CHANNEL_KEY_LEN + CHANNEL_SIGNATURE_LEN + CHANNEL_TAG_LEN)
#define CHANNEL_FRAME_LEN 32
#define CHANNEL_FRAME_WIRE_LEN (CHANNEL_FRAME_LEN + CHANNEL_TAG_LEN)
#define CHANNEL_CHUNK_LEN (64u << 10)
#define CHANNEL_TRAILER_LEN (1 + CHANNEL_TAG_LEN)
#define CHANNEL_CHUNK_COUNT_MAX ((PEER_PAYLOAD_LEN_MAX + CHANNEL_CHUNK_LEN - 1) / CHANNEL_CHUNK_LEN)

enum channel_purpose { /* on the wire */
	CHANNEL_CLIENTS = 1,
	CHANNEL_CONSENSUS = 2,
	CHANNEL_JOIN = 3,
};

enum channel_flag {
	CHANNEL_INTEGRITY_ONLY = 1,
	CHANNEL_FAST_AES = 2,
};

enum channel_cipher { /* on the wire */
	CHANNEL_AES_128_GCM = 1,
	CHANNEL_CHACHA20_POLY1305 = 2,
	CHANNEL_AES_128_GMAC = 3,
	CHANNEL_POLY1305 = 4,
	CHANNEL_CIPHER_END,
};

/* Why a node is not let in. Those without a number on the wire are never told to it. */
enum channel_refusal {
	CHANNEL_REFUSED_VERSION = 1,
	CHANNEL_REFUSED_CLUSTER = 2,
	CHANNEL_REFUSED_EPOCH = 3, /* value: ours */
	CHANNEL_REFUSED_TO = 4, /* meant for another node */
	CHANNEL_REFUSED_UNKNOWN = 5, /* not in the table */
	CHANNEL_REFUSED_KEY = 6,
	CHANNEL_REFUSED_ELSEWHERE = 7, /* connected in another life (K4) */
	CHANNEL_REFUSED_FULL = 8,
	CHANNEL_REFUSED_PURPOSE = 9,
	CHANNEL_REFUSED_TOKEN = 10, /* spent, expired */
	CHANNEL_REFUSAL_END,
	CHANNEL_REFUSED_GARBAGE = CHANNEL_REFUSAL_END,
	CHANNEL_REFUSED_SECRET,
	CHANNEL_REFUSED_SLOW,
	CHANNEL_REFUSAL_COUNT,
};

struct channel_hello {
	uint16_t version_min, version_max;
	uint8_t purpose;
	uint8_t flags;
	struct id cluster, from, to;
	uint64_t epoch;
	uint64_t life;
	uint32_t index;
	uint8_t ephemeral[CHANNEL_KEY_LEN];
};

struct channel_refused {
	enum channel_refusal reason;
	uint16_t version_min, version_max;
	uint64_t value;
};

enum channel_frame_type { /* on the wire */
	CHANNEL_CALL = 1,
	CHANNEL_NOTE = 2,
	CHANNEL_CANCEL = 3,
	CHANNEL_PING = 4,
	CHANNEL_ANSWER = 5,
	CHANNEL_CREDIT = 6,
	CHANNEL_PONG = 7,
	CHANNEL_READY = 8,
	CHANNEL_BYE = 9,
	CHANNEL_FRAME_TYPE_END,
};

struct channel_frame {
	enum channel_frame_type type;
	uint16_t kind;
	uint32_t err;
	uint32_t head_len, payload_len;
	uint64_t number, value;
};

/* Writes a hello but for its checksum. */
void channel_hello_encode(const struct channel_hello *hello, uint8_t out[CHANNEL_HELLO_LEN]);

/* Reads a hello whose checksum is somebody else's to see to. Purpose, flags and numbers may be
 * anything if the versions have nothing in common. Errors: ERR_INVALID. */
MUST_USE enum err channel_hello_decode(
	const uint8_t in[CHANNEL_HELLO_LEN], struct channel_hello *ret_hello);

/* The newest version that both know; 0: none. */
uint16_t channel_hello_version(const struct channel_hello *hello);

/* Writes the clear part of an accept. */
void channel_accept_encode(enum channel_cipher cipher, uint16_t version,
	const uint8_t ephemeral[CHANNEL_KEY_LEN], uint8_t out[CHANNEL_ACCEPT_LEN]);

/* What follows a hello: the length of the whole message, from its first CHANNEL_REFUSAL_LEN bytes.
 * Errors: ERR_INVALID. */
MUST_USE enum err channel_reply_len(const uint8_t in[CHANNEL_REFUSAL_LEN], size_t *ret_len);

/* Errors: ERR_INVALID. */
MUST_USE enum err channel_accept_decode(const uint8_t in[CHANNEL_ACCEPT_LEN],
	enum channel_cipher *ret_cipher, uint16_t *ret_version);

/* Writes a refusal but for its checksum. */
void channel_refusal_encode(
	const struct channel_refused *refused, uint8_t out[CHANNEL_REFUSAL_LEN]);

/* Errors: ERR_INVALID. */
MUST_USE enum err channel_refusal_decode(
	const uint8_t in[CHANNEL_REFUSAL_LEN], struct channel_refused *ret_refused);

void channel_frame_encode(const struct channel_frame *frame, uint8_t out[CHANNEL_FRAME_LEN]);

/* Reads a frame and checks its lengths against the bounds of its type (K5); the kind may be one
 * that nobody serves. is_from_dialer says which side has sent it. Errors: ERR_INVALID. */
MUST_USE enum err channel_frame_decode(
	const uint8_t in[CHANNEL_FRAME_LEN], bool is_from_dialer, struct channel_frame *ret_frame);

/* Bytes of a payload or head on the wire: its chunks. */
static inline size_t channel_wire_len(size_t len)
{
	return len + (len + CHANNEL_CHUNK_LEN - 1) / CHANNEL_CHUNK_LEN * CHANNEL_TRAILER_LEN;
}

/* What a call or note costs (K7): the buffer for its payload, and room for what is kept of it
 * besides. */
#define CHANNEL_REQUEST_LEN 1024
uint32_t channel_charge(size_t head_len, size_t payload_len);
#define CHANNEL_CHARGE_MAX ((1280u << 10) + CHANNEL_REQUEST_LEN + PEER_HEAD_LEN_MAX)

#endif
