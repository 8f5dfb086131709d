/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_STS_H
#define GATEWAY_OP_STS_H

#include "gateway/request.h"

/* The Security Token Service: forms that are posted to "/", signed for the service "sts".
 * AssumeRole, GetSessionToken and GetCallerIdentity. */

/* Is the request, whose target was read, for it? */
bool op_sts_is_meant(const struct request *request);

/* Takes a request that was not authenticated: its signature is over the form, which is read first,
 * and never longer than a few KiB. */
void op_sts_start(struct request *request);

/* Its route, which is none of S3's. */
extern const struct route op_sts_route;

#endif
