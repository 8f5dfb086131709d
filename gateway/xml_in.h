/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_XML_IN_H
#define GATEWAY_XML_IN_H

#include "gateway/s3_error.h"

/* XML from clients, piece by piece: elements and their text, and nothing of XML's dangers.
 *
 * (X1) A document type declaration ends the parse, so there are no entities but the five of XML:
 *      no file is read, nothing expands.
 * (X2) Depth, bytes of the document, bytes of one text and memory of the parser are bounded; each
 *      bound ends the parse.
 * (X3) Everything is UTF-8, whatever the document claims.
 *
 * What the elements mean is the business of xml_body.h. */
enum {
	XML_IN_DEPTH_MAX = 8,
	XML_IN_NAME_LEN_MAX = 64,
	XML_IN_TEXT_LEN_MAX = 4096,
	XML_IN_DOCUMENT_LEN_MAX = 4 << 20,
	XML_IN_MEMORY_MAX = 512 << 10,
};

/* What may stand around a value: documents are indented by some clients, and so are values. Keys
 * are not trimmed. */
#define XML_IN_SPACE " \t\r\n"

struct xml_in {
	struct XML_ParserStruct *parser;
	/* An element begins; depth is 1 for the root. attributes are name, value, ..., NULL. Both
	 * functions may end the parse with xml_in_stop(). */
	void (*open)(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes);
	/* An element ends. text is what stood in it directly, trimmed of nothing. */
	void (*close)(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text);

	enum s3_code code; /* why the parse ended; S3_OK while it goes on */
	size_t memory; /* that the parser has now */
	uint64_t document_len;
	unsigned depth;
	bool is_text_of_leaf; /* no element has begun since the text did */
	size_t text_len;
	uint8_t text[XML_IN_TEXT_LEN_MAX];
};

/* Starts a document. Errors: ERR_NO_MEMORY, and then nothing is to be undone. */
enum err xml_in_init(struct xml_in *in,
	void (*open)(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes),
	void (*close)(
		struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)) MUST_USE;
void xml_in_fini(struct xml_in *in);

/* The next piece; borrowed for the call. S3_OK, S3_MALFORMED_XML, S3_MAX_MESSAGE_LENGTH_EXCEEDED,
 * or what was given to xml_in_stop(); the same ever after. */
enum s3_code xml_in_feed(struct xml_in *in, struct bytes piece) MUST_USE;

/* The document is complete. */
enum s3_code xml_in_finish(struct xml_in *in) MUST_USE;

/* Ends the parse from open() or close(); neither is called again. */
void xml_in_stop(struct xml_in *in, enum s3_code code);

#endif
