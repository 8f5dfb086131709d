/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/checksum_s3.h"

static const struct {
	const char *name, *header, *element;
	enum digest_kind digest;
	uint8_t len;
} table[] = {
	[CHECKSUM_CRC32] = {"CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", DIGEST_CRC32,
		CRC32_LEN},
	[CHECKSUM_CRC32C] = {"CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", DIGEST_CRC32C,
		CRC32_LEN},
	[CHECKSUM_SHA1] = {"SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", DIGEST_SHA1, SHA1_LEN},
	[CHECKSUM_SHA256] = {"SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", DIGEST_SHA256,
		SHA256_LEN},
	[CHECKSUM_CRC64NVME] = {"CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME",
		DIGEST_CRC64NVME, CRC64_LEN},
};

static bool is_known(enum checksum_algorithm algorithm)
{
	return algorithm > CHECKSUM_NONE && algorithm < ARRAY_COUNT(table);
}

const char *checksum_s3_name(enum checksum_algorithm algorithm)
{
	assert(is_known(algorithm));
	return table[algorithm].name;
}

const char *checksum_s3_header(enum checksum_algorithm algorithm)
{
	assert(is_known(algorithm));
	return table[algorithm].header;
}

const char *checksum_s3_element(enum checksum_algorithm algorithm)
{
	assert(is_known(algorithm));
	return table[algorithm].element;
}

static bool is_text_of_any_case(struct bytes text, const char *upper)
{
	size_t i;
	for (i = 0; i < text.len && upper[i] != '\0'; i++) {
		uint8_t c = text.data[i];
		if (c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		if (c != (uint8_t)upper[i])
			return false;
	}
	return i == text.len && upper[i] == '\0';
}

enum checksum_algorithm checksum_s3_from_name(struct bytes name)
{
	for (unsigned i = 1; i < ARRAY_COUNT(table); i++)
		if (is_text_of_any_case(name, table[i].name))
			return i;
	return CHECKSUM_NONE;
}

enum checksum_algorithm checksum_s3_from_header(struct bytes name)
{
	for (unsigned i = 1; i < ARRAY_COUNT(table); i++)
		if (bytes_is_text(name, table[i].header))
			return i;
	return CHECKSUM_NONE;
}

enum checksum_algorithm checksum_s3_from_element(struct bytes name)
{
	for (unsigned i = 1; i < ARRAY_COUNT(table); i++)
		if (bytes_is_text(name, table[i].element))
			return i;
	return CHECKSUM_NONE;
}

enum digest_kind checksum_s3_digest(enum checksum_algorithm algorithm)
{
	assert(is_known(algorithm));
	return table[algorithm].digest;
}

enum checksum_algorithm checksum_s3_from_digest(enum digest_kind kind)
{
	for (unsigned i = 1; i < ARRAY_COUNT(table); i++)
		if (table[i].digest == kind)
			return i;
	return CHECKSUM_NONE;
}

size_t checksum_s3_len(enum checksum_algorithm algorithm)
{
	assert(is_known(algorithm));
	return table[algorithm].len;
}

const char *checksum_s3_type_name(enum checksum_type type)
{
	return type == CHECKSUM_COMPOSITE ? "COMPOSITE" : "FULL_OBJECT";
}

bool checksum_s3_is_type_allowed(enum checksum_algorithm algorithm, enum checksum_type type)
{
	switch (algorithm) {
	case CHECKSUM_CRC32:
	case CHECKSUM_CRC32C:
		return true;
	case CHECKSUM_CRC64NVME:
		return type == CHECKSUM_FULL_OBJECT;
	case CHECKSUM_SHA1:
	case CHECKSUM_SHA256:
		return type == CHECKSUM_COMPOSITE;
	default:
		return false;
	}
}

enum checksum_type checksum_s3_default_type(enum checksum_algorithm algorithm)
{
	return algorithm == CHECKSUM_CRC64NVME ? CHECKSUM_FULL_OBJECT : CHECKSUM_COMPOSITE;
}

void checksum_s3_put(struct text_out *out, const struct checksum *checksum, uint32_t part_count)
{
	char text[BASE64_LEN(sizeof checksum->value) + 1];
	assert(checksum->len <= sizeof checksum->value);
	base64_encode(checksum->value, checksum->len, text);
	text_put_text(out, text);
	if (checksum->type == CHECKSUM_COMPOSITE && part_count > 0) {
		text_put_char(out, '-');
		text_put_uint(out, part_count);
	}
}

/* Takes "-N" off the end. False if what is behind the dash is not a number of parts. */
static bool take_part_count(struct bytes *text, uint32_t *ret_part_count)
{
	const uint8_t *dash = text->len > 0 ? memchr(text->data, '-', text->len) : NULL;
	uint32_t count = 0;
	if (!dash) {
		*ret_part_count = 0;
		return true;
	}
	struct bytes digits = bytes_from(*text, dash + 1 - text->data);
	if (digits.len == 0 || digits.len > 5 || digits.data[0] == '0')
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.data[i] < '0' || digits.data[i] > '9')
			return false;
		count = 10 * count + (digits.data[i] - '0');
	}
	if (count > ROW_PART_MAX)
		return false;
	text->len = dash - text->data;
	*ret_part_count = count;
	return true;
}

enum err checksum_s3_parse(struct bytes text, enum checksum_algorithm algorithm,
	struct checksum *ret_checksum, uint32_t *ret_part_count)
{
	struct checksum checksum = {.algorithm = algorithm, .len = checksum_s3_len(algorithm)};
	uint32_t part_count;
	size_t len;
	if (!take_part_count(&text, &part_count))
		return ERR_INVALID;
	if (base64_decode(text, checksum.value, checksum.len, &len) != ERR_OK ||
		len != checksum.len)
		return ERR_INVALID;
	checksum.type = part_count > 0 ? CHECKSUM_COMPOSITE : CHECKSUM_FULL_OBJECT;
	*ret_checksum = checksum;
	*ret_part_count = part_count;
	return ERR_OK;
}

void checksum_s3_whole_init(
	struct checksum_s3_whole *whole, enum checksum_algorithm algorithm, enum checksum_type type)
{
	whole->checksum = (struct checksum){.algorithm = algorithm, .type = type};
	whole->is_complete = algorithm != CHECKSUM_NONE;
	whole->part_count = 0;
	if (!whole->is_complete)
		return;
	whole->checksum.len = checksum_s3_len(algorithm);
	if (type == CHECKSUM_COMPOSITE)
		digest_stream_init(&whole->stream, checksum_s3_digest(algorithm));
}

void checksum_s3_whole_add(
	struct checksum_s3_whole *whole, const struct checksum *part, uint64_t part_len)
{
	struct checksum *sum = &whole->checksum;
	if (part->algorithm != sum->algorithm || part->len != sum->len)
		whole->is_complete = false;
	if (!whole->is_complete)
		return;
	if (sum->type == CHECKSUM_COMPOSITE)
		digest_stream_update(&whole->stream, part->value, part->len);
	else if (whole->part_count == 0)
		memcpy(sum->value, part->value, part->len);
	else
		digest_combine(checksum_s3_digest(sum->algorithm), sum->value, part->value,
			part_len, sum->value);
	whole->part_count++;
}

void checksum_s3_whole_final(struct checksum_s3_whole *whole, struct checksum *ret_checksum)
{
	struct checksum *sum = &whole->checksum;
	if (!whole->is_complete || whole->part_count == 0) {
		*ret_checksum = (struct checksum){.algorithm = CHECKSUM_NONE};
		return;
	}
	if (sum->type == CHECKSUM_COMPOSITE) {
		struct digest_values values;
		digest_stream_final(&whole->stream, &values);
		struct bytes value = digest_value(&values, checksum_s3_digest(sum->algorithm));
		memcpy(sum->value, value.data, value.len);
	}
	*ret_checksum = *sum;
}
