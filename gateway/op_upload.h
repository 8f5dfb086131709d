/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_UPLOAD_H
#define GATEWAY_OP_UPLOAD_H

#include "gateway/request.h"
#include "gateway/sse.h"

/* Uploads in parts: start() of their routes. */
void op_upload_create(struct request *request);
void op_upload_part(struct request *request);
void op_upload_part_copy(struct request *request);
void op_upload_complete(struct request *request);
void op_upload_abort(struct request *request);
void op_upload_list(struct request *request);
void op_upload_list_parts(struct request *request);

/* What these share. */

/* Reads uploadId. Returns S3_OK, or S3_NO_SUCH_UPLOAD with its detail. */
enum s3_code op_upload_read_id(struct request *request, uint64_t *ret_upload) MUST_USE;

/* Reads partNumber. Returns S3_OK, or S3_INVALID_ARGUMENT with its detail. */
enum s3_code op_upload_read_number(struct request *request, uint16_t *ret_number) MUST_USE;

/* Finds an upload of the request's key that is open. Under a view, which the row borrows. */
enum s3_code op_upload_find(
	struct request *request, uint64_t upload, struct row_upload *ret_upload) MUST_USE;

/* The algorithm of the checksums that the parts of an upload are kept with: the client's, or
 * CRC64NVME, from which that of the whole is made for nothing. */
static inline enum checksum_algorithm op_upload_algorithm(const struct row_upload *upload)
{
	return upload->checksum_algorithm != CHECKSUM_NONE ? upload->checksum_algorithm
							   : CHECKSUM_CRC64NVME;
}

/* May a part be counted for quotas: do all nodes know how? */
bool op_upload_counts_parts(const struct request *request);

/* Adds a part and, unless it is NULL, its ETag as the client has it, to what the error says. */
void op_upload_explain_part(struct request *request, uint16_t number, const struct etag *etag);

/* <ChecksumCRC32>...</ChecksumCRC32>. */
void op_upload_put_checksum(
	struct text_out *out, const struct checksum *checksum, uint32_t part_count);

/* How the parts of an upload are encrypted, and the key for it that came with the request. S3_OK,
 * S3_INVALID_REQUEST, S3_ACCESS_DENIED, or what sse_read_customer() returns. */
enum s3_code op_upload_read_encryption(
	struct request *request, const struct row_upload *upload, struct sse *ret_sse) MUST_USE;

#endif
