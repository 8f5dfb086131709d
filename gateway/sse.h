/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SSE_H
#define GATEWAY_SSE_H

#include "gateway/response.h"
#include "storage/object/frame_seal.h"

/* Server-side encryption: who has the key of a body, and what requests say of it.
 *
 * Each body (of an object, of a part) has a random key of its own, under which its frames are
 * sealed (storage/object/frame.h). The body's row keeps it sealed in turn:
 *
 *	row.encryption = format 1 (1) | mode (1) | id of the body (16) | sealed key
 *
 *	SSE_S3   sealed by the cluster's key, through the seam gateway/secrets.h
 *	SSE_C    wrapped by HMAC-SHA256(the customer's key, "rubus sse-c" | id)
 *
 * (E1) A customer's key is in memory while a request needs it, and nowhere else. Whether it is the
 *      right one is known by unwrapping: nothing is kept to compare it with.
 * (E2) It is taken over TLS only, unless a setting says that somebody else sees to that.
 * (E3) An object is encrypted in one mode, in all its parts, or not at all: what would mix is
 *      written anew.
 * (E4) The ETag of what a customer's key seals says nothing of its bytes: it is random.
 */
enum sse_mode { /* kept in the index */
	SSE_NONE = 0,
	SSE_S3 = 1,
	SSE_C = 2,
};

#define SSE_ROW_LEN_MAX 160

/* A customer's key, as a request gives it. Wiped by whoever keeps it: sse_wipe(). */
struct sse_customer {
	bool is_given;
	uint8_t key[FRAME_KEY_LEN];
	uint8_t md5[MD5_LEN];
};

/* What is asked for. */
struct sse {
	enum sse_mode mode;
	struct sse_customer customer;
};

/* What the row of a body is to say. */
struct sse_row {
	size_t len; /* 0: nothing */
	uint8_t bytes[SSE_ROW_LEN_MAX];
};

static inline struct bytes sse_row_bytes(const struct sse_row *row)
{
	return bytes_make(row->bytes, row->len);
}

/* Which customer's key: that of the object in the path, or of the source of a copy. */
enum sse_side {
	SSE_OF_OBJECT,
	SSE_OF_SOURCE,
};

/* The customer's key in the headers of a request, if there is one. Returns S3_OK,
 * S3_INVALID_ARGUMENT or S3_INVALID_REQUEST. */
enum s3_code sse_read_customer(
	struct request *request, enum sse_side side, struct sse_customer *ret_customer) MUST_USE;

/* How a new object is to be encrypted: by the headers, else by the bucket's configuration. Returns
 * besides S3_NOT_IMPLEMENTED, for keys of a KMS. */
enum s3_code sse_read(struct request *request, struct sse *ret_sse) MUST_USE;

/* A request to read asks for no encryption. Returns S3_OK or S3_INVALID_REQUEST. */
enum s3_code sse_refuse_on_read(struct request *request) MUST_USE;

void sse_wipe(struct sse_customer *customer);

/* A new key for a body, and what its row says. The mode is not SSE_NONE. Errors: ERR_NO_MEMORY;
 * ERR_LIMIT. */
MUST_USE enum err sse_make_key(struct gateway *gateway, const struct sse *sse,
	struct frame_key *ret_key, struct sse_row *ret_row);

/* What a row says. What is not understood is SSE_C: it cannot be read without a key. */
enum sse_mode sse_mode_of(struct bytes encryption);

/* The key of a body. Errors: ERR_DENIED, the customer's key is missing or another one; ERR_CORRUPT;
 * ERR_VERSION; ERR_NO_MEMORY. */
MUST_USE enum err sse_open(struct gateway *gateway, const struct sse_customer *customer,
	struct bytes encryption, struct frame_key *ret_key);

/* What the row of a body says that may be made of others; under a view, which it borrows. */
MUST_USE enum err sse_find(struct index_reader *reader, uint64_t body, const struct row_body *row,
	struct bytes *ret_encryption);

/* May the body be read with what the request gave? S3_OK, S3_INVALID_REQUEST, S3_ACCESS_DENIED. */
enum s3_code sse_check(struct request *request, const struct sse_customer *customer,
	struct bytes encryption) MUST_USE;

/* The headers of an answer about something of that mode. The customer may be NULL, but for SSE_C.
 */
void sse_add_headers(struct request *request, struct response_headers *headers, enum sse_mode mode,
	const struct sse_customer *customer);

#endif
