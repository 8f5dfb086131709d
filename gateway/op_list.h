/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_LIST_H
#define GATEWAY_OP_LIST_H

#include "gateway/request.h"

/* The listings of objects; start() of their routes. */
void op_list_objects(struct request *request);
void op_list_objects_v2(struct request *request);
void op_list_versions(struct request *request);

#endif
