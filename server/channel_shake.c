/* SPDX-License-Identifier: Apache-2.0 */
#include "server/channel_shake.h"

#include <sodium.h>

#define PROVE_ACCEPT "rubus channel 1: accept"
#define PROVE_DIAL "rubus channel 1: dialer"
#define PROVE_LABEL_LEN (sizeof PROVE_ACCEPT - 1)

static_assert(sizeof PROVE_ACCEPT == sizeof PROVE_DIAL, "labels of one length");
static_assert(CHANNEL_KEY_LEN == crypto_generichash_KEYBYTES, "the key of a BLAKE2b");
static_assert(CHANNEL_KEY_LEN == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "of a seal");
static_assert(CHANNEL_SIGNATURE_LEN == crypto_sign_BYTES, "a signature");
static_assert(CHANNEL_SIGNATURE_LEN == crypto_sign_SECRETKEYBYTES, "a signing key");
static_assert(CHANNEL_KEY_LEN == crypto_sign_PUBLICKEYBYTES, "a public key");
static_assert(CHANNEL_KEY_LEN == crypto_scalarmult_BYTES, "a point");
static_assert(CHANNEL_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES, "a tag");

void channel_self_init(struct channel_self *self, struct id cluster, struct id node,
	const uint8_t seed[CHANNEL_KEY_LEN], const uint8_t secret[CHANNEL_KEY_LEN])
{
	int failed = sodium_init() < 0;
	assert(!failed);
	*self = (struct channel_self){.cluster = cluster, .node = node};
	randombytes_buf(&self->life, sizeof self->life);
	failed = crypto_sign_seed_keypair(self->public_key, self->signing_key, seed);
	assert(!failed);
	memcpy(self->secret, secret, sizeof self->secret);
	self->has_fast_aes = channel_seal_has_fast_aes();
}

void channel_self_fini(struct channel_self *self)
{
	sodium_memzero(self, sizeof *self);
}

void channel_fingerprint(
	const uint8_t key[CHANNEL_KEY_LEN], char ret_text[CHANNEL_FINGERPRINT_LEN + 1])
{
	uint8_t hash[CHANNEL_FINGERPRINT_LEN / 2];
	int failed = crypto_generichash(hash, sizeof hash, key, CHANNEL_KEY_LEN, NULL, 0);
	assert(!failed);
	sodium_bin2hex(ret_text, CHANNEL_FINGERPRINT_LEN + 1, hash, sizeof hash);
}

/* --- derived ---------------------------------------------------------------------------------- */

/* 32 bytes for one use, from a key. */
static void derive(const uint8_t key[CHANNEL_KEY_LEN], const char *use, uint8_t out[32])
{
	int failed = crypto_generichash(
		out, 32, (const uint8_t *)use, strlen(use), key, CHANNEL_KEY_LEN);
	assert(!failed);
}

/* The checksum of a hello, or of a refusal of that hello, by who knows the secret. */
static void make_mac(const struct channel_shake *shake, const char *use, struct bytes a,
	struct bytes b, uint8_t out[CHANNEL_MAC_LEN])
{
	uint8_t key[CHANNEL_KEY_LEN];
	derive(shake->secret, use, key);
	crypto_generichash_state state;
	crypto_generichash_init(&state, key, sizeof key, CHANNEL_MAC_LEN);
	crypto_generichash_update(&state, a.data, a.len);
	crypto_generichash_update(&state, b.data, b.len);
	crypto_generichash_final(&state, out, CHANNEL_MAC_LEN);
	sodium_memzero(key, sizeof key);
}

static void make_hello_mac(const struct channel_shake *shake, uint8_t out[CHANNEL_MAC_LEN])
{
	make_mac(shake, "rubus channel: hello",
		bytes_make(shake->hello_bytes, CHANNEL_HELLO_LEN - CHANNEL_MAC_LEN),
		(struct bytes){0}, out);
}

static void make_refusal_mac(
	const struct channel_shake *shake, const uint8_t *refusal, uint8_t out[CHANNEL_MAC_LEN])
{
	make_mac(shake, "rubus channel: refusal",
		bytes_make(shake->hello_bytes, sizeof shake->hello_bytes),
		bytes_make(refusal, CHANNEL_REFUSAL_LEN - CHANNEL_MAC_LEN), out);
}

/* The root of the keys, from both ephemeral keys and the secret. */
static enum err make_keys(struct channel_shake *shake, const uint8_t theirs[CHANNEL_KEY_LEN])
{
	uint8_t point[CHANNEL_KEY_LEN], key[CHANNEL_KEY_LEN];
	if (crypto_scalarmult(point, shake->ephemeral_secret, theirs) != 0)
		return ERR_INVALID;
	derive(shake->secret, "rubus channel: keys", key);
	crypto_generichash_state state;
	crypto_generichash_init(&state, key, sizeof key, sizeof shake->keys);
	crypto_generichash_update(&state, shake->hello_bytes, sizeof shake->hello_bytes);
	crypto_generichash_update(&state, shake->accept_bytes, CHANNEL_ACCEPT_CLEAR_LEN);
	crypto_generichash_update(&state, point, sizeof point);
	crypto_generichash_final(&state, shake->keys, sizeof shake->keys);
	sodium_memzero(point, sizeof point);
	sodium_memzero(key, sizeof key);
	return ERR_OK;
}

/* What a side signs: its label, and a hash of all that was sent before. */
#define SIGNED_LEN (PROVE_LABEL_LEN + 64)
static void make_signed(
	const struct channel_shake *shake, const char *label, size_t accept_len, uint8_t *out)
{
	memcpy(out, label, PROVE_LABEL_LEN);
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, 64);
	crypto_generichash_update(&state, shake->hello_bytes, sizeof shake->hello_bytes);
	crypto_generichash_update(&state, shake->accept_bytes, accept_len);
	crypto_generichash_final(&state, out + PROVE_LABEL_LEN, 64);
}

/* Each of these keys seals one message, so that its nonce may be zero. */
static void seal_once(const struct channel_shake *shake, const char *use, const uint8_t *in,
	size_t len, uint8_t *out)
{
	static const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
	uint8_t key[CHANNEL_KEY_LEN];
	derive(shake->keys, use, key);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, NULL, 0, NULL, nonce, key);
	sodium_memzero(key, sizeof key);
}

static bool open_once(const struct channel_shake *shake, const char *use, const uint8_t *in,
	size_t len, uint8_t *out)
{
	static const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
	uint8_t key[CHANNEL_KEY_LEN];
	derive(shake->keys, use, key);
	int failed = crypto_aead_chacha20poly1305_ietf_decrypt(
		out, NULL, NULL, in, len, NULL, 0, nonce, key);
	sodium_memzero(key, sizeof key);
	return !failed;
}

static void make_ephemeral(struct channel_shake *shake, uint8_t public[CHANNEL_KEY_LEN])
{
	randombytes_buf(shake->ephemeral_secret, sizeof shake->ephemeral_secret);
	crypto_scalarmult_base(public, shake->ephemeral_secret);
}

/* --- the steps -------------------------------------------------------------------------------- */

static uint8_t flags_of(const struct channel_self *self)
{
	return (self->is_integrity_only ? CHANNEL_INTEGRITY_ONLY : 0) |
		(self->has_fast_aes ? CHANNEL_FAST_AES : 0);
}

void channel_shake_hello(struct channel_shake *shake, const struct channel_self *self,
	const uint8_t secret[CHANNEL_KEY_LEN], const struct channel_hello *hello,
	uint8_t out[CHANNEL_HELLO_LEN])
{
	*shake = (struct channel_shake){.self = self, .is_dialer = true, .hello = *hello};
	memcpy(shake->secret, secret, sizeof shake->secret);
	shake->hello.version_min = CHANNEL_VERSION_MIN;
	shake->hello.version_max = CHANNEL_VERSION_MAX;
	shake->hello.life = self->life;
	shake->hello.flags = flags_of(self);
	if (hello->purpose == CHANNEL_JOIN)
		shake->hello.flags &= ~CHANNEL_INTEGRITY_ONLY;
	make_ephemeral(shake, shake->hello.ephemeral);
	channel_hello_encode(&shake->hello, shake->hello_bytes);
	make_hello_mac(shake, shake->hello_bytes + CHANNEL_HELLO_LEN - CHANNEL_MAC_LEN);
	memcpy(out, shake->hello_bytes, CHANNEL_HELLO_LEN);
}

enum err channel_shake_take(struct channel_shake *shake, const struct channel_self *self,
	const uint8_t secret[CHANNEL_KEY_LEN], const struct channel_hello *hello,
	const uint8_t in[CHANNEL_HELLO_LEN])
{
	*shake = (struct channel_shake){.self = self, .hello = *hello, .peer_life = hello->life};
	memcpy(shake->secret, secret, sizeof shake->secret);
	memcpy(shake->hello_bytes, in, CHANNEL_HELLO_LEN);
	uint8_t mac[CHANNEL_MAC_LEN];
	make_hello_mac(shake, mac);
	bool is_equal = sodium_memcmp(mac, in + CHANNEL_HELLO_LEN - sizeof mac, sizeof mac) == 0;
	return is_equal ? ERR_OK : ERR_DENIED;
}

static enum channel_cipher choose_cipher(const struct channel_shake *shake)
{
	uint8_t both = shake->hello.flags & flags_of(shake->self);
	bool is_clear = both & CHANNEL_INTEGRITY_ONLY && shake->hello.purpose != CHANNEL_JOIN;
	if (both & CHANNEL_FAST_AES)
		return is_clear ? CHANNEL_AES_128_GMAC : CHANNEL_AES_128_GCM;
	return is_clear ? CHANNEL_POLY1305 : CHANNEL_CHACHA20_POLY1305;
}

enum err channel_shake_accept(struct channel_shake *shake, uint8_t out[CHANNEL_ACCEPT_LEN])
{
	uint8_t ephemeral[CHANNEL_KEY_LEN];
	uint8_t plain[8 + CHANNEL_KEY_LEN + CHANNEL_SIGNATURE_LEN], text[SIGNED_LEN];
	make_ephemeral(shake, ephemeral);
	shake->cipher = choose_cipher(shake);
	shake->version = channel_hello_version(&shake->hello);
	assert(shake->version != 0);
	channel_accept_encode(shake->cipher, shake->version, ephemeral, shake->accept_bytes);
	enum err err = make_keys(shake, shake->hello.ephemeral);
	if (err)
		return err;
	put_le64(plain, shake->self->life);
	memcpy(plain + 8, shake->self->public_key, CHANNEL_KEY_LEN);
	make_signed(shake, PROVE_ACCEPT, CHANNEL_ACCEPT_CLEAR_LEN, text);
	crypto_sign_detached(
		plain + 8 + CHANNEL_KEY_LEN, NULL, text, sizeof text, shake->self->signing_key);
	seal_once(shake, "accept", plain, sizeof plain,
		shake->accept_bytes + CHANNEL_ACCEPT_CLEAR_LEN);
	memcpy(out, shake->accept_bytes, CHANNEL_ACCEPT_LEN);
	return ERR_OK;
}

void channel_shake_refuse(const struct channel_shake *shake, const struct channel_refused *refused,
	uint8_t out[CHANNEL_REFUSAL_LEN])
{
	channel_refusal_encode(refused, out);
	make_refusal_mac(shake, out, out + CHANNEL_REFUSAL_LEN - CHANNEL_MAC_LEN);
}

enum err channel_shake_refused(const struct channel_shake *shake,
	const uint8_t in[CHANNEL_REFUSAL_LEN], struct channel_refused *ret_refused)
{
	uint8_t mac[CHANNEL_MAC_LEN];
	make_refusal_mac(shake, in, mac);
	if (sodium_memcmp(mac, in + CHANNEL_REFUSAL_LEN - sizeof mac, sizeof mac) != 0)
		return ERR_DENIED;
	return channel_refusal_decode(in, ret_refused);
}

enum err channel_shake_accepted(struct channel_shake *shake, const uint8_t in[CHANNEL_ACCEPT_LEN])
{
	uint8_t plain[8 + CHANNEL_KEY_LEN + CHANNEL_SIGNATURE_LEN], text[SIGNED_LEN];
	enum err err = channel_accept_decode(in, &shake->cipher, &shake->version);
	if (err)
		return err;
	/* A cipher without encryption is only for those who have asked for it. */
	bool is_clear = shake->cipher == CHANNEL_AES_128_GMAC || shake->cipher == CHANNEL_POLY1305;
	if (is_clear && !(shake->hello.flags & CHANNEL_INTEGRITY_ONLY))
		return ERR_INVALID;
	memcpy(shake->accept_bytes, in, CHANNEL_ACCEPT_LEN);
	err = make_keys(shake, in + 16);
	if (err)
		return err;
	if (!open_once(shake, "accept", in + CHANNEL_ACCEPT_CLEAR_LEN,
		    CHANNEL_ACCEPT_LEN - CHANNEL_ACCEPT_CLEAR_LEN, plain))
		return ERR_DENIED;
	make_signed(shake, PROVE_ACCEPT, CHANNEL_ACCEPT_CLEAR_LEN, text);
	if (crypto_sign_verify_detached(
		    plain + 8 + CHANNEL_KEY_LEN, text, sizeof text, plain + 8) != 0)
		return ERR_DENIED;
	shake->peer_life = get_le64(plain);
	memcpy(shake->peer_key, plain + 8, CHANNEL_KEY_LEN);
	return ERR_OK;
}

void channel_shake_prove(struct channel_shake *shake, uint8_t out[CHANNEL_PROOF_LEN])
{
	uint8_t plain[CHANNEL_KEY_LEN + CHANNEL_SIGNATURE_LEN], text[SIGNED_LEN];
	memcpy(plain, shake->self->public_key, CHANNEL_KEY_LEN);
	make_signed(shake, PROVE_DIAL, CHANNEL_ACCEPT_LEN, text);
	crypto_sign_detached(
		plain + CHANNEL_KEY_LEN, NULL, text, sizeof text, shake->self->signing_key);
	seal_once(shake, "proof", plain, sizeof plain, out);
}

enum err channel_shake_proven(struct channel_shake *shake, const uint8_t in[CHANNEL_PROOF_LEN])
{
	uint8_t plain[CHANNEL_KEY_LEN + CHANNEL_SIGNATURE_LEN], text[SIGNED_LEN];
	if (!open_once(shake, "proof", in, CHANNEL_PROOF_LEN, plain))
		return ERR_DENIED;
	make_signed(shake, PROVE_DIAL, CHANNEL_ACCEPT_LEN, text);
	if (crypto_sign_verify_detached(plain + CHANNEL_KEY_LEN, text, sizeof text, plain) != 0)
		return ERR_DENIED;
	memcpy(shake->peer_key, plain, CHANNEL_KEY_LEN);
	return ERR_OK;
}

enum err channel_shake_finish(
	struct channel_shake *shake, struct channel_seal *ret_out, struct channel_seal *ret_in)
{
	uint8_t dialer[CHANNEL_KEY_LEN], other[CHANNEL_KEY_LEN];
	derive(shake->keys, "frames of the dialer", dialer);
	derive(shake->keys, "frames of the acceptor", other);
	struct channel_seal out = {0}, in = {0};
	enum err err = channel_seal_init(
		&out, shake->cipher, true, shake->is_dialer ? dialer : other);
	if (!err)
		err = channel_seal_init(
			&in, shake->cipher, false, shake->is_dialer ? other : dialer);
	if (err) {
		channel_seal_fini(&out);
	} else {
		*ret_out = out;
		*ret_in = in;
	}
	sodium_memzero(dialer, sizeof dialer);
	sodium_memzero(other, sizeof other);
	channel_shake_fini(shake);
	return err;
}

void channel_shake_fini(struct channel_shake *shake)
{
	sodium_memzero(shake->secret, sizeof shake->secret);
	sodium_memzero(shake->ephemeral_secret, sizeof shake->ephemeral_secret);
	sodium_memzero(shake->keys, sizeof shake->keys);
}
