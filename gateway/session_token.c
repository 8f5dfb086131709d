/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/session_token.h"

#include "gateway/digest/base64.h"
#include "gateway/text_out.h"

static const char magic[14] = "rubus session\1";

static void put_short(struct text_out *out, struct bytes bytes)
{
	assert(bytes.len <= UINT8_MAX);
	text_put_char(out, (char)bytes.len);
	text_put_bytes(out, bytes);
}

enum err session_token_make(
	struct secrets *secrets, const struct session *session, char *text, size_t *ret_len)
{
	uint8_t plain[SESSION_PLAIN_LEN_MAX], sealed[SESSION_SEALED_LEN_MAX], number[8];
	struct text_out out;
	size_t sealed_len;

	text_out_init(&out, plain, sizeof plain);
	put_le64(number, session->expires_ms);
	text_put_bytes(&out, bytes_make(magic, sizeof magic));
	text_put_bytes(&out, bytes_make(number, sizeof number));
	put_short(&out, session->parent);
	put_short(&out, session->key_id);
	put_short(&out, session->secret);
	put_short(&out, session->name);
	text_put_bytes(&out, session->policy);
	assert(!out.overflowed);
	enum err err = secrets_seal(
		secrets, text_out_bytes(&out), sealed, sizeof sealed, &sealed_len);
	explicit_bzero(plain, sizeof plain);
	if (err != ERR_OK)
		return err;
	base64_encode(sealed, sealed_len, text);
	*ret_len = (sealed_len + 2) / 3 * 4;
	return ERR_OK;
}

static bool take(struct bytes *rest, size_t len, struct bytes *ret_bytes)
{
	if (rest->len < len)
		return false;
	*ret_bytes = bytes_make(rest->data, len);
	*rest = bytes_from(*rest, len);
	return true;
}

static bool take_short(struct bytes *rest, struct bytes *ret_bytes)
{
	struct bytes len;
	return take(rest, 1, &len) && take(rest, len.data[0], ret_bytes);
}

enum err session_token_open(
	struct secrets *secrets, struct bytes text, uint8_t *buf, struct session *ret_session)
{
	uint8_t sealed[SESSION_SEALED_LEN_MAX];
	struct session session;
	struct bytes rest = {.data = buf}, head, number;
	size_t sealed_len;

	if (text.len > SESSION_TOKEN_LEN_MAX ||
		base64_decode(text, sealed, sizeof sealed, &sealed_len) != ERR_OK)
		return ERR_CORRUPT;
	enum err err = secrets_open(
		secrets, bytes_make(sealed, sealed_len), buf, SESSION_SEALED_LEN_MAX, &rest.len);
	if (err != ERR_OK)
		return ERR_CORRUPT;
	if (!take(&rest, sizeof magic, &head) || memcmp(head.data, magic, sizeof magic) != 0 ||
		!take(&rest, 8, &number) || !take_short(&rest, &session.parent) ||
		!take_short(&rest, &session.key_id) || !take_short(&rest, &session.secret) ||
		!take_short(&rest, &session.name) || rest.len > SESSION_POLICY_LEN_MAX ||
		session.name.len > SESSION_NAME_LEN_MAX || session.secret.len > SESSION_SECRET_LEN)
		return ERR_CORRUPT; /* (T1) */
	session.expires_ms = get_le64(number.data);
	session.policy = rest;
	*ret_session = session;
	return ERR_OK;
}
