/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_WEBSITE_H
#define GATEWAY_WEBSITE_H

#include "gateway/request.h"
#include "gateway/website_config.h"

/* Buckets as websites: what is answered to browsers. What a configuration means is of the S3 User
 * Guide, "Hosting a static website".
 *
 * Websites are virtual hosts under the website_domains of the settings, beside the same listener as
 * the rest: photos.web.example.org is bucket photos. There
 *
 * (W1) everything is asked by GET or HEAD and by a stranger, whatever was signed; what the bucket's
 *      policy lets strangers read is what the website has, and queries mean nothing;
 * (W2) a key that ends with a slash, or is empty, is the index document in that place;
 * (W3) errors are HTML: the error document, with the error's status, or a page that names it;
 * (W4) nothing is served that GetObject by a stranger would not serve: each key that an answer is
 *      made of (index, error document) is weighed by itself.
 */
/* What is to be checked before there is an index to ask: the request is a browser's. */
enum s3_code website_prepare(struct request *request) MUST_USE;

/* Under a view, in which its bucket was found: decides what the request is answered with. Any code
 * but S3_OK is to be shown as a page. */
enum s3_code website_admit(struct request *request) MUST_USE;

/* Answers as was decided. */
void website_start(struct request *request);

/* Writes the page of an error. */
void website_put_error(struct text_out *out, struct request *request, enum s3_code code);

#endif
