/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_POST_H
#define GATEWAY_OP_POST_H

#include "gateway/request.h"

/* PostObject, the upload by an HTML form: the route's start(). */
void op_post_start(struct request *request);

#endif
