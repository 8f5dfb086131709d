/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OP_CHANGE_H
#define GATEWAY_OP_CHANGE_H

#include "gateway/request_document.h"
#include "gateway/response.h"
#include "gateway/xml_in.h"

/* A request that comes to one command: it has a small document, or no body at all.
 *
 *	READING (the document) → LOOKING (under a view: what the command is to say) → PROPOSING →
 *	answered             ↑____________ what it named is gone, or has changed ___________|
 *
 * (I1) The command is made in the view in which what it names was found. When that is gone at
 *      apply, it is looked for again, a few times.
 * (I2) Nothing is made of a document before its digests were checked at its end. */
struct op_change;

struct op_change_parts {
	size_t document_len_max; /* 0: the request has no document */
	/* Starts the parser of the document, which the handler keeps. NULL: there is no memory. */
	struct xml_in *(*open)(struct request *request);
	/* Under a view: makes the command, which may borrow what the handler keeps, or the view.
	 * Anything but S3_OK is the answer. */
	enum s3_code (*command)(struct request *request, struct command *command);
	/* The command was done. */
	void (*answer)(struct request *request);
	/* What a result that is not OK means to S3; NULL: the usual. */
	enum s3_code (*explain)(struct request *request, const struct command_result *result);
};

/* Stands first in what the handler keeps. */
struct op_change {
	const struct op_change_parts *parts;
	struct request_document document;
	struct xml_in *xml; /* NULL: none was started */
	bool has_document;
	unsigned tries;
	struct response_headers *headers; /* of an error, if command() has some to add */
};

/* The rest of the handler's work. parts is static. */
void op_change_start(
	struct request *request, struct op_change *change, const struct op_change_parts *parts);

#endif
