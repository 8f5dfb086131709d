/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_XML_LIFECYCLE_H
#define GATEWAY_XML_LIFECYCLE_H

#include "gateway/names.h"
#include "gateway/text_out.h"
#include "gateway/xml_in.h"
#include "storage/meta/lifecycle.h"

/* Lifecycle rules as the documents of S3 have them (LifecycleConfiguration in the API reference):
 * into the list that the index keeps, and back.
 *
 * (L1) What cannot be done is refused: a rule that moves objects to another storage class is not
 *      taken. So is what is not known, since rules delete.
 */
enum {
	XML_LIFECYCLE_PREFIX_MAX = 1024,
	XML_LIFECYCLE_TEXT_MAX = 1100, /* of a tag's key or value, in bytes */
};

struct xml_lifecycle {
	struct xml_in in;
	const char *message; /* says more than the code; NULL: nothing */
	struct fields_out *out; /* borrowed: rules are appended as they end */
	unsigned rule_count;
	uint8_t path[XML_IN_DEPTH_MAX + 1]; /* which element is open at a depth */
	uint32_t seen[XML_IN_DEPTH_MAX +
		1]; /* which were in the one that is open there, a bit each */
	unsigned tag_count;
	struct lifecycle_rule rule;
	uint8_t id[LIFECYCLE_ID_LEN_MAX];
	uint8_t prefix[XML_LIFECYCLE_PREFIX_MAX];
	uint8_t tags[LIFECYCLE_TAGS_LEN_MAX];
	size_t tags_len, key_len, value_len;
	uint8_t key[XML_LIFECYCLE_TEXT_MAX], value[XML_LIFECYCLE_TEXT_MAX];
};

/* Begins a document, whose rules are appended to out behind lifecycle_begin(). Fed and ended as any
 * (xml_in.h); codes besides S3_MALFORMED_XML: S3_INVALID_ARGUMENT, S3_INVALID_REQUEST,
 * S3_INVALID_TAG, S3_NOT_IMPLEMENTED, S3_MAX_MESSAGE_LENGTH_EXCEEDED. Errors: ERR_NO_MEMORY. */
MUST_USE enum err xml_lifecycle_init(struct xml_lifecycle *body, struct fields_out *out);

/* Writes the document of a list (lifecycle_open()). Errors: ERR_CORRUPT. */
MUST_USE enum err xml_lifecycle_render(struct bytes list, struct text_out *out);

#endif
