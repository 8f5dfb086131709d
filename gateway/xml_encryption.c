/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/xml_encryption.h"

#include "gateway/sse.h"
#include "gateway/xml_out.h"

/* Elements, each once, by where they may stand. */
static const struct {
	const char *name;
	unsigned depth;
} elements[] = {
	{"ServerSideEncryptionConfiguration", 1},
	{"Rule", 2},
	{"ApplyServerSideEncryptionByDefault", 3},
	{"BucketKeyEnabled", 3},
	{"SSEAlgorithm", 4},
	{"KMSMasterKeyID", 4},
};

static void refuse(struct xml_encryption *xml, enum s3_code code, const char *message)
{
	if (xml->in.code == S3_OK)
		xml->message = message;
	xml_in_stop(&xml->in, code);
}

static void opened(struct xml_in *in, unsigned depth, struct bytes name, const char **attributes)
{
	struct xml_encryption *xml = CONTAINER_OF(in, struct xml_encryption, in);
	(void)attributes;
	for (size_t i = 0; i < ARRAY_COUNT(elements); i++) {
		if (depth != elements[i].depth || !bytes_is_text(name, elements[i].name) ||
			(xml->seen & 1u << i))
			continue;
		xml->seen |= 1u << i;
		return;
	}
	refuse(xml, S3_MALFORMED_XML, NULL);
}

static void take_algorithm(struct xml_encryption *xml, struct bytes text)
{
	if (bytes_is_text(text, "AES256"))
		xml->config[0] = SSE_S3;
	else if (bytes_has_prefix(text, bytes_of("aws:kms")))
		refuse(xml, S3_NOT_IMPLEMENTED,
			"Server side encryption with keys of a KMS is not implemented.");
	else
		refuse(xml, S3_MALFORMED_XML, NULL);
}

static void closed(struct xml_in *in, unsigned depth, struct bytes name, struct bytes text)
{
	struct xml_encryption *xml = CONTAINER_OF(in, struct xml_encryption, in);
	text = bytes_trim(text, " \t\r\n");
	if (depth == 1 && xml->config[0] == SSE_NONE)
		refuse(xml, S3_MALFORMED_XML, NULL);
	else if (bytes_is_text(name, "KMSMasterKeyID"))
		refuse(xml, S3_INVALID_ARGUMENT,
			"a KMSMasterKeyID is not applicable if the default sse algorithm is not "
			"aws:kms or aws:kms:dsse");
	else if (bytes_is_text(name, "SSEAlgorithm"))
		take_algorithm(xml, text);
	else if (bytes_is_text(name, "BucketKeyEnabled") && bytes_is_text(text, "true"))
		xml->config[1] = 1;
	else if (bytes_is_text(name, "BucketKeyEnabled") && !bytes_is_text(text, "false"))
		refuse(xml, S3_MALFORMED_XML, NULL);
}

enum err xml_encryption_init(struct xml_encryption *xml)
{
	xml->message = NULL;
	xml->seen = 0;
	memset(xml->config, 0, sizeof xml->config);
	return xml_in_init(&xml->in, opened, closed);
}

enum err xml_encryption_render(struct bytes config, struct text_out *out)
{
	if (config.len != XML_ENCRYPTION_LEN || config.data[0] != SSE_S3 || config.data[1] > 1)
		return ERR_CORRUPT;
	text_put_text(out,
		"<ServerSideEncryptionConfiguration" XML_NAMESPACE
		"><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
		"</ApplyServerSideEncryptionByDefault>");
	xml_element_bool(out, "BucketKeyEnabled", config.data[1]);
	text_put_text(out, "</Rule></ServerSideEncryptionConfiguration>");
	return ERR_OK;
}
