/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_BUCKET_LOCK_H
#define GATEWAY_OP_BUCKET_LOCK_H

#include "gateway/request.h"

/* What a bucket does with old versions: PutBucketVersioning and the object lock configuration; of
 * routes. */
void op_bucket_lock_put_versioning(struct request *request);
void op_bucket_lock_get(struct request *request);
void op_bucket_lock_put(struct request *request);

#endif
