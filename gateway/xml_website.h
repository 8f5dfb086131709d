/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_XML_WEBSITE_H
#define GATEWAY_XML_WEBSITE_H

#include "gateway/text_out.h"
#include "gateway/website_config.h"
#include "gateway/xml_in.h"

/* Websites as the documents of S3 have them (WebsiteConfiguration in the API reference): into what
 * the index keeps, and back. */
struct xml_website {
	struct xml_in in;
	/* Why it was refused: more than the code; NULL: nothing. */
	const char *message;
	const char *argument_name;

	struct fields_out rules; /* in a buffer of the caller's */
	unsigned rule_count;
	uint8_t path[XML_IN_DEPTH_MAX + 1]; /* which element is open at a depth */
	uint32_t seen[XML_IN_DEPTH_MAX + 1]; /* which were in the one that is open there */
	struct website website;
	struct website_rule rule;
	uint8_t index[WEBSITE_KEY_LEN_MAX], error[WEBSITE_KEY_LEN_MAX];
	uint8_t all_host[WEBSITE_HOST_LEN_MAX], host[WEBSITE_HOST_LEN_MAX];
	uint8_t prefix[WEBSITE_KEY_LEN_MAX], replacement[WEBSITE_KEY_LEN_MAX];
};

/* Begins a document. rules: WEBSITE_RULES_LEN_MAX bytes, borrowed. Fed and ended as any (xml_in.h);
 * codes besides S3_MALFORMED_XML: S3_INVALID_ARGUMENT, S3_INVALID_REQUEST,
 * S3_MAX_MESSAGE_LENGTH_EXCEEDED. Errors: ERR_NO_MEMORY. */
MUST_USE enum err xml_website_init(struct xml_website *body, uint8_t *rules);

/* Writes the document of a configuration. Errors: ERR_CORRUPT, ERR_VERSION. */
MUST_USE enum err xml_website_render(struct bytes config, struct text_out *out);

#endif
