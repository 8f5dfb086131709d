/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SIGV4_H
#define GATEWAY_SIGV4_H

#include "gateway/http_header.h"
#include "gateway/query.h"
#include "gateway/s3_error.h"
#include "gateway/sigv4_keys.h"

/* Who sent a request: AWS Signature Version 4 in the Authorization header or in a presigned query.
 * sigv4.c has the rules. Two steps, between which the caller looks the access key up:
 *
 *	code = sigv4_parse(&request, &settings, now_s, &auth, &detail);
 *	... auth.access_key_id -> secret, or none ...
 *	code = sigv4_verify(&auth, &request, secret or NULL, keys, &detail);
 */
enum sigv4_payload {
	SIGV4_PAYLOAD_HEX, /* x-amz-content-sha256 is the digest of the body, in payload_sha256 */
	SIGV4_PAYLOAD_UNSIGNED, /* UNSIGNED-PAYLOAD, or an anonymous request without the header */
	SIGV4_PAYLOAD_SIGNED_CHUNKS, /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
	SIGV4_PAYLOAD_SIGNED_CHUNKS_TRAILER, /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER */
	SIGV4_PAYLOAD_UNSIGNED_CHUNKS_TRAILER, /* STREAMING-UNSIGNED-PAYLOAD-TRAILER */
};

enum {
	SIGV4_SIGNATURE_LEN = 64, /* hexadecimal */
	SIGV4_AMZ_DATE_LEN = 16,
	SIGV4_SKEW_S_MAX = 15 * 60,
	SIGV4_EXPIRES_S_MAX = 7 * 24 * 60 * 60,
	SIGV4_EXPLAIN_LEN = 12 * 1024,
};

/* The request as it was received; all borrowed. */
struct sigv4_request {
	struct bytes method; /* "GET" */
	struct bytes path; /* not decoded */
	const struct query *query;
	const struct http_header *headers; /* names in lower case */
	size_t header_count;
	struct bytes host_bucket; /* that the Host header names; empty: none */
};

/* Which requests with signatures of version 2 are heard (sigv2.h). */
enum sigv2_use {
	SIGV2_PRESIGNED, /* in the query, and in forms */
	SIGV2_OFF,
	SIGV2_ALL,
};

struct sigv4_settings {
	struct bytes region;
	bool region_is_strict; /* refuse signatures for other regions; else any region will do */
	/* Of another service than s3: its name, and the digest of the body in hexadecimal, which
	 * no header needs to name. Only version 4. */
	struct bytes service, payload;
	enum sigv2_use v2;
};

/* What a request says about its sender. Borrows the request's headers and query. */
struct sigv4 {
	bool is_anonymous;
	bool is_query; /* presigned */
	bool is_verified;
	bool is_v2; /* version 2: no scope, region, signed headers or signing key */
	enum sigv4_payload payload;
	uint8_t payload_sha256[SHA256_LEN];
	struct bytes payload_text; /* as the canonical request ends */
	struct bytes access_key_id;
	struct bytes session_token; /* empty: none; we issue none, so the caller refuses others */
	struct bytes scope; /* "20130524/us-east-1/s3/aws4_request" */
	struct bytes region;
	struct bytes signed_headers; /* "host;x-amz-date" */
	uint64_t time_s;
	uint64_t expires_s; /* presigned: life in seconds */
	uint8_t amz_date[SIGV4_AMZ_DATE_LEN];
	uint8_t signature[SIGV4_SIGNATURE_LEN];
	struct hmac_key signing_key; /* valid after sigv4_verify() */
	struct bytes form_policy; /* of a form: what is signed, and nothing else; else empty */
	uint8_t mac[SHA1_LEN + 1]; /* of version 2; a base64 of that length may be 21 bytes */
	struct bytes mac_text;
};

/* Reads what the request says and checks everything that needs no secret: form, date, region,
 * completeness of the signed headers, payload mode. detail must be initialised.
 *
 * Returns S3_OK (perhaps with is_anonymous), S3_ACCESS_DENIED, S3_AUTHORIZATION_HEADER_MALFORMED,
 * S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR, S3_INVALID_ARGUMENT, S3_INVALID_REQUEST,
 * S3_NOT_IMPLEMENTED or S3_REQUEST_TIME_TOO_SKEWED. */
enum s3_code sigv4_parse(const struct sigv4_request *request, const struct sigv4_settings *settings,
	uint64_t now_s, struct sigv4 *ret_auth, struct s3_error_detail *ret_detail) MUST_USE;

/* What the fields of a form say of its sender. All borrowed; data NULL: not there. */
struct sigv4_form {
	struct bytes policy; /* as it was sent, base64 */
	struct bytes algorithm, credential, date, signature; /* x-amz-* */
	struct bytes v2_key_id, v2_signature; /* AWSAccessKeyId, signature */
	struct bytes session_token;
};

/* As sigv4_parse(), for a form; anonymous if it has no policy. Besides: S3_INVALID_ARGUMENT, a
 * field is missing. */
enum s3_code sigv4_parse_form(const struct sigv4_form *form, const struct sigv4_settings *settings,
	struct sigv4 *ret_auth, struct s3_error_detail *ret_detail) MUST_USE;

/* The payload mode that a request states, into auth. S3_OK, S3_INVALID_REQUEST, S3_INVALID_ARGUMENT
 * or S3_NOT_IMPLEMENTED. */
enum s3_code sigv4_find_payload(struct sigv4 *auth, const struct sigv4_request *request,
	struct s3_error_detail *detail) MUST_USE;

/* Checks the signature; not for anonymous requests. secret NULL: there is no such access key, which
 * costs the same time. keys may be NULL. A secret longer than SIGV4_SECRET_LEN_MAX matches nothing.
 *
 * Returns S3_OK, S3_SIGNATURE_DOES_NOT_MATCH or S3_INVALID_ACCESS_KEY_ID. */
enum s3_code sigv4_verify(struct sigv4 *auth, const struct sigv4_request *request,
	const struct bytes *secret, struct sigv4_keys *keys,
	struct s3_error_detail *ret_detail) MUST_USE;

/* Adds to the detail of S3_SIGNATURE_DOES_NOT_MATCH what the client needs to find its mistake:
 * StringToSign, CanonicalRequest and both as bytes in hexadecimal. buf (SIGV4_EXPLAIN_LEN is
 * plenty; cut when it is not) is borrowed by detail. Not for logs: headers are in it. */
void sigv4_explain(const struct sigv4 *auth, const struct sigv4_request *request, uint8_t *buf,
	size_t cap, struct s3_error_detail *detail);

#endif
