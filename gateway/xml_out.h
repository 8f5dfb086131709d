/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_XML_OUT_H
#define GATEWAY_XML_OUT_H

#include "gateway/text_out.h"

/* XML as S3 answers with. Rows of a listing are literals and the functions below; nothing here
 * formats through printf, for LIST is made of millions of rows. */
#define XML_DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XML_NAMESPACE " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

/* <name> and </name>; name is ours and is not escaped. */
void xml_open(struct text_out *out, const char *name);
void xml_close(struct text_out *out, const char *name);

/* Text between tags: & < > become entities, carriage return and the control bytes that XML 1.0 has
 * no form for become character references (&#xD; &#x1;), as AWS sends them; quotes stay as they
 * are, because clients compare ETags with their quotes. text must be UTF-8. */
void xml_put(struct text_out *out, struct bytes text);

/* The same for bytes of unknown origin: what is not UTF-8 becomes U+FFFD. */
void xml_put_any(struct text_out *out, struct bytes text);

/* encoding-type=url: unreserved characters and / stay, space is %20, plus is %2B. */
void xml_put_url(struct text_out *out, struct bytes text);

/* Either, as the request asked. */
static inline void xml_put_key(struct text_out *out, struct bytes key, bool is_url)
{
	if (is_url)
		xml_put_url(out, key);
	else
		xml_put(out, key);
}

/* <name>value</name> in one call, for what is not a row. */
void xml_element(struct text_out *out, const char *name, struct bytes value);
void xml_element_uint(struct text_out *out, const char *name, uint64_t value);
void xml_element_bool(struct text_out *out, const char *name, bool value);

#endif
