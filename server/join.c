/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, asks and welcomes as bytes. */
#include "server/join.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN_PREFIX "rubus-join-"
#define TOKEN_VERSION 1
#define TOKEN_FIXED_LEN 76
#define TOKEN_SUM_LEN 4
#define TOKEN_LEN_MAX \
	(TOKEN_FIXED_LEN + CHANNEL_ADDRESS_COUNT_MAX * (1 + CHANNEL_HOST_LEN + 8) + TOKEN_SUM_LEN)
#define ADDRESS_TEXT_LEN (CHANNEL_HOST_LEN + 8)

static_assert(TOKEN_LEN_MAX * 4 / 3 + 32 < JOIN_TOKEN_TEXT_MAX, "the text of a token fits");
static_assert(
	JOIN_ASK_LEN == 8 + JOIN_NAME_LEN + CHANNEL_ADDRESS_COUNT_MAX * (CHANNEL_HOST_LEN + 2),
	"the length of an ask");

/* --- addresses -------------------------------------------------------------------------------- */

/* An address as it stands in asks and welcomes: the host, filled up with zeros, and the port. */
static void put_address(uint8_t *out, const struct channel_address *address)
{
	memset(out, 0, CHANNEL_HOST_LEN);
	memcpy(out, address->host, strnlen(address->host, CHANNEL_HOST_LEN - 1));
	put_le16(out + CHANNEL_HOST_LEN, address->port);
}

/* Only what is a numeric address goes on: it is shown in logs. */
static bool get_address(const uint8_t *in, struct channel_address *ret_address)
{
	struct sockaddr_storage parsed;
	socklen_t len;
	if (in[CHANNEL_HOST_LEN - 1] != 0)
		return false;
	memcpy(ret_address->host, in, CHANNEL_HOST_LEN);
	ret_address->port = get_le16(in + CHANNEL_HOST_LEN);
	return ret_address->port != 0 &&
		listen_parse_address(ret_address->host, ret_address->port, &parsed, &len);
}

/* "host:port" or "[v6]:port", len bytes. */
static bool parse_address(const uint8_t *text, size_t len, struct channel_address *ret_address)
{
	char copy[ADDRESS_TEXT_LEN + 1], *host = copy, *end;
	struct sockaddr_storage parsed;
	socklen_t parsed_len;
	if (len > ADDRESS_TEXT_LEN || memchr(text, 0, len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	char *colon = strrchr(copy, ':');
	if (!colon)
		return false;
	*colon = '\0';
	if (host[0] == '[' && colon > copy && colon[-1] == ']') {
		host++;
		colon[-1] = '\0';
	}
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end != '\0' || port == 0 || port > UINT16_MAX ||
		strlen(host) >= CHANNEL_HOST_LEN)
		return false;
	memset(ret_address, 0, sizeof *ret_address);
	memcpy(ret_address->host, host, strlen(host));
	ret_address->port = port;
	return listen_parse_address(host, port, &parsed, &parsed_len);
}

/* --- tokens ----------------------------------------------------------------------------------- */

struct id join_token_number(const uint8_t secret[JOIN_SECRET_LEN])
{
	struct id number;
	static const char use[] = "rubus join: number";
	int failed = crypto_generichash(number.bytes, ID_LEN, (const uint8_t *)use, sizeof use - 1,
		secret, JOIN_SECRET_LEN);
	assert(!failed);
	return number;
}

void join_token_make(struct join_token *ret_token, const struct channel_self *issuer,
	const struct channel_address *addresses, unsigned address_count, int64_t end_s)
{
	assert(address_count > 0 && address_count <= CHANNEL_ADDRESS_COUNT_MAX);
	*ret_token = (struct join_token){
		.cluster = issuer->cluster, .end_s = end_s, .address_count = address_count};
	channel_fingerprint(issuer->public_key, ret_token->fingerprint);
	randombytes_buf(ret_token->secret, sizeof ret_token->secret);
	memcpy(ret_token->addresses, addresses, address_count * sizeof *addresses);
}

static void make_sum(const uint8_t *data, size_t len, uint8_t out[TOKEN_SUM_LEN])
{
	uint8_t hash[crypto_generichash_BYTES_MIN];
	int failed = crypto_generichash(hash, sizeof hash, data, len, NULL, 0);
	assert(!failed);
	memcpy(out, hash, TOKEN_SUM_LEN);
}

void join_token_format(const struct join_token *token, char text[JOIN_TOKEN_TEXT_MAX])
{
	uint8_t data[TOKEN_LEN_MAX] = {TOKEN_VERSION, token->address_count};
	size_t len = TOKEN_FIXED_LEN, got;
	memcpy(data + 4, token->cluster.bytes, ID_LEN);
	int failed = sodium_hex2bin(
		data + 20, 16, token->fingerprint, CHANNEL_FINGERPRINT_LEN, NULL, &got, NULL);
	assert(!failed && got == 16);
	memcpy(data + 36, token->secret, JOIN_SECRET_LEN);
	put_le64(data + 68, token->end_s);
	for (unsigned i = 0; i < token->address_count; i++) {
		const struct channel_address *address = &token->addresses[i];
		bool is_six = strchr(address->host, ':') != NULL;
		int written = snprintf((char *)data + len + 1, ADDRESS_TEXT_LEN,
			is_six ? "[%s]:%u" : "%s:%u", address->host, address->port);
		assert(written > 0 && written < ADDRESS_TEXT_LEN);
		data[len] = written;
		len += 1 + written;
	}
	make_sum(data, len, data + len);
	len += TOKEN_SUM_LEN;
	int head = snprintf(text, JOIN_TOKEN_TEXT_MAX, TOKEN_PREFIX "%d.", TOKEN_VERSION);
	sodium_bin2base64(text + head, JOIN_TOKEN_TEXT_MAX - head, data, len,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(data, sizeof data);
}

static enum err decode_token(const uint8_t *data, size_t len, struct join_token *ret_token)
{
	uint8_t sum[TOKEN_SUM_LEN];
	if (len < TOKEN_FIXED_LEN + TOKEN_SUM_LEN)
		return ERR_INVALID;
	len -= TOKEN_SUM_LEN;
	make_sum(data, len, sum);
	if (memcmp(sum, data + len, sizeof sum) != 0)
		return ERR_CHECKSUM;
	struct join_token token = {.address_count = data[1], .end_s = get_le64(data + 68)};
	if (data[0] != TOKEN_VERSION)
		return ERR_VERSION;
	if (token.address_count == 0 || token.address_count > CHANNEL_ADDRESS_COUNT_MAX ||
		get_le16(data + 2) != 0)
		return ERR_INVALID;
	memcpy(token.cluster.bytes, data + 4, ID_LEN);
	sodium_bin2hex(token.fingerprint, sizeof token.fingerprint, data + 20, 16);
	memcpy(token.secret, data + 36, JOIN_SECRET_LEN);
	size_t at = TOKEN_FIXED_LEN;
	for (unsigned i = 0; i < token.address_count; i++) {
		if (at >= len || len - at - 1 < data[at] ||
			!parse_address(data + at + 1, data[at], &token.addresses[i]))
			return ERR_INVALID;
		at += 1 + data[at];
	}
	if (at != len)
		return ERR_INVALID;
	*ret_token = token;
	return ERR_OK;
}

enum err join_token_parse(const char *text, struct join_token *ret_token)
{
	uint8_t data[TOKEN_LEN_MAX];
	size_t len = 0;
	text += strspn(text, " \t\r\n");
	if (strncmp(text, TOKEN_PREFIX, sizeof TOKEN_PREFIX - 1) != 0)
		return ERR_INVALID;
	text += sizeof TOKEN_PREFIX - 1;
	if (text[0] != '0' + TOKEN_VERSION || text[1] != '.')
		return text[0] > '0' && text[0] <= '9' ? ERR_VERSION : ERR_INVALID;
	text += 2;
	size_t text_len = strlen(text);
	while (text_len > 0 && strchr(" \t\r\n", text[text_len - 1]))
		text_len--;
	if (sodium_base642bin(data, sizeof data, text, text_len, NULL, &len, NULL,
		    sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
		return ERR_INVALID;
	enum err err = decode_token(data, len, ret_token);
	sodium_memzero(data, sizeof data);
	return err;
}

/* --- asks and welcomes ------------------------------------------------------------------------ */

/*	0 address count (4)  4 zero (4)  8 name (64)  72 addresses: host (56), port (2) each */
void join_ask_encode(const struct join_ask *ask, uint8_t out[JOIN_ASK_LEN])
{
	assert(ask->address_count <= CHANNEL_ADDRESS_COUNT_MAX);
	memset(out, 0, JOIN_ASK_LEN);
	put_le32(out, ask->address_count);
	memcpy(out + 8, ask->name, strnlen(ask->name, JOIN_NAME_LEN - 1));
	for (unsigned i = 0; i < ask->address_count; i++)
		put_address(
			out + 8 + JOIN_NAME_LEN + i * (CHANNEL_HOST_LEN + 2), &ask->addresses[i]);
}

enum err join_ask_decode(const uint8_t in[JOIN_ASK_LEN], struct join_ask *ret_ask)
{
	struct join_ask ask = {.address_count = get_le32(in)};
	if (ask.address_count > CHANNEL_ADDRESS_COUNT_MAX || get_le32(in + 4) != 0 ||
		in[8 + JOIN_NAME_LEN - 1] != 0)
		return ERR_INVALID;
	memcpy(ask.name, in + 8, JOIN_NAME_LEN);
	for (size_t i = 0; ask.name[i] != '\0'; i++) {
		if (ask.name[i] <= ' ' || ask.name[i] > '~')
			return ERR_INVALID;
	}
	for (unsigned i = 0; i < ask.address_count; i++) {
		if (!get_address(
			    in + 8 + JOIN_NAME_LEN + i * (CHANNEL_HOST_LEN + 2), &ask.addresses[i]))
			return ERR_INVALID;
	}
	*ret_ask = ask;
	return ERR_OK;
}

#define WELCOME_FIXED_LEN 80
#define WELCOME_NODE_LEN (ID_LEN + CHANNEL_KEY_LEN + 1)

/*	0 secret (32)  32 cluster key (32)  64 its number (1)  65 zero (3)  68 node count (4)
 *	72 epoch (8)  80 nodes: id (16), key (32), address count (1), addresses as in an ask */
enum err join_welcome_encode(
	const struct join_welcome *welcome, uint8_t *out, size_t cap, size_t *ret_len)
{
	size_t len = WELCOME_FIXED_LEN;
	if (cap < len)
		return ERR_LIMIT;
	memset(out, 0, len);
	memcpy(out, welcome->secret, CHANNEL_KEY_LEN);
	memcpy(out + 32, welcome->cluster_key, CHANNEL_KEY_LEN);
	out[64] = welcome->cluster_key_number;
	put_le32(out + 68, welcome->node_count);
	put_le64(out + 72, welcome->epoch);
	for (size_t i = 0; i < welcome->node_count; i++) {
		const struct channel_node *node = &welcome->nodes[i];
		if (cap - len < WELCOME_NODE_LEN + node->address_count * (CHANNEL_HOST_LEN + 2))
			return ERR_LIMIT;
		memcpy(out + len, node->id.bytes, ID_LEN);
		memcpy(out + len + ID_LEN, node->key, CHANNEL_KEY_LEN);
		out[len + ID_LEN + CHANNEL_KEY_LEN] = node->address_count;
		len += WELCOME_NODE_LEN;
		for (unsigned j = 0; j < node->address_count; j++) {
			put_address(out + len, &node->addresses[j]);
			len += CHANNEL_HOST_LEN + 2;
		}
	}
	*ret_len = len;
	return ERR_OK;
}

static bool get_node(struct bytes *io_in, struct channel_node *ret_node)
{
	if (io_in->len < WELCOME_NODE_LEN)
		return false;
	memcpy(ret_node->id.bytes, io_in->data, ID_LEN);
	memcpy(ret_node->key, io_in->data + ID_LEN, CHANNEL_KEY_LEN);
	ret_node->address_count = io_in->data[ID_LEN + CHANNEL_KEY_LEN];
	*io_in = bytes_from(*io_in, WELCOME_NODE_LEN);
	if (ret_node->address_count > CHANNEL_ADDRESS_COUNT_MAX)
		return false;
	for (unsigned i = 0; i < ret_node->address_count; i++) {
		if (io_in->len < CHANNEL_HOST_LEN + 2 ||
			!get_address(io_in->data, &ret_node->addresses[i]))
			return false;
		*io_in = bytes_from(*io_in, CHANNEL_HOST_LEN + 2);
	}
	return true;
}

enum err join_welcome_decode(struct bytes in, struct join_welcome *ret_welcome)
{
	struct join_welcome *welcome = ret_welcome;
	if (in.len < WELCOME_FIXED_LEN)
		return ERR_INVALID;
	uint32_t count = get_le32(in.data + 68);
	if (count > CHANNEL_NODE_COUNT_MAX || in.data[65] || in.data[66] || in.data[67])
		return ERR_INVALID;
	memset(welcome, 0, sizeof *welcome);
	memcpy(welcome->secret, in.data, CHANNEL_KEY_LEN);
	memcpy(welcome->cluster_key, in.data + 32, CHANNEL_KEY_LEN);
	welcome->cluster_key_number = in.data[64];
	welcome->epoch = get_le64(in.data + 72);
	in = bytes_from(in, WELCOME_FIXED_LEN);
	for (uint32_t i = 0; i < count; i++) {
		if (!get_node(&in, &welcome->nodes[i]))
			return ERR_INVALID;
	}
	welcome->node_count = count;
	return in.len == 0 ? ERR_OK : ERR_INVALID;
}
