/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sigv4_sign.h"

#include "gateway/s3_time.h"
#include "gateway/sigv4_canonical.h"

/* The names of all headers, and the value of the one that says how the body is signed. */
static void put_names(
	const struct sigv4_request *request, struct text_out *names, struct bytes *ret_payload)
{
	bool has_payload = false;
	for (size_t i = 0; i < request->header_count; i++) {
		const struct http_header *header = &request->headers[i];
		assert(i == 0 || bytes_compare(request->headers[i - 1].name, header->name) < 0);
		if (i > 0)
			text_put_char(names, ';');
		text_put_bytes(names, header->name);
		if (bytes_is_text(header->name, "x-amz-content-sha256")) {
			*ret_payload = header->value;
			has_payload = true;
		}
	}
	assert(has_payload && !names->overflowed);
}

void sigv4_sign(const struct sigv4_signer *signer, const struct sigv4_request *request,
	uint64_t time_s, struct text_out *out)
{
	struct sigv4 auth = {.is_query = false};
	struct text_out names, scope;
	uint8_t names_buf[SIGV4_SIGN_HEADER_NAMES_LEN_MAX], scope_buf[SIGV4_SCOPE_LEN_MAX];
	assert(signer->secret.len <= SIGV4_SECRET_LEN_MAX);
	assert(signer->region.len <= SIGV4_SIGN_REGION_LEN_MAX);
	text_out_init(&names, names_buf, sizeof names_buf);
	put_names(request, &names, &auth.payload_text);
	auth.signed_headers = text_out_bytes(&names);

	s3_time_format_amz(time_s, auth.amz_date);
	text_out_init(&scope, scope_buf, sizeof scope_buf);
	text_put(&scope, auth.amz_date, sizeof "20130524" - 1);
	text_put_char(&scope, '/');
	text_put_bytes(&scope, signer->region);
	text_put_text(&scope, "/s3/aws4_request");
	assert(!scope.overflowed);
	auth.scope = text_out_bytes(&scope);

	uint8_t buf[SIGV4_STRING_TO_SIGN_LEN_MAX], mac[SHA256_LEN];
	struct hmac_key key;
	struct bytes message = sigv4_string_to_sign(&auth, request, buf);
	sigv4_keys_find(NULL, signer->access_key_id, signer->secret, auth.scope, &key);
	hmac_sign(&key, message.data, message.len, mac);
	hmac_key_fini(&key);

	text_put_text(out, SIGV4_ALGORITHM " Credential=");
	text_put_bytes(out, signer->access_key_id);
	text_put_char(out, '/');
	text_put_bytes(out, auth.scope);
	text_put_text(out, ",SignedHeaders=");
	text_put_bytes(out, auth.signed_headers);
	text_put_text(out, ",Signature=");
	text_put_hex(out, bytes_make(mac, sizeof mac));
}
