/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_UPLOAD_ID_H
#define GATEWAY_OP_UPLOAD_ID_H

#include "gateway/text_out.h"
#include "storage/err.h"

/* Ids of uploads as clients see them: text that means nothing to them, a u, then the 64-bit id and
 * a check in hexadecimal, so that a mangled id is told from one that is gone. It is no secret.
 * Without the u it could be a number, and minio-js makes one of what looks so. */
#define OP_UPLOAD_ID_LEN 25

void op_upload_id_put(struct text_out *out, uint64_t upload);

/* Errors: ERR_INVALID, never an id of ours. */
enum err op_upload_id_parse(struct bytes text, uint64_t *ret_upload) MUST_USE;

#endif
