/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SESSION_TOKEN_H
#define GATEWAY_SESSION_TOKEN_H

#include "gateway/secrets.h"
#include "storage/meta/rows.h"

/* Temporary credentials: all that is to be known of them is in the token that goes with each
 * request, sealed with the cluster's key. Nothing is stored, and every node can open it.
 *
 * The token is base64 of the sealed bytes of: "rubus session" and the version of the format (1
 * byte), when it ends (8, little-endian), then the parent's id, the id, the secret and the name,
 * each behind its length (1 byte), and the policy.
 *
 * (T1) What the key's seal does not vouch for is no token; other things that the same key seals
 *      begin otherwise.
 * (T2) A session is never more than its parent: the parent's row, its user and their policies are
 *      read for each request, and the policy of the session narrows what they give.
 */
enum {
	SESSION_POLICY_LEN_MAX = 2048, /* as AWS has it */
	SESSION_NAME_LEN_MAX = 64,
	SESSION_KEY_ID_LEN = 20,
	SESSION_SECRET_LEN = 40,
	SESSION_PLAIN_LEN_MAX = 14 + 8 + 1 + ROW_ACCESS_KEY_ID_LEN_MAX + 1 + SESSION_KEY_ID_LEN +
		1 + SESSION_SECRET_LEN + 1 + SESSION_NAME_LEN_MAX + SESSION_POLICY_LEN_MAX,
	SESSION_SEALED_LEN_MAX = SESSION_PLAIN_LEN_MAX + 64, /* what a seal adds */
	SESSION_TOKEN_LEN_MAX = (SESSION_SEALED_LEN_MAX + 2) / 3 * 4,
};

struct session {
	uint64_t expires_ms;
	struct bytes parent; /* access key id that it was given to */
	struct bytes key_id, secret, name;
	struct bytes policy; /* JSON; empty: none */
};

/* Writes the token of a session into text, of SESSION_TOKEN_LEN_MAX bytes and one more. Lengths are
 * within the bounds above. Errors: those of secrets_seal(). */
MUST_USE enum err session_token_make(
	struct secrets *secrets, const struct session *session, char *text, size_t *ret_len);

/* Opens one into buf, of SESSION_SEALED_LEN_MAX bytes, which the session borrows. Whether it has
 * ended is the caller's to see. Errors: ERR_CORRUPT. */
MUST_USE enum err session_token_open(
	struct secrets *secrets, struct bytes text, uint8_t *buf, struct session *ret_session);

#endif
