/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REQUEST_PRIV_H
#define GATEWAY_REQUEST_PRIV_H

#include "gateway/request.h"

/* What request*.c and response.c tell each other. */
#define REQUEST_MAGIC 0x52455155 /* REQU */

/* Calls advance(), if the handler is still at work, and ends what has ended. Not from within it. */
void request_advance(struct request *request);

/* Ends the request when it is answered and nothing holds it. */
void request_maybe_end(struct request *request);

/* The request as its signature covers it. */
struct sigv4_request request_signed(const struct request *request);

/* The gate, request_gate.c: all that can be refused without the index; then, under a view, who it
 * is, what there is, and whether they may. A preflight is a browser's question what it may ask: it
 * is answered instead. */
enum s3_code request_parse(struct request *request) MUST_USE;
enum s3_code request_admit(struct request *request) MUST_USE;
bool request_is_preflight(const struct request *request);

/* Fails before the handler has begun: then its memory serves to explain a signature. */
void request_fail_gate(struct request *request, enum s3_code code);

#endif
