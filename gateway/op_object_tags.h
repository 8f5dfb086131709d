/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_OBJECT_TAGS_H
#define GATEWAY_OP_OBJECT_TAGS_H

#include "gateway/request.h"

/* The tags of a version: of routes. */
void op_object_tags_get(struct request *request);
void op_object_tags_put(struct request *request);
void op_object_tags_delete(struct request *request);

#endif
