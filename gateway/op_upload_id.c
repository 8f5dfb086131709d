/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_upload_id.h"

#include "gateway/digest/digest.h"
#include "gateway/digest/hex.h"

enum { ID_LEN_BYTES = 8, CHECK_LEN = 4 };

static_assert(1 + 2 * (ID_LEN_BYTES + CHECK_LEN) == OP_UPLOAD_ID_LEN, "the text's length");

static void make(uint64_t upload, uint8_t ret_bytes[ID_LEN_BYTES + CHECK_LEN])
{
	uint8_t named[7 + ID_LEN_BYTES] = "upload:";
	uint8_t digest[SHA256_LEN];
	put_be64(ret_bytes, upload);
	put_be64(named + 7, upload);
	digest_sha256(named, sizeof named, digest);
	memcpy(ret_bytes + ID_LEN_BYTES, digest, CHECK_LEN);
}

void op_upload_id_put(struct text_out *out, uint64_t upload)
{
	uint8_t bytes[ID_LEN_BYTES + CHECK_LEN];
	make(upload, bytes);
	text_put_char(out, 'u');
	text_put_hex(out, bytes_make(bytes, sizeof bytes));
}

enum err op_upload_id_parse(struct bytes text, uint64_t *ret_upload)
{
	uint8_t bytes[ID_LEN_BYTES + CHECK_LEN], expected[ID_LEN_BYTES + CHECK_LEN];
	if (text.len == 0 || text.data[0] != 'u' ||
		hex_decode(bytes_make(text.data + 1, text.len - 1), bytes, sizeof bytes) != ERR_OK)
		return ERR_INVALID;
	uint64_t upload = get_be64(bytes);
	make(upload, expected);
	if (upload == 0 || memcmp(bytes, expected, sizeof bytes) != 0)
		return ERR_INVALID;
	*ret_upload = upload;
	return ERR_OK;
}
