/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_COPY_SOURCE_H
#define GATEWAY_OP_COPY_SOURCE_H

#include "gateway/sse.h"

/* What a copy is made of: x-amz-copy-source, "bucket/key" or "/bucket/key", percent-encoded, with
 * "?versionId=" behind it or not. */
#define OP_COPY_SOURCE_LEN_MAX (2 + ROW_BUCKET_NAME_LEN_MAX + URI_KEY_LEN_MAX)

struct op_copy_source {
	/* As the header has it. */
	struct bytes bucket_name, key; /* in buf */
	bool has_version;
	struct bytes version_text; /* borrowed from the header */

	/* As the index has it. */
	struct row_bucket bucket; /* without its bytes */
	bool tells_absence; /* the sender may list it */
	bool may_read_tags; /* of the source */
	struct version_id version;
	bool is_null; /* of the version's id */
	uint64_t body; /* id */
	uint64_t len;
	struct etag etag;
	struct checksum checksum; /* of the body */
	enum sse_mode mode; /* in which it is encrypted, */
	struct sse_customer customer; /* and the key for it; to be wiped */

	uint8_t buf[OP_COPY_SOURCE_LEN_MAX];
};

/* Reads the headers. Returns S3_OK, S3_INVALID_ARGUMENT or S3_INVALID_REQUEST. */
enum s3_code op_copy_source_parse(struct request *request, struct op_copy_source *source) MUST_USE;

/* Finds the version, sees that the sender may read it and that the x-amz-copy-source-if-* hold.
 * Under a view, which *ret_object borrows. */
enum s3_code op_copy_source_find(struct request *request, struct op_copy_source *source,
	struct object_info *ret_object) MUST_USE;

/* x-amz-copy-source-version-id, where the source's bucket has versions. */
void op_copy_source_add_version(struct request *request, const struct op_copy_source *source,
	struct response_headers *headers);

#endif
