/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_RENAME_H
#define GATEWAY_OP_RENAME_H

struct request;

/* RenameObject: an object gets another key in its bucket, by one command. What it has (bytes,
 * metadata, tags, ETag, checksums) goes along; Last-Modified is when it was renamed. Where an
 * object is at the new key it is replaced, unless a condition says otherwise.
 *
 * Only buckets that never had versions: elsewhere a version would have to change its key, and what
 * was the newest of a key could be lost to a lock, so 409 InvalidBucketState is the answer. */
void op_rename_start(struct request *request);

#endif
