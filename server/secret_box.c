/* SPDX-License-Identifier: Apache-2.0 */
#include "server/secret_box.h"

#include <sodium.h>
#include <string.h>

#define KEY_NUMBER 1
#define HEAD_LEN (1 + crypto_secretbox_NONCEBYTES)

static_assert(SECRET_BOX_KEY_LEN == crypto_secretbox_KEYBYTES, "the key of a secretbox");

static enum err open_secret(
	struct secrets *secrets, struct bytes sealed, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct secret_box *box = CONTAINER_OF(secrets, struct secret_box, secrets);
	if (sealed.len < HEAD_LEN + crypto_secretbox_MACBYTES || sealed.data[0] != KEY_NUMBER)
		return ERR_CORRUPT;
	size_t len = sealed.len - HEAD_LEN - crypto_secretbox_MACBYTES;
	if (len > cap)
		return ERR_CORRUPT;
	if (crypto_secretbox_open_easy(buf, sealed.data + HEAD_LEN, sealed.len - HEAD_LEN,
		    sealed.data + 1, box->key) != 0)
		return ERR_CORRUPT;
	*ret_len = len;
	return ERR_OK;
}

static enum err seal(
	const struct secret_box *box, struct bytes plain, uint8_t *buf, size_t cap, size_t *ret_len)
{
	size_t len = HEAD_LEN + crypto_secretbox_MACBYTES + plain.len;
	if (len > cap)
		return ERR_LIMIT;
	buf[0] = KEY_NUMBER;
	randombytes_buf(buf + 1, crypto_secretbox_NONCEBYTES);
	crypto_secretbox_easy(buf + HEAD_LEN, plain.data, plain.len, buf + 1, box->key);
	*ret_len = len;
	return ERR_OK;
}

static enum err seal_secret(
	struct secrets *secrets, struct bytes plain, uint8_t *buf, size_t cap, size_t *ret_len)
{
	return seal(CONTAINER_OF(secrets, struct secret_box, secrets), plain, buf, cap, ret_len);
}

static const struct secrets_ops ops = {open_secret, seal_secret};

void secret_box_init(struct secret_box *box, const uint8_t key[SECRET_BOX_KEY_LEN])
{
	box->secrets.ops = &ops;
	memcpy(box->key, key, sizeof box->key);
}

void secret_box_fini(struct secret_box *box)
{
	sodium_memzero(box, sizeof *box);
}

enum err secret_box_seal(
	const struct secret_box *box, struct bytes secret, uint8_t *buf, size_t *ret_len)
{
	return seal(box, secret, buf, SECRET_BOX_LEN_MAX, ret_len);
}
