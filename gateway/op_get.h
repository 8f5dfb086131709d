/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_GET_H
#define GATEWAY_OP_GET_H

#include "gateway/request.h"

/* GetObject and HeadObject: the start() of both routes. */
void op_get_start(struct request *request);

#endif
