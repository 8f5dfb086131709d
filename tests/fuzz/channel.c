/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever comes as a hello, a reply, a frame, a token, an ask or a welcome is read or refused, and
 * what was read is written as it was. The first byte says as what it came. */
#include <stdlib.h>

#include "server/channel_format.h"
#include "server/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The input, filled up with zeros. */
static void fill(uint8_t *out, size_t out_len, const uint8_t *data, size_t len)
{
	memset(out, 0, out_len);
	memcpy(out, data, len < out_len ? len : out_len);
}

static void try_hello(const uint8_t *data, size_t len)
{
	uint8_t in[CHANNEL_HELLO_LEN], out[CHANNEL_HELLO_LEN];
	struct channel_hello hello;
	fill(in, sizeof in, data, len);
	if (channel_hello_decode(in, &hello) != ERR_OK || channel_hello_version(&hello) == 0)
		return;
	channel_hello_encode(&hello, out);
	assert(memcmp(in, out, sizeof in - CHANNEL_MAC_LEN) == 0);
}

static void try_reply(const uint8_t *data, size_t len)
{
	uint8_t in[CHANNEL_ACCEPT_LEN], out[CHANNEL_REFUSAL_LEN];
	enum channel_cipher cipher;
	struct channel_refused refused;
	uint16_t version;
	size_t reply_len;
	fill(in, sizeof in, data, len);
	if (channel_reply_len(in, &reply_len) != ERR_OK)
		return;
	assert(reply_len == CHANNEL_ACCEPT_LEN || reply_len == CHANNEL_REFUSAL_LEN);
	if (channel_accept_decode(in, &cipher, &version) == ERR_OK)
		assert(reply_len == CHANNEL_ACCEPT_LEN && version == CHANNEL_VERSION_MAX);
	if (channel_refusal_decode(in, &refused) != ERR_OK)
		return;
	assert(reply_len == CHANNEL_REFUSAL_LEN);
	channel_refusal_encode(&refused, out);
	assert(memcmp(in, out, sizeof out - CHANNEL_MAC_LEN) == 0);
}

static void try_frame(const uint8_t *data, size_t len)
{
	uint8_t in[CHANNEL_FRAME_LEN], out[CHANNEL_FRAME_LEN];
	struct channel_frame frame;
	unsigned read_count = 0;
	fill(in, sizeof in, data, len);
	for (unsigned is_dialer = 0; is_dialer < 2; is_dialer++) {
		if (channel_frame_decode(in, is_dialer, &frame) != ERR_OK)
			continue;
		read_count++;
		channel_frame_encode(&frame, out);
		assert(memcmp(in, out, sizeof in) == 0);
		assert(channel_charge(frame.head_len, frame.payload_len) <= CHANNEL_CHARGE_MAX);
		assert(channel_charge(frame.head_len, frame.payload_len) >= frame.payload_len);
	}
	assert(read_count <= 1); /* a type belongs to one side */
}

static void try_token(const uint8_t *data, size_t len)
{
	char text[JOIN_TOKEN_TEXT_MAX + 64], again[JOIN_TOKEN_TEXT_MAX];
	struct join_token token, same;
	fill((uint8_t *)text, sizeof text - 1, data, len);
	text[sizeof text - 1] = '\0';
	if (join_token_parse(text, &token) != ERR_OK)
		return;
	join_token_format(&token, again);
	enum err err = join_token_parse(again, &same);
	assert(err == ERR_OK && memcmp(token.secret, same.secret, JOIN_SECRET_LEN) == 0);
}

static void try_ask(const uint8_t *data, size_t len)
{
	uint8_t in[JOIN_ASK_LEN], out[JOIN_ASK_LEN];
	struct join_ask ask, same;
	fill(in, sizeof in, data, len);
	if (join_ask_decode(in, &ask) != ERR_OK)
		return;
	join_ask_encode(&ask, out);
	enum err err = join_ask_decode(out, &same);
	assert(err == ERR_OK && same.address_count == ask.address_count);
}

static void try_welcome(const uint8_t *data, size_t len)
{
	static struct join_welcome welcome;
	static uint8_t out[JOIN_WELCOME_LEN_MAX];
	size_t out_len;
	if (join_welcome_decode(bytes_make(data, len), &welcome) != ERR_OK ||
		len > JOIN_WELCOME_LEN_MAX)
		return;
	enum err err = join_welcome_encode(&welcome, out, sizeof out, &out_len);
	assert(err == ERR_OK && out_len == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const tries[])(const uint8_t *data, size_t len) = {
		try_hello, try_reply, try_frame, try_token, try_ask, try_welcome};
	if (len > 0)
		tries[data[0] % ARRAY_COUNT(tries)](data + 1, len - 1);
	return 0;
}
