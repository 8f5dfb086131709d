/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NET_ERRAND_H
#define SERVER_NET_ERRAND_H

#include "server/cluster.h"

/* A node measures its way to another because a third one asked (PEER_NET_WAY).
 *
 *	asks: a name of the errand (16 bytes, by chance), the node to go to (16)
 *	answer: nothing, as long as it is on its way; then a struct net_way
 *
 * (N1) Whoever asks again with the same name asks for the same errand, so that a question or an
 *	answer that was lost does no harm. The last errand is remembered until another one begins.
 * (N2) One at a time: meanwhile others are answered ERR_BUSY.
 *
 * A thread of its own goes; it is begun with the first errand. */
#define NET_ERRAND_NAME_LEN 16
#define NET_ERRAND_LEN (NET_ERRAND_NAME_LEN + ID_LEN)

/* Answers other nodes. Before the loops run. Errors: ERR_NO_MEMORY. */
MUST_USE enum err net_errand_serve(struct cluster *cluster);

/* Has an errand that is on its way end soon, and takes no more; does not block. Any thread. */
void net_errand_cancel(struct cluster *cluster);

/* Waits for the thread. While the loops run, after the channel was stopped. */
void net_errand_stop(struct cluster *cluster);
void net_errand_free(struct cluster *cluster);

#endif
