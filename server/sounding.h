/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SOUNDING_H
#define SERVER_SOUNDING_H

#include <net/if.h>

#include "server/cluster.h"

/* How long packets between two nodes may be.
 *
 * TCP learns it from routers that say so. Where they do not, or where a switch or a device drops
 * what is too long for it, short messages pass and long ones are lost without a word. So datagrams
 * of chosen lengths are sent that must not be cut in pieces, and counted where they arrive.
 *
 *	asks, by the channel (PEER_SOUND): a secret of 16 bytes. The other opens the UDP port of
 *		the number of its channel for DOOR_MS, for those who know the secret
 *	question: "rubus?mt", secret, number (8), length of the answer (4; 0: as short as can be);
 *		zeros up to the length that is tried
 *	answer: "rubus!mt", number (8), length of the question (4), MTU of the device it came by
 *		(4), was the other told that an answer was too long (1); zeros
 *
 * (S1) Who does not know a secret gets no byte, and nobody more than SOUNDING_ANSWERS_MAX for one.
 * (S2) Lengths are of IP packets: 28 or 48 bytes more than the datagram has.
 * (S3) A length has passed if a datagram of it did. It is lost if none of a few tries did, while
 *	short ones before and after passed; anything else is not known.
 */
#define SOUNDING_SECRET_LEN 16
#define SOUNDING_ANSWERS_MAX 512

/* Answers other nodes. Before the loops run. Errors: ERR_NO_MEMORY. */
MUST_USE enum err sounding_serve(struct cluster *cluster);

/* Opens no more door. Blocks; while the loops run, after the channel was stopped. */
void sounding_stop(struct cluster *cluster);
void sounding_free(struct cluster *cluster); /* after the loops have stopped */

struct sounding {
	bool is_known; /* short packets passed both ways; otherwise nothing is known: */
	char device[IF_NAMESIZE]; /* of this node, towards the other */
	uint32_t mtu_here, mtu_there; /* of the devices */
	uint32_t there, back; /* the longest packets that arrived there, and here */
	/* Longer ones are refused by a router that says so, so that TCP makes shorter ones. */
	bool is_told_there, is_told_back;
};

/* Measures the way to a node. Blocks for some seconds, or until soon after *is_canceled; not on a
 * loop. Errors: those of calls; ERR_UNSUPPORTED, the other node does not know how. */
MUST_USE enum err sounding_measure(struct cluster *cluster, const struct channel_node *node,
	const _Atomic bool *is_canceled, struct sounding *ret_sounding);

/* Are long packets lost on this way without a word? */
bool sounding_is_mismatch(const struct sounding *sounding);

/* --- the datagrams ---------------------------------------------------------------------------- */

enum {
	SOUNDING_LEN_MIN = 64, /* of a datagram */
	SOUNDING_LEN_MAX = 65507,
	SOUNDING_OVERHEAD_FOUR = 28,
	SOUNDING_OVERHEAD_SIX = 48,
};

struct sounding_question {
	uint8_t secret[SOUNDING_SECRET_LEN];
	uint64_t number;
	uint32_t answer_len;
};

struct sounding_answer {
	uint64_t number;
	uint32_t len, mtu;
	bool is_told;
};

/* buf has SOUNDING_LEN_MIN bytes; len of what arrived may be more. */
void sounding_encode_question(const struct sounding_question *question, uint8_t *buf);
bool sounding_decode_question(
	const uint8_t *buf, size_t len, struct sounding_question *ret_question);
void sounding_encode_answer(const struct sounding_answer *answer, uint8_t *buf);
bool sounding_decode_answer(const uint8_t *buf, size_t len, struct sounding_answer *ret_answer);

/* A socket whose datagrams are never cut in pieces, however long the system believes that packets
 * may be, and which says by which device they came. Errors: those of errno. */
MUST_USE enum err sounding_socket(int family, int *ret_fd);

/* Takes a datagram and the index of the device it came by. False: there is none; errno says why. */
struct msghdr;
bool sounding_receive(int fd, struct msghdr *message, size_t *ret_len, unsigned *ret_device);

/* Of a device; 0: unknown. name has IF_NAMESIZE bytes. */
uint32_t sounding_mtu(int fd, unsigned device, char *name);

#endif
