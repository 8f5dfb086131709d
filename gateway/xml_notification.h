/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_XML_NOTIFICATION_H
#define GATEWAY_XML_NOTIFICATION_H

#include "gateway/text_out.h"
#include "gateway/xml_in.h"
#include "storage/meta/notice.h"

/* What a bucket tells others of, as the documents of S3 have it (NotificationConfiguration in the
 * API reference): into the list that the index keeps, and back.
 *
 * Queues and topics are webhooks of this server's settings, by name. Their ARN is
 *
 *	arn:rubus:sqs::NAME:webhook
 *
 * in the form that MinIO gave to webhooks, so that tools which take ARNs apart find service and
 * name where they look; "minio" may stand for "rubus", since configurations of that server have it.
 * Some tools take ARNs of AWS only: arn:aws:sqs:REGION:ACCOUNT:NAME names the same webhook. What
 * was written is given back.
 *
 * (N1) What cannot be told is refused: functions, event buses, and events that never happen here.
 */
enum { XML_NOTIFICATION_ARGUMENT_MAX = 256 };

struct xml_notification {
	struct xml_in in;
	const struct bytes *webhooks; /* names that there are; borrowed */
	size_t webhook_count;

	/* Why it was refused: more than the code; NULL: nothing. */
	const char *message;
	const char *argument_name;
	uint8_t argument[XML_NOTIFICATION_ARGUMENT_MAX];
	size_t argument_len;

	struct fields_out *out; /* borrowed: rules are appended as they end */
	unsigned rule_count;
	uint8_t path[XML_IN_DEPTH_MAX + 1]; /* which element is open at a depth */
	uint32_t seen[XML_IN_DEPTH_MAX + 1]; /* which were in the one that is open there */
	struct notice_rule rule;
	uint8_t filter; /* enum of the .c file: which FilterRule is open */
	size_t value_len;
	uint8_t id[NOTICE_ID_LEN_MAX], arn[NOTICE_ARN_LEN_MAX];
	uint8_t value[NOTICE_FILTER_LEN_MAX];
	uint8_t prefix[NOTICE_FILTER_LEN_MAX], suffix[NOTICE_FILTER_LEN_MAX];
};

/* Begins a document, whose rules are appended to out behind notice_begin(). The caller then says
 * which webhooks there are. Fed and ended as any (xml_in.h); codes besides S3_MALFORMED_XML:
 * S3_INVALID_ARGUMENT, S3_INVALID_REQUEST, S3_NOT_IMPLEMENTED, S3_MAX_MESSAGE_LENGTH_EXCEEDED.
 * Errors: ERR_NO_MEMORY. */
MUST_USE enum err xml_notification_init(struct xml_notification *body, struct fields_out *out);

/* Writes the document of a list (notice_open()); an empty one is one without rules. Errors:
 * ERR_CORRUPT. */
MUST_USE enum err xml_notification_render(struct bytes list, struct text_out *out);

/* "s3:ObjectCreated:Put"; NULL: there is no such event. */
const char *xml_notification_event_name(unsigned event);

/* The name of the webhook in an ARN; false: it is not well formed. */
bool xml_notification_parse_arn(struct bytes arn, struct bytes *ret_name);

#endif
