/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel_format.h"

#define HELLO_MAGIC "RUBUS-CH"
#define REPLY_MAGIC "RUBUS-HA"
#define MAGIC_LEN 8

enum { REPLY_ACCEPT = 1, REPLY_REFUSAL = 2 };

static_assert(CHANNEL_HELLO_LEN == 152, "the length of a hello");
static_assert(CHANNEL_ACCEPT_LEN == 168, "the length of an accept");
static_assert(CHANNEL_REFUSAL_LEN == 56, "the length of a refusal");
static_assert(CHANNEL_PROOF_LEN == 112, "the length of a proof");
static_assert(CHANNEL_REFUSAL_LEN < CHANNEL_ACCEPT_LEN, "a refusal is the shorter reply");
static_assert(PEER_HEAD_LEN_MAX <= CHANNEL_CHUNK_LEN, "a head is one chunk");

/* --- hello ------------------------------------------------------------------------------------ */

void channel_hello_encode(const struct channel_hello *hello, uint8_t out[CHANNEL_HELLO_LEN])
{
	memset(out, 0, CHANNEL_HELLO_LEN);
	memcpy(out, HELLO_MAGIC, MAGIC_LEN);
	put_le16(out + 8, CHANNEL_HELLO_LEN);
	put_le16(out + 10, hello->version_min);
	put_le16(out + 12, hello->version_max);
	out[14] = hello->purpose;
	out[15] = hello->flags;
	memcpy(out + 16, hello->cluster.bytes, ID_LEN);
	put_le64(out + 32, hello->epoch);
	memcpy(out + 40, hello->from.bytes, ID_LEN);
	memcpy(out + 56, hello->to.bytes, ID_LEN);
	put_le64(out + 72, hello->life);
	put_le32(out + 80, hello->index);
	memcpy(out + 88, hello->ephemeral, CHANNEL_KEY_LEN);
}

uint16_t channel_hello_version(const struct channel_hello *hello)
{
	if (hello->version_min > CHANNEL_VERSION_MAX || hello->version_max < CHANNEL_VERSION_MIN)
		return 0;
	return hello->version_max < CHANNEL_VERSION_MAX ? hello->version_max : CHANNEL_VERSION_MAX;
}

enum err channel_hello_decode(const uint8_t in[CHANNEL_HELLO_LEN], struct channel_hello *ret_hello)
{
	struct channel_hello hello = {
		.version_min = get_le16(in + 10),
		.version_max = get_le16(in + 12),
		.purpose = in[14],
		.flags = in[15],
		.epoch = get_le64(in + 32),
		.life = get_le64(in + 72),
		.index = get_le32(in + 80),
	};
	if (memcmp(in, HELLO_MAGIC, MAGIC_LEN) != 0 || get_le16(in + 8) != CHANNEL_HELLO_LEN)
		return ERR_INVALID;
	if (hello.version_min == 0 || hello.version_min > hello.version_max)
		return ERR_INVALID;
	bool is_known = channel_hello_version(&hello) != 0;
	if (is_known &&
		(hello.purpose < CHANNEL_CLIENTS || hello.purpose > CHANNEL_JOIN ||
			hello.flags & ~(CHANNEL_INTEGRITY_ONLY | CHANNEL_FAST_AES) ||
			get_le32(in + 84) != 0))
		return ERR_INVALID;
	memcpy(hello.cluster.bytes, in + 16, ID_LEN);
	memcpy(hello.from.bytes, in + 40, ID_LEN);
	memcpy(hello.to.bytes, in + 56, ID_LEN);
	memcpy(hello.ephemeral, in + 88, CHANNEL_KEY_LEN);
	*ret_hello = hello;
	return ERR_OK;
}

/* --- reply ------------------------------------------------------------------------------------ */

void channel_accept_encode(enum channel_cipher cipher, uint16_t version,
	const uint8_t ephemeral[CHANNEL_KEY_LEN], uint8_t out[CHANNEL_ACCEPT_LEN])
{
	memset(out, 0, CHANNEL_ACCEPT_LEN);
	memcpy(out, REPLY_MAGIC, MAGIC_LEN);
	put_le16(out + 8, CHANNEL_ACCEPT_LEN);
	out[10] = REPLY_ACCEPT;
	out[11] = cipher;
	put_le16(out + 12, version);
	memcpy(out + 16, ephemeral, CHANNEL_KEY_LEN);
}

enum err channel_reply_len(const uint8_t in[CHANNEL_REFUSAL_LEN], size_t *ret_len)
{
	if (memcmp(in, REPLY_MAGIC, MAGIC_LEN) != 0)
		return ERR_INVALID;
	size_t len = get_le16(in + 8);
	if (in[10] == REPLY_ACCEPT ? len != CHANNEL_ACCEPT_LEN
				   : in[10] != REPLY_REFUSAL || len != CHANNEL_REFUSAL_LEN)
		return ERR_INVALID;
	*ret_len = len;
	return ERR_OK;
}

enum err channel_accept_decode(const uint8_t in[CHANNEL_ACCEPT_LEN],
	enum channel_cipher *ret_cipher, uint16_t *ret_version)
{
	size_t len;
	if (channel_reply_len(in, &len) != ERR_OK || len != CHANNEL_ACCEPT_LEN)
		return ERR_INVALID;
	uint16_t version = get_le16(in + 12);
	if (in[11] < CHANNEL_AES_128_GCM || in[11] >= CHANNEL_CIPHER_END || get_le16(in + 14) != 0)
		return ERR_INVALID;
	if (version < CHANNEL_VERSION_MIN || version > CHANNEL_VERSION_MAX)
		return ERR_INVALID;
	*ret_cipher = in[11];
	*ret_version = version;
	return ERR_OK;
}

void channel_refusal_encode(const struct channel_refused *refused, uint8_t out[CHANNEL_REFUSAL_LEN])
{
	assert(refused->reason > 0 && refused->reason < CHANNEL_REFUSAL_END);
	memset(out, 0, CHANNEL_REFUSAL_LEN);
	memcpy(out, REPLY_MAGIC, MAGIC_LEN);
	put_le16(out + 8, CHANNEL_REFUSAL_LEN);
	out[10] = REPLY_REFUSAL;
	out[11] = refused->reason;
	put_le16(out + 12, refused->version_min);
	put_le16(out + 14, refused->version_max);
	put_le64(out + 16, refused->value);
}

enum err channel_refusal_decode(
	const uint8_t in[CHANNEL_REFUSAL_LEN], struct channel_refused *ret_refused)
{
	size_t len;
	if (channel_reply_len(in, &len) != ERR_OK || len != CHANNEL_REFUSAL_LEN)
		return ERR_INVALID;
	if (in[11] == 0 || in[11] >= CHANNEL_REFUSAL_END)
		return ERR_INVALID;
	*ret_refused = (struct channel_refused){.reason = in[11],
		.version_min = get_le16(in + 12),
		.version_max = get_le16(in + 14),
		.value = get_le64(in + 16)};
	return ERR_OK;
}

/* --- frames ----------------------------------------------------------------------------------- */

void channel_frame_encode(const struct channel_frame *frame, uint8_t out[CHANNEL_FRAME_LEN])
{
	out[0] = frame->type;
	out[1] = 0;
	put_le16(out + 2, frame->kind);
	put_le32(out + 4, frame->err);
	put_le32(out + 8, frame->head_len);
	put_le32(out + 12, frame->payload_len);
	put_le64(out + 16, frame->number);
	put_le64(out + 24, frame->value);
}

static bool is_of_dialer(enum channel_frame_type type)
{
	return type == CHANNEL_CALL || type == CHANNEL_NOTE || type == CHANNEL_CANCEL ||
		type == CHANNEL_PING;
}

/* Does the frame carry nothing but what its type needs? */
static bool is_fitting(const struct channel_frame *frame)
{
	bool is_bare = frame->head_len == 0 && frame->payload_len == 0 && frame->kind == 0;
	switch (frame->type) {
	case CHANNEL_CALL:
		return frame->number != 0 && frame->value > 0 && frame->value <= UINT32_MAX &&
			frame->err == 0;
	case CHANNEL_NOTE:
		return frame->number == 0 && frame->value == 0 && frame->err == 0;
	case CHANNEL_ANSWER:
		return frame->number != 0 && frame->kind == 0 && frame->err < ERR_COUNT;
	case CHANNEL_CANCEL:
		return is_bare && frame->number != 0 && frame->value == 0 && frame->err == 0;
	case CHANNEL_BYE:
		return is_bare && frame->number == 0 && frame->err > 0 &&
			frame->err < CHANNEL_REFUSAL_END;
	case CHANNEL_PING:
	case CHANNEL_PONG:
	case CHANNEL_CREDIT:
	case CHANNEL_READY:
		return is_bare && frame->number == 0 && frame->err == 0;
	case CHANNEL_FRAME_TYPE_END:
		break;
	}
	return false;
}

enum err channel_frame_decode(
	const uint8_t in[CHANNEL_FRAME_LEN], bool is_from_dialer, struct channel_frame *ret_frame)
{
	struct channel_frame frame = {
		.type = in[0],
		.kind = get_le16(in + 2),
		.err = get_le32(in + 4),
		.head_len = get_le32(in + 8),
		.payload_len = get_le32(in + 12),
		.number = get_le64(in + 16),
		.value = get_le64(in + 24),
	};
	if (in[0] == 0 || in[0] >= CHANNEL_FRAME_TYPE_END || in[1] != 0 ||
		is_of_dialer(frame.type) != is_from_dialer)
		return ERR_INVALID;
	if (frame.head_len > PEER_HEAD_LEN_MAX || frame.payload_len > PEER_PAYLOAD_LEN_MAX ||
		!is_fitting(&frame))
		return ERR_INVALID;
	*ret_frame = frame;
	return ERR_OK;
}

uint32_t channel_charge(size_t head_len, size_t payload_len)
{
	assert(head_len <= PEER_HEAD_LEN_MAX && payload_len <= PEER_PAYLOAD_LEN_MAX);
	uint32_t kept = CHANNEL_REQUEST_LEN + round_up(head_len, CHANNEL_REQUEST_LEN);
	if (payload_len == 0)
		return kept;
	if (payload_len <= 4096)
		return kept + 4096;
	if (payload_len <= 64 << 10)
		return kept + (64 << 10);
	return kept + (payload_len <= 256 << 10 ? 256u << 10 : 1280u << 10);
}
