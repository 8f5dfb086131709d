/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_POST_REPLY_H
#define GATEWAY_POST_REPLY_H

#include "gateway/request.h"

/* What a PostObject answers with. */

/* The URL of the object, as the client addressed the bucket. */
void post_reply_put_location(const struct request *request, struct text_out *out);

/* The page that the form named, told what was made. */
void post_reply_put_redirect(const struct request *request, struct bytes page,
	const struct etag *etag, struct text_out *out);

/* The document of status 201, into request->out. */
void post_reply_put_document(
	struct request *request, const struct etag *etag, struct bytes location);

#endif
