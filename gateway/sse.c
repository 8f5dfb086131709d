/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sse.h"

#include "gateway/bucket_rules.h"
#include "gateway/digest/base64.h"
#include "gateway/digest/digest.h"
#include "gateway/digest/hmac.h"

enum { FORMAT = 1, HEAD_LEN = 2 + FRAME_ID_LEN };

#define HEADER "x-amz-server-side-encryption"
#define SOURCE_HEADER "x-amz-copy-source-server-side-encryption"
#define LABEL "rubus sse-c"

/* --- what requests say ------------------------------------------------------------------------ */

static enum s3_code refuse(
	struct request *request, enum s3_code code, const char *name, const char *message)
{
	request->error.message = message;
	if (code == S3_INVALID_ARGUMENT)
		s3_error_add(&request->error, "ArgumentName", bytes_of(name));
	return code;
}

static bool is_over_tls(const struct request *request)
{
	return request->exchange->is_tls || request->loop->gateway->settings.sse_c_without_tls;
}

static const char *const names[][3] = {
	[SSE_OF_OBJECT] = {HEADER "-customer-algorithm", HEADER "-customer-key",
		HEADER "-customer-key-md5"},
	[SSE_OF_SOURCE] = {SOURCE_HEADER "-customer-algorithm", SOURCE_HEADER "-customer-key",
		SOURCE_HEADER "-customer-key-md5"},
};

/* Base64 of exactly len bytes. */
static bool is_decoded(struct bytes text, uint8_t *ret_bytes, size_t len)
{
	size_t got;
	return base64_decode(text, ret_bytes, len, &got) == ERR_OK && got == len;
}

enum s3_code sse_read_customer(
	struct request *request, enum sse_side side, struct sse_customer *ret_customer)
{
	struct bytes algorithm, key, md5;
	uint8_t computed[MD5_LEN];
	bool has_algorithm = request_header(request, names[side][0], &algorithm);
	bool has_key = request_header(request, names[side][1], &key);
	bool has_md5 = request_header(request, names[side][2], &md5);
	memset(ret_customer, 0, sizeof *ret_customer);
	if (!has_algorithm && !has_key && !has_md5)
		return S3_OK;
	if (!is_over_tls(request))
		return refuse(request, S3_INVALID_REQUEST, NULL,
			"Requests specifying Server Side Encryption with Customer provided keys "
			"must be made over a secure connection.");
	if (!has_algorithm || !bytes_is_text(algorithm, "AES256"))
		return refuse(request, S3_INVALID_ARGUMENT, names[side][0],
			"Requests specifying Server Side Encryption with Customer provided keys "
			"must provide a valid encryption algorithm.");
	if (!has_key)
		return refuse(request, S3_INVALID_ARGUMENT, names[side][1],
			"Requests specifying Server Side Encryption with Customer provided keys "
			"must provide an appropriate secret key.");
	if (!has_md5)
		return refuse(request, S3_INVALID_ARGUMENT, names[side][2],
			"Requests specifying Server Side Encryption with Customer provided keys "
			"must provide the client calculated MD5 of the secret key.");
	if (!is_decoded(key, ret_customer->key, FRAME_KEY_LEN))
		return refuse(request, S3_INVALID_ARGUMENT, names[side][1],
			"The secret key was invalid for the specified algorithm.");
	digest_md5(ret_customer->key, FRAME_KEY_LEN, computed);
	if (!is_decoded(md5, ret_customer->md5, MD5_LEN) ||
		memcmp(computed, ret_customer->md5, MD5_LEN) != 0) {
		sse_wipe(ret_customer);
		return refuse(request, S3_INVALID_ARGUMENT, names[side][2],
			"The calculated MD5 hash of the key did not match the hash that was "
			"provided.");
	}
	ret_customer->is_given = true;
	return S3_OK;
}

/* x-amz-server-side-encryption itself. */
static enum s3_code read_method(struct request *request, enum sse_mode *ret_mode)
{
	struct bytes value;
	*ret_mode = SSE_NONE;
	if (request_header(request, HEADER "-aws-kms-key-id", NULL) ||
		request_header(request, HEADER "-context", NULL))
		return refuse(request, S3_NOT_IMPLEMENTED, NULL,
			"Server side encryption with keys of a KMS is not implemented.");
	if (!request_header(request, HEADER, &value))
		return S3_OK;
	if (bytes_is_text(value, "aws:kms") || bytes_is_text(value, "aws:kms:dsse"))
		return refuse(request, S3_NOT_IMPLEMENTED, NULL,
			"Server side encryption with keys of a KMS is not implemented.");
	if (!bytes_is_text(value, "AES256")) {
		s3_error_add(&request->error, "ArgumentValue", value);
		return refuse(request, S3_INVALID_ARGUMENT, HEADER,
			"The encryption method specified is not supported");
	}
	*ret_mode = SSE_S3;
	return S3_OK;
}

enum s3_code sse_read(struct request *request, struct sse *ret_sse)
{
	enum s3_code code = read_method(request, &ret_sse->mode);
	if (code == S3_OK)
		code = sse_read_customer(request, SSE_OF_OBJECT, &ret_sse->customer);
	if (code != S3_OK)
		return code;
	if (ret_sse->customer.is_given && ret_sse->mode != SSE_NONE) {
		sse_wipe(&ret_sse->customer);
		return refuse(request, S3_INVALID_ARGUMENT, HEADER,
			"Server Side Encryption with Customer provided key is incompatible with "
			"the encryption method specified");
	}
	if (ret_sse->customer.is_given)
		ret_sse->mode = SSE_C;
	else if (ret_sse->mode == SSE_NONE && request->rules)
		ret_sse->mode = request->rules->encryption;
	return S3_OK;
}

enum s3_code sse_refuse_on_read(struct request *request)
{
	if (!request_header(request, HEADER, NULL))
		return S3_OK;
	return refuse(request, S3_INVALID_REQUEST, NULL,
		"x-amz-server-side-encryption header is not supported for this operation.");
}

void sse_wipe(struct sse_customer *customer)
{
	explicit_bzero(customer, sizeof *customer);
}

/* --- keys of bodies --------------------------------------------------------------------------- */

/* What wraps the key of one body: so a customer's key never seals twice the same way. */
static void derive(const struct sse_customer *customer, const uint8_t id[FRAME_ID_LEN],
	uint8_t ret_key[FRAME_KEY_LEN])
{
	uint8_t message[sizeof LABEL - 1 + FRAME_ID_LEN];
	static_assert(SHA256_LEN == FRAME_KEY_LEN, "the MAC is the key");
	memcpy(message, LABEL, sizeof LABEL - 1);
	memcpy(message + sizeof LABEL - 1, id, FRAME_ID_LEN);
	hmac_sign_once(customer->key, FRAME_KEY_LEN, message, sizeof message, ret_key);
}

enum err sse_make_key(struct gateway *gateway, const struct sse *sse, struct frame_key *ret_key,
	struct sse_row *ret_row)
{
	struct random_source *random = gateway->store->random;
	struct frame_key key;
	struct sse_row row = {.len = HEAD_LEN};
	size_t len = 0;
	enum err err;
	assert(sse->mode != SSE_NONE);
	random_fill(random, key.key, sizeof key.key);
	random_fill(random, key.id, sizeof key.id);
	row.bytes[0] = FORMAT;
	row.bytes[1] = sse->mode;
	memcpy(row.bytes + 2, key.id, FRAME_ID_LEN);
	if (sse->mode == SSE_S3) {
		err = secrets_seal(gateway->secrets, bytes_make(key.key, sizeof key.key),
			row.bytes + HEAD_LEN, sizeof row.bytes - HEAD_LEN, &len);
	} else {
		uint8_t by[FRAME_KEY_LEN];
		derive(&sse->customer, key.id, by);
		err = frame_key_wrap(&key, by, row.bytes + HEAD_LEN);
		explicit_bzero(by, sizeof by);
		len = FRAME_WRAPPED_LEN;
	}
	row.len += len;
	if (err == ERR_OK) {
		*ret_key = key;
		*ret_row = row;
	}
	frame_key_wipe(&key);
	return err;
}

enum sse_mode sse_mode_of(struct bytes encryption)
{
	if (encryption.len == 0)
		return SSE_NONE;
	return encryption.len > HEAD_LEN && encryption.data[0] == FORMAT &&
			encryption.data[1] == SSE_S3
		? SSE_S3
		: SSE_C;
}

static enum err open_of_cluster(struct gateway *gateway, struct bytes sealed, struct frame_key *key)
{
	size_t len;
	enum err err = secrets_open(gateway->secrets, sealed, key->key, sizeof key->key, &len);
	return err == ERR_OK && len != sizeof key->key ? ERR_CORRUPT : err;
}

enum err sse_open(struct gateway *gateway, const struct sse_customer *customer,
	struct bytes encryption, struct frame_key *ret_key)
{
	if (encryption.len <= HEAD_LEN)
		return ERR_CORRUPT;
	if (encryption.data[0] != FORMAT)
		return ERR_VERSION;
	struct bytes sealed = bytes_from(encryption, HEAD_LEN);
	const uint8_t *id = encryption.data + 2;
	struct frame_key key;
	memcpy(key.id, id, FRAME_ID_LEN);
	enum err err = ERR_VERSION;
	if (encryption.data[1] == SSE_S3) {
		err = open_of_cluster(gateway, sealed, &key);
	} else if (encryption.data[1] == SSE_C) {
		uint8_t by[FRAME_KEY_LEN];
		if (!customer || !customer->is_given)
			return ERR_DENIED;
		if (sealed.len != FRAME_WRAPPED_LEN)
			return ERR_CORRUPT;
		derive(customer, id, by);
		err = frame_key_unwrap(sealed.data, by, id, &key);
		explicit_bzero(by, sizeof by);
		if (err == ERR_CHECKSUM)
			err = ERR_DENIED;
	}
	if (err == ERR_OK)
		*ret_key = key;
	frame_key_wipe(&key);
	return err;
}

/* --- bodies that are there -------------------------------------------------------------------- */

enum err sse_find(struct index_reader *reader, uint64_t body, const struct row_body *row,
	struct bytes *ret_encryption)
{
	struct index_leaf leaf;
	struct index_part part;
	struct row_body part_row;
	*ret_encryption = row->encryption;
	if (row->kind != BODY_SLICES)
		return ERR_OK;
	/* (E3): what one byte says, all say; and of no byte, the first part. */
	if (row->len > 0) {
		enum err err = index_leaf_find(reader, body, 0, &leaf);
		if (err == ERR_OK)
			*ret_encryption = leaf.body.encryption;
		return err;
	}
	enum err err = index_body_part(reader, body, 1, &part);
	if (err == ERR_OK)
		err = index_body_get(reader, part.body, &part_row);
	if (err == ERR_OK)
		*ret_encryption = part_row.encryption;
	return err;
}

enum s3_code sse_check(
	struct request *request, const struct sse_customer *customer, struct bytes encryption)
{
	struct frame_key key;
	if (sse_mode_of(encryption) != SSE_C)
		return customer->is_given ? refuse(request, S3_INVALID_REQUEST, NULL,
						    "The encryption parameters are not applicable "
						    "to this object.")
					  : S3_OK;
	if (!customer->is_given)
		return refuse(request, S3_INVALID_REQUEST, NULL,
			"The object was stored using a form of Server Side Encryption. The correct "
			"parameters must be provided to retrieve the object.");
	enum err err = sse_open(request->loop->gateway, customer, encryption, &key);
	if (err == ERR_OK)
		frame_key_wipe(&key);
	return err == ERR_DENIED ? S3_ACCESS_DENIED : s3_error_from_err(err, S3_INTERNAL_ERROR);
}

void sse_add_headers(struct request *request, struct response_headers *headers, enum sse_mode mode,
	const struct sse_customer *customer)
{
	char text[BASE64_LEN(MD5_LEN) + 1];
	if (mode == SSE_S3)
		response_add(headers, HEADER, bytes_of("AES256"));
	if (mode != SSE_C)
		return;
	assert(customer->is_given);
	base64_encode(customer->md5, MD5_LEN, text);
	response_add(headers, names[SSE_OF_OBJECT][0], bytes_of("AES256"));
	response_add(headers, names[SSE_OF_OBJECT][2], request_note(request, bytes_of(text)));
}
