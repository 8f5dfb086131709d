/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_DELETE_H
#define GATEWAY_OP_DELETE_H

#include "gateway/request.h"

/* DeleteObject and DeleteObjects: start() of their routes. */
void op_delete_start(struct request *request);
void op_delete_many_start(struct request *request);

#endif
