/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_BUCKET_CONFIG_H
#define GATEWAY_OP_BUCKET_CONFIG_H

#include "gateway/request.h"

/* Reads, sets and removes one configuration of a bucket: that which route->config names. */
void op_bucket_config_get(struct request *request);
void op_bucket_config_put(struct request *request);
void op_bucket_config_delete(struct request *request);

/* Says whether the bucket's policy is public. */
void op_bucket_config_policy_status(struct request *request);

#endif
