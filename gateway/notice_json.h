/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_NOTICE_JSON_H
#define GATEWAY_NOTICE_JSON_H

#include "gateway/text_out.h"
#include "storage/meta/rows_notice.h"

/* What a webhook is told of a notice: the event message of S3 (version 2.x, one record), and beside
 * its Records the EventName and Key that MinIO puts there, as webhooks written for it look for
 * them.
 */
#define NOTICE_JSON_LEN_MAX (16 * 1024)

/* Who caused something, as commands and rows carry it. buf has NOTICE_ORIGIN_LEN_MAX bytes; what
 * does not fit is left out. */
struct notice_origin {
	struct bytes principal, address, request_id;
};
struct bytes notice_origin_format(const struct notice_origin *origin, uint8_t *buf);
void notice_origin_parse(struct bytes bytes, struct notice_origin *ret_origin);

/* Writes the message; place is the notice's, which orders those of a key (sequencer). */
void notice_json_put(struct text_out *out, const struct row_notice *notice, struct version_id place,
	struct bytes region);

#endif
