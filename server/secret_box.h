/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SECRET_BOX_H
#define SERVER_SECRET_BOX_H

#include "gateway/gateway.h"

/* Seals the secrets that the index holds with the cluster's key, and opens them for the gateway:
 * number of the key (1 byte), nonce (24), XSalsa20-Poly1305 of the secret. */
#define SECRET_BOX_KEY_LEN 32
#define SECRET_BOX_LEN_MAX 256 /* of what is sealed, as it is stored */

struct secret_box {
	struct secrets secrets; /* the seam of the gateway */
	uint8_t key[SECRET_BOX_KEY_LEN];
};

void secret_box_init(struct secret_box *box, const uint8_t key[SECRET_BOX_KEY_LEN]);
void secret_box_fini(struct secret_box *box);

/* Seals a secret into buf (SECRET_BOX_LEN_MAX bytes). Errors: ERR_LIMIT, too long. */
MUST_USE enum err secret_box_seal(
	const struct secret_box *box, struct bytes secret, uint8_t *buf, size_t *ret_len);

#endif
