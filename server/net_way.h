/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NET_WAY_H
#define SERVER_NET_WAY_H

#include "server/sounding.h"

/* The way from one node to another and back, as rubus net test measures it: small messages, lengths
 * of packets, then large messages, which may break a link that loses what is long. */
enum net_way_end {
	NET_WAY_WHOLE, /* all was measured */
	NET_WAY_NO_SMALL, /* small messages did not come back as they were, nor were large ones
			     tried */
	NET_WAY_NO_LARGE, /* large ones did not */
	NET_WAY_END_COUNT
};

struct net_way {
	enum net_way_end end;
	enum err err; /* why; ERR_OK: other bytes came back */
	uint64_t rtt_us, rtt_us_min, rtt_us_max; /* of small messages */
	uint64_t bytes_per_second; /* each way; of large ones */
	enum err sounding_err; /* why there was none */
	struct sounding sounding;
};

/* Measures. Blocks for some seconds; not on a loop. *is_canceled makes it end soon. Errors:
 * ERR_NO_MEMORY; what the network does is no error but a result. */
MUST_USE enum err net_way_measure(struct cluster *cluster, const struct channel_node *target,
	const _Atomic bool *is_canceled, struct net_way *ret_way);

/* As it is sent: fields of 8 bytes, little-endian, and the name of the device. */
#define NET_WAY_LEN (12 * 8 + IF_NAMESIZE)
void net_way_encode(const struct net_way *way, uint8_t *buf);

/* Errors: ERR_INVALID; a longer one is of a newer version. */
MUST_USE enum err net_way_decode(struct bytes bytes, struct net_way *ret_way);

#endif
