/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_in.h"

#include <expat.h>
#include <stdlib.h>

/* Whose memory expat's allocator counts: expat gives its functions no context. Set around each call
 * into expat, on its thread. */
static _Thread_local struct xml_in *current;

/* In front of every block: how long it is. Keeps the alignment of malloc. */
union block {
	size_t len;
	max_align_t align;
};

static bool charge(size_t old_len, size_t new_len)
{
	assert(current && current->memory >= old_len);
	if (new_len > XML_IN_MEMORY_MAX || current->memory - old_len > XML_IN_MEMORY_MAX - new_len)
		return false;
	current->memory += new_len - old_len;
	return true;
}

static void *block_malloc(size_t len)
{
	if (!charge(0, len))
		return NULL;
	union block *block = malloc(sizeof *block + len);
	if (!block) {
		current->memory -= len;
		return NULL;
	}
	block->len = len;
	return block + 1;
}

static void *block_realloc(void *data, size_t len)
{
	if (!data)
		return block_malloc(len);
	union block *block = (union block *)data - 1;
	size_t old_len = block->len;
	if (!charge(old_len, len))
		return NULL;
	block = realloc(block, sizeof *block + len);
	if (!block) {
		current->memory -= len - old_len;
		return NULL;
	}
	block->len = len;
	return block + 1;
}

static void block_free(void *data)
{
	if (!data)
		return;
	union block *block = (union block *)data - 1;
	assert(current && current->memory >= block->len);
	current->memory -= block->len;
	free(block);
}

/* The name without the prefix of its namespace. */
static struct bytes local_name(const char *name)
{
	const char *colon = strrchr(name, ':');
	return bytes_of(colon ? colon + 1 : name);
}

static void element_started(void *context, const char *name, const char **attributes)
{
	struct xml_in *in = context;
	struct bytes local = local_name(name);
	if (in->code != S3_OK)
		return;
	if (in->depth == XML_IN_DEPTH_MAX || local.len > XML_IN_NAME_LEN_MAX) {
		xml_in_stop(in, S3_MALFORMED_XML);
		return;
	}
	in->depth++;
	in->text_len = 0;
	in->is_text_of_leaf = true;
	in->open(in, in->depth, local, attributes);
}

static void element_ended(void *context, const char *name)
{
	struct xml_in *in = context;
	if (in->code != S3_OK)
		return;
	assert(in->depth > 0);
	size_t text_len = in->is_text_of_leaf ? in->text_len : 0;
	in->close(in, in->depth, local_name(name), bytes_make(in->text, text_len));
	in->depth--;
	in->text_len = 0;
	in->is_text_of_leaf = false;
}

static void text_seen(void *context, const char *text, int len)
{
	struct xml_in *in = context;
	if (in->code != S3_OK || !in->is_text_of_leaf)
		return;
	assert(len >= 0);
	if ((size_t)len > sizeof in->text - in->text_len) {
		xml_in_stop(in, S3_MALFORMED_XML);
		return;
	}
	memcpy(in->text + in->text_len, text, len);
	in->text_len += len;
}

/* (X1) */
static void doctype_seen(void *context, const char *name, const char *system_id,
	const char *public_id, int has_internal_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_internal_subset;
	xml_in_stop(context, S3_MALFORMED_XML);
}

enum err xml_in_init(struct xml_in *in,
	void (*open)(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes),
	void (*close)(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text))
{
	static const XML_Memory_Handling_Suite memory = {block_malloc, block_realloc, block_free};
	in->parser = NULL;
	in->open = open;
	in->close = close;
	in->code = S3_OK;
	in->memory = 0;
	in->document_len = 0;
	in->depth = 0;
	in->is_text_of_leaf = false;
	in->text_len = 0;

	assert(!current);
	current = in;
	in->parser = XML_ParserCreate_MM("UTF-8", &memory, NULL); /* (X3) */
	current = NULL;
	if (!in->parser)
		return ERR_NO_MEMORY;
	XML_SetUserData(in->parser, in);
	XML_SetElementHandler(in->parser, element_started, element_ended);
	XML_SetCharacterDataHandler(in->parser, text_seen);
	XML_SetStartDoctypeDeclHandler(in->parser, doctype_seen);
	return ERR_OK;
}

void xml_in_fini(struct xml_in *in)
{
	assert(!current);
	current = in;
	XML_ParserFree(in->parser);
	current = NULL;
	in->parser = NULL;
	assert(in->memory == 0);
}

void xml_in_stop(struct xml_in *in, enum s3_code code)
{
	assert(code != S3_OK);
	if (in->code != S3_OK)
		return;
	in->code = code;
	XML_StopParser(in->parser, XML_FALSE);
}

static enum s3_code parse(struct xml_in *in, struct bytes piece, bool is_final)
{
	if (in->code != S3_OK)
		return in->code;
	assert(!current);
	current = in;
	enum XML_Status status = XML_Parse(
		in->parser, (const char *)piece.data, (int)piece.len, is_final);
	current = NULL;
	if (status != XML_STATUS_OK && in->code == S3_OK)
		in->code = S3_MALFORMED_XML;
	return in->code;
}

enum s3_code xml_in_feed(struct xml_in *in, struct bytes piece)
{
	in->document_len += piece.len;
	if (in->code == S3_OK &&
		(piece.len > XML_IN_DOCUMENT_LEN_MAX || in->document_len > XML_IN_DOCUMENT_LEN_MAX))
		in->code = S3_MAX_MESSAGE_LENGTH_EXCEEDED;
	return piece.len > 0 ? parse(in, piece, false) : in->code;
}

enum s3_code xml_in_finish(struct xml_in *in)
{
	return parse(in, (struct bytes){NULL, 0}, true);
}
