/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_BUCKET_H
#define GATEWAY_OP_BUCKET_H

#include "gateway/request.h"

/* The operations on buckets; start() of their routes. */
void op_bucket_create(struct request *request);
void op_bucket_head(struct request *request);
void op_bucket_delete(struct request *request);
void op_bucket_list(struct request *request);
void op_bucket_location(struct request *request);
void op_bucket_versioning(struct request *request);

#endif
