/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_COPY_H
#define GATEWAY_OP_COPY_H

#include "gateway/request.h"

/* CopyObject: the route's start(). */
void op_copy_start(struct request *request);

#endif
