/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_XML_ENCRYPTION_H
#define GATEWAY_XML_ENCRYPTION_H

#include "gateway/text_out.h"
#include "gateway/xml_in.h"

/* Default encryption of a bucket: ServerSideEncryptionConfiguration, which has one rule. What the
 * index keeps of it is {enum sse_mode (1 byte), is the bucket key enabled (1)}; the second is for
 * keys of a KMS, has no effect with ours, and is given back as it was set. */
#define XML_ENCRYPTION_LEN 2

struct xml_encryption {
	struct xml_in in; /* first: it is found by this */
	const char *message; /* says more than the code; NULL: nothing */
	unsigned seen; /* elements, a bit each */
	uint8_t config[XML_ENCRYPTION_LEN];
};

/* Errors: ERR_NO_MEMORY. */
MUST_USE enum err xml_encryption_init(struct xml_encryption *xml);

/* Writes the document. Errors: ERR_CORRUPT. */
MUST_USE enum err xml_encryption_render(struct bytes config, struct text_out *out);

#endif
