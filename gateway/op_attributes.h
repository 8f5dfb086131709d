/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_ATTRIBUTES_H
#define GATEWAY_OP_ATTRIBUTES_H

#include "gateway/request.h"

/* GetObjectAttributes: the route's start(). */
void op_attributes_get(struct request *request);

#endif
