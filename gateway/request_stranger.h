/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REQUEST_STRANGER_H
#define GATEWAY_REQUEST_STRANGER_H

#include "gateway/request.h"

/* Strangers: requests that say in their body who sent them, a form in its fields and a request to
 * STS all through. Until then anybody may have sent them, and while they wait they have the place
 * of a request.
 *
 * (U1) Of the places of a loop they have a part at most; who comes beyond gets SlowDown. Who need
 *      not wait is not counted.
 * (U2) A stranger is one for STRANGER_MS_MAX at most, however well the bytes drip.
 */
enum {
	STRANGERS_PART = 4, /* one place of so many, and at least one */
	STRANGER_MS_MAX = 10000,
};

/* The handler of a stranger is about to wait. S3_OK, it may, and advance() is called when it has
 * waited for too long; S3_SLOW_DOWN (U1) or S3_REQUEST_TIMEOUT (U2), it fails. */
enum s3_code request_stranger_wait(struct request *request) MUST_USE;

/* Its sender is known, or it is over. Of one that never waited too. */
void request_stranger_end(struct request *request);

#endif
