/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CHANNEL_FOE_H
#define TESTS_LIB_CHANNEL_FOE_H

#include "server/channel.h"
#include "server/channel_seal.h"

/* A connection to a node of a rig that says what no node would say. Everything waits. */
struct foe {
	int fd;
	struct channel_shake shake;
	struct channel_seal out, in;
};

void foe_connect(struct foe *foe, uint16_t port);
void foe_close(struct foe *foe);
void foe_send(struct foe *foe, const void *data, size_t len);
/* Reads until the node ends the connection or timeout_ms pass without a byte; gives the number of
 * bytes, and whether it ended. */
size_t foe_read_all(struct foe *foe, unsigned timeout_ms, bool *ret_has_ended);
/* Reads exactly so many; false: it ended before. */
bool foe_read(struct foe *foe, uint8_t *buf, size_t len);

/* A hello of self to a node, with the checksum of self's secret; hello may be changed and summed
 * anew with foe_sum(). */
void foe_hello(struct foe *foe, const struct channel_self *self, struct id to, uint64_t epoch,
	uint8_t out[CHANNEL_HELLO_LEN]);
void foe_sum(const struct channel_self *self, uint8_t hello[CHANNEL_HELLO_LEN]);

/* Shakes hands as a good node does, up to READY, whose credit it gives. */
uint64_t foe_enter(struct foe *foe, const struct channel_self *self, struct id to);

/* Sends a sealed frame with a head and payload of such lengths, zeros. The bytes of the frame may
 * be anything. */
void foe_send_frame(struct foe *foe, const uint8_t frame[CHANNEL_FRAME_LEN], size_t head_len,
	size_t payload_len);
/* Reads the next sealed frame; false: the connection ended, or it did not open. */
bool foe_read_frame(struct foe *foe, struct channel_frame *ret_frame);

#endif
